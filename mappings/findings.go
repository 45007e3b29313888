package mappings

import (
	"strings"

	"github.com/handoff-health/handoff/mappings/field"
	"github.com/handoff-health/handoff/mappings/tree"
)

// coverage counts the fields that no row reads.
func (r *run) coverage() {
	add := func(name string, pos tree.Position) {
		if len(r.result.Unmapped) < maxResources {
			r.result.Unmapped = append(r.result.Unmapped, Unmapped{Field: name, Pos: pos})
		}
	}
	known := func(name string) bool {
		_, ignored := r.m.ignored[name]
		return ignored || r.m.read[name]
	}
	if r.m.shape.elements != nil {
		r.unread(r.rec.Root, "", add)
		return
	}
	for _, n := range r.rec.Root.Children {
		if r.m.shape.columns != nil {
			if trim(n.Text) != "" && !known(n.Name) {
				add(n.Name, n.Pos)
			}
			continue
		}
		if _, ignored := r.m.ignored[n.Name]; ignored {
			continue
		}
		last := ""
		for _, f := range n.Children {
			if name := n.Name + "-" + f.Name; name != last && !f.Empty() && !known(name) {
				add(name, f.Pos)
				last = name
			}
		}
	}
}

// unread goes through the texts of a tree. What stands below an element that is
// left out is left out with it.
func (r *run) unread(n *tree.Node, path string, add func(string, tree.Position)) {
	last := ""
	for _, c := range n.Children {
		at := path + "/" + c.Name
		if _, ignored := r.m.ignored[at]; ignored {
			continue
		}
		if trim(c.Text) != "" && at != last && !r.m.read[at] {
			add(at, r.place(c))
			last = at
		}
		r.unread(c, at, add)
	}
}

// issue notes a finding about the record, each once.
func (r *run) issue(s Severity, code, name, message string) {
	k := issueKey{code: code, field: name}
	if f := r.looped(); f != nil {
		k.item = f.node
	}
	if r.seen[k] || len(r.result.Issues) >= maxResources {
		return
	}
	if r.seen == nil {
		r.seen = map[issueKey]bool{}
	}
	r.seen[k] = true
	r.result.Issues = append(r.result.Issues, Issue{s, code, message, name, r.position(name)})
}

// position finds where a field stands in the input; the record's place if it
// does not.
func (r *run) position(name string) tree.Position {
	if name == "" {
		return r.rec.Pos
	}
	if n := r.rec.Root.First(name); n != nil {
		return n.Pos
	}
	pos := r.rec.Pos
	if p, err := r.m.shape.parsePath(name, place{}); err == nil && (p.hl7 || p.steps != nil) {
		if n := r.nearest(p); n != nil {
			return r.place(n)
		}
		if f := r.looped(); f != nil {
			pos = r.place(f.node) // the item at hand lacks the field
		}
	}
	pos.Path = name
	return pos
}

// looped is the innermost node that a loop of resources is at, nil outside.
func (r *run) looped() *frame {
	for f := r.frame; f != nil; f = f.outer {
		if f.loop != nil && f.loop.over != nil {
			return f
		}
	}
	return nil
}

// nearest is the first node at a path, in the item at hand if the path leads
// through it. Fields are named by paths without predicates.
func (r *run) nearest(p *recordPath) *tree.Node {
	if p.hl7 {
		if found := p.find(r, r.rootOf(p.names[0]), nil, nil); len(found) > 0 {
			return found[0]
		}
		return nil
	}
	found := p.find(r, r.rec.Root, nil, nil)
	f := r.looped()
	for _, n := range found {
		if f == nil || !strings.HasPrefix(p.full+"/", f.loop.over.full+"/") {
			return n
		}
		for up := n; up != nil; up = r.above(up) {
			if up == f.node {
				return n
			}
		}
	}
	return nil
}

// report turns the findings of a value into issues.
func (r *run) report(v any, name string) {
	report, ok := v.(field.Report)
	if !ok {
		return
	}
	for _, f := range report.Report() {
		r.issue([...]Severity{Information, Warning, Error}[f.Level], f.Code, name, f.Message)
	}
}
