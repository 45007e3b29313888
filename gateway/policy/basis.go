package policy

import (
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway/consent"
)

// A declared is an accepted legal basis that is valid.
type declared struct {
	row      *Basis
	from     *LegalBasis
	judgment bool // it rests on a person's judgement
}

// declare checks an accepted basis. An unknown type, or a condition that does
// not hold, makes it void; why says so.
func (s *Session) declare(b *LegalBasis) (d *declared, why string) {
	if b == nil {
		return nil, ""
	}
	for i := range s.law.Bases {
		row := &s.law.Bases[i]
		if row.Type != b.Type {
			continue
		}
		if row.Extent.Covers && len(b.Covers)+len(b.Types) == 0 {
			return nil, "it names no resource"
		}
		for k, all := range row.Any {
			if !slices.ContainsFunc(all, func(c Condition) bool { return !s.holds(c, b) }) {
				return &declared{row, b, slices.Contains(row.Judgement, k)}, ""
			}
		}
		return nil, "a required element is absent or does not hold"
	}
	return nil, "its type is unknown"
}

// holds checks one condition.
func (s *Session) holds(c Condition, b *LegalBasis) bool {
	v := b.Attributes[c.Attribute]
	text, isText := v.(string)
	switch c.Test {
	case True, False:
		flag, ok := v.(bool)
		return ok && flag == (c.Test == True)
	case Null:
		return v == nil
	case NotEmpty:
		return isText && strings.TrimSpace(text) != ""
	case OneOf:
		return isText && slices.Contains(c.Values, text)
	case AnyOf:
		list, _ := v.([]any)
		return slices.ContainsFunc(list, func(e any) bool {
			t, ok := e.(string)
			return ok && slices.Contains(c.Values, t)
		})
	case NotLater:
		return isText && notLater(text, s.req.At)
	case Outside:
		r := &s.req.Requester
		return isText && strings.TrimSpace(text) != "" && local(text) != local(r.Reference) && local(text) != local(r.Organization)
	case Reference:
		_, _, _, ok := resource.SplitReference(text)
		return ok
	case HasRole:
		for _, role := range s.req.Requester.Roles {
			if terminology.SystemOf(role.System) == terminology.ActorRole && slices.Contains(c.Values, role.Code) {
				return true
			}
		}
	}
	return false
}

// notLater says whether an instant, or the start of a day, is not after at.
func notLater(text string, at time.Time) bool {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return !t.After(at)
	}
	t, err := time.ParseInLocation(time.DateOnly, text, at.Location())
	return err == nil && !t.After(at)
}

// local strips version and server from a reference.
func local(ref string) string {
	if _, typ, id, ok := resource.SplitReference(ref); ok {
		return typ + "/" + id
	}
	return ref
}

// declareAll checks every accepted basis; those that are void leave a reason.
func (s *Session) declareAll() {
	for _, b := range s.req.LegalBases {
		d, why := s.declare(b)
		if d != nil {
			s.bases = append(s.bases, d)
		} else if b != nil {
			s.void = append(s.void, Reason{Rule: "basis/void", Effect: "deny", Basis: b.ID, Detail: why})
		}
	}
}

// onBasis says whether declared bases reach the resource, behind which gates
// they stand, and what of it. Where one reaches all of it, those count that do;
// else each opens its elements.
func (s *Session) onBasis(c *matter, g consent.Need) (v verdict, ok bool) {
	if len(c.datum.Labels.CJI) > 0 {
		return v, false
	}
	whole := false
	for _, d := range s.bases {
		kept, reached := s.reach(c, d, g)
		if !reached || whole && kept != nil {
			continue
		}
		if kept == nil && !whole {
			whole, v = true, verdict{}
		}
		v.permitted = true
		v.bases = append(v.bases, d)
		r := Reason{Rule: "basis/" + d.row.Type, Effect: "permit", Basis: d.from.ID, Citation: d.row.Citation}
		if kept != nil {
			v.kept = append(v.kept, kept)
			r.Detail = "limited to elements"
		}
		v.citation = d.row.Citation
		v.reasons = append(v.reasons, r)
	}
	return v, v.permitted
}

// reach says whether the basis reaches the resource; kept is nil if it reaches
// all of it.
func (s *Session) reach(c *matter, d *declared, g consent.Need) (kept *Kept, ok bool) {
	row, r := d.row, c.subject.Resource
	if g&consent.Part2 != 0 && !row.Part2 || g&consent.PsychotherapyNote != 0 && !row.PsychotherapyNotes {
		return nil, false
	}
	x := &row.Extent
	if len(d.from.Covers) > 0 && !slices.ContainsFunc(d.from.Covers, func(ref string) bool { return sameLocal(ref, r) }) {
		return nil, false
	}
	if len(d.from.Types) > 0 && !slices.Contains(d.from.Types, r.Type()) {
		return nil, false
	}
	if x.Custodian {
		program, _ := d.from.Attributes["initiatedBy"].(string)
		if c.subject.Origin.Custodian == "" || local(program) != local(c.subject.Origin.Custodian) {
			return nil, false
		}
	}
	if x.Profile {
		if s.never(c.datum.Labels.Sensitivity) {
			return nil, false
		}
		return keptOf(s.law.Profile.Types, r)
	}
	if x.Elements != nil {
		return keptOf(x.Elements, r)
	}
	return nil, true
}

// sameLocal compares a reference of the basis with the resource, without server.
func sameLocal(ref string, r *resource.Resource) bool {
	_, typ, id, ok := resource.SplitReference(ref)
	return ok && typ == r.Type() && id == r.ID() && r.ID() != ""
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
