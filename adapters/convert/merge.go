package convert

import (
	"errors"
	"fmt"
	"slices"

	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/mappings"
)

// merges is what is known of merged Patients, by reference: few of many.
type merges struct {
	of      map[string]*flow.Merged
	untimed int // orders without a time so far
}

// merge takes a record's merges in. changed says that Patients are joined or
// parted by it. A pair that is refused refuses the record, and nothing of it
// counts.
func (s *state) merge(res *mappings.Result) (changed, refused bool, err error) {
	if len(res.Merges) == 0 {
		return false, false, nil
	}
	if x, _ := s.records.get(named(res.Key)); x.expunged {
		return false, false, nil
	}
	s.merges.untimed++
	orders := flow.Orders{Merges: res.Merges, Version: res.Version, Digest: res.Digest,
		Received: fmt.Sprintf("~%09d", s.merges.untimed)} // later than any time, in the order of the input
	work := map[string]*flow.Merged{}
	changed, err = orders.Apply(func(ref string) (*flow.Merged, error) {
		if work[ref] == nil {
			work[ref] = s.merges.of[ref].Clone()
		}
		return work[ref], nil
	})
	var bad *flow.MergeError
	if errors.As(err, &bad) && bad.Code() != "" {
		flow.Refuse(res, bad)
		s.effect.refused = bad
		return false, true, nil
	}
	if err != nil {
		return false, false, err
	}
	if s.merges.of == nil {
		s.merges.of = map[string]*flow.Merged{}
	}
	for ref, m := range work {
		s.merges.of[ref] = m
	}
	return changed, false, nil
}

// versionOrMerge judges a record that is kept. One that tells nothing new of its
// own may still tell of a merge.
func (s *state) versionOrMerge(res *mappings.Result) (flow.Outcome, error) {
	changed, refused, err := s.merge(res)
	if err != nil || refused {
		return flow.Rejected, err
	}
	o, err := s.version(res)
	if err == nil && changed && (o == flow.Duplicate || o == flow.Superseded) {
		o = flow.Updated
		res.Resources = flow.Stubs(res)
		s.effect.stubs = true
	}
	return o, err
}

// present says that something of a Patient comes out. A stub does not bring back
// a person whose own records are expunged.
func (s *state) present(ref string) bool {
	if s.updates.told(ref) {
		return true
	}
	x, known := s.shared.get(named(ref))
	return known && !(x.stub && s.lost[named(ref)])
}

// lose notes the Patients of a record of which nothing comes out.
func (s *state) lose(res *mappings.Result) {
	for i := range res.Resources {
		if x := &res.Resources[i]; x.Type == "Patient" && !x.Stub {
			s.lost[named(x.Type+"/"+x.ID)] = true
		}
	}
}

// merged is a resource as it comes out: a Patient with the links of its merges.
func (r *run) merged(s *state, x *mappings.Resource) []byte {
	if r.twice {
		s = r.final
	}
	m := s.merges.of[x.Type+"/"+x.ID]
	if x.Type != "Patient" || m == nil {
		return x.Raw
	}
	m = m.Clone()
	for _, other := range m.Others() {
		if !s.present(other) {
			delete(m.Pairs, other)
		}
	}
	raw, err := m.Impose(x.Raw, nil)
	if err != nil && r.err == nil {
		r.err = err
	}
	return raw
}

// A merger can say that it never merges persons. *mappings.Map does.
type merger interface{ Merges() bool }

// keepsPersons says whether a stream that is written as it comes needs to hold
// its Patients: a later merge changes one that was written before.
func (j *Job) keepsPersons() bool {
	m, ok := j.Mapper.(merger)
	return !j.Bundle && (!ok || m.Merges())
}

// person holds a Patient of a stream.
func (r *run) person(x *mappings.Resource) bool {
	if r.persons == nil || x.Type != "Patient" {
		return false
	}
	kept := *x
	r.persons[x.Type+"/"+x.ID] = &kept
	return true
}

func names(ms []mappings.Merge, x *mappings.Resource) bool {
	ref := x.Type + "/" + x.ID
	return slices.ContainsFunc(ms, func(m mappings.Merge) bool { return m.Survivor == ref || m.Loser == ref })
}

// again writes the Patients of a stream that a record's merges have changed.
func (r *run) again(s *state, res *mappings.Result) {
	if r.persons == nil {
		return
	}
	done := map[string]bool{}
	for _, m := range res.Merges {
		for _, ref := range []string{m.Survivor, m.Loser} {
			if x := r.persons[ref]; x != nil && !done[ref] {
				done[ref] = true
				r.write(r.merged(s, x))
				r.write([]byte{'\n'})
			}
		}
	}
}
