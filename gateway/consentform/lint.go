package consentform

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/consent"
)

// A Finding is something about a Consent that its author should know.
type Finding struct {
	Severity outcome.Severity `json:"severity"` // error: it does not do what it seems to say; warning, information
	Rule     string           `json:"rule"`     // stable code: "recipient-missing"
	Text     string           `json:"text"`
	Citation string           `json:"citation,omitempty"`
	At       string           `json:"expression"` // FHIRPath: "Consent.provision.actor[0]"
	Offset   int              `json:"-"`          // bytes from the start of the Consent
}

// Issue is the finding as an entry of an OperationOutcome.
func (f Finding) Issue() outcome.Issue {
	code := outcome.CodeInvariant
	switch {
	case strings.HasSuffix(f.Rule, "-missing"):
		code = outcome.CodeRequired
	case strings.HasPrefix(f.Rule, "unknown-"):
		code = outcome.CodeCodeInvalid
	case f.Severity == outcome.Information:
		code = outcome.CodeInformation
	}
	text := f.Text
	if f.Citation != "" {
		text += " (" + f.Citation + ")"
	}
	return outcome.Issue{Severity: f.Severity, Code: code, Details: f.Rule, Diagnostics: text, Expression: f.At}
}

// Options are what a Consent is read by.
type Options struct {
	At time.Time // the instant for "is over"; its location is that of dates
	// Resolves says whether a reference of provision.data is among what came with
	// the Consent; nil: nothing came with it, and nothing is said.
	Resolves func(reference string) bool
}

// Lint reads a Consent and lists what is wrong with it, in the order of the
// document.
func Lint(r *resource.Resource, o Options) []Finding {
	l := &linter{r: r, o: o}
	l.status()
	l.form()
	top := r.Root().Get("provision")
	if !top.Exists() {
		l.add(outcome.Warning, "provision-missing", r.Root(), "Consent.provision", "", "without a provision it decides nothing, whatever its policyRule says")
	}
	eachRule(top, "Consent.provision", l.rule)
	l.rest()
	slices.SortStableFunc(l.found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.At, b.At))
	})
	return l.found
}

// Failed says whether a finding is an error.
func Failed(fs []Finding) bool {
	return slices.ContainsFunc(fs, func(f Finding) bool { return f.Severity == outcome.Failure })
}

// A linter collects the findings of one Consent.
type linter struct {
	r     *resource.Resource
	o     Options
	found []Finding
}

const maxFindings = 200

func (l *linter) add(s outcome.Severity, rule string, n resource.Node, at, citation, format string, args ...any) {
	if len(l.found) >= maxFindings {
		return
	}
	start, _ := n.Span()
	l.found = append(l.found, Finding{s, rule, fmt.Sprintf(format, args...), citation, at, start})
}

// status says what makes the whole Consent silent or void.
func (l *linter) status() {
	root := l.r.Root()
	st := root.Get("status")
	switch st.Text() {
	case "active":
	case "draft", "proposed", "entered-in-error":
		l.add(outcome.Warning, "status-silent", st, "Consent.status", "", "a Consent that is %s is not followed: it neither opens nor withholds", st.Text())
	case "inactive", "rejected":
		l.add(outcome.Warning, "status-ended", st, "Consent.status", "", "a Consent that is %s opens and withholds nothing; it ends older versions of it", st.Text())
	default:
		l.add(outcome.Failure, "unknown-status", orRoot(st, root), "Consent.status", "", "the status is none that R4 has: it can withhold and opens nothing")
	}
	l.scope()
	for m := range root.Members() {
		if m.Name() == "modifierExtension" || m.Name() == "implicitRules" {
			l.add(outcome.Failure, "modifier", m, "Consent."+m.Name(), "", "it may turn the meaning round and is not understood: the Consent opens nothing")
		}
	}
	i := 0
	for v := range root.All("verification") {
		if ok, is := v.Get("verified").Bool(); !ok || !is {
			l.add(outcome.Failure, "not-verified", v, indexed("Consent.verification", i), "", "it was not verified: the Consent opens nothing")
		}
		i++
	}
	if d := root.Get("dateTime"); d.Exists() {
		if t, ok := instant(d.Text(), l.o.At.Location(), false); !ok || t.After(l.o.At.Add(24*time.Hour)) {
			l.add(outcome.Failure, "date-wrong", d, "Consent.dateTime", "", "the date cannot be read or lies in the future: which version is newer cannot be told")
		}
	}
}

func orRoot(n, root resource.Node) resource.Node {
	if n.Exists() {
		return n
	}
	return root
}

// form reports the elements of a written consent that are missing.
func (l *linter) form() {
	f := read(l.r)
	severity := outcome.Warning
	if f.claimForm {
		severity = outcome.Failure
	}
	for _, e := range Elements(l.r) {
		switch e.State {
		case Missing:
			l.add(severity, e.Name+"-missing", l.r.Root(), "Consent", e.Citation, "%s is missing (%s): %s", e.Name, e.Field, e.Means)
		case Review:
			l.add(outcome.Information, e.Name+"-review", l.r.Root(), "Consent", e.Citation, "%s", e.Means)
		case Present, NotNeeded:
		}
	}
	if f.permits && f.tpo {
		l.add(outcome.Information, "tpo-no-police", l.r.Root(), "Consent", "42 CFR 2.31(a)(4)(i)", "a consent to treatment, payment and operations opens Part 2 data to treating providers only: police must be named, with a purpose of their own")
	}
}

// rest adds what the decision point sees against the Consent and nothing above
// has named.
func (l *linter) rest() {
	_, why := consent.Parse(l.r, consent.Source{Entitled: true}).Grants()
	if len(why) == 0 || Failed(l.found) || !read(l.r).permits {
		return
	}
	for _, w := range why {
		if strings.HasPrefix(w, "status is not active") || strings.HasPrefix(w, "it has no provision") {
			continue
		}
		l.add(outcome.Failure, "grants-nothing", l.r.Root(), "Consent", "", "it opens nothing: %s", w)
	}
}

// Place returns line and column, from 1, of an offset into raw; the column
// counts bytes.
func Place(raw []byte, offset int) (line, column int) {
	before := raw[:min(max(offset, 0), len(raw))]
	return 1 + bytes.Count(before, []byte{'\n'}), len(before) - bytes.LastIndexByte(before, '\n')
}

// instant reads a FHIR dateTime: its first instant, or its last.
func instant(s string, zone *time.Location, last bool) (time.Time, bool) {
	if zone == nil {
		zone = time.UTC
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, true
	}
	for _, form := range [...]struct {
		layout              string
		years, months, days int
	}{{time.DateOnly, 0, 0, 1}, {"2006-01", 0, 1, 0}, {"2006", 1, 0, 0}} {
		if t, err := time.ParseInLocation(form.layout, s, zone); err == nil {
			if last {
				t = t.AddDate(form.years, form.months, form.days).Add(-time.Nanosecond)
			}
			return t, true
		}
	}
	return time.Time{}, false
}
