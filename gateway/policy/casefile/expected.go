package casefile

import "github.com/handoff-health/handoff/fhir/resource"

// Expected is what a case says must come out.
type Expected struct {
	Resources             []ExpectedResource
	Obligations           []string // a minimum
	ObligationsAbsent     []string // none of these goes along
	Rules, RulesAbsent    []string // "pack/rule": among the reasons of some resource, of none
	Total, Entry          *int     // of the answer Bundle
	NoRevealingIssue      bool     // no issue says that anything was withheld
	SecurityMustNotHold   []string // codes absent from the Bundle's meta.security
	NoticeText            []string // one of them goes with the answer
	IndistinguishableFrom string   // "no-match"
}

// An ExpectedResource is what must become of one resource.
type ExpectedResource struct {
	Reference      string
	Decision       string   // permit, deny, redact
	AlsoAcceptable []string // other decisions that pass
	MustRemove     []string // FHIRPath: nothing there
	MustKeep       []string // FHIRPath: something there
}

func (r *reader) expected(n resource.Node) *Expected {
	e := &Expected{
		Obligations:           r.texts(n.Get("obligations"), "expected.obligations"),
		ObligationsAbsent:     r.texts(n.Get("obligationsAbsent"), "expected.obligationsAbsent"),
		Rules:                 r.texts(n.Get("rules"), "expected.rules"),
		RulesAbsent:           r.texts(n.Get("rulesAbsent"), "expected.rulesAbsent"),
		NoticeText:            r.strings(n.Get("noticeText"), "expected.noticeText"),
		IndistinguishableFrom: r.text(n.Get("indistinguishableFrom"), "expected.indistinguishableFrom"),
	}
	for m := range r.object(n.Get("resources"), "expected.resources").Members() {
		place := "expected.resources." + m.Name()
		e.Resources = append(e.Resources, ExpectedResource{
			Reference: m.Name(), Decision: r.text(m.Get("decision"), place+".decision"),
			AlsoAcceptable: r.strings(m.Get("alsoAcceptable"), place+".alsoAcceptable"),
			MustRemove:     r.texts(m.Get("mustRemove"), place+".mustRemove"),
			MustKeep:       r.texts(m.Get("mustKeep"), place+".mustKeep"),
		})
	}
	b := r.object(n.Get("bundle"), "expected.bundle")
	e.Total, e.Entry = r.number(b.Get("total"), "expected.bundle.total"), r.number(b.Get("entry"), "expected.bundle.entry")
	if reveals, ok := b.Get("issueRevealingWithholding").Bool(); ok {
		e.NoRevealingIssue = !reveals
	}
	e.SecurityMustNotHold = r.texts(b.Get("metaSecurityMustNotContain"), "expected.bundle.metaSecurityMustNotContain")
	return e
}

// strings reads a list of texts or one text.
func (r *reader) strings(n resource.Node, place string) []string {
	if n.Kind() == resource.String {
		return []string{n.Text()}
	}
	return r.texts(n, place)
}

func (r *reader) number(n resource.Node, place string) *int {
	if !n.Exists() {
		return nil
	}
	v := 0
	for _, d := range n.Raw() {
		if n.Kind() != resource.Number || d < '0' || d > '9' || v > 1_000_000 {
			r.fail(n, place, "is no count")
			return nil
		}
		v = 10*v + int(d-'0')
	}
	return &v
}
