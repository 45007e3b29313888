package eido

import (
	"strings"

	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

// Limits on what one object becomes: references can multiply components.
const (
	maxNodes = 20_000
	maxNest  = 6
)

// A resolver nests components where references to them stand.
type resolver struct {
	byID   map[string]*tree.Node // components by $id
	used   map[string]bool       // ids that something refers to
	issues []mappings.Issue
	nodes  int
	full   bool
}

func (r *resolver) note(at *tree.Node, code, message string) {
	r.issues = append(r.issues, mappings.Issue{Severity: mappings.Warning, Code: code, Field: at.Pos.Path, Pos: at.Pos, Message: message})
}

// index notes the components with an id, at any depth.
func (r *resolver) index(n *tree.Node) {
	if strings.HasSuffix(n.Name, "Component") || n.Name == "" {
		if id := n.First("$id").Value(); id != "" {
			if old := r.byID[id]; old != nil && old != n {
				r.note(n, "component-doubled", "two components have one id: references mean the first")
			} else {
				r.byID[id] = n
			}
		}
	}
	for _, c := range n.Children {
		r.index(c)
	}
}

// copy makes the normal form of a node: names without Component and Reference,
// $id as @id, components in place of references to them. path are the ids inside
// which the node stands.
func (r *resolver) copy(n *tree.Node, path []string) *tree.Node {
	out := &tree.Node{Name: local(n.Name), Text: n.Text, Pos: n.Pos}
	if id := n.First("$id").Value(); id != "" {
		path = append(path[:len(path):len(path)], id)
	}
	r.fill(out, n, path)
	return out
}

func (r *resolver) fill(out, n *tree.Node, path []string) {
	for _, c := range n.Children {
		if r.nodes++; r.nodes > maxNodes {
			if !r.full {
				r.full = true
				r.note(n, "object-too-large", "the object becomes too large when its references are followed: the rest was left out")
			}
			return
		}
		switch {
		case c.Name == "@context" || strings.HasPrefix(c.Name, "updatedBy"): // who typed it; what the names mean
		case c.Name == "simpleType": // NIEM: the value of an object
			out.Text = c.Text
		case c.First("$ref") != nil:
			out.Children = append(out.Children, r.refer(c, path))
		default:
			out.Children = append(out.Children, r.copy(c, path))
		}
	}
	r.read(out)
}

// refer gives the component that c refers to, under the name of the reference.
func (r *resolver) refer(c *tree.Node, path []string) *tree.Node {
	id := c.First("$ref").Value()
	out := &tree.Node{Name: local(c.Name), Pos: c.Pos}
	r.used[id] = true
	target := r.byID[id]
	if target == nil {
		r.note(c, "reference-dangling", "the reference leads to no component of the object")
	}
	leaf := &tree.Node{Name: "@id", Text: id, Pos: c.Pos}
	if target == nil || len(path) > maxNest || within(path, id) { // a cycle ends with the id
		out.Children = []*tree.Node{leaf}
		return out
	}
	r.fill(out, target, append(path[:len(path):len(path)], id))
	return out
}

func within(path []string, id string) bool {
	for _, p := range path {
		if p == id {
			return true
		}
	}
	return false
}

// local is a member's name without its kind and namespace.
func local(name string) string {
	switch name {
	case "$id":
		return "@id"
	case "$ref":
		return "@ref"
	case "ncPersonComponent":
		return "nc"
	}
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		name = name[i+1:]
	}
	name = strings.TrimSuffix(strings.TrimSuffix(name, "Reference"), "Component")
	return strings.TrimPrefix(name, "@")
}

// read turns texts in other formats into members and plain text.
func (r *resolver) read(n *tree.Node) {
	for _, c := range n.Children {
		switch c.Name {
		case "locationByValue":
			members, err := readLocation(c)
			if err != nil {
				r.note(c, "location-unreadable", "the location is no PIDF-LO that can be read: its text was left out")
			}
			c.Text, c.Children = "", members
		case "notesActionComments":
			c.Text = plain(c.Text)
		}
	}
}
