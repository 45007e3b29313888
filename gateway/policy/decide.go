package policy

import (
	"slices"
	"sync"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/consent"
)

// Decide judges one resource. It changes nothing: the same Subject gives the
// same Decision. Remove lists nodes of the Subject's resource. Reasons and
// Obligations belong to the Session.
func (s *Session) Decide(subject *Subject) Decision {
	if subject == nil || subject.Resource == nil || subject.Resource.Type() == "" || subject.Labels == nil {
		return Decision{Effect: Indeterminate, Reasons: s.reasonsOf([]atom{{what: incomplete}})}
	}
	r, l := subject.Resource, subject.Labels
	m := s.take(subject)
	defer m.release()
	if subject.Internal {
		return s.internal(m)
	}
	v := s.judge(m, l)
	if s.req.MinimumNecessary && v.permitted {
		s.withinMinimum(m, &v)
	}
	if !v.permitted {
		return s.deny(m)
	}
	var remove []resource.Node
	if len(v.opened)+len(v.limits) > 0 {
		var ok bool
		if remove, ok = v.cut(r); !ok {
			return s.deny(m, atom{what: nothingLeft})
		}
	}
	for i := range l.Elements {
		remove = s.element(m, l, &l.Elements[i], &v, remove)
	}
	uncovered, ok := s.inScope(subject, remove)
	if !ok {
		return s.deny(m, atom{what: outsideScope})
	}
	if len(uncovered) > 0 {
		m.say(atom{what: outsideScope, effect: redacts})
		remove = append(remove, uncovered...)
	}
	d := Decision{Effect: Permit, Remove: remove, Reasons: s.reasonsOf(m.said), Obligations: s.law.list(v.duties)}
	if len(remove) > 0 {
		d.Effect = Redact
	}
	return d
}

// deny ends with what was said, and why at last.
func (s *Session) deny(m *matter, why ...atom) Decision {
	for _, a := range why {
		m.say(a)
	}
	return Decision{Effect: Deny, Reasons: s.reasonsOf(m.said)}
}

// A matter is one Subject on its way through a decision.
type matter struct {
	subject    *Subject
	datum      consent.Datum
	police     bool    // a law-enforcement agency's record
	own        bool    // the requester's organisation is its custodian
	originOnly bool    // nothing but the origin is known
	gates      gateSet // behind which data of these labels stand
	through    gateSet // that a Consent has opened
	lost       *rule   // the restriction that took a ground away
	said       []atom
	part       label.Labels // of the element that is judged
}

// matters are those that are not in use: deciding allocates none.
var matters = sync.Pool{New: func() any { return &matter{said: make([]atom, 0, 8)} }}

// release gives a matter back without what it was about.
func (m *matter) release() {
	datum, said := m.datum, m.said[:cap(m.said)]
	clear(said)
	datum.Forget()
	*m = matter{datum: datum, said: said[:0]}
	matters.Put(m)
}

func (m *matter) say(a atom) { m.said = append(m.said, a) }

func (m *matter) sayOnce(a atom) {
	if !slices.Contains(m.said, a) {
		m.say(a)
	}
}

// about says whether the person is known.
func (m *matter) about() string {
	switch {
	case m.subject.Patient != "":
		return "known"
	case m.datum.PersonUnknown():
		return "unknown"
	}
	return "none"
}

// take begins with a Subject; release ends with it.
func (s *Session) take(subject *Subject) *matter {
	m := matters.Get().(*matter)
	m.subject = subject
	m.datum.Reset(subject.Resource, subject.Labels, subject.Patient, subject.Origin.Custodian, s.req.Graph)
	m.police = subject.Origin.Police || s.req.Direction == PoliceToHealth
	m.datum.PoliceToHealth = m.police && !s.police
	m.own = s.req.OwnRecords && subject.Origin.Custodian != "" && subject.Origin.Custodian == s.req.Requester.Organization
	return m
}

// element judges a labelled part of the resource like a resource of these
// labels; what is not permitted, or only in part, is cut.
func (s *Session) element(m *matter, whole *label.Labels, e *label.Element, v *verdict, remove []resource.Node) []resource.Node {
	if !e.Labels.Sensitive() || slices.ContainsFunc(remove, func(n resource.Node) bool { return encloses(n, e.Node) }) {
		return remove
	}
	m.part = e.Labels
	switch { // what the law says of the record holds for its parts
	case len(whole.Law) == 0:
	case len(e.Labels.Law) == 0:
		m.part.Law = whole.Law
	default:
		m.part.Law = union(whole.Law, e.Labels.Law)
	}
	before := len(m.said)
	part := s.judge(m, &m.part)
	if s.req.MinimumNecessary && part.permitted && s.neverGoes(&m.part) {
		part.permitted = false
		m.say(atom{what: minimum, effect: denies})
	}
	said := m.said[before:]
	m.said = m.said[:before]
	if part.permitted {
		if inner, ok := part.inside(m.subject.Resource, e.Node); ok {
			v.duties |= part.duties
			return append(remove, inner...)
		}
	}
	for _, a := range said { // what is said again stands no later than before
		if a.effect == denies {
			a.effect = redacts
			m.say(a)
		}
	}
	return append(remove, e.Node)
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

// A verdict is whether data of some labels may go, and how far.
type verdict struct {
	permitted bool
	opened    []reach // what each of several grounds opens; none: the whole
	limits    reach   // and no more than all of these keep
	duties    dutySet
}

// cut lists what goes; ok is false if nothing of substance is left.
func (v *verdict) cut(r *resource.Resource) (remove []resource.Node, ok bool) {
	ok = true
	if len(v.opened) > 0 {
		if remove, ok = cutAll(v.opened, r); !ok {
			return nil, false
		}
	}
	if len(v.limits) == 0 {
		return remove, ok
	}
	goes, ok := v.limits.cut(r)
	if !ok {
		return nil, false
	}
	remove = inEither(remove, goes)
	return remove, leavesAny(r, remove)
}

// inside lists what the verdict on a part removes of it; ok is false if that is
// all of it.
func (v *verdict) inside(r *resource.Resource, part resource.Node) (remove []resource.Node, ok bool) {
	if len(v.opened)+len(v.limits) == 0 {
		return nil, true
	}
	goes, ok := v.cut(r)
	if !ok {
		return nil, false
	}
	for _, n := range goes {
		switch {
		case encloses(n, part):
			return nil, false
		case encloses(part, n):
			remove = append(remove, n)
		}
	}
	return remove, true
}

// judge finds a ground for data labelled l and takes it through gates and
// restrictions: for each declared purpose a Consent, or where none speaks a
// ground of the law; else an accepted legal basis; else an emergency.
func (s *Session) judge(m *matter, l *label.Labels) (v verdict) {
	m.datum.Labels = l
	m.gates = s.gatesOf(m)
	var few [4]finding
	found := few[:0]
	v.permitted = len(s.asked) > 0
	for i := range s.asked {
		f := s.forPurpose(m, &s.asked[i])
		found = append(found, f)
		v.permitted = v.permitted && f.permitted
		v.duties |= f.duties
		v.limits = append(v.limits, f.opened...)
	}
	if v.permitted {
		return v
	}
	v = verdict{}
	if s.onBasis(m, &v) {
		return v
	}
	v = verdict{}
	if s.onEmergency(m, found, &v) {
		return v
	}
	for _, a := range s.void {
		m.say(a)
	}
	return verdict{}
}
