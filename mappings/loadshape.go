package mappings

import (
	"regexp"
	"slices"
	"strconv"
)

var segmentName = regexp.MustCompile(`^[A-Z][A-Z0-9]{2}$`)

func (c *compiler) loadShape(root *node) {
	columns, segments, elements := root.get("columns"), root.get("segments"), root.get("elements")
	given := 0
	for _, n := range []*node{columns, segments, elements} {
		if n != nil {
			given++
		}
	}
	if given != 1 {
		root.errorf("a mapping has one of columns, segments or elements")
		return
	}
	if elements != nil {
		c.loadElements(root)
		return
	}
	if columns != nil {
		c.loadColumns(root)
		return
	}
	c.m.shape.segments = map[string]int{}
	for i, k := range segments.keys {
		last, err := strconv.Atoi(segments.values[i].text)
		if !segmentName.MatchString(k) || err != nil || last < 1 || last > 200 {
			segments.keyNodes[i].errorf("a segment is three capitals or digits with the number of its last field")
			continue
		}
		c.m.shape.segments[k] = last
	}
}

var elementForm = regexp.MustCompile(`^@?[A-Za-z_][\w.:-]*(/@?[A-Za-z_][\w.:-]*)*$`)

// loadElements reads the paths of a tree, from its root: "Incident/Person/Name".
func (c *compiler) loadElements(root *node) {
	c.m.shape.elements = []string{}
	list := root.list("elements")
	if len(list) > maxElements {
		root.get("elements").errorf("the mapping has more than %d elements", maxElements)
		return
	}
	for _, n := range list {
		switch {
		case !elementForm.MatchString(n.text):
			n.errorf("an element is a path of names: Incident/Person/Name, Incident/@id")
		case slices.Contains(c.m.shape.elements, n.text):
			n.errorf("the element %q is there twice", n.text)
		default:
			c.m.shape.elements = append(c.m.shape.elements, n.text)
		}
	}
}
