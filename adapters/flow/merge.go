package flow

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/handoff-health/handoff/mappings"
)

// Merged is what is known of one Patient's merges with others of its system.
// Both Patients of a pair know of it.
type Merged struct {
	Pairs map[string]Pair `json:"p,omitempty"` // by the reference of the other
	Own   *Own            `json:"o,omitempty"` // how the Patient is without being merged; nil: it was never the loser
}

// A Pair is what the source said of this Patient and another: the newest version
// (event time) at which it became part of the other, the other of it, and at
// which they were two persons after all. The newest counts, and of one time the
// parting, so that the order of arrival does not matter.
type Pair struct {
	Lost  string `json:"l,omitempty"`
	Won   string `json:"w,omitempty"`
	Apart string `json:"a,omitempty"`
	// Untimed are the digests of orders without a time, which counted when they
	// came: the same again changes nothing.
	Untimed []string `json:"u,omitempty"`
}

func (p Pair) loses() bool  { return p.Lost > p.Apart }
func (p Pair) wins() bool   { return p.Won > p.Apart }
func (p Pair) joined() bool { return p.loses() || p.wins() }

// maxMerged bounds how many Patients may be one person. Beyond it a feed is
// mistaken: it merges everybody into a number that stands for "unknown".
const maxMerged = 48

// Why a merge is refused.
var (
	ErrMergeCycle  = errors.New("the survivor is, directly or over others, the loser of the same merge")
	ErrMergeSystem = errors.New("one of the two Patients came through another system")
	ErrMergeLimit  = fmt.Errorf("the merge would make one person of more than %d Patients", maxMerged)
)

// Orders are the merges of one record with the time that they are of.
type Orders struct {
	Merges  []mappings.Merge
	Version string // event time; "" if the source gave none
	Digest  string // of the record
	// Received stands in for a missing Version: it is later than what was there.
	Received string
}

// Apply takes the orders into what is known. at gives what is known of a
// Patient, to be changed; what it gave is only to be kept if there is no error.
// changed says that two Patients are joined, or are two, that were not before.
// The error names the pair that is refused: none of the orders counts then.
func (o *Orders) Apply(at func(ref string) (*Merged, error)) (changed bool, err error) {
	for i, m := range o.Merges {
		c, err := o.one(m, at)
		if err != nil {
			return false, &MergeError{Pair: i, Of: len(o.Merges), Err: err}
		}
		changed = changed || c
	}
	return changed, nil
}

// A MergeError says which pair of a record is refused, from 0, or could not be
// looked up.
type MergeError struct {
	Pair, Of int
	Err      error
}

func (e *MergeError) Error() string {
	return fmt.Sprintf("pair %d of %d: %v", e.Pair+1, e.Of, e.Err)
}

// Unwrap gives the reason.
func (e *MergeError) Unwrap() error { return e.Err }

// Code is the code of the reject; "" if the error is none.
func (e *MergeError) Code() string {
	switch {
	case errors.Is(e.Err, ErrMergeCycle):
		return "merge-cycle"
	case errors.Is(e.Err, ErrMergeLimit):
		return "merge-limit"
	case errors.Is(e.Err, ErrMergeSystem):
		return "merge-system"
	}
	return ""
}

func (o *Orders) one(m mappings.Merge, at func(string) (*Merged, error)) (bool, error) {
	if m.Survivor == m.Loser {
		return false, ErrMergeCycle
	}
	survivor, err := at(m.Survivor)
	if err != nil {
		return false, err
	}
	loser, err := at(m.Loser)
	if err != nil {
		return false, err
	}
	p := loser.Pairs[m.Survivor]
	was, version := p, o.Version
	if version == "" {
		if slices.Contains(p.Untimed, o.Digest) {
			return false, nil
		}
		if p.Untimed = append(slices.Clone(p.Untimed), o.Digest); len(p.Untimed) > maxTies {
			p.Untimed = p.Untimed[1:]
		}
		version = cmp.Or(o.Received, never)
	}
	if m.Undo {
		p.Apart = max(p.Apart, version)
	} else if version > p.Apart && !was.loses() {
		if err := joins(m, at); err != nil {
			return false, err
		}
	}
	if !m.Undo {
		p.Lost = max(p.Lost, version)
	}
	loser.set(m.Survivor, p)
	p.Lost, p.Won = p.Won, p.Lost
	survivor.set(m.Loser, p)
	return was.joined() != p.joined(), nil
}

