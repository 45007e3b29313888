package policy

import (
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/policy/packs"
)

// A declared is an accepted legal basis that is valid.
type declared struct {
	row    *Basis
	from   *LegalBasis
	accept *rule // of the agreement that accepted it in advance
	ground ground
}

// declareAll checks every accepted basis; those that are void leave a reason.
func (s *Session) declareAll() {
	for i, b := range s.req.LegalBases {
		if b == nil {
			continue
		}
		d, why := s.declare(b)
		if d == nil {
			s.void = append(s.void, atom{what: voidBasis, effect: denies, index: int32(i), detail: why})
			continue
		}
		s.surround(&d.ground)
		s.bases = append(s.bases, d)
	}
}

// declare checks an accepted basis. An unknown type, or a condition that does
// not hold, makes it void; why says so.
func (s *Session) declare(b *LegalBasis) (d *declared, why string) {
	row := s.law.basis(b.Type)
	switch {
	case row == nil:
		return nil, "its type is unknown"
	case row.rule.abstract:
		return nil, "it opens nothing by itself: it stands on the law of a state"
	case row.rule.kind != packs.Federal && s.applies(row.rule) != yes:
		return nil, "the custodian is not under the law that has it"
	case row.Extent.Covers && len(b.Covers)+len(b.Types) == 0:
		return nil, "it names no resource"
	}
	d = &declared{row: row, from: b}
	d.ground = ground{kind: byBasis, rule: row.rule, basis: d, duties: row.rule.duties}
	for k, all := range row.Any {
		if slices.ContainsFunc(all, func(c Condition) bool { return !s.holds(c, b) }) {
			continue
		}
		d.ground.duties |= row.duties[k]
		if b.AcceptedBy != "" {
			if d.accept = s.acceptance(b); d.accept == nil {
				return nil, "the agreement that would accept it is not in force, or not for this requester"
			}
			d.ground.duties |= d.accept.duties
		}
		return d, ""
	}
	return nil, "a required element is absent or does not hold"
}

// holds checks one condition.
func (s *Session) holds(c Condition, b *LegalBasis) bool {
	if c.not {
		c.not = false
		return c.comparable(b.Attributes[c.Attribute]) && !s.holds(c, b)
	}
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
	case NotOlder:
		return isText && notOlder(text, c.Values, s.req.At)
	case Outside:
		r := &s.req.Requester
		return isText && strings.TrimSpace(text) != "" && local(text) != local(r.Reference) && local(text) != local(r.Organization)
	case Reference:
		_, _, _, ok := resource.SplitReference(text)
		return ok
	case Fact:
		return c.fact != nil && s.test(c.fact, nil, nil) == yes
	case HasRole:
		return s.hasRole(codesOf(c.Values, packs.Role)) == yes
	}
	return false
}

// comparable says whether a value is of the kind that the test is about.
func (c *Condition) comparable(v any) bool {
	switch v.(type) {
	case bool:
		return c.Test == True || c.Test == False
	case string:
		return c.Test >= NotEmpty && c.Test != AnyOf
	case []any:
		return c.Test == AnyOf
	}
	return c.Test == Null
}

// notLater says whether an instant, or the start of a day, is not after at.
func notLater(text string, at time.Time) bool {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return !t.After(at)
	}
	t, err := time.ParseInLocation(time.DateOnly, text, at.Location())
	return err == nil && !t.After(at)
}

// notOlder says whether an instant is not after at and not longer ago than
// "72h" or "30d".
func notOlder(text string, span []string, at time.Time) bool {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.After(at) || len(span) != 1 {
		return false
	}
	hours := span[0]
	days, isDays := strings.CutSuffix(hours, "d")
	if isDays {
		hours = days + "h"
	}
	d, err := time.ParseDuration(hours)
	if isDays {
		d *= 24
	}
	return err == nil && at.Sub(t) <= d
}

// onBasis says whether declared bases reach the resource, behind which gates
// they stand, and what of it. Where one reaches all of it, those count that do;
// else each opens its elements.
func (s *Session) onBasis(m *matter, v *verdict) bool {
	whole, before := false, len(m.said)
	for _, d := range s.bases {
		m.lost = nil
		x, ok := s.reach(m, d)
		if !ok && m.lost != nil {
			m.sayOnce(atom{rule: m.lost})
		}
		if !ok || whole && len(x) > 0 {
			continue
		}
		if len(x) == 0 && !whole {
			whole = true
			m.said, v.duties, v.opened = m.said[:before], 0, nil
		}
		v.permitted = true
		v.duties |= s.dutiesOf(&d.ground, m)
		r := atom{effect: permits, rule: d.row.rule, basis: d}
		if len(x) > 0 {
			v.opened = append(v.opened, x)
			r.detail = "limited to elements"
		}
		m.say(r)
	}
	return v.permitted
}

// reach says whether the basis reaches the resource; x is empty if it reaches
// all of it.
func (s *Session) reach(m *matter, d *declared) (x reach, ok bool) {
	for _, e := range d.row.rule.extents {
		if x, ok = e.reaches(m, d.from, x); !ok {
			return nil, false
		}
	}
	if a := d.accept; a != nil {
		if !s.all(a.dynamic, false, &d.ground, m) {
			return nil, false
		}
		for _, e := range a.extents {
			if x, ok = e.reaches(m, d.from, x); !ok {
				return nil, false
			}
		}
	}
	if behind, first := s.behind(&d.ground, m); behind != 0 {
		m.lost = first
		return nil, false
	}
	return s.restrict(&d.ground, m, x)
}
