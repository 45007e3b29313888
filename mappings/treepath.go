package mappings

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/mappings/tree"
)

// A place is where in a record an expression or a row stands.
type place struct {
	inItem bool
	// base is the path of the node at hand in a tree; "" if it is not known (a
	// datatype is used in several places). In HL7 v2 the segment at hand.
	base string
}

// A step goes from a node of a tree to its children of one name, all of them or
// those in which the element predicate has a text.
type step struct {
	name                 string
	predicate, predValue string
}

var treeStep = regexp.MustCompile(`^(@?[A-Za-z_][\w.:-]*)(?:\[(@?[A-Za-z_][\w.:-]*)='([^']*)'\])?$`)

// parseTree reads "/Incident/Person[Role='Subject']/Name", "./Name/First" or ".".
func (s *shape) parseTree(text string, at place) (*recordPath, error) {
	rest, absolute := strings.CutPrefix(text, "/")
	p := &recordPath{text: text, relative: !absolute, steps: []step{}}
	if !absolute {
		if !strings.HasPrefix(text, ".") {
			return nil, fmt.Errorf("the path %q starts neither with / (the record) nor with . (the item)", text)
		}
		if !at.inItem {
			return nil, fmt.Errorf("the path %q is relative, but there is no item here", text)
		}
		if text == "." {
			if at.base != "" {
				p.full = "/" + at.base
			}
			return p, nil
		}
		var ok bool
		if rest, ok = strings.CutPrefix(text, "./"); !ok {
			if rest = text; !strings.HasPrefix(text, "../") && text != ".." {
				return nil, fmt.Errorf("the path %q is not of the form ./Name/First or ../Role", text)
			}
		}
	}
	for _, part := range splitSteps(rest) {
		if part == ".." && p.relative && at.base != "" && len(p.names) == p.up {
			p.up++
			p.steps, p.names = append(p.steps, step{name: part}), append(p.names, part)
			continue
		}
		m := treeStep.FindStringSubmatch(part)
		if m == nil {
			return nil, fmt.Errorf("the path %q has the step %q, which is not of the form Name, @name or Name[Role='x']", text, part)
		}
		p.steps = append(p.steps, step{m[1], m[2], m[3]})
		p.names = append(p.names, m[1])
	}
	if p.up > 0 && p.up > strings.Count(at.base, "/") {
		return nil, fmt.Errorf("the path %q leaves the record: the item is at /%s", text, at.base)
	}
	if missing := s.lacks(p, at); missing != "" {
		return nil, fmt.Errorf("unknown element %q in the path %q%s", missing, text, didYouMean(missing, s.known()))
	}
	if inside := p.below(at).base; inside != "" {
		p.full = "/" + inside
		for i, s := range p.steps {
			if s.predicate != "" {
				p.tests = append(p.tests, "/"+p.to(i+1, at)+"/"+s.predicate)
			}
		}
	}
	return p, nil
}

// splitSteps splits at the slashes that are not inside a predicate's text.
func splitSteps(s string) []string {
	var out []string
	start, quoted := 0, false
	for i := range len(s) {
		switch {
		case s[i] == '\'':
			quoted = !quoted
		case s[i] == '/' && !quoted:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

// lacks returns the part of a path that no element of the shape has, or "".
func (s *shape) lacks(p *recordPath, at place) string {
	if p.relative && at.base == "" { // a datatype: somewhere in the tree
		way := strings.Join(p.names, "/")
		if slices.ContainsFunc(s.elements, func(e string) bool { return strings.Contains("/"+e+"/", "/"+way+"/") }) {
			return ""
		}
		return way
	}
	if way := p.to(len(p.names), at); !s.has(way) {
		return way
	}
	for i, step := range p.steps {
		if step.predicate == "" {
			continue
		}
		if holder := p.to(i+1, at); !s.has(holder + "/" + step.predicate) {
			return holder + "/" + step.predicate
		}
	}
	return ""
}

// to is where the first n steps of a path lead, from the root, without predicates.
func (p *recordPath) to(n int, at place) string {
	way := strings.Join(p.names[:n], "/")
	if p.relative {
		way = path.Clean(at.base + "/" + way)
	}
	return way
}

func (s *shape) has(path string) bool {
	return slices.ContainsFunc(s.elements, func(e string) bool { return e == path || strings.HasPrefix(e, path+"/") })
}

// known lists the elements with everything above them.
func (s *shape) known() []string {
	var out []string
	for _, e := range s.elements {
		for i := range len(e) {
			if e[i] == '/' && !slices.Contains(out, e[:i]) {
				out = append(out, e[:i])
			}
		}
		out = append(out, e)
	}
	return out
}

// below is the place inside the nodes that p names.
func (p *recordPath) below(at place) place {
	switch {
	case p.group != nil:
		return place{inItem: true, base: p.group[0]}
	case p.hl7, p.relative && at.base == "":
		return place{inItem: true}
	}
	return place{inItem: true, base: p.to(len(p.names), at)}
}

// base is the element that a path leads to from base.
func (p *recordPath) base(base string) string {
	switch {
	case p.full != "":
		return p.full
	case base == "" || p.steps == nil:
		return ""
	}
	return path.Join(base, strings.Join(p.names, "/"))
}

// fieldsBelow adds what a relative path of a datatype reads where that is used.
func (p *recordPath) fieldsBelow(base string, to []string) []string {
	if p.full != "" || p.steps == nil || base == "" {
		return to
	}
	to = append(to, p.base(base))
	for i, s := range p.steps {
		if s.predicate != "" {
			to = append(to, path.Join(base, strings.Join(p.names[:i+1], "/"), s.predicate))
		}
	}
	return to
}

// walk collects the nodes that steps lead to from n, through all repetitions.
func (r *run) walk(n *tree.Node, steps []step, into []*tree.Node) []*tree.Node {
	if n == nil {
		return into
	}
	if len(steps) == 0 {
		return append(into, n)
	}
	s := &steps[0]
	if s.name == ".." {
		return r.walk(r.above(n), steps[1:], into)
	}
	r.visits += len(n.Children)
	for _, c := range n.Children {
		if c.Name == s.name && (s.predicate == "" || s.holds(c)) {
			into = r.walk(c, steps[1:], into)
		}
	}
	return into
}

func (s *step) holds(n *tree.Node) bool {
	return slices.ContainsFunc(n.All(s.predicate), func(c *tree.Node) bool { return trim(c.Text) == s.predValue })
}
