package mappings

import (
	"path"
	"reflect"

	"github.com/handoff-health/handoff/mappings/schema"
)

// loadDatatypes reads the files of reusable rows: {datatypes: {cx: {type:
// Identifier, rows: […]}}}.
func (c *compiler) loadDatatypes(root *node) {
	for _, n := range root.list("datatypes") {
		file := path.Join(c.dir, n.text)
		raw, err := readFile(c.fsys, file)
		if err != nil {
			n.errorf("the datatype file %q cannot be read", file)
			continue
		}
		doc := parseYAML(file, raw, &c.errs)
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
}

func (c *compiler) loadDatatype(name string, key, n *node) {
	if !n.strict("a datatype", "type", "rows", "note") {
		return
	}
	if c.datatypes[name] != nil {
		key.errorf("the datatype %q is there twice", name)
		return
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
	d.rows = c.compileRows(n.get("rows"), n, typ, s)
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
		file := path.Join(c.dir, n.text)
		raw, err := readFile(c.fsys, file)
		if err != nil {
			n.errorf("the rowset file %q cannot be read", file)
			continue
		}
		if doc := parseYAML(file, raw, &c.errs); doc != nil && doc.strict("a rowset file", "rowsets", "note") {
			c.addRowsets(doc.get("rowsets"))
		}
	}
	c.addRowsets(root.get("rowsets"))
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
