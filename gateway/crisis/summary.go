package crisis

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/parameters"
	"github.com/handoff-health/handoff/fhir/resource"
)

// SizeClass is what the bytes of every summary are a multiple of, so that its
// length on the wire tells little of how much there is to say.
const SizeClass = 4096

// maxEntries bounds each list; what is beyond stays reachable by a search.
const maxEntries = 24

// A Contact is somebody to call, or a place to go to.
type Contact struct {
	Name    string // "988 Suicide & Crisis Lifeline"
	Role    string // "case manager"; "" if unknown
	Phone   string // as it is dialled; "" if unknown
	Hours   string // "24 hours"; "" if unknown
	Address string // of a place
	Site    bool   // offered to everybody here, not taken from a record
}

// A Site is what is offered whoever is asked about.
type Site struct {
	Contacts []Contact
	Places   []Contact
	Guidance []string
}

// An Input is what a summary is made of.
type Input struct {
	At        time.Time            // what has ended by then is left out
	Base      string               // the gateway's FHIR base: an absolute reference below it is a relative one
	Resources []*resource.Resource // as they go out, in any order
	Site      Site
	// Incomplete says that a system that would have been asked did not answer.
	Incomplete bool
	// Notices are texts that the law wants with the answer, such as 42 CFR 2.32.
	Notices []string
	// Person is the reference asked about, or "" where the question was a name.
	Person string
}

// A summary collects what the resources say.
type summary struct {
	base                            string
	at                              time.Time
	plan                            bool
	helps, avoid, guidance, allergy []string
	contacts, places                []Contact
	sources                         []string
	known                           map[string]*resource.Resource // staff and organisations, by reference
}

// Summarise writes the answer. It is the same for the same Input, whatever the
// order of its resources.
func Summarise(in Input) []byte {
	s := &summary{at: in.At, base: in.Base, known: map[string]*resource.Resource{}}
	all := slices.Clone(in.Resources)
	slices.SortFunc(all, func(a, b *resource.Resource) int { return strings.Compare(a.Reference(), b.Reference()) })
	for _, r := range all {
		if directory(r.Type()) {
			s.known[r.Reference()] = r
		}
	}
	for _, r := range all {
		s.read(r)
	}
	for _, c := range in.Site.Contacts {
		c.Site = true
		s.contacts = append(s.contacts, c)
	}
	for _, c := range in.Site.Places {
		c.Site = true
		s.places = append(s.places, c)
	}
	s.guidance = append(s.guidance, in.Site.Guidance...)
	return fill(s.write(in))
}

func directory(typ string) bool {
	return typ == "Practitioner" || typ == "PractitionerRole" || typ == "Organization" || typ == "Location"
}

// write makes the Parameters. The names are the same in every answer; a list
// without entries has none.
func (s *summary) write(in Input) []byte {
	var w parameters.Writer
	w.Flag("plan", s.plan)
	for _, list := range []struct {
		name  string
		texts []string
	}{{"helps", s.helps}, {"avoid", s.avoid}, {"allergy", s.allergy}, {"guidance", s.guidance}} {
		for _, text := range first(list.texts) {
			w.Text(list.name, "valueString", text)
		}
	}
	for _, c := range first(s.contacts) {
		w.Part("call", c.parts())
	}
	for _, c := range first(s.places) {
		w.Part("go", c.parts())
	}
	for _, ref := range first(s.sources) {
		w.Raw("source", "valueReference", []byte(`{"reference":`+string(resource.Quote(ref))+`}`))
	}
	w.Flag("incomplete", in.Incomplete)
	for _, text := range in.Notices {
		w.Text("notice", "valueString", text)
	}
	return w.Bytes()
}

// first keeps the first of each and no more than fit.
func first[T comparable](list []T) []T {
	var out []T
	for _, e := range list {
		if len(out) < maxEntries && !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return out
}

func (c Contact) parts() *parameters.Writer {
	var w parameters.Writer
	add := func(name, text string) {
		if text != "" {
			w.Text(name, "valueString", text)
		}
	}
	add("name", c.Name)
	add("role", c.Role)
	add("phone", c.Phone)
	add("hours", c.Hours)
	add("address", c.Address)
	w.Flag("offeredToAll", c.Site)
	return &w
}

// fill brings the bytes to the next size class with white space behind the
// resource, which JSON allows.
func fill(b []byte) []byte {
	if over := len(b) % SizeClass; over > 0 {
		b = append(b, bytes.Repeat([]byte{' '}, SizeClass-over)...)
	}
	return b
}
