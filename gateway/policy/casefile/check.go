package casefile

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
)

// Check compares an Outcome with what the case expects and returns each
// difference as a sentence; none if there is nothing expected.
func (o *Outcome) Check(c *Case) []string {
	e := c.Expected
	if e == nil {
		return nil
	}
	var diff []string
	add := func(format string, args ...any) { diff = append(diff, fmt.Sprintf(format, args...)) }
	for i := range e.Resources {
		diff = append(diff, o.checkResource(&e.Resources[i])...)
	}
	for _, want := range e.Obligations {
		if !slices.ContainsFunc(o.Obligations, func(got policyObligation) bool { return string(got) == want }) {
			add("obligation %s: missing, got %v", want, o.Obligations)
		}
	}
	for _, not := range e.ObligationsAbsent {
		if slices.Contains(o.Obligations, policyObligation(not)) {
			add("obligation %s goes along", not)
		}
	}
	for _, rule := range e.Rules {
		if !o.spoke(rule) {
			add("rule %s: it is not among the reasons", rule)
		}
	}
	for _, rule := range e.RulesAbsent {
		if o.spoke(rule) {
			add("rule %s is among the reasons", rule)
		}
	}
	o.checkBundle(e, add)
	if len(e.NoticeText) > 0 && !slices.ContainsFunc(e.NoticeText, o.accompanied) {
		add("notice: none of the %d accepted texts goes with the answer", len(e.NoticeText))
	}
	switch e.IndistinguishableFrom {
	case "":
	case "no-match":
		if !bytes.Equal(o.Bundle, o.empty) || len(o.Obligations) > 1 || len(o.Notices) > 0 {
			add("the answer differs from that for a person of whom nothing is known: %s", o.Bundle)
		}
	default:
		add("indistinguishableFrom %q is not known", e.IndistinguishableFrom)
	}
	return diff
}

// spoke says whether a rule, "pack/rule", is among the reasons of a resource.
func (o *Outcome) spoke(rule string) bool {
	pack, id, _ := strings.Cut(rule, "/")
	for i := range o.Resources {
		for _, r := range o.Resources[i].Reasons {
			if named, _, _ := strings.Cut(r.Pack, "@"); named == pack && r.Rule == id {
				return true
			}
		}
	}
	return false
}

func (o *Outcome) judged(ref string) *Judged {
	for i := range o.Resources {
		if o.Resources[i].Reference == ref {
			return &o.Resources[i]
		}
	}
	return nil
}

func (o *Outcome) checkResource(e *ExpectedResource) []string {
	j := o.judged(e.Reference)
	if j == nil {
		return []string{e.Reference + ": it is not among the resources of the case"}
	}
	var diff []string
	if j.Decision != e.Decision && !slices.Contains(e.AlsoAcceptable, j.Decision) {
		var why []string
		for _, r := range j.Reasons {
			why = append(why, strings.TrimSpace(strings.Join([]string{r.Rule, r.Consent, r.Path, r.Detail}, " ")))
		}
		diff = append(diff, fmt.Sprintf("%s: want %s, got %s (%s)", e.Reference, e.Decision, j.Decision, strings.Join(why, "; ")))
	}
	if j.Resource == nil || j.Decision != e.Decision {
		return diff
	}
	for _, x := range e.MustRemove {
		if n, err := evaluate(j.Resource, x); err != nil {
			diff = append(diff, fmt.Sprintf("%s: %v", e.Reference, err))
		} else if len(n) > 0 {
			diff = append(diff, fmt.Sprintf("%s: %s is still there: %s", e.Reference, x, n[0].Raw()))
		}
	}
	for _, x := range e.MustKeep {
		if n, err := evaluate(j.Resource, x); err != nil {
			diff = append(diff, fmt.Sprintf("%s: %v", e.Reference, err))
		} else if len(n) == 0 {
			diff = append(diff, fmt.Sprintf("%s: %s is gone", e.Reference, x))
		}
	}
	return diff
}

func (o *Outcome) checkBundle(e *Expected, add func(string, ...any)) {
	if e.Total == nil && e.Entry == nil && !e.NoRevealingIssue && len(e.SecurityMustNotHold) == 0 {
		return
	}
	if o.Bundle == nil {
		add("bundle: there is none: %s", o.Problem)
		return
	}
	doc, err := resource.ParseDocument(o.Bundle)
	if err != nil {
		add("bundle: %v", err)
		return
	}
	b := doc.Root()
	if e.Total != nil && b.Get("total").Exists() && string(b.Get("total").Raw()) != fmt.Sprint(*e.Total) {
		add("bundle.total: want %d, got %s", *e.Total, b.Get("total").Raw())
	}
	if n := b.Get("entry").Len(); e.Entry != nil && n != *e.Entry {
		add("bundle.entry: want %d, got %d", *e.Entry, n)
	}
	for entry := range b.All("entry") {
		if e.NoRevealingIssue && entry.Path("resource", "resourceType").Is("OperationOutcome") {
			add("bundle: an OperationOutcome is among the entries")
		}
	}
	for s := range b.Path("meta", "security").Elements() {
		if code := s.Get("code").Text(); slices.Contains(e.SecurityMustNotHold, code) {
			add("bundle.meta.security holds %s", code)
		}
	}
}

// accompanied says whether the text goes with the answer, word for word.
func (o *Outcome) accompanied(text string) bool {
	if slices.Contains(o.Notices, text) {
		return true
	}
	found := false
	for i := range o.Resources {
		if r := o.Resources[i].Resource; r != nil {
			r.Root().Descend(func(n resource.Node) bool {
				found = found || n.Is(text)
				return !found
			})
		}
	}
	return found
}
