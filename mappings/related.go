package mappings

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/mappings/tree"
)

// related keeps of plans those that share the innermost item with a frame: of
// the same person, then of the same incident, then of the record. A resource
// made for a person refers to what was made for that person, never to what was
// made for the one beside.
func (r *run) related(plans []planned, at *frame) []planned {
	if len(plans) < 2 {
		return r.reachable(plans, at)
	}
	line := r.lineage(at)
	best := len(line) + 1
	var out []planned
	for _, p := range plans {
		rank := len(line)
		other := r.lineage(p.frame)
		for i, key := range line {
			if slices.Contains(other, key) {
				rank = i
				break
			}
		}
		if rank < best {
			best, out = rank, nil
		}
		if rank == best {
			out = append(out, p)
		}
	}
	return r.reachable(out, at)
}

// reachable drops what was made for an item of the same loop that is another one:
// if the person at hand has no Patient, the only Patient is somebody else's.
func (r *run) reachable(plans []planned, at *frame) []planned {
	return slices.DeleteFunc(slices.Clone(plans), func(p planned) bool {
		for f := p.frame; f != nil; f = f.outer {
			for g := at; g != nil; g = g.outer {
				if f != g && f.loop != nil && g.loop != nil && f.kin(g) && f.key() != g.key() {
					return true
				}
			}
		}
		return false
	})
}

// kin says that two frames are items of one loop, or of two over the same path.
func (f *frame) kin(g *frame) bool {
	if f.loop == g.loop {
		return true
	}
	a, b := f.loop.over, g.loop.over
	if a == nil || b == nil {
		return false
	}
	if a.group != nil && b.group != nil {
		return a.group[0] == b.group[0]
	}
	return a.full != "" && a.full == b.full && a.text == b.text
}

// planned is one name of a planned resource: the same resource can be made by
// several rules, or by one for several items.
type planned struct {
	*plan
	frame *frame
}

// named lists what was planned under a name.
func (r *run) named(local string) []planned {
	var out []planned
	for _, p := range r.plans {
		for _, n := range p.names {
			if n.local == local {
				out = append(out, planned{p, n.frame})
			}
		}
	}
	return out
}

// key is what makes an item of a loop the same as that of another one.
func (f *frame) key() any {
	switch {
	case f.node != nil:
		return f.node
	case f.value != nil && reflect.TypeOf(f.value).Comparable():
		return f.value
	}
	return f
}

// lineage lists the items in force from the innermost out, with the nodes above
// each in the tree.
func (r *run) lineage(f *frame) []any {
	var out []any
	for ; f != nil; f = f.outer {
		out = append(out, f.key())
		for n := r.above(f.node); n != nil; n = r.above(n) {
			if n != r.rec.Root && !slices.Contains(out, any(n)) {
				out = append(out, n)
			}
		}
	}
	return out
}

// above is the node that holds n in a tree, nil at the root and for formats that
// are no trees.
func (r *run) above(n *tree.Node) *tree.Node {
	if n == nil || r.m.shape.elements == nil {
		return nil
	}
	if r.parents == nil {
		r.parents = map[*tree.Node]*tree.Node{}
		var note func(n *tree.Node, depth int)
		note = func(n *tree.Node, depth int) {
			for _, c := range n.Children {
				r.parents[c] = n
				if depth < maxTree {
					note(c, depth+1)
				}
			}
		}
		note(r.rec.Root, 0)
	}
	return r.parents[n]
}

// place is where a node stands. A decoder that gives no path of its own leaves
// it to the names on the way: /Incident/Person[2]/Name.
func (r *run) place(n *tree.Node) tree.Position {
	pos := n.Pos
	if pos.Path != "" || r.m.shape.elements == nil {
		return pos
	}
	if pos.Source == "" && pos.Line == 0 {
		pos = r.rec.Pos
	}
	var names []string
	for p := r.above(n); p != nil; n, p = p, r.above(p) {
		name := n.Name
		if same := p.All(n.Name); len(same) > 1 {
			name = fmt.Sprintf("%s[%d]", name, slices.Index(same, n)+1)
		}
		names = append(names, name)
	}
	slices.Reverse(names)
	pos.Path = "/" + strings.Join(names, "/")
	return pos
}
