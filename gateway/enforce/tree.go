package enforce

import (
	"errors"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
)

// errNothingLeft says that no valid or useful resource would remain: deny.
var errNothingLeft = errors.New("no valid resource would remain")

// A tree is a resource's elements with what of them is cut.
type tree struct {
	elems []elem
	index map[resource.Node]int
}

type elem struct {
	node     resource.Node
	parent   int // -1 for the root
	end      int // index after the element's subtree
	name     string
	typ      string // structure of an object, or of an array's objects
	resource bool   // a resource of its own: the root, contained, an entry
	gone     bool
	nulled   bool // an element of a `_x` array that became null
}

// grow builds the tree of r; ok is false for a type whose structure is unknown,
// which cannot be redacted safely.
func grow(r *resource.Resource) (t *tree, ok bool) {
	if !isResourceType(r.Type()) {
		return nil, false
	}
	t = &tree{index: map[resource.Node]int{}}
	t.add(r.Root(), -1, "", r.Type())
	return t, true
}

func (t *tree) add(n resource.Node, parent int, name, typ string) {
	i := len(t.elems)
	t.elems = append(t.elems, elem{node: n, parent: parent, name: name, typ: typ})
	t.index[n] = i
	switch n.Kind() {
	case resource.Object:
		if rt := n.Get("resourceType"); rt.Kind() == resource.String {
			t.elems[i].typ, t.elems[i].resource = rt.Text(), true
		}
		for m := range n.Members() {
			child := m.Name()
			t.add(m, i, child, fieldType(t.elems[i].typ, child))
		}
	case resource.Array:
		for e := range n.Elements() {
			t.add(e, i, "", typ)
		}
	}
	t.elems[i].end = len(t.elems)
}

// children yields the direct children of i that are not cut.
func (t *tree) children(i int) func(func(int) bool) {
	return func(yield func(int) bool) {
		for c := i + 1; c < t.elems[i].end; c = t.elems[c].end {
			if !t.elems[c].gone && !yield(c) {
				return
			}
		}
	}
}

// child returns the member of that name, cut or not; -1 if there is none.
func (t *tree) child(i int, name string) int {
	for c := i + 1; c < t.elems[i].end; c = t.elems[c].end {
		if t.elems[c].name == name {
			return c
		}
	}
	return -1
}

// named returns the member that i is or stands in as an array's element.
func (t *tree) named(i int) (member, position int) {
	p := t.elems[i].parent
	if p < 0 || t.elems[p].node.Kind() != resource.Array {
		return i, -1
	}
	for c := p + 1; c < i; c = t.elems[c].end {
		position++
	}
	return p, position
}

// element takes a withheld value to the element that means it: a code to its
// Coding, a Coding to its CodeableConcept (the text and the other codings say the
// same), a reference's string to its Reference, a Bundle's resource to its entry.
func (t *tree) element(i int) int {
	for t.elems[i].parent >= 0 {
		member, _ := t.named(i)
		m := t.elems[member]
		switch {
		case m.name == "coding":
		case m.name == "code" && t.elems[i].node.Kind() == resource.String && t.child(m.parent, "system") >= 0:
		case m.name == "reference" && t.elems[i].node.Kind() == resource.String:
		case m.name == "resource" && t.elems[i].resource:
		default:
			return i
		}
		i = m.parent
	}
	return i
}

// labelled is element for a value that bears a label: there the `_x` twin of a
// primitive stands for the primitive.
func (t *tree) labelled(i int) int {
	i = t.element(i)
	member, position := t.named(i)
	m := t.elems[member]
	base, ok := strings.CutPrefix(m.name, "_")
	if !ok || m.parent < 0 {
		return i
	}
	twin := t.child(m.parent, base)
	switch {
	case twin < 0:
		return i
	case position < 0 || t.elems[twin].node.Kind() != resource.Array:
		return twin
	}
	if at := t.at(twin, position); at >= 0 {
		return at
	}
	return i
}

// at returns the array's element at a position; -1 if there is none.
func (t *tree) at(array, position int) int {
	k := 0
	for c := array + 1; c < t.elems[array].end; c = t.elems[c].end {
		if k == position {
			return c
		}
		k++
	}
	return -1
}

// cut removes i and whatever around it could not stand without it. The error
// is errNothingLeft when that reaches the resource itself.
func (t *tree) cut(i int) error {
	if t.elems[i].resource && t.elems[i].name == "resource" { // an entry of a Bundle, a parameter
		i = t.elems[i].parent
	}
	e := t.elems[i]
	switch {
	case e.gone:
		return nil
	case e.parent < 0:
		return errNothingLeft
	case t.elems[e.parent].parent < 0 && (e.name == "resourceType" || e.name == "id"):
		return errNothingLeft
	case t.turns(i):
		return errNothingLeft
	}
	t.mark(i)
	if err := t.cutTwin(i); err != nil {
		return err
	}
	if !t.stands(e.parent) {
		return t.cut(e.parent)
	}
	return nil
}

