package policy

import "strings"

// An Acceptance is the rule of a sharing agreement that accepts a declared
// basis in advance.
type Acceptance struct {
	Rule     string // "agreement/rule": for LegalBasis.AcceptedBy
	Pack     string // "agreement@version"
	Citation string
}

// AcceptedInAdvance finds the agreements' rules that accept the declared basis
// for this request, whose data are the custodian's. Whether the basis is valid
// is another question, which the decision answers.
func (s *Session) AcceptedInAdvance(b *LegalBasis, custodian string) []Acceptance {
	if b == nil {
		return nil
	}
	var out []Acceptance
	m := matter{subject: &Subject{}, originOnly: true}
	m.subject.Origin.Custodian = custodian
	for _, r := range s.law.accepts {
		if s.accepts(r, b.Type) && s.all(r.dynamic, true, nil, &m) {
			out = append(out, Acceptance{Rule: ref(r), Pack: r.pack, Citation: r.citation})
		}
	}
	return out
}

// accepts says whether the rule, as far as the data do not matter, accepts a
// basis of the type.
func (s *Session) accepts(r *rule, typ string) bool {
	row := s.law.basis(typ)
	return row != nil && overlap(row.within, r.types) && s.applies(r) == yes && s.all(r.static, false, nil, nil)
}

// acceptance finds the rule by which the basis says it is accepted, or nil.
func (s *Session) acceptance(b *LegalBasis) *rule {
	for _, r := range s.law.accepts {
		if ref(r) == b.AcceptedBy && s.accepts(r, b.Type) {
			return r
		}
	}
	return nil
}

// ref names a rule of an agreement without the agreement's version.
func ref(r *rule) string {
	id, _, _ := strings.Cut(r.pack, "@")
	return id + "/" + r.id
}
