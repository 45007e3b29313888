package policy

import (
	"slices"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/consent"
)

// Decide judges one resource. It changes nothing: the same Subject gives the
// same Decision. Remove lists nodes of the Subject's resource.
func (s *Session) Decide(subject *Subject) Decision {
	if subject == nil || subject.Resource == nil || subject.Resource.Type() == "" || subject.Labels == nil {
		return Decision{Effect: Indeterminate, Reasons: []Reason{{Rule: "input/incomplete", Effect: "deny", Detail: "the resource or its labels are missing"}}}
	}
	r, l := subject.Resource, subject.Labels
	c := s.matterOf(subject)
	if subject.Internal {
		return s.internal(&c)
	}
	v := s.withinMinimum(&c, s.judge(&c, l))
	if !v.permitted {
		return Decision{Effect: Deny, Reasons: v.reasons}
	}
	d := Decision{Effect: Permit, Reasons: v.reasons}
	if v.kept != nil {
		remove, ok := cutAll(v.kept, r)
		if !ok {
			d.Reasons = append(d.Reasons, Reason{Rule: "extent/nothing", Effect: "deny", Citation: v.citation, Detail: "nothing of it is within the extent"})
			return Decision{Effect: Deny, Reasons: d.Reasons}
		}
		d.Remove = remove
	}
	duties, bases := v.duties, v.bases
	for i := range l.Elements {
		e := s.element(&c, l, &l.Elements[i], &d)
		duties |= e.duties
		bases = append(bases[:len(bases):len(bases)], e.bases...)
	}
	if len(d.Remove) > 0 {
		d.Effect = Redact
	}
	if !s.inScope(subject, &d) {
		return Decision{Effect: Deny, Reasons: append(d.Reasons, Reason{Rule: "gate/scope", Effect: "deny", Detail: "no scope of the token covers it"})}
	}
	d.Obligations = s.obligations(duties, bases)
	return d
}

// A matter is one Subject on its way through a decision.
type matter struct {
	subject *Subject
	datum   consent.Datum
	police  bool // a law-enforcement agency's record
	own     bool // the requester's organisation is its custodian
}

func (s *Session) matterOf(subject *Subject) matter {
	c := matter{subject: subject}
	c.datum = consent.NewDatum(subject.Resource, subject.Labels, subject.Patient, subject.Origin.Custodian, s.req.Graph)
	c.police = subject.Origin.Police || s.req.Direction == PoliceToHealth
	c.datum.PoliceToHealth = c.police && !s.police
	c.own = s.req.OwnRecords && subject.Origin.Custodian != "" && subject.Origin.Custodian == s.req.Requester.Organization
	return c
}

// element judges a labelled part of the resource like a resource of these
// labels; what is not permitted is cut.
func (s *Session) element(c *matter, whole *label.Labels, e *label.Element, d *Decision) verdict {
	if !e.Labels.Sensitive() || slices.ContainsFunc(d.Remove, func(n resource.Node) bool { return encloses(n, e.Node) }) {
		return verdict{}
	}
	l := e.Labels
	if len(whole.Law) > 0 { // what the law says of the record holds for its parts
		l.Law = union(whole.Law, l.Law)
	}
	v := s.judge(c, &l)
	if v.permitted {
		return v
	}
	d.Remove = append(d.Remove, e.Node)
	for _, r := range v.reasons {
		if r.Effect == "deny" {
			r.Effect = "redact"
			d.Reasons = append(d.Reasons[:len(d.Reasons):len(d.Reasons)], r)
		}
	}
	return verdict{}
}

func encloses(outer, inner resource.Node) bool {
	a, b := outer.Span()
	x, y := inner.Span()
	return a <= x && y <= b
}

func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// inScope is the scope gate. Criteria of a scope must hold on the form that is
// returned, so that a removed element cannot be found out through them.
func (s *Session) inScope(subject *Subject, d *Decision) bool {
	if !s.covers(subject.Resource, subject.Patient) {
		return false
	}
	if d.Effect != Redact || !s.granular {
		return true
	}
	edit := subject.Resource.Edit()
	for _, n := range d.Remove {
		edit.Remove(n)
	}
	form, err := resource.Parse(edit.Bytes())
	return err == nil && s.covers(form, subject.Patient)
}

// A verdict is whether data of some labels may go, on which ground.
type verdict struct {
	permitted bool
	reasons   []Reason
	kept      []*Kept // the ground is limited to what one of these keeps
	bases     []*declared
	citation  string
	duties    duty
}

// judge finds a ground for data labelled l and takes it through the gates.
func (s *Session) judge(c *matter, l *label.Labels) verdict {
	if len(l.CJI) > 0 && !s.police && !(c.own && c.police) {
		return verdict{reasons: []Reason{{Rule: "gate/cji", Effect: "deny", Citation: "28 CFR 20.33(a)-(b)", Detail: l.CJI[0] + " goes to criminal justice agencies only"}}}
	}
	c.datum.Labels = l
	g := gates(l)
	first := s.ordinary(c, g)
	if first.permitted {
		return first
	}
	if v, ok := s.onBasis(c, g); ok {
		v.reasons = append(first.reasons, v.reasons...)
		return v
	}
	if v, ok := s.breakGlass(c, g); ok {
		v.reasons = append(first.reasons, v.reasons...)
		return v
	}
	return verdict{reasons: append(first.reasons, s.void...)}
}

// gates are what data of these labels needs of a Consent.
func gates(l *label.Labels) consent.Need {
	var n consent.Need
	if l.HasLaw(label.Part2) {
		n |= consent.Part2
	}
	if l.HasLaw("HIPAAPsyNotes") || slices.Contains(l.Sensitivity, "PSYTHPN") {
		n |= consent.PsychotherapyNote
	}
	return n
}