// turns says whether the meaning of what stays could turn round without i: a
// modifier extension, or a part of a Consent's provision (one without its actor
// is for everybody).
func (t *tree) turns(i int) bool {
	provision := false
	for p := i; p > 0; p = t.elems[p].parent {
		switch t.elems[p].name {
		case "modifierExtension":
			return true
		case "provision":
			provision = true
		}
		if owner := t.elems[t.elems[p].parent]; owner.resource {
			return provision && owner.typ == "Consent"
		}
	}
	return false
}

func (t *tree) mark(i int) {
	for c := i; c < t.elems[i].end; c++ {
		t.elems[c].gone = true
	}
}

// cutTwin keeps a primitive and its `_x` in step: the value's extension goes
// with the value, and arrays keep their positions.
func (t *tree) cutTwin(i int) error {
	member, position := t.named(i)
	m := t.elems[member]
	if m.parent < 0 || t.elems[m.parent].node.Kind() != resource.Object {
		return nil
	}
	if base, ok := strings.CutPrefix(m.name, "_"); ok {
		if position >= 0 {
			return t.nullTwin(i, member, t.child(m.parent, base), position)
		}
		return nil
	}
	twin := t.child(m.parent, "_"+m.name)
	if twin < 0 || t.elems[twin].gone {
		return nil
	}
	if position < 0 {
		return t.cut(twin)
	}
	if at := t.at(twin, position); at >= 0 && t.elems[twin].node.Kind() == resource.Array {
		t.mark(at)
		t.elems[at].nulled = false
		if !t.stands(twin) {
			t.mark(twin)
		}
	}
	return nil
}

// nullTwin puts null in the place of an emptied `_x` element, so that the
// positions of the others stay; where the value is null or cut as well, the
// position goes from both.
func (t *tree) nullTwin(i, twin, base, position int) error {
	value := -1
	if base >= 0 && t.elems[base].node.Kind() == resource.Array {
		value = t.at(base, position)
	}
	switch {
	case value >= 0 && t.elems[value].gone:
		return nil
	case value >= 0 && t.elems[value].node.Kind() == resource.Null:
		return t.cut(value)
	}
	t.elems[i].nulled = true
	return nil
}

// stands says whether a container may stay: an array with an element that is
// not null, an object with content and with everything that R4 requires of it
// and that it had before.
func (t *tree) stands(i int) bool {
	e := t.elems[i]
	if e.node.Kind() == resource.Array {
		twin := strings.HasPrefix(e.name, "_")
		for c := range t.children(i) {
			if !twin || t.elems[c].node.Kind() != resource.Null {
				return true
			}
		}
		return false
	}
	content := e.parent < 0
	for c := range t.children(i) {
		if n := t.elems[c].name; n != "id" && (n != "resourceType" || e.parent < 0) {
			content = true
			break
		}
	}
	if !content {
		return false
	}
	if e.resource && e.parent >= 0 && !t.keeps(i, "resourceType", "id") {
		return false // nothing could point at a contained one
	}
	// A code, a unit or a number without its system means something else
	// (cpt-2, qty-3), and so do data without their form (att-1).
	if !e.resource && (!t.keeps(i, "system", "contentType") || t.child(i, "system") >= 0 && !t.keeps(i, "code")) {
		return false
	}
	s := structures()[e.typ]
	if s == nil {
		return true
	}
	for _, r := range s.required {
		if t.met(i, r, true) && !t.met(i, r, false) {
			return false
		}
	}
	return true
}

// keeps says whether i still has those of the members that it had.
func (t *tree) keeps(i int, names ...string) bool {
	for _, name := range names {
		if at := t.child(i, name); at >= 0 && t.elems[at].gone {
			return false
		}
	}
	return true
}

// met says whether the requirement is met by i's members, those that are cut
// included or not.
func (t *tree) met(i int, r requirement, cutToo bool) bool {
	for c := i + 1; c < t.elems[i].end; c = t.elems[c].end {
		if t.elems[c].gone && !cutToo {
			continue
		}
		for _, pattern := range r {
			if matches(pattern, t.elems[c].name) {
				return true
			}
		}
	}
	return false
}

// try cuts i, or leaves everything as it was if that would leave nothing.
func (t *tree) try(i int) {
	before := slices.Clone(t.elems)
	if t.cut(i) != nil {
		t.elems = before
	}
}

// bytes writes the resource without what is cut.
func (t *tree) bytes(r *resource.Resource) []byte {
	ed := r.Edit()
	for i := 1; i < len(t.elems); i++ {
		switch e := t.elems[i]; {
		case e.gone && e.nulled:
			ed.Replace(e.node, []byte("null"))
			i = e.end - 1
		case e.gone:
			ed.Remove(e.node)
			i = e.end - 1
		}
	}
	return ed.Bytes()
}
