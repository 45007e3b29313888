package policy

import "slices"

// What the acceptance of a legal basis has to know of the law: which types
// there are, what each needs, and whether one would be valid.

// Basis returns the row of a type of legal basis.
func (e *Engine) Basis(typ string) (Basis, bool) {
	i := slices.IndexFunc(e.law.Bases, func(b Basis) bool { return b.Type == typ })
	if i < 0 {
		return Basis{}, false
	}
	return e.law.Bases[i], true
}

// BasisTypes lists the types of legal bases that the law knows, sorted.
func (e *Engine) BasisTypes() []string {
	var out []string
	for i := range e.law.Bases {
		out = append(out, e.law.Bases[i].Type)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Attributes lists what the conditions of a basis look at, in order of name.
func (b *Basis) Attributes() []Condition {
	var out []Condition
	for _, all := range b.Any {
		for _, c := range all {
			if c.Attribute != "" && !slices.ContainsFunc(out, func(o Condition) bool { return o.Attribute == c.Attribute && o.Test == c.Test }) {
				out = append(out, c)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Condition) int {
		if a.Attribute < b.Attribute {
			return -1
		}
		if a.Attribute > b.Attribute {
			return 1
		}
		return int(a.Test) - int(b.Test)
	})
	return out
}

// VoidBases says why bases of the request are void; empty if all are valid.
func (s *Session) VoidBases() []Reason { return slices.Clone(s.void) }
