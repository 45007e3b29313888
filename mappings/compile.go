package mappings

import (
	"maps"
	"reflect"
	"slices"

	"github.com/handoff-health/handoff/mappings/schema"
)

// loadDatatypes reads the files of reusable rows: {datatypes: {cx: {type:
// Identifier, rows: […]}}}.
func (c *compiler) loadDatatypes(root *node) {
	for _, n := range root.list("datatypes") {
		doc := c.include(n, "datatype")
		if doc == nil || !doc.strict("a datatype file", "datatypes", "note") {
			continue
		}
		types := doc.get("datatypes")
		if types == nil || types.kind != yamlMap {
			doc.errorf("the key \"datatypes\" is missing")
			continue
		}
		for i, name := range types.keys {
			c.loadDatatype(name, types.keyNodes[i], types.values[i])
		}
	}
	for _, ch := range c.typeChanges {
		if c.datatypes[ch.name] == nil {
			ch.at.errorf("the base has no datatype %q%s", ch.name, didYouMean(ch.name, slices.Sorted(maps.Keys(c.datatypes))))
		}
	}
}

// include parses a file that n names.
func (c *compiler) include(n *node, kind string) *node {
	if n.kind != yamlScalar {
		n.errorf("a %s file is named by its path", kind)
		return nil
	}
	file := n.path()
	raw, err := c.read(n.src.fsys, file)
	if err != nil {
		n.errorf("the %s file %q %s", kind, file, unreadable(err))
		return nil
	}
	doc := parseYAML(file, raw, &c.errs)
	if doc != nil {
		doc.src.fsys = n.src.fsys
	}
	return doc
}

func (c *compiler) loadDatatype(name string, key, n *node) {
	if !n.strict("a datatype", "type", "rows", "note") {
		return
	}
	if c.datatypes[name] != nil {
		key.errorf("the datatype %q is there twice", name)
		return
	}
	for _, ch := range c.typeChanges {
		if ch.name == name {
			c.change(n, "rows", "the datatype "+name, ch.ops)
		}
	}
	typ := datatypeNamed(n.string("type", true))
	if typ == nil {
		if t := n.get("type"); t != nil {
			t.errorf("unknown FHIR data type %q", t.text)
		}
		return
	}
	s := c.scope.with("item", "")
	s.place = place{inItem: true}
	d := &datatype{name: name, typ: typ}
	c.datatypes[name] = d // before its rows, so that a cycle is seen as unfinished
	before := c.rowCount
	d.rows = c.compileRows(n.get("rows"), n, typ, s)
	d.size = c.rowCount - before
	c.noSlots(d.rows)
}

// datatypeNamed finds a data type by walking the resource types.
func datatypeNamed(name string) *schema.Type {
	seen := map[*schema.Type]bool{}
	var find func(t *schema.Type, depth int) *schema.Type
	find = func(t *schema.Type, depth int) *schema.Type {
		if t.Name == name && !t.Resource {
			return t
		}
		if seen[t] || depth > 4 {
			return nil
		}
		seen[t] = true
		for _, e := range t.Elements {
			if e.Kind == schema.Complex {
				if found := find(e.Type(), depth+1); found != nil {
					return found
				}
			}
		}
		return nil
	}
	for _, r := range schema.Resources() {
		if found := find(schema.Lookup(r), 0); found != nil {
			return found
		}
	}
	return nil
}

// loadRowsets notes the named lists of rows that resources include, of the mapping
// and of the files that it shares with others; they are compiled where they are
// used, against the type of the resource and the names of the mapping at hand.
func (c *compiler) loadRowsets(root *node) {
	c.rowsets = map[string]*node{}
	for _, n := range root.list("rowset-files") {
		if doc := c.include(n, "rowset"); doc != nil && doc.strict("a rowset file", "rowsets", "note") {
			c.addRowsets(doc.get("rowsets"))
		}
	}
	c.addRowsets(root.get("rowsets"))
	for _, ch := range c.rowsetChanges {
		if c.rowsets[ch.name] == nil {
			ch.at.errorf("the base has no rowset %q%s", ch.name, didYouMean(ch.name, slices.Sorted(maps.Keys(c.rowsets))))
			continue
		}
		holder := &node{src: ch.at.src, kind: yamlMap}
		holder.set(nil, ch.name, c.rowsets[ch.name])
		c.change(holder, ch.name, "the rowset "+ch.name, ch.ops)
		c.rowsets[ch.name] = holder.get(ch.name)
	}
}

func (c *compiler) addRowsets(n *node) {
	if n == nil {
		return
	}
	if n.kind != yamlMap {
		n.errorf("rowsets must be a map of name: rows")
		return
	}
	for i, name := range n.keys {
		if c.rowsets[name] != nil {
			n.keyNodes[i].errorf("the rowset %q is there twice", name)
		}
		c.rowsets[name] = n.values[i]
	}
}

// compileForeach compiles the list of a foreach and adds item to the scope.
func (c *compiler) compileForeach(n *node, s scope) (*program, scope) {
	p := c.compileExpr(n, s, reflect.Invalid)
	if p == nil {
		return nil, s.with("item", "")
	}
	if p.typ == nil || p.typ.Kind() != reflect.Slice {
		n.errorf("foreach needs a list")
		return nil, s.with("item", "")
	}
	sample := reflect.Zero(p.typ.Elem())
	if p.typ.Elem().Kind() == reflect.Interface {
		n.errorf("the type of the list's items is not known")
		return nil, s.with("item", "")
	}
	return p, s.with("item", sample.Interface())
}
