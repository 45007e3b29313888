package policy

import (
	"slices"
	"strings"
	"time"
)

// acceptances are the types of legal basis that the law knows, each as it would
// be accepted for this resource with what it requires. What is already declared
// of that type counts; Needs says what is not.
func (x *explainer) acceptances() []Change {
	var out []Change
	e := Engine{law: x.s.law}
	for _, typ := range e.BasisTypes() {
		row, ok := e.Basis(typ)
		if !ok {
			continue
		}
		for _, all := range row.Any {
			if c, ok := x.acceptance(&row, all); ok {
				out = append(out, c)
				break // the first way in which it can be met by this requester
			}
		}
	}
	return out
}

// acceptance fills in what the conditions ask for; ok is false where the
// requester itself would have to be somebody else.
func (x *explainer) acceptance(row *Basis, all []Condition) (Change, bool) {
	b := &LegalBasis{Type: row.Type, Attributes: map[string]any{}}
	if row.Extent.Covers {
		b.Covers = []string{x.subject.Resource.Reference()}
	}
	declared := x.declaredOf(row.Type)
	var needs []string
	for _, c := range all {
		if c.Test == HasRole || c.Test == Fact {
			if !x.s.holds(c, b) {
				return Change{}, false
			}
			continue
		}
		if declared != nil && x.s.holds(c, declared) {
			b.Attributes[c.Attribute] = declared.Attributes[c.Attribute]
			continue
		}
		b.Attributes[c.Attribute] = x.satisfying(c)
		if c.Test != Null && !slices.Contains(needs, c.Attribute) {
			needs = append(needs, c.Attribute)
		}
	}
	detail := "a legal basis of type " + row.Type + " (" + row.Citation + ") is accepted by the custodian"
	if len(needs) > 0 {
		detail += "; it needs " + strings.Join(needs, ", ")
	}
	if row.Extent.Covers && (declared == nil || !slices.ContainsFunc(declared.Covers, func(ref string) bool { return sameLocal(ref, x.subject.Resource) })) {
		needs = append(needs, "covers")
		detail += "; it has to name this resource"
	}
	return Change{
		Code: AddBasis, Basis: row.Type, Needs: needs, Detail: detail,
		apply: func(q *Request) { q.LegalBases = append(slices.Clip(slices.Clone(q.LegalBases)), b) },
	}, true
}

func (x *explainer) declaredOf(typ string) *LegalBasis {
	for _, b := range x.s.req.LegalBases {
		if b.Type == typ {
			return b
		}
	}
	return nil
}

// satisfying is a value with which the condition holds.
func (x *explainer) satisfying(c Condition) any {
	if c.not {
		return map[Test]any{True: false, False: true, OneOf: "another", AnyOf: []any{"another"}}[c.Test]
	}
	switch c.Test {
	case True:
		return true
	case False:
		return false
	case NotOlder:
		return x.s.req.At.Format(time.RFC3339)
	case OneOf:
		return c.Values[0]
	case AnyOf:
		return []any{c.Values[0]}
	case NotLater:
		return x.s.req.At.Format(time.RFC3339)
	case Outside, NotEmpty:
		return "somebody at the custodian"
	case Reference:
		return x.subject.Origin.Custodian
	}
	return nil
}
