package policy

import (
	"slices"

	"github.com/handoff-health/handoff/fhir/compartment"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/smart"
)

// The scope gate: does the token cover what goes out, in the form in which it
// goes out? One level has to cover all of it, contained resources included; what
// two levels cover together is not covered.

// A level is the scopes of one context. At that of patient/ they cover only what
// is about the patient in context, and what is about nobody by its type.
type level struct {
	scopes  smart.Scopes
	patient bool
}

// readScopes sorts the request's scopes by level.
func (s *Session) readScopes() {
	for _, context := range [...]string{smart.ContextSystem, smart.ContextUser, smart.ContextPatient} {
		if scopes := s.req.Scopes.In(context); len(scopes) > 0 {
			s.levels = append(s.levels, level{scopes, context == smart.ContextPatient})
		}
	}
	s.granular = slices.ContainsFunc(s.req.Scopes, func(sc smart.Scope) bool { return len(sc.Criteria) > 0 })
}

// reaches says whether any scope could cover what is about the person.
func (s *Session) reaches() bool {
	return guard.Off(guard.ScopeReturned) || slices.ContainsFunc(s.levels, func(l level) bool {
		lp := s.req.LaunchPatient
		return !l.patient || guard.Off(guard.ScopePatient) || lp != "" && (len(s.req.Person) == 0 || slices.Contains(s.req.Person, lp))
	})
}

// inContext says whether the patient is the one in the token's context.
func (s *Session) inContext(patient string) bool {
	lp := s.req.LaunchPatient
	return patient != "" && lp != "" &&
		(lp == patient || slices.Contains(s.req.Person, lp) && slices.Contains(s.req.Person, patient))
}

// inScope says whether a level covers the subject, and which of its contained
// resources that level does not cover: they must go. Criteria have to hold before
// and after what is removed, so that a removed element can neither be found out
// through them nor let them hold.
func (s *Session) inScope(subject *Subject, remove []resource.Node) (uncovered []resource.Node, ok bool) {
	if guard.Off(guard.ScopeReturned) {
		return nil, true
	}
	for i := range s.levels {
		l := &s.levels[i]
		if !s.covers(l, subject.Resource, subject.Patient) || !s.coversForm(l, subject, remove) {
			continue
		}
		hidden := s.uncovered(l, subject.Resource, remove)
		if len(hidden) == 0 {
			return nil, true
		}
		if !ok || len(hidden) < len(uncovered) {
			uncovered, ok = hidden, true
		}
	}
	return uncovered, ok
}

// InScope says whether a level covers the resource in this form, all that it
// contains included. patient is the reference of the person it is about.
func (s *Session) InScope(form *resource.Resource, patient string) bool {
	return guard.Off(guard.ScopeReturned) || slices.ContainsFunc(s.levels, func(l level) bool {
		return s.covers(&l, form, patient) && len(s.uncovered(&l, form, nil)) == 0
	})
}

func (s *Session) covers(l *level, r *resource.Resource, patient string) bool {
	return l.scopes.Covers(r) && s.admits(l, r.Type(), patient) && (!carries(r.Type()) || s.coversWithin(l, r.Root()))
}

// admits says whether the level can be about what this is about.
func (s *Session) admits(l *level, typ, patient string) bool {
	switch {
	case !l.patient || guard.Off(guard.ScopePatient) || s.inContext(patient):
		return true
	case patient == "": // staff, places, medications: they need a ground like all else
		return s.req.LaunchPatient != "" && consent.Impersonal(typ)
	}
	return false
}

// coversForm says the same of what is left.
func (s *Session) coversForm(l *level, subject *Subject, remove []resource.Node) bool {
	if len(remove) == 0 || !s.granular {
		return true
	}
	edit := subject.Resource.Edit()
	for _, n := range remove {
		edit.Remove(n)
	}
	form, err := resource.Parse(edit.Bytes())
	return err == nil && s.covers(l, form, subject.Patient)
}

// uncovered lists the contained resources that the level does not cover, but for
// those that go anyway.
func (s *Session) uncovered(l *level, r *resource.Resource, remove []resource.Node) []resource.Node {
	var out []resource.Node
	for n := range r.Root().All("contained") {
		if !slices.ContainsFunc(remove, func(gone resource.Node) bool { return encloses(gone, n) }) && !s.coversWithin(l, n) {
			out = append(out, n)
		}
	}
	return out
}

// carries says whether resources of the type hold others as their content, which
// cannot be cut out one by one.
func carries(typ string) bool { return typ == "Bundle" || typ == "Parameters" }

// coversWithin says whether the level covers each resource that stands in n, at
// any depth, n included. What a type says of nobody goes with what holds it.
func (s *Session) coversWithin(l *level, n resource.Node) bool {
	covered := true
	start, _ := n.Span()
	n.Descend(func(m resource.Node) bool {
		at, _ := m.Span()
		typ := m.Get("resourceType")
		if m.Kind() == resource.Object && (typ.Exists() || at == start) && !consent.Impersonal(typ.Text()) {
			covered = covered && l.scopes.CoversPart(typ.Text(), m, smart.Read) && s.admitsPart(l, m)
		}
		return covered
	})
	return covered
}

// admitsPart says whether the level can be about what a contained resource is
// about: at that of the patient, nobody else by name.
func (s *Session) admitsPart(l *level, n resource.Node) bool {
	if !l.patient || guard.Off(guard.ScopePatient) {
		return true
	}
	part, err := resource.Parse(n.Raw())
	if err != nil {
		return false
	}
	about := compartment.Subject(part)
	return about == "" || s.inContext(about)
}
