package flow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/handoff-health/handoff/fhir/resource"
)

// Own is how a Patient that lost is without the merge: what Impose changed.
type Own struct {
	Active string `json:"a,omitempty"` // "true", "false"; "": not stated
	// Uses are the uses of its identifiers, by a name of what else is in them.
	Uses map[string]string `json:"u,omitempty"`
}

const (
	replaces   = "replaces"
	replacedBy = "replaced-by"
)

// Impose brings a Patient in line with its merges: the survivor has a link
// "replaces", the loser a link "replaced-by", is not active, and its identifiers
// are of use "old". Without a merge that is in force the Patient is as it was.
// raw may be what the source told or what an earlier Impose made of it: the
// result is the same. What Impose changes it notes in m.Own; name makes a name
// of an identifier that does not tell it.
//
// As Restrict it comes after a Patient is put together, whatever it is put
// together from, so that no update takes a merge back.
func (m *Merged) Impose(raw []byte, name func(string) string) ([]byte, error) {
	if m == nil || len(m.Pairs) == 0 {
		return raw, nil
	}
	doc, err := resource.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("linking a merged Patient: %w", err)
	}
	e := doc.Edit()
	was := m.links(doc, e)
	loses := false
	for _, p := range m.Pairs {
		loses = loses || p.loses()
	}
	switch {
	case loses && !was:
		m.learn(doc, name)
		fallthrough
	case loses:
		e.Set(doc.Root(), "active", []byte("false"))
		for id := range doc.Root().All("identifier") {
			e.Set(id, "use", []byte(`"old"`))
		}
	case was && m.Own != nil:
		m.restore(doc, e, name)
	}
	return e.Bytes(), nil
}

// links makes the links what they are to be, and says whether the Patient was
// the loser of a merge as it stands.
func (m *Merged) links(doc *resource.Resource, e *resource.Editor) (was bool) {
	var foreign, have, want [][]byte
	for link := range doc.Root().All("link") {
		typ := link.Get("type")
		_, ours := m.Pairs[link.Path("other", "reference").Text()]
		if ours = ours && (typ.Is(replaces) || typ.Is(replacedBy)); !ours {
			foreign = append(foreign, link.Raw())
			continue
		}
		was = was || typ.Is(replacedBy)
		have = append(have, link.Raw())
	}
	for _, k := range []struct {
		holds func(Pair) bool
		typ   string
	}{{Pair.loses, replacedBy}, {Pair.wins, replaces}} {
		for _, other := range m.Others() {
			if k.holds(m.Pairs[other]) {
				want = append(want, []byte(`{"other":{"reference":`+string(resource.Quote(other))+`},"type":"`+k.typ+`"}`))
			}
		}
	}
	if slices.EqualFunc(have, want, bytes.Equal) {
		return was
	}
	if all := append(foreign, want...); len(all) > 0 {
		e.Set(doc.Root(), "link", append(append([]byte{'['}, bytes.Join(all, []byte{','})...), ']'))
	} else {
		e.RemoveMember(doc.Root(), "link")
	}
	return was
}

// learn notes how the Patient is of itself.
func (m *Merged) learn(doc *resource.Resource, name func(string) string) {
	own := &Own{Active: string(doc.Root().Get("active").Raw()), Uses: map[string]string{}}
	if m.Own != nil {
		for k, v := range m.Own.Uses { // of older versions, which may come back
			own.Uses[k] = v
		}
	}
	for id := range doc.Root().All("identifier") {
		own.Uses[identifierName(id, name)] = id.Get("use").Text()
	}
	m.Own = own
}

func (m *Merged) restore(doc *resource.Resource, e *resource.Editor, name func(string) string) {
	root := doc.Root()
	if m.Own.Active == "" {
		e.RemoveMember(root, "active")
	} else {
		e.Set(root, "active", []byte(m.Own.Active))
	}
	for id := range root.All("identifier") {
		if use := m.Own.Uses[identifierName(id, name)]; use == "" {
			e.RemoveMember(id, "use")
		} else {
			e.Set(id, "use", resource.Quote(use))
		}
	}
}

// identifierName names an identifier by all of it but its use.
func identifierName(id resource.Node, name func(string) string) string {
	if name == nil {
		return ""
	}
	var b bytes.Buffer
	for m := range id.Members() {
		if m.Name() == "use" {
			continue
		}
		b.WriteString(m.Name())
		b.WriteByte(' ')
		if json.Compact(&b, m.Raw()) != nil {
			b.Write(m.Raw())
		}
		b.WriteByte('\n')
	}
	return name(b.String())
}

// Part ends a pair whose other Patient is gone, and leaves no trace of it.
func (m *Merged) Part(other string, raw []byte, name func(string) string) ([]byte, error) {
	if _, ok := m.Pairs[other]; !ok {
		return raw, nil
	}
	m.Pairs[other] = Pair{}
	raw, err := m.Impose(raw, name)
	delete(m.Pairs, other)
	return raw, err
}
