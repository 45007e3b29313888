package convert

import (
	"errors"
	"fmt"
	"slices"

	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/mappings"
)

// updates is what records that say only what changes have come to.
type updates struct {
	packer
	n      int             // such records so far
	slots  map[name][]byte // by resource: what is known of it
	shadow map[name][]byte // the same with records of which nothing comes out
	seals  map[name]flow.Restrictions
	last   map[name]int // of a first look: the record that is the last to name a resource
}

func newUpdates() updates {
	return updates{slots: map[name][]byte{}, shadow: map[name][]byte{}, seals: map[name]flow.Restrictions{}, last: map[name]int{}}
}

// update judges a record that says only what changes and merges it. The result
// keeps the resources that it changes.
func (s *state) update(res *mappings.Result) (flow.Outcome, error) {
	s.updates.n++
	key := named(res.Key)
	x, known := s.records.get(key)
	if x.expunged {
		res.Resources = nil
		return flow.Superseded, nil
	}
	x.version = max(x.version, res.Version)
	if r := flow.Sealing(res); r != 0 {
		x.restrictions |= r
		x.held = x.version
	}
	x.mute = x.mute || silent(res)
	s.records.put(key, &x)
	if !known {
		s.join(res)
	}
	if s.surveying {
		s.look(res, x)
		return flow.Updated, nil
	}
	c, err := s.mergeAll(res, x)
	return flow.OutcomeOf(c, known), err
}

// look notes, in a first look, which record is the last to name a resource: there
// it comes out, and until there it is held.
func (s *state) look(res *mappings.Result, x seen) {
	if s.without[named(res.Key)] {
		s.lose(res)
		return
	}
	for i := range res.Resources {
		r := &res.Resources[i]
		if r.Slots == nil {
			s.supersedes(res.Key, r)
			continue
		}
		ref := named(r.Type + "/" + r.ID)
		s.updates.last[ref] = s.updates.n
		s.updates.seal(ref, r, x)
	}
}

// seal notes what restricts a resource beyond its labels.
func (u *updates) seal(ref name, r *mappings.Resource, x seen) {
	if x.restrictions != 0 && (r.Owned || r.Type == "Patient") {
		u.seals[ref] |= x.restrictions
	}
}

// mergeAll merges a record's resources with what is known of them and keeps, of
// the result's resources, those that this changes.
func (s *state) mergeAll(res *mappings.Result, x seen) (most mappings.Change, err error) {
	var changed []mappings.Resource
	for i := range res.Resources {
		r := res.Resources[i]
		c := mappings.Nothing
		switch {
		case r.Slots != nil:
			if c, err = s.mergeSlots(res, &r, x); err != nil {
				return most, err
			}
		case s.supersedes(res.Key, &r):
			if c = mappings.Different; r.Type == "Provenance" { // it tells of the file
				changed = append(changed, r)
				continue
			}
		}
		if c == mappings.Different {
			changed = append(changed, r)
		}
		most = max(most, c)
	}
	res.Resources = changed
	return most, nil
}

func (s *state) mergeSlots(res *mappings.Result, r *mappings.Resource, x seen) (mappings.Change, error) {
	u := &s.updates
	ref := named(r.Type + "/" + r.ID)
	u.seal(ref, r, x)
	r.Slots = slices.Clone(r.Slots)
	for k := range r.Slots {
		r.Slots[k].Digest = short(r.Slots[k].Digest)
	}
	known, to := u.slots[ref], u.slots
	if s.without[named(res.Key)] { // it counts, and nothing of it comes out
		to = u.shadow
		if have, ok := to[ref]; ok {
			known = have
		}
	}
	next, c, err := flow.Merge(r, u.unpack(known), u.seals[ref])
	if err != nil {
		return c, err
	}
	to[ref] = u.pack(next)
	return c, nil
}

// told says whether slots of the resource are known.
func (u *updates) told(ref string) bool {
	_, looked := u.last[named(ref)]
	_, ok := u.slots[named(ref)]
	return ok || looked
}

// due writes the resources that no later record names, of a result as it was
// before it was merged.
func (r *run) due(s *state, told []mappings.Resource) error {
	for i := range told {
		x := told[i]
		ref := named(x.Type + "/" + x.ID)
		packed, held := s.updates.slots[ref]
		if !held || r.final.updates.last[ref] != s.updates.n {
			continue
		}
		x.Slots = s.updates.unpack(packed)
		delete(s.updates.slots, ref)
		raw, err := x.Slots.Assemble(x.Type, x.ID)
		if seals := r.final.updates.seals[ref]; err == nil && seals != 0 {
			raw, err = flow.Restrict(x.Type, raw, seals)
		}
		if err != nil {
			return fmt.Errorf("putting a %s together: %w", x.Type, err)
		}
		flow.Become(&x, raw)
		r.resource(s, "", &x)
		r.came++
	}
	return nil
}

// ErrChanged says that an input was another one the second time that it was read.
var ErrChanged = errors.New("the input has changed between the two times that it was read: what came out is not whole")

// complete says whether all that a first look found has come out.
func (r *run) complete() error {
	if r.twice && (r.came != len(r.final.updates.last) || r.replays() && !r.final.tape.ended()) {
		return ErrChanged
	}
	return nil
}

// updated writes what comes of a record that says only what changes: of a stream
// each resource that it changes; else what it tells as a whole, if that is final.
func (r *run) updated(s *state, res *mappings.Result) {
	if x, _ := s.records.get(named(res.Key)); !r.twice && x.mute {
		return // sealed by its key
	}
	for i := range res.Resources {
		x := &res.Resources[i]
		switch {
		case r.twice && (x.Slots != nil || !r.final.holdsShared(x)):
			continue
		case r.person(x) && names(res.Merges, x):
			continue // written below, with its links
		}
		if r.job.Bundle && !r.twice {
			r.held.use(res.Key, x)
		}
		r.resource(s, res.Key, x)
	}
	r.again(s, res)
}
