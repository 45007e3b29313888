package mappings

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/handoff-health/handoff/mappings/tree"
)

// A recordPath addresses nodes of a record: a column ("DOB"), an HL7 v2 field
// ("PID-5.1"), an element of a tree ("/Incident/Person[Role='Subject']/Name"),
// or, with a leading dot, parts of the node at hand (".4.2", "./Name/First";
// "." is that node).
type recordPath struct {
	text     string
	relative bool
	names    []string // child names from the root or the node at hand; for HL7 the segment first
	hl7      bool
	steps    []step   // of a tree
	up       int      // the leading .. among steps
	tests    []string // elements that predicates read, as full
	group    []string // of segments: PID+PD1; then there is nothing else
	full     string   // of a tree: from the root without predicates, "/Incident/Person"; "" if that depends on the place of use
}

var hl7Path = regexp.MustCompile(`^([A-Z][A-Z0-9]{2})-(\d{1,3})((?:\.\d{1,2}){0,2})$`)

// shape is what a format's paths may name.
type shape struct {
	columns  []string       // of a delimited format, in order
	fields   []Column       // the same, with the names that headers use
	segments map[string]int // of HL7 v2: segment → its last field
	elements []string       // of a tree: the paths that the decoder may give, from the root: "Incident/Person/Name"
}

// parsePath reads a path and checks it against the shape. at is the place of the
// node at hand, for relative paths.
func (s *shape) parsePath(text string, at place) (*recordPath, error) {
	inItem := at.inItem
	if s.elements != nil {
		return s.parseTree(text, at)
	}
	if rest, ok := strings.CutPrefix(text, "."); ok {
		if !inItem {
			return nil, fmt.Errorf("the path %q is relative, but there is no item here", text)
		}
		p := &recordPath{text: text, relative: true, hl7: s.segments != nil}
		for _, part := range strings.Split(rest, ".") {
			if rest == "" {
				break
			}
			if n, err := strconv.Atoi(part); err != nil || n < 1 || n > 99 {
				return nil, fmt.Errorf("the path %q is not of the form .1 or .4.2", text)
			}
			p.names = append(p.names, part)
		}
		return s.inGroup(p, at)
	}
	if s.segments == nil {
		if !slices.Contains(s.columns, text) {
			return nil, fmt.Errorf("unknown column %q%s", text, didYouMean(text, s.columns))
		}
		return &recordPath{text: text, names: []string{text}}, nil
	}
	m := hl7Path.FindStringSubmatch(text)
	if m == nil {
		return nil, fmt.Errorf("the path %q is not of the form PID-5 or PID-5.1", text)
	}
	last, known := s.segments[m[1]]
	if !known {
		return nil, fmt.Errorf("unknown segment %q in the path %q%s", m[1], text, didYouMean(m[1], s.segmentNames()))
	}
	if n, _ := strconv.Atoi(m[2]); n < 1 || n > last {
		return nil, fmt.Errorf("the segment %s has no field %s (its last is %d)", m[1], m[2], last)
	}
	p := &recordPath{text: text, hl7: true, names: []string{m[1], m[2]}}
	for _, c := range strings.Split(m[3], ".")[1:] {
		if c == "0" {
			return nil, fmt.Errorf("components count from 1 in the path %q", text)
		}
		p.names = append(p.names, c)
	}
	return p, nil
}

// inGroup completes a relative path: below a segment it names a field.
func (s *shape) inGroup(p *recordPath, at place) (*recordPath, error) {
	last, segment := s.segments[at.base]
	if !segment || len(p.names) == 0 {
		return p, nil
	}
	if n, _ := strconv.Atoi(p.names[0]); n > last {
		return nil, fmt.Errorf("the segment %s has no field %s (its last is %d)", at.base, p.names[0], last)
	}
	p.full = at.base + "-" + p.names[0]
	return p, nil
}

func (s *shape) segmentNames() []string { return slices.Sorted(maps.Keys(s.segments)) }

var groupForm = regexp.MustCompile(`^[A-Z][A-Z0-9]{2}(\+[A-Z][A-Z0-9]{2})*$`)

// parseOver reads what a loop goes over: a path, or for HL7 v2 a group of
// segments (PID+PD1+NK1): one that starts it and those that may follow in it.
func (s *shape) parseOver(text string, at place) (*recordPath, error) {
	if s.columns != nil {
		return nil, errors.New("a table has nothing to go over: foreach goes through the items of a list")
	}
	if s.segments == nil || !groupForm.MatchString(text) {
		return s.parsePath(text, at)
	}
	p := &recordPath{text: text, hl7: true, group: strings.Split(text, "+")}
	for i, name := range p.group {
		if s.segments[name] == 0 {
			return nil, fmt.Errorf("unknown segment %q in the group %q%s", name, text, didYouMean(name, s.segmentNames()))
		}
		if slices.Contains(p.group[:i], name) {
			return nil, fmt.Errorf("the segment %s is there twice in the group %q", name, text)
		}
	}
	return p, nil
}

// field is the path's column or HL7 field, which coverage is counted by.
func (p *recordPath) field() string {
	if p.steps != nil || p.full != "" {
		return p.full
	}
	if p.hl7 && len(p.names) >= 2 {
		return p.names[0] + "-" + p.names[1]
	}
	if len(p.names) > 0 {
		return p.names[0]
	}
	return ""
}

// noteField adds the path's field, if it is known without the place of use.
func (p *recordPath) noteField(to []string) []string {
	if p == nil || p.group != nil || p.relative && p.full == "" {
		return to
	}
	return append(append(to, p.field()), p.tests...)
}

// find returns the nodes that the path names, in order, of all repetitions of
// segment and field.
func (p *recordPath) find(r *run, root, item *tree.Node, into []*tree.Node) []*tree.Node {
	if p.steps != nil {
		if !p.relative {
			item = root
		}
		return r.walk(item, p.steps, into)
	}
	if !p.relative {
		if !p.hl7 {
			if n := root.First(p.names[0]); n != nil {
				into = append(into, n)
			}
			return into
		}
		r.visits += len(root.Children)
		for _, segment := range root.Children {
			if segment.Name != p.names[0] {
				continue
			}
			for _, f := range segment.Children {
				if f.Name == p.names[1] {
					if n := down(f, p.names[2:]); n != nil {
						into = append(into, n)
					}
				}
			}
		}
		return into
	}
	if n := down(item, p.names); n != nil {
		into = append(into, n)
	}
	return into
}

func down(n *tree.Node, names []string) *tree.Node {
	for _, name := range names {
		n = n.Part(name)
	}
	return n
}

// leaf is the text of a node: its own, or that of its first part, because
// HL7 v2 lets a field grow components in a later version.
func leaf(n *tree.Node) string {
	for n != nil && n.Text == "" && len(n.Children) > 0 {
		n = n.First("1")
	}
	return n.Value()
}
