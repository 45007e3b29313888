package policy

import "slices"

// What the acceptance of a legal basis has to know of the law: which types
// there are, what each needs, and whether one would be valid.

// A BasisForm is what a type of legal basis asks for, as somebody fills it in.
type BasisForm struct {
	Type       string
	Covers     bool // it reaches the resources that it names, rather than certain elements
	Judged     bool // it may rest on a person's judgement
	Attributes []BasisAttribute
}

// A Kind is the kind of an attribute's value.
type Kind uint8

// The kinds.
const (
	Flag           Kind = iota + 1 // true or false
	Text                           // a text
	Choice                         // one of Values
	Choices                        // a list of Values
	Instant                        // an instant
	ReferenceValue                 // a reference, "Organization/x"
)

// A BasisAttribute is one attribute of a form.
type BasisAttribute struct {
	Name   string
	Kind   Kind
	Values []string
}

// Basis returns the row of a type of legal basis that can be declared.
func (e *Engine) Basis(typ string) (Basis, bool) {
	row := e.law.basis(typ)
	if row == nil || row.rule.abstract {
		return Basis{}, false
	}
	return *row, true
}

// BasisTypes lists the types of legal bases that can be declared, sorted.
func (e *Engine) BasisTypes() []string {
	var out []string
	for i := range e.law.Bases {
		if !e.law.Bases[i].rule.abstract {
			out = append(out, e.law.Bases[i].Type)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// BasisForm returns what a type of legal basis asks for, with what the law of any
// state in force adds.
func (e *Engine) BasisForm(typ string) (BasisForm, bool) {
	b, ok := e.Basis(typ)
	if !ok {
		return BasisForm{}, false
	}
	out := BasisForm{Type: typ, Covers: b.Extent.Covers, Judged: b.judged()}
	for _, all := range b.Any {
		for _, c := range all {
			out.add(c)
		}
	}
	e.withRequired(&out, &b)
	return out, true
}

// kinds says what an attribute holds that is tested so.
var kinds = map[Test]Kind{
	True: Flag, False: Flag, NotEmpty: Text, OneOf: Choice, AnyOf: Choices, NotLater: Instant, NotOlder: Instant, Outside: Text, Reference: ReferenceValue,
}

// judged says whether it can rest on a person's judgement.
func (b *Basis) judged() bool {
	all := b.rule.duties
	for _, d := range b.duties {
		all |= d
	}
	return all&humanApproval != 0
}

// VoidBases says why bases of the request are void; empty if all are valid.
func (s *Session) VoidBases() []Reason {
	var out []Reason
	for i := range s.void {
		out = append(out, s.reason(&s.void[i]))
	}
	return out
}
