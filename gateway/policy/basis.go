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
		if row.Extent.Covers && len(b.Covers) == 0 {
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

// onBasis says whether the declared basis reaches the resource, behind which
// gates it stands, and what of it.
func (s *Session) onBasis(c *matter, g consent.Need) (v verdict, ok bool) {
	if s.basis == nil {
		return v, false
	}
	row, r := s.basis.row, c.subject.Resource
	if g&consent.Part2 != 0 && !row.Part2 || g&consent.PsychotherapyNote != 0 && !row.PsychotherapyNotes || len(c.datum.Labels.CJI) > 0 {
		return v, false
	}
	kept, reached := s.reach(c, r)
	if !reached {
		return v, false
	}
	v = verdict{permitted: true, kept: kept, citation: row.Citation, duties: onBasis}
	if s.basis.judgment {
		v.duties |= onJudgement
	}
	v.reasons = []Reason{{Rule: "basis/" + row.Type, Effect: "permit", Citation: row.Citation}}
	if kept != nil {
		v.reasons[0].Detail = "limited to elements"
	}
	return v, true
}

// reach says whether the basis reaches the resource; kept is nil if it reaches
// all of it.
func (s *Session) reach(c *matter, r *resource.Resource) (kept *Kept, ok bool) {
	x := &s.basis.row.Extent
	if len(s.basis.from.Covers) > 0 && !slices.ContainsFunc(s.basis.from.Covers, func(ref string) bool { return sameLocal(ref, r) }) {
		return nil, false
	}
	if x.Custodian {
		program, _ := s.basis.from.Attributes["initiatedBy"].(string)
		if c.subject.Origin.Custodian == "" || local(program) != local(c.subject.Origin.Custodian) {
			return nil, false
		}
	}
	if x.Profile {
		for _, sens := range c.datum.Labels.Sensitivity {
			if slices.ContainsFunc(s.law.Profile.Never, func(n string) bool {
				return terminology.Subsumes(terminology.ActCode.URI(), n, sens) || n == "SUD" && consent.SubstanceUse(sens)
			}) {
				return nil, false
			}
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
