package resource

import (
	"bytes"
	"slices"
)

// An Editor collects changes to one document and writes the changed bytes.
// What is not changed is copied as it stands. Changes refer to nodes of the
// document the editor was made for; the document itself is not touched.
//
// A container that loses its last child goes too, up to but not including the
// document's root, because FHIR has no empty objects or arrays.
type Editor struct {
	d       *Document
	changes map[uint32]change
	touched map[uint32]bool // ancestors of a change
}

type change struct {
	remove  bool
	replace []byte
	add     []member
}

type member struct {
	name string
	raw  []byte
}

// Edit starts a set of changes to d.
func (d *Document) Edit() *Editor {
	return &Editor{d: d, changes: map[uint32]change{}, touched: map[uint32]bool{}}
}

// Changed says whether any change was asked for.
func (e *Editor) Changed() bool { return len(e.changes) > 0 }

// Remove cuts the value out: an element of its array, or a member with its
// name. The root cannot be removed.
func (e *Editor) Remove(n Node) {
	if n.d == e.d && n.i != 0 {
		e.note(n.i, func(c *change) { c.remove = true })
	}
}

// RemoveMember cuts the object's member and its primitive extension
// (`birthDate` and `_birthDate`).
func (e *Editor) RemoveMember(object Node, name string) {
	e.Remove(object.Get(name))
	e.Remove(object.Get("_" + name))
}

// Replace puts raw, a complete JSON value, in the value's place.
func (e *Editor) Replace(n Node, raw []byte) {
	if n.d == e.d {
		e.note(n.i, func(c *change) { c.replace = raw })
	}
}

// Set gives the object a member, replacing one of the same name.
func (e *Editor) Set(object Node, name string, raw []byte) {
	if object.Kind() != Object || object.d != e.d {
		return
	}
	if m := object.Get(name); m.Exists() {
		e.Replace(m, raw)
		return
	}
	e.note(object.i, func(c *change) {
		i := slices.IndexFunc(c.add, func(m member) bool { return m.name == name })
		if i >= 0 {
			c.add[i].raw = raw
			return
		}
		c.add = append(c.add, member{name, raw})
	})
	e.touched[object.i] = true
}

// Append adds raw as the array's last element.
func (e *Editor) Append(array Node, raw []byte) {
	if array.Kind() != Array || array.d != e.d {
		return
	}
	e.note(array.i, func(c *change) { c.add = append(c.add, member{raw: raw}) })
	e.touched[array.i] = true
}

func (e *Editor) note(i uint32, f func(*change)) {
	c := e.changes[i]
	f(&c)
	e.changes[i] = c
	// Walk down from the root to i, marking the containers on the way.
	for at := uint32(0); at != i; {
		e.touched[at] = true
		child := at + 1
		for e.d.nodes[child].next <= i {
			child = e.d.nodes[child].next
		}
		at = child
	}
}

// Bytes writes the document with its changes.
func (e *Editor) Bytes() []byte {
	if len(e.changes) == 0 {
		return bytes.Clone(e.d.raw)
	}
	out, kept := e.write(make([]byte, 0, len(e.d.raw)+256), 0)
	if !kept { // the root lost all: it stays as an empty container
		if e.d.nodes[0].kind == Array {
			return []byte("[]")
		}
		return []byte("{}")
	}
	return out
}

// write appends the value at i and says whether anything of it is left.
func (e *Editor) write(out []byte, i uint32) ([]byte, bool) {
	n := &e.d.nodes[i]
	c := e.changes[i]
	switch {
	case c.remove:
		return out, false
	case c.replace != nil:
		return append(out, c.replace...), true
	case !e.touched[i]:
		return append(out, e.d.raw[n.start:n.end]...), true
	}
	opening, closing := byte('{'), byte('}')
	if n.kind == Array {
		opening, closing = '[', ']'
	}
	from := len(out)
	out = append(out, opening)
	count := 0
	for k := i + 1; k < n.next; k = e.d.nodes[k].next {
		mark := len(out)
		if count > 0 {
			out = append(out, ',')
		}
		if n.kind == Object {
			out = append(append(out, (Node{e.d, k}).rawName()...), ':')
		}
		var kept bool
		if out, kept = e.write(out, k); kept {
			count++
		} else {
			out = out[:mark]
		}
	}
	for _, m := range c.add {
		if count > 0 {
			out = append(out, ',')
		}
		if n.kind == Object {
			out = append(append(out, Quote(m.name)...), ':')
		}
		out = append(out, m.raw...)
		count++
	}
	if count == 0 {
		return out[:from], false
	}
	return append(out, closing), true
}