func (m *Merged) set(ref string, p Pair) {
	if m.Pairs == nil {
		m.Pairs = map[string]Pair{}
	}
	m.Pairs[ref] = p
}

// joins refuses a merge that closes a cycle of merges in force: the survivor is
// part of the loser already. It also bounds the person.
func joins(m mappings.Merge, at func(string) (*Merged, error)) error {
	above, err := reach(m.Survivor, at, Pair.loses)
	if err != nil {
		return err
	}
	if above[m.Loser] {
		return ErrMergeCycle
	}
	all, err := reach(m.Survivor, at, Pair.joined)
	if err != nil {
		return err
	}
	more, err := reach(m.Loser, at, Pair.joined)
	if err != nil {
		return err
	}
	maps.Copy(all, more)
	if len(all) > maxMerged {
		return ErrMergeLimit
	}
	return nil
}

// reach is everybody whom pairs that hold lead to from one Patient.
func reach(from string, at func(string) (*Merged, error), holds func(Pair) bool) (map[string]bool, error) {
	seen := map[string]bool{from: true}
	for todo := []string{from}; len(todo) > 0; {
		m, err := at(todo[0])
		if err != nil {
			return nil, err
		}
		todo = todo[1:]
		for other, p := range m.Pairs {
			if !seen[other] && holds(p) {
				seen[other] = true
				todo = append(todo, other)
			}
		}
	}
	return seen, nil
}

// Others are the Patients that this one is, or was, merged with, sorted.
func (m *Merged) Others() []string { return slices.Sorted(maps.Keys(m.Pairs)) }

// Joined says whether a merge with the other is in force.
func (m *Merged) Joined(other string) bool { return m.Pairs[other].joined() }

// Clone returns a copy that can be changed; of nil an empty one.
func (m *Merged) Clone() *Merged {
	if m == nil {
		return &Merged{}
	}
	c := &Merged{Pairs: maps.Clone(m.Pairs)}
	if m.Own != nil {
		c.Own = &Own{Active: m.Own.Active, Uses: maps.Clone(m.Own.Uses)}
	}
	return c
}

// Refuse makes a result the reject that a refused merge is.
func Refuse(res *mappings.Result, why *MergeError) {
	is := mappings.Issue{Severity: mappings.Error, Code: why.Code(), Message: why.Error()}
	if why.Pair < len(res.Merges) {
		is.Pos = res.Merges[why.Pair].Pos
	}
	res.Action, res.Reason = mappings.Reject, why.Code()
	res.Issues = append([]mappings.Issue{is}, res.Issues...)
}

// Stubs are a result's minimal Patients, the only resources of a record of which
// nothing but its merges counts.
func Stubs(res *mappings.Result) []mappings.Resource {
	var out []mappings.Resource
	for _, x := range res.Resources {
		if x.Stub {
			out = append(out, x)
		}
	}
	return out
}

// Join takes in what another process or record knows: of each pair the newest.
func (m *Merged) Join(from *Merged) {
	for other, p := range from.Pairs {
		q := m.Pairs[other]
		q.Lost, q.Won, q.Apart = max(q.Lost, p.Lost), max(q.Won, p.Won), max(q.Apart, p.Apart)
		for _, u := range p.Untimed {
			if !slices.Contains(q.Untimed, u) {
				q.Untimed = append(slices.Clone(q.Untimed), u)
			}
		}
		m.set(other, q)
	}
}

// Reset puts a pair back as it was.
func (m *Merged) Reset(other string, from *Merged) {
	if p, ok := from.Pairs[other]; ok {
		m.set(other, p)
	} else {
		delete(m.Pairs, other)
	}
}

// Check says whether the merges that the orders made are a cycle now.
func (o *Orders) Check(at func(ref string) (*Merged, error)) error {
	for i, m := range o.Merges {
		above, err := reach(m.Survivor, at, Pair.loses)
		if err == nil && above[m.Loser] {
			err = ErrMergeCycle
		}
		if err != nil {
			return &MergeError{Pair: i, Of: len(o.Merges), Err: err}
		}
	}
	return nil
}
