package mappings

import (
	"path"
	"reflect"
	"strings"

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

var ruleKeys = []string{"id", "type", "contained-in", "owned", "optional", "stub", "include", "when", "foreach", "over", "system", "key", "rows", "note"}

func (c *compiler) loadResources(root *node) {
	list := root.list("resources")
	if len(list) == 0 {
		root.errorf("the mapping has no resources")
	}
	c.locals = map[string]*schema.Type{}
	for _, n := range list { // names first: rows may refer forward
		id, typ := n.get("id"), n.get("type")
		if id == nil || typ == nil {
			n.errorf("a resource has an id (its name inside the mapping) and a type")
			continue
		}
		if c.locals[id.text] != nil {
			id.errorf("the id %q is there twice", id.text)
		}
		t := schema.Lookup(typ.text)
		if t == nil {
			typ.errorf("%q is not a resource type that mappings make: %s", typ.text, strings.Join(schema.Resources(), ", "))
			continue
		}
		c.locals[id.text] = t
	}
	for _, n := range list {
		if n.strict("a resource", ruleKeys...) && n.get("id") != nil && c.locals[n.get("id").text] != nil {
			c.m.rules = append(c.m.rules, c.compileRule(n))
		}
	}
}

func (c *compiler) compileRule(n *node) *rule {
	r := &rule{local: n.string("id", true), at: n.at(), owned: n.bool("owned"), optional: n.bool("optional"), stub: n.bool("stub")}
	if r.stub && (r.owned || n.get("contained-in") != nil) {
		n.get("stub").errorf("a stub stands alone and is shared: it cannot be owned or contained")
	}
	r.typ = c.locals[r.local]
	s := c.scope
	if w := n.get("when"); w != nil {
		r.when = c.compileExpr(w, s, reflect.Bool)
	}
	if f := n.get("foreach"); f != nil {
		r.foreach, s = c.compileForeach(f, s)
	}
	if o := n.get("over"); o != nil {
		p, err := c.m.shape.parsePath(o.text, s.place)
		switch {
		case err != nil:
			o.errorf("%v", err)
		case r.foreach != nil:
			o.errorf("a resource has foreach or over, not both")
		default:
			r.over = p
			s = s.with("item", "")
			s.place = p.below(s.place)
		}
	}
	if in := n.get("contained-in"); in != nil {
		r.contained = in.text
		if c.locals[in.text] == nil || in.text == r.local {
			in.errorf("unknown resource %q", in.text)
		}
		if n.get("key") != nil || n.get("system") != nil || r.foreach != nil || r.over != nil {
			in.errorf("a contained resource has no key, system, foreach or over of its own")
		}
	} else {
		for key, p := range map[string]**program{"system": &r.system, "key": &r.key} {
			if k := n.get(key); k != nil {
				*p = c.compileExpr(k, s, reflect.String)
			} else {
				n.errorf("the key %q is missing: an id needs a system and a key at the source", key)
			}
		}
	}
	for _, name := range n.list("include") {
		set := c.rowsets[name.text]
		if set == nil {
			name.errorf("unknown rowset %q", name.text)
			continue
		}
		r.rows = append(r.rows, c.compileRows(set, n, r.typ, s)...)
	}
	r.rows = append(r.rows, c.compileRows(n.get("rows"), n, r.typ, s)...)
	return r
}

// loadRowsets notes the named lists of rows that resources include; they are
// compiled where they are used, against the type of the resource.
func (c *compiler) loadRowsets(n *node) {
	c.rowsets = map[string]*node{}
	if n == nil {
		return
	}
	if n.kind != yamlMap {
		n.errorf("rowsets must be a map of name: rows")
		return
	}
	for i, name := range n.keys {
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
