package mappings

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// A Slot is what one message says about one part of a resource: about an
// element, or about those values of a repeating element that one row makes. A
// message that says nothing of a slot has none for it.
type Slot struct {
	// Name tells slots of a resource apart and stays the same when rows move:
	// the row's name; else the element, and for a repeating one what it is made
	// from: "period.start", "deceased[x]", "telecom<PID-13".
	Name string `json:"n"`
	// Default: the values stand only where no message states the slot.
	Default bool `json:"f,omitempty"`
	// Version and Digest are of the message.
	Version string `json:"v,omitempty"`
	Digest  string `json:"d"`
	// Place orders the values of a repeating element: the row's number.
	Place   int    `json:"p"`
	Element string `json:"e"` // "period.start", "deceasedBoolean"
	// Values are JSON. None: the message says that there is none.
	Values []json.RawMessage `json:"j,omitempty"`
	Absent string            `json:"a,omitempty"` // a data-absent-reason in place of a value
	// Contained are the contained resources that the values refer to.
	Contained []json.RawMessage `json:"c,omitempty"`
}

// Deleted says that the message took the slot's values away.
func (s *Slot) Deleted() bool { return len(s.Values) == 0 && s.Absent == "" }

// Slots are what messages say about one resource, sorted by Name: what one
// message says, or what all messages so far have come to.
type Slots []Slot

// undated marks the labels of messages without a version.
const undated = " (undated)"

// label says whether the slot holds a security label.
func (s *Slot) label() bool { return strings.HasPrefix(s.Element, "meta.security") }

func (s *Slot) compare(t *Slot) int {
	if c := strings.Compare(s.Name, t.Name); c != 0 {
		return c
	}
	switch {
	case s.Default == t.Default:
		return 0
	case s.Default:
		return 1
	}
	return -1
}

// Merge adds what other messages say. Slot by slot the newest version holds; of
// one version the greater digest. The order and the number of times in which
// messages are merged do not matter, except among messages that have no version:
// there the later one holds, and any version is newer.
//
// Restrictions fail closed. Each security label is a slot of its own, so that a
// message that states one leaves the others; one goes only if a newer message
// empties what it was made from, and never if its message had no version. And
// entered-in-error holds against another status of the same version.
func (s Slots) Merge(with Slots) Slots {
	out := make(Slots, 0, max(len(s), len(with)))
	for len(s) > 0 && len(with) > 0 {
		switch c := s[0].compare(&with[0]); {
		case c < 0:
			out, s = append(out, s[0]), s[1:]
		case c > 0:
			out, with = append(out, with[0]), with[1:]
		default:
			out = append(out, s[0].join(&with[0]))
			s, with = s[1:], with[1:]
		}
	}
	return append(append(out, s...), with...)
}

// join is the slot of two that holds.
func (s *Slot) join(t *Slot) Slot {
	switch {
	case s.Version != t.Version:
		if s.Version > t.Version {
			return *s
		}
		return *t
	case s.void() != t.void():
		if s.void() {
			return *s
		}
		return *t
	case s.Version != "" && s.Digest > t.Digest:
		return *s
	}
	return *t
}

func (s *Slot) void() bool {
	return s.Element == "status" && len(s.Values) == 1 && string(s.Values[0]) == `"entered-in-error"`
}

// labels gives each label of a slot a slot of its own.
func (s *Slot) labels() Slots {
	var out Slots
	for _, v := range s.Values {
		one := *s
		one.Name, one.Values = s.Name+"|"+string(v), []json.RawMessage{v}
		out = append(out, one)
	}
	return out
}

// lifted says whether a newer message emptied what a label was made from.
func (s Slots) lifted(label *Slot) bool {
	return label.Version != "" && slices.ContainsFunc(s, func(t Slot) bool {
		return t.label() && t.Deleted() && t.Version > label.Version && strings.HasPrefix(label.Name, t.Name+"|")
	})
}

// Newest is the newest version of a message that set a slot.
func (s Slots) Newest() string {
	newest := ""
	for i := range s {
		newest = max(newest, s[i].Version)
	}
	return newest
}

// Has says whether a slot that the message set holds.
func (s Slots) Has(version, digest string) bool {
	return slices.ContainsFunc(s, func(t Slot) bool { return t.Version == version && t.Digest == digest })
}

// Equal says whether both say the same, told by the same messages.
func (s Slots) Equal(t Slots) bool {
	return slices.EqualFunc(s, t, func(a, b Slot) bool {
		return a.Name == b.Name && a.Default == b.Default && a.Version == b.Version && a.Digest == b.Digest && a.Place == b.Place &&
			slices.EqualFunc(a.Values, b.Values, func(x, y json.RawMessage) bool { return bytes.Equal(x, y) })
	})
}

// stamp notes whose slots they are, and sorts them.
func (s Slots) stamp(version, digest string) {
	for i := range s {
		t := &s[i]
		t.Version, t.Digest = version, digest
		if version == "" && t.label() {
			t.Name += undated
		}
	}
	s.sort()
}

func (s Slots) sort() { slices.SortFunc(s, func(a, b Slot) int { return a.compare(&b) }) }

// A Change is what a message does to a resource.
type Change uint8

// The changes.
const (
	Nothing   Change = iota // older: others have set all that it says
	Known                   // the same message again, or a newer one that says the same
	Different               // the resource becomes another
)

// Update merges what a message says about a resource into what is known of it
// and returns what is known then, with the resource that it makes.
func (s Slots) Update(typ, id string, message Slots) (next Slots, raw []byte, c Change, err error) {
	next = s.Merge(message)
	if raw, err = next.Assemble(typ, id); err != nil || len(s) == 0 {
		return next, raw, Different, err
	}
	before, err := s.Assemble(typ, id)
	switch {
	case err != nil:
		return nil, nil, Nothing, err
	case !bytes.Equal(before, raw):
		c = Different
	case len(message) > 0 && (s.Has(message[0].Version, message[0].Digest) || message[0].Version >= s.Newest()):
		c = Known
	}
	return next, raw, c, nil
}
