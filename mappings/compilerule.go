package mappings

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/mappings/schema"
)

var (
	ruleKeys  = []string{"id", "type", "contained-in", "owned", "optional", "stub", "include", "let", "when", "foreach", "over", "system", "key", "rows", "note"}
	groupKeys = []string{"let", "when", "foreach", "over", "resources", "note"}
)

func (c *compiler) loadResources(root *node) {
	if len(root.list("resources")) == 0 {
		root.errorf("the mapping has no resources")
	}
	c.locals, c.homes, c.looped = map[string]*schema.Type{}, map[string]*entry{}, map[string]bool{}
	c.nameResources(root, 0) // names first: rows may refer forward
	c.m.entries = c.compileEntries(root, c.scope, nil)
	for i, r := range c.m.rules { // all of them first: rows may refer forward
		c.nameSlots(r, i, c.ruleNodes[i])
	}
	for _, in := range c.contained {
		if c.homes[in.holder.text] != c.homes[in.id] || c.looped[in.holder.text] {
			in.holder.errorf("%q is not made for the same item as what it shall contain: put both into one group", in.holder.text)
		}
	}
}

// nameResources notes the local names of resources, in groups too.
func (c *compiler) nameResources(root *node, depth int) {
	for _, n := range root.list("resources") {
		if n.get("resources") != nil {
			if depth >= maxLoops {
				n.errorf("groups of resources are nested more than %d deep", maxLoops)
				continue
			}
			c.nameResources(n, depth+1)
			continue
		}
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
		if t.Name == "Condition" && c.m.shape.segments == nil {
			typ.errorf("\"Condition\" is not a resource type that mappings make of this format: a diagnosis comes from HL7 v2, a police record never becomes one")
			continue
		}
		c.locals[id.text] = t
	}
}

// compileEntries compiles resources and groups of them. home is the group that
// they stand in.
func (c *compiler) compileEntries(root *node, s scope, home *entry) []*entry {
	var out []*entry
	for _, n := range root.list("resources") {
		if e := c.compileEntry(n, s, home); e != nil {
			out = append(out, e)
		}
	}
	return out
}

func (c *compiler) compileEntry(n *node, s scope, home *entry) *entry {
	e := &entry{}
	if n.get("resources") != nil {
		if !n.strict("a group of resources", groupKeys...) {
			return nil
		}
		e.loop, s = c.compileLoop(n, s)
		if e.entries = c.compileEntries(n, s, e); len(e.entries) == 0 {
			n.errorf("the group has no resources")
		}
		return e
	}
	if !n.strict("a resource", ruleKeys...) || n.get("id") == nil || c.locals[n.get("id").text] == nil {
		return nil
	}
	id := n.get("id").text
	c.homes[id] = home
	if n.get("over") != nil || n.get("foreach") != nil || n.get("let") != nil {
		e.loop, s = c.compileLoop(n, s)
		c.looped[id] = n.get("over") != nil || n.get("foreach") != nil
	}
	e.rule = c.compileRule(n, s, e.loop != nil)
	c.m.rules, c.ruleNodes = append(c.m.rules, e.rule), append(c.ruleNodes, n)
	return e
}

// compileLoop compiles what a resource or a group goes through, and returns the
// scope inside.
func (c *compiler) compileLoop(n *node, s scope) (*loop, scope) {
	l := &loop{at: n.at()}
	c.loops = append(c.loops, l)
	f, o := n.get("foreach"), n.get("over")
	switch {
	case f != nil && o != nil:
		o.errorf("a resource has foreach or over, not both")
	case f != nil:
		l.foreach, s = c.compileForeach(f, s)
	case o != nil:
		p, err := c.m.shape.parseOver(o.text, s.place)
		if err != nil {
			o.errorf("%v", err)
			s.place = place{inItem: true}
		} else {
			l.over = p
			s.place = p.below(s.place)
		}
		s = s.with("item", "")
	}
	l.lets, s = c.compileLets(n, s)
	if w := n.get("when"); w != nil {
		l.when = c.compileExpr(w, s, reflect.Bool)
		l.stage = l.stageOf(l.when)
	}
	return l, s
}

// stageOf finds how early a condition of the loop can be judged.
func (l *loop) stageOf(when *program) stage {
	if when == nil {
		return onceBefore
	}
	for _, x := range l.lets {
		if slices.Contains(when.names, x.name) {
			return afterLets
		}
	}
	inside := func(p *recordPath) bool {
		return p.relative || l.over != nil && len(p.names) > 0 && slices.Contains(l.over.group, p.names[0])
	}
	counts := l.over != nil && l.over.group != nil && slices.Contains(when.names, "segments")
	if counts || slices.Contains(when.names, "item") || slices.ContainsFunc(when.paths, inside) {
		return eachItem
	}
	return onceBefore
}

// compileRule compiles one resource. looped says that its condition belongs to
// its loop.
func (c *compiler) compileRule(n *node, s scope, looped bool) *rule {
	r := &rule{local: n.string("id", true), at: n.at(), owned: n.bool("owned"), optional: n.bool("optional"), stub: n.bool("stub")}
	if r.stub && (r.owned || n.get("contained-in") != nil) {
		n.get("stub").errorf("a stub stands alone and is shared: it cannot be owned or contained")
	}
	r.typ = c.locals[r.local]
	if w := n.get("when"); w != nil && !looped {
		r.when = c.compileExpr(w, s, reflect.Bool)
	}
	c.compileIdentity(n, r, s)
	for _, name := range n.list("include") {
		set := c.rowsets[name.text]
		if set == nil {
			name.errorf("unknown rowset %q%s", name.text, didYouMean(name.text, slices.Sorted(maps.Keys(c.rowsets))))
			continue
		}
		r.rows = append(r.rows, c.compileRows(set, n, r.typ, s)...)
	}
	r.rows = append(r.rows, c.compileRows(n.get("rows"), n, r.typ, s)...)
	return r
}

// A containment is a resource inside another one; whether both are made for the
// same items is seen once all are compiled.
type containment struct {
	id     string
	holder *node
}

// compileIdentity compiles what a resource is known by: system and key, or the
// resource that contains it.
func (c *compiler) compileIdentity(n *node, r *rule, s scope) {
	in := n.get("contained-in")
	if in == nil {
		for _, k := range []struct {
			name string
			to   **program
		}{{"system", &r.system}, {"key", &r.key}} {
			if e := n.get(k.name); e != nil {
				*k.to = c.compileExpr(e, s, reflect.String)
			} else {
				n.errorf("the key %q is missing: an id needs a system and a key at the source", k.name)
			}
		}
		return
	}
	r.contained = in.text
	if c.locals[in.text] == nil || in.text == r.local {
		in.errorf("unknown resource %q%s", in.text, didYouMean(in.text, c.localNames()))
		return
	}
	if n.get("key") != nil || n.get("system") != nil || n.get("foreach") != nil || n.get("over") != nil {
		in.errorf("a contained resource has no key, system, foreach or over of its own")
	}
	c.contained = append(c.contained, containment{r.local, in})
}
