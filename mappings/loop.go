package mappings

import (
	"fmt"
	"slices"

	"github.com/handoff-health/handoff/mappings/tree"
)

// An entry of a mapping's resources: one resource, or a group of entries that
// are made together for each item of the group's loop.
type entry struct {
	loop    *loop // nil: once
	rule    *rule // nil: a group
	entries []*entry
}

// A loop goes through the nodes of a path, the groups of segments or the items
// of a list, and computes named values for each.
type loop struct {
	at      string
	foreach *program
	over    *recordPath
	lets    []*let
	when    *program
	stage   stage
}

// A stage is when the condition of a loop is judged.
type stage uint8

const (
	onceBefore stage = iota // it names nothing of the item
	eachItem
	afterLets // it names a value that the loop computes
)

// A frame is one item of a loop that the engine is in: what relative paths, item
// and the named values of the loop mean there.
type frame struct {
	outer    *frame
	loop     *loop      // nil: of a row
	node     *tree.Node // nil: the item of a list. Of a group of segments the first segment
	root     *tree.Node // of a group: its segments
	segments []string   // of a group: what it may hold
	value    any
	lets     []any
}

// each calls do for each item of the loop, with the item in force.
func (r *run) each(l *loop, do func() error) error {
	if l.when != nil && l.stage == onceBefore {
		if holds, err := r.evalBool(l.when); err != nil || !holds {
			return err
		}
	}
	items, err := r.itemsOf(l)
	if err != nil {
		return err
	}
	for _, f := range items {
		if err := r.step(); err != nil {
			return err
		}
		f.loop = l
		if err := r.within(f, func() error { return r.item1(l, f, do) }); err != nil {
			return err
		}
	}
	return nil
}

// item1 handles one item: its condition, its named values, what is made of it.
func (r *run) item1(l *loop, f *frame, do func() error) error {
	holds := func(at stage) (bool, error) {
		if l.when == nil || l.stage != at {
			return true, nil
		}
		return r.evalBool(l.when)
	}
	if ok, err := holds(eachItem); err != nil || !ok {
		return err
	}
	for _, let := range l.lets {
		v, err := r.let(let)
		if err != nil {
			return err
		}
		f.lets = append(f.lets, v)
	}
	if ok, err := holds(afterLets); err != nil || !ok {
		return err
	}
	return do()
}

// itemsOf lists the items of a loop as frames inside the one in force. A loop
// over nothing has one item.
func (r *run) itemsOf(l *loop) ([]*frame, error) {
	switch {
	case l.foreach != nil:
		v, err := r.eval(l.foreach)
		if err != nil {
			return nil, err
		}
		var out []*frame
		for _, item := range sliceOf(v) {
			out = append(out, &frame{outer: r.frame, value: item})
		}
		return out, nil
	case l.over != nil:
		return r.framesAt(l.over), nil
	}
	return []*frame{{outer: r.frame, node: r.item}}, nil
}

// framesAt makes a frame of each node or group of segments at a path. Nodes that
// say nothing are left out; one that was emptied on purpose is told of.
func (r *run) framesAt(p *recordPath) []*frame {
	if p.group != nil {
		return r.groups(p.group)
	}
	var out []*frame
	for _, n := range r.nodesAt(p) {
		if n.Null {
			r.issue(Information, "explicit-null", r.place(n).Path, "the source emptied the field on purpose")
		}
		if !n.Null && !n.Empty() {
			out = append(out, &frame{outer: r.frame, node: n})
		}
	}
	return out
}

// groups cuts the segments at hand into groups. A group starts at each segment
// of the first name and goes on through those of the other names; it ends at any
// other segment but a Z segment, which may stand anywhere.
func (r *run) groups(names []string) []*frame {
	var out []*frame
	var open *frame
	for _, s := range r.segmentsOf(names[0]) {
		switch {
		case s.Name == names[0]:
			open = &frame{outer: r.frame, node: s, root: &tree.Node{Children: []*tree.Node{s}}, segments: names}
			out = append(out, open)
		case open == nil:
		case slices.Contains(names, s.Name):
			open.root.Children = append(open.root.Children, s)
		case s.Name[:min(1, len(s.Name))] != "Z":
			open = nil
		}
	}
	return out
}

// segmentsOf are the segments among which those of a name are looked for: of the
// innermost group that may hold them, or of the record.
func (r *run) segmentsOf(name string) []*tree.Node { return r.rootOf(name).Children }

func (r *run) rootOf(segment string) *tree.Node {
	for f := r.frame; f != nil; f = f.outer {
		if slices.Contains(f.segments, segment) {
			return f.root
		}
	}
	return r.rec.Root
}

// within puts a frame in force while do runs.
func (r *run) within(f *frame, do func() error) error {
	outer, node, listed := r.frame, r.item, r.listed
	item, had := r.env["item"]
	r.enter(f)
	err := do()
	r.frame, r.item, r.listed = outer, node, listed
	if r.env["item"] = item; !had {
		delete(r.env, "item")
	}
	return err
}

// again puts a frame and all around it in force while do runs: nothing else is.
func (r *run) again(f *frame, do func() error) error {
	return r.within(nil, func() error {
		var chain []*frame
		for ; f != nil; f = f.outer {
			chain = append(chain, f)
		}
		for _, f := range slices.Backward(chain) {
			r.enter(f)
		}
		return do()
	})
}

func (r *run) enter(f *frame) {
	r.frame = f
	if f == nil {
		r.item, r.listed = nil, nil
		return
	}
	switch {
	case f.value != nil:
		r.env["item"] = f.value
	case f.node != nil:
		r.item = f.node
		r.env["item"] = trim(leaf(f.node))
	}
	if f.loop == nil {
		return
	}
	if f.loop.foreach != nil {
		r.listed = f.loop.foreach.fields
	} else if f.loop.over != nil {
		r.listed = f.loop.over.noteField(nil)
	}
	for i, v := range f.lets {
		r.env[f.loop.lets[i].name] = v
	}
}

// step counts a step of the engine.
func (r *run) step() error {
	if r.steps++; r.steps > maxSteps {
		return fmt.Errorf("%w: over %d steps", ErrLimit, maxSteps)
	}
	return nil
}
