package policy

import (
	"slices"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/policy/packs"
)

// An Extent says what a rule reaches: compiled, with its profile filled in.
type Extent struct {
	Covers    bool   // what the declared basis' "covers" lists
	Custodian string // data of the custodian that this attribute names
	Elements  []Kept // these types and elements only; empty: all
	never     labelSet
	profile   *Extent
}

func extentOf(x *packs.Extent, profile *packs.Extent) *Extent {
	out := &Extent{Covers: x.Covers, Custodian: x.Custodian, never: labelSetOf(x.Never)}
	for i := range x.Elements {
		out.Elements = append(out.Elements, keptOfPack(&x.Elements[i]))
	}
	if profile != nil {
		out.profile = extentOf(profile, nil)
	}
	return out
}

func keptOfPack(e *packs.Elements) Kept {
	k := Kept{Type: e.Type, Only: e.Only, Drop: e.Drop, Within: e.Within, System: e.System, Names: e.Names, Topic: e.Topic, Unless: e.Unless}
	for _, text := range e.Codes {
		c, _ := packs.ObservedCode(text) // the pack has been checked
		k.Codes = append(k.Codes, c)
	}
	return k
}

// reaches adds to x what the extent leaves of the resource; ok is false if it
// does not reach it. b is the declared basis, nil for other grounds.
func (e *Extent) reaches(m *matter, b *LegalBasis, x reach) (_ reach, ok bool) {
	r := m.subject.Resource
	if e.Covers && (b == nil || !coveredBy(b, r)) {
		return nil, false
	}
	if e.Custodian != "" {
		if b == nil || m.subject.Origin.Custodian == "" {
			return nil, false
		}
		program, _ := b.Attributes[e.Custodian].(string)
		if local(program) != local(m.subject.Origin.Custodian) {
			return nil, false
		}
	}
	if e.never.touches(m.datum.Labels) {
		return nil, false
	}
	if len(e.Elements) > 0 {
		k, ok := keptOf(e.Elements, r)
		if !ok {
			return nil, false
		}
		x = append(x[:len(x):len(x)], k)
	}
	if e.profile != nil {
		return e.profile.reaches(m, b, x)
	}
	return x, true
}

// coveredBy says whether the basis names the resource.
func coveredBy(b *LegalBasis, r *resource.Resource) bool {
	return (len(b.Covers) == 0 || slices.ContainsFunc(b.Covers, func(ref string) bool { return sameLocal(ref, r) })) &&
		(len(b.Types) == 0 || slices.Contains(b.Types, r.Type()))
}

// keptOf finds the row for the resource; one that its conditions leave out is
// not reached.
func keptOf(rows []Kept, r *resource.Resource) (*Kept, bool) {
	for i := range rows {
		if rows[i].Type == r.Type() && rows[i].applies(r) {
			return &rows[i], true
		}
	}
	return nil, false
}

// sameLocal compares a reference of the basis with the resource. One with a
// server names a record elsewhere: which is this server's was settled before.
func sameLocal(ref string, r *resource.Resource) bool {
	base, typ, id, ok := resource.SplitReference(ref)
	return ok && base == "" && typ == r.Type() && id == r.ID() && r.ID() != ""
}

// local strips version and server from a reference.
func local(ref string) string {
	if _, typ, id, ok := resource.SplitReference(ref); ok {
		return typ + "/" + id
	}
	return ref
}
