package mappings

import (
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// An overlay is a profile file as it stands: what it adds to a mapping or
// changes in it is read again with each mapping that is loaded for it.
type overlay struct {
	name string
	raw  []byte
	fsys fs.FS
}

// overlayKeys are the keys of a profile that speak of the mapping.
var overlayKeys = []string{"kinds", "columns", "segments", "elements", "vocabularies", "datatypes", "ignore", "override"}

var overrideKeys = []string{"let", "outcomes", "checks", "key", "record-version", "record-groups", "record-scope", "merges", "rowsets", "datatypes", "resources"}

// overlay lays a profile over the mapping: root is changed as if the mapping's
// own file said so, each node keeps its place.
func (c *compiler) overlay(root *node, o overlay) {
	over := parseYAML(o.name, o.raw, &c.errs)
	if over == nil || over.kind != yamlMap {
		return
	}
	over.src.fsys = o.fsys
	for _, key := range []string{"kinds", "columns", "elements", "datatypes"} {
		c.extend(root, over, key)
	}
	c.overlayMap(root, over, "segments", c.widerSegment)
	c.overlayMap(root, over, "ignore", func(_, now *node) *node { return now })
	c.overlayMap(root, over, "vocabularies", func(old, now *node) *node {
		list := &node{src: now.src, kind: yamlList, line: now.line, column: now.column, values: []*node{now}}
		if old.kind == yamlList {
			list.values = append(slices.Clone(old.values), now)
		} else {
			list.values = []*node{old, now}
		}
		return list
	})
	if ov := over.get("override"); ov != nil && ov.strict("override", overrideKeys...) {
		c.override(root, ov)
	}
}

// extend adds to a list of the mapping. What a format is made of can be added to
// only where the mapping has it.
func (c *compiler) extend(root, over *node, key string) {
	added := over.get(key)
	if added == nil {
		return
	}
	items := over.list(key)
	old := root.get(key)
	if old == nil {
		if key == "columns" || key == "elements" {
			added.errorf("the mapping has no %s", key)
			return
		}
		root.set(over, key, added)
		return
	}
	if old.kind == yamlScalar {
		old = &node{src: old.src, kind: yamlList, line: old.line, column: old.column, values: []*node{old}}
	}
	merged := *old
	merged.values = append(slices.Clone(old.values), items...)
	root.set(over, key, &merged)
}

// overlayMap adds to a map of the mapping; both says what a key in both means.
func (c *compiler) overlayMap(root, over *node, key string, both func(old, now *node) *node) {
	added := over.get(key)
	if added == nil {
		return
	}
	if added.kind != yamlMap {
		added.errorf("%q must be a map", key)
		return
	}
	old := root.get(key)
	if old == nil && key == "segments" {
		added.errorf("the mapping has no segments")
		return
	}
	merged := &node{src: added.src, kind: yamlMap, line: added.line, column: added.column}
	if old != nil {
		merged = &node{src: old.src, kind: yamlMap, line: old.line, column: old.column,
			keys: slices.Clone(old.keys), keyNodes: slices.Clone(old.keyNodes), values: slices.Clone(old.values)}
	}
	for i, k := range added.keys {
		if j := slices.Index(merged.keys, k); j >= 0 {
			merged.values[j] = both(merged.values[j], added.values[i])
			continue
		}
		merged.keys = append(merged.keys, k)
		merged.keyNodes = append(merged.keyNodes, added.keyNodes[i])
		merged.values = append(merged.values, added.values[i])
	}
	root.set(over, key, merged)
}

// widerSegment refuses to take fields away: rows of the base may read them.
func (c *compiler) widerSegment(old, now *node) *node {
	a, _ := strconv.Atoi(old.text)
	if b, err := strconv.Atoi(now.text); err == nil && b < a {
		now.errorf("the base has %d fields in the segment: a sender can add fields, not take them away", a)
		return old
	}
	return now
}

// set gives a map's key a value; the key's place is that in from.
func (n *node) set(from *node, key string, value *node) {
	at := value
	if from != nil {
		if i := slices.Index(from.keys, key); i >= 0 {
			at = from.keyNodes[i]
		}
	}
	if i := slices.Index(n.keys, key); i >= 0 {
		n.keyNodes[i], n.values[i] = at, value
		return
	}
	n.keys, n.keyNodes, n.values = append(n.keys, key), append(n.keyNodes, at), append(n.values, value)
}

// unset takes a key away.
func (n *node) unset(key string) bool {
	i := slices.Index(n.keys, key)
	if i < 0 {
		return false
	}
	n.keys, n.keyNodes, n.values = slices.Delete(n.keys, i, i+1), slices.Delete(n.keyNodes, i, i+1), slices.Delete(n.values, i, i+1)
	return true
}

// path is the file that a scalar names: beside the file in which it stands, or
// from the root if it starts with a slash.
func (n *node) path() string {
	if rest, ok := strings.CutPrefix(n.text, "/"); ok {
		return rest
	}
	return path.Join(path.Dir(n.src.name), n.text)
}
