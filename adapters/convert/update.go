package convert

import (
	"fmt"
	"slices"
	"unique"

	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/mappings"
)

// updates is what records that say only what changes have come to.
type updates struct {
	packer
	slots map[name][]byte // by resource; nil: it has come out
	seals map[name]flow.Restrictions
	// outcomes of these records in the order of the input: what the first look
	// found, the last one counts without merging again.
	outcomes []flow.Outcome
	found    []flow.Outcome
	again    bool // outcomes are known
}

// update judges a record that says only what changes and merges it.
func (s *state) update(res *mappings.Result) (flow.Outcome, error) {
	key := named(res.Key)
	old, known := s.records[key]
	if old.expunged {
		return flow.Superseded, nil
	}
	x := old
	if !known {
		s.join(res)
		x = seen{version: unique.Make(res.Version)}
	}
	if r := flow.Sealing(res); r != 0 {
		x.restrictions |= r
		x.held = unique.Make(max(x.version.Value(), res.Version))
	}
	x.version = unique.Make(max(x.version.Value(), res.Version))
	x.mute = silent(res) || x.mute
	s.records[key] = x
	if s.updates.again {
		if len(s.updates.outcomes) == 0 {
			return flow.Rejected, fmt.Errorf("the input has changed since it was first read")
		}
		o := s.updates.outcomes[0]
		s.updates.outcomes = s.updates.outcomes[1:]
		if s.updates.slots == nil {
			return o, nil
		}
		_, err := s.mergeAll(res, x) // a survey without the hidden records
		return o, err
	}
	c, err := s.mergeAll(res, x)
	o := flow.OutcomeOf(c, known)
	s.updates.found = append(s.updates.found, o)
	return o, err
}

// mergeAll merges a record's resources with what is known of them and keeps, of
// the result's resources, those that this changes.
func (s *state) mergeAll(res *mappings.Result, x seen) (most mappings.Change, err error) {
	if s.without[named(res.Key)].hidden() {
		s.lose(res)
		return most, nil
	}
	u := &s.updates
	var changed []mappings.Resource
	for i := range res.Resources {
		r := res.Resources[i]
		if r.Slots == nil {
			if s.supersedes(res.Key, &r) {
				changed = append(changed, r)
				if r.Type != "Provenance" {
					most = mappings.Different
				}
			}
			continue
		}
		ref := named(r.Type + "/" + r.ID)
		if x.restrictions != 0 && (r.Owned || r.Type == "Patient") {
			u.seals[ref] |= x.restrictions
		}
		r.Slots = slices.Clone(r.Slots)
		for k := range r.Slots {
			digest := short(r.Slots[k].Digest)
			r.Slots[k].Digest = digest.String()
		}
		next, c, err := flow.Merge(&r, u.unpack(u.slots[ref]), u.seals[ref])
		if err != nil {
			return most, err
		}
		u.slots[ref] = u.pack(next)
		if c == mappings.Different {
			changed = append(changed, r)
		}
		most = max(most, c)
	}
	res.Resources = changed
	return most, nil
}

// told says whether slots of the resource are known.
func (u *updates) told(ref string) bool {
	_, ok := u.slots[named(ref)]
	return ok
}

// final returns, once, what a resource's slots came to; nil if it came out.
func (u *updates) final(x *mappings.Resource) (*mappings.Resource, error) {
	ref := named(x.Type + "/" + x.ID)
	packed := u.slots[ref]
	if packed == nil {
		return nil, nil
	}
	u.slots[ref] = nil
	out := *x
	out.Slots = u.unpack(packed)
	raw, err := out.Slots.Assemble(x.Type, x.ID)
	if err == nil && u.seals[ref] != 0 {
		raw, err = flow.Restrict(x.Type, raw, u.seals[ref])
	}
	if err != nil {
		return nil, fmt.Errorf("putting a %s together: %w", x.Type, err)
	}
	flow.Become(&out, raw)
	return &out, nil
}

// updated writes what comes of a record that says only what changes.
func (r *run) updated(s *state, res *mappings.Result) error {
	if !r.twice && s.records[named(res.Key)].mute {
		return nil // sealed by its key
	}
	for i := range res.Resources {
		x := &res.Resources[i]
		switch {
		case !r.twice && r.person(x) && names(res.Merges, x):
			continue // written below, with its links
		case !r.twice:
		case x.Slots == nil:
			if !r.final.holdsShared(x) {
				continue
			}
		default:
			var err error
			if x, err = r.final.updates.final(x); err != nil {
				return err
			}
			if x == nil {
				continue
			}
		}
		if r.job.Bundle && !r.twice {
			r.held.use(res.Key, x)
		}
		r.resource(s, res.Key, x)
	}
	r.again(s, res)
	return nil
}
