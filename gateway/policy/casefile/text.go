package casefile

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/gateway/policy"
)

// decisions says what a decision means for whoever asked.
var decisions = map[string]string{"permit": "returned", "redact": "returned in part", "deny": "not returned"}

// Text writes the explanation for people.
func (e *Explained) Text(w io.Writer) error {
	t := &text{}
	t.line(0, "%s", strings.TrimSuffix(e.ID+": "+e.Case.Description, ": "))
	for i := range e.Resources {
		t.resource(&e.Resources[i], &e.Every[i])
	}
	t.line(1, "what goes with the answer")
	for _, o := range e.Obligations {
		t.line(2, "%s", duty(o))
	}
	for _, n := range e.Notices {
		t.line(2, "notice: %s", n)
	}
	if e.Problem != "" {
		t.line(1, "no search was done: %s", e.Problem)
	}
	_, err := w.Write(t.Bytes())
	return err
}

// A text is lines with indents.
type text struct{ bytes.Buffer }

func (t *text) line(depth int, format string, args ...any) {
	t.WriteString(strings.Repeat("  ", depth))
	fmt.Fprintf(t, format, args...)
	t.WriteByte('\n')
}

// list writes a heading with what is below it; nothing if there is nothing.
func (t *text) list(heading string, items []string) {
	if len(items) == 0 {
		return
	}
	t.line(2, "%s", heading)
	for _, item := range items {
		t.line(3, "%s", item)
	}
}

func (t *text) resource(j *Judged, x *Explanation) {
	t.line(1, "%s: %s (%s)", j.Reference, decisions[j.Decision], j.Decision)
	var whys, labels, duties, opens, closes []string
	for _, r := range j.Reasons {
		whys = append(whys, why(&r))
	}
	for i := range x.Labels {
		labels = labelled(labels, x.Labels, i)
	}
	for _, o := range x.Duties {
		if o != policy.Audit {
			duties = append(duties, duty(o))
		}
	}
	for _, r := range x.Remedies {
		if r.Opens {
			opens = append(opens, remedy(&r))
		} else {
			closes = append(closes, remedy(&r))
		}
	}
	t.list("why", whys)
	t.list("labels", labels)
	t.list("cut out", x.Redacted)
	t.list("asks of the recipient and the gateway", duties)
	if j.Decision != "permit" && len(opens) == 0 {
		opens = []string{"nothing that was tried: no Consent, scope, purpose, relationship, agreement, emergency or legal basis that this requester could have"}
	}
	t.list("more would be returned if", opens)
	t.list("less would be returned if", closes)
}

// sentences say what a rule of the engine itself means; a pack's rules say it
// themselves.
var sentences = map[string]string{
	"consent/permit":            "the person permits it",
	"consent/deny":              "the person forbids it",
	"consent/residual":          "the person permits other data, and nothing but those",
	"extent/nothing":            "nothing of it is within what the ground reaches",
	"gate/scope":                "no scope of the token covers it",
	"enforce/error":             "it could not be cut safely",
	"search/withheld-match":     "it matches the search only through something that is withheld",
	"profile/minimum-necessary": "it is not in the profile of minimum necessary for a crisis response",
	"baseline/police":           "police get health data on a Consent or a legal basis only, and there is neither",
	"baseline/treatment":        "a treating provider asks for treatment, payment or operations",
	"basis/void":                "a declared legal basis is void",
}

// why says in one line which rule said what.
func why(r *policy.Reason) string {
	var b strings.Builder
	b.WriteString(map[string]string{"permit": "yes: ", "deny": "no: ", "redact": "not this part: "}[r.Effect])
	said := sentences[r.Rule]
	switch {
	case said == "" && r.Detail == "":
		said = r.Rule
	case said == "":
		said = r.Detail
	case r.Detail != "" && r.Detail != said && !strings.Contains(said, r.Detail):
		said += ": " + r.Detail
	}
	b.WriteString(said)
	if r.Consent != "" {
		fmt.Fprintf(&b, ", in %s at %s", r.Consent, r.Path)
	}
	if r.Basis != "" {
		fmt.Fprintf(&b, ", by %s", r.Basis)
	}
	b.WriteString(" [" + r.Rule)
	for _, part := range []string{r.Pack, r.Citation} {
		if part != "" {
			b.WriteString("; " + part)
		}
	}
	b.WriteString("]")
	return b.String()
}

// bases says how a label follows.
var bases = map[string]string{
	"code": "of the code", "text": "of the words", "name": "of the name", "stated": "the record says so itself",
	"inline": "the element is labelled so", "consent": "of what the Consent is about", "notice": "it carries the notice of 42 CFR 2.32", "origin": "of where it comes from",
}

// labelled adds the line of one cause; what several value sets say of one code
// is one line.
func labelled(lines []string, causes []label.Cause, i int) []string {
	c := causes[i]
	same := func(o label.Cause) bool {
		o.Set, o.SetName, o.SetVersion, o.Source = c.Set, c.SetName, c.SetVersion, c.Source
		return o == c
	}
	if slices.ContainsFunc(causes[:i], same) {
		return lines
	}
	var b strings.Builder
	b.WriteString(c.Label)
	if c.Element != "" && !strings.HasPrefix(c.Path, c.Element) {
		fmt.Fprintf(&b, " on %s", c.Element)
	}
	how := bases[c.Basis]
	if how == "" {
		how = c.Basis
	}
	fmt.Fprintf(&b, ", because %s", how)
	if c.Code != "" {
		fmt.Fprintf(&b, " %s", strings.TrimPrefix(c.System+"|"+c.Code, "|"))
	}
	if c.Path != "" {
		fmt.Fprintf(&b, " at %s", c.Path)
	}
	var sets []string
	for _, o := range causes[i:] {
		if same(o) && o.SetName != "" {
			version, _, _ := strings.Cut(o.SetVersion, " ")
			sets = append(sets, o.SetName+" "+version)
		}
	}
	if len(sets) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(sets, "; "))
	}
	return append(lines, b.String())
}

// duty says what an obligation asks.
func duty(o policy.Obligation) string {
	if asks := map[policy.Obligation]string{
		policy.Audit:          "a record of the answer in the audit trail",
		policy.NoRedisclosure: "do not disclose it further without the person's consent (42 CFR 2.32)",
		policy.NoReuse:        "use it for this emergency only (45 CFR 164.522(a)(1)(iv))",
		policy.Account:        "the custodian accounts for the disclosure (45 CFR 164.528)",
		policy.MinimumNeeded:  "ask for and keep no more than the call needs (45 CFR 164.502(b))",
		policy.HumanApproval:  "it rests on a person's judgement, who answers for it",
		policy.Part2Notice:    "the notice of 42 CFR 2.32(a) goes with it",
		policy.Part2Copy:      "a copy of the consent, or a clear account of its scope, goes with it (42 CFR 2.32(b))",
		policy.Part2Emergency: "the record of the emergency is made at once (42 CFR 2.51(c))",
	}[o]; asks != "" {
		return string(o) + ": " + asks
	}
	return string(o)
}

// remedy says the changes in one line, and what would come of them where that
// is less than all.
func remedy(r *policy.Remedy) string {
	var parts []string
	for _, c := range r.Changes {
		if !slices.Contains(parts, c.Detail) {
			parts = append(parts, c.Detail)
		}
	}
	out := strings.Join(parts, ", and ")
	if r.Opens && r.Effect == "redact" || !r.Opens && r.Effect != "deny" {
		out += " (then " + decisions[r.Effect] + ")"
	}
	return out
}
