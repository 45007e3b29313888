package mappings

import (
	"reflect"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/mappings/schema"
)

func (c *compiler) compileRows(list, parent *node, typ *schema.Type, s scope) []*row {
	if list == nil || list.kind != yamlList {
		parent.errorf("the key \"rows\" is missing or is not a list")
		return nil
	}
	var rows []*row
	for _, n := range list.values {
		if r := c.compileRow(n, typ, s); r != nil {
			rows = append(rows, r)
		}
	}
	return rows
}

var (
	rowKeys    = []string{"to", "from", "expr", "value", "ref", "rows", "use", "foreach", "over", "vocab", "as", "when", "else", "absent", "required", "name", "delete", "default", "note"}
	sourceKeys = []string{"expr", "value", "ref", "rows", "from"}
)

func (c *compiler) compileRow(n *node, typ *schema.Type, s scope) *row {
	if c.rowCount++; c.rowCount >= maxRows {
		if !c.tooMany {
			c.tooMany = true
			n.errorf("the mapping has more than %d rows, with those of rowsets and datatypes where they are used", maxRows)
		}
		return nil
	}
	if !n.strict("a row", rowKeys...) {
		return nil
	}
	r := &row{at: n.at(), to: n.string("to", true), required: n.bool("required")}
	if r.to == "" || !c.resolve(r, n.get("to"), typ) {
		return nil
	}
	var given []string
	for _, k := range sourceKeys {
		if n.get(k) != nil {
			given = append(given, k)
		}
	}
	if len(given) != 1 {
		n.errorf("a row has one of from, expr, value, ref or rows; this one has %d", len(given))
		return nil
	}
	if w := n.get("when"); w != nil {
		r.when = c.compileExpr(w, s, reflect.Bool)
	}
	if a := n.get("absent"); a != nil {
		if r.target.Kind == schema.Complex || r.target.Kind == schema.Resource {
			a.errorf("absent is for primitive elements")
		}
		r.absent = c.compileExpr(a, s, reflect.String)
	}
	c.compileSource(r, n, given[0], s)
	c.compileConversion(r, n)
	c.compileSlot(r, n, s)
	if e := n.get("else"); e != nil {
		r.fallback = &row{at: e.at(), to: r.to, chain: r.chain, target: r.target}
		c.constant(r.fallback, e)
	}
	return r
}

// resolve walks the target path through the FHIR type.
func (c *compiler) resolve(r *row, n *node, typ *schema.Type) bool {
	parts := strings.Split(r.to, ".")
	if typ.Resource && parts[0] == typ.Name {
		parts = parts[1:]
	}
	for i, part := range parts {
		e := typ.Element(part)
		if e == nil || strings.HasPrefix(part, "_") {
			n.errorf("%s has no element %q%s", typ.Name, part, didYouMean(part, elementNames(typ)))
			return false
		}
		if i == len(parts)-2 && parts[i+1] == "extension" && typ.Element(schema.Twin(part)) != nil {
			e = typ.Element(schema.Twin(part)) // the extensions of a primitive
		}
		if typ.Resource && part == "id" {
			n.errorf("the id comes from system and key and cannot be set")
			return false
		}
		if i == len(parts)-1 {
			r.target = e
			break
		}
		if e.Kind != schema.Complex || e.Repeats {
			n.errorf("%q repeats or has no elements: set what is in it by rows below it", part)
			return false
		}
		r.chain = append(r.chain, e)
		typ = e.Type()
	}
	return r.target != nil
}

func elementNames(typ *schema.Type) []string {
	var names []string
	for _, e := range typ.Elements {
		if !strings.HasPrefix(e.Name, "_") {
			names = append(names, e.Name)
		}
	}
	return names
}

func (c *compiler) compileSource(r *row, n *node, key string, s scope) {
	source := n.get(key)
	switch key {
	case "value":
		c.constant(r, source)
	case "expr":
		r.source = fromExpr
		if r.expr = c.compileExpr(source, s, reflect.Invalid); r.expr != nil {
			c.checkResult(r, source)
		}
	case "ref":
		r.source, r.ref = fromRef, source.text
		if r.target.Kind != schema.Complex || r.target.Type().Name != "Reference" {
			source.errorf("%s is not a Reference", r.to)
		}
		if source.text != "*" && c.locals[source.text] == nil {
			source.errorf("unknown resource %q%s", source.text, didYouMean(source.text, c.localNames()))
		}
	case "rows":
		r.source = fromRows
		c.compileNested(r, n, s)
	case "from":
		c.compilePaths(r, n, s)
	}
	if key != "rows" && (n.get("foreach") != nil || n.get("over") != nil) {
		n.errorf("foreach and over need rows")
	}
}

func (c *compiler) localNames() []string {
	var names []string
	for k := range c.locals {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

func (c *compiler) compileNested(r *row, n *node, s scope) {
	if r.target.Kind != schema.Complex {
		n.errorf("%s has no elements: rows cannot set it", r.to)
		return
	}
	f, o := n.get("foreach"), n.get("over")
	switch {
	case f != nil && o != nil:
		n.errorf("a row has foreach or over, not both")
	case f != nil:
		r.foreach, s = c.compileForeach(f, s)
	case o != nil:
		p, err := c.m.shape.parseOver(o.text, s.place)
		if err != nil {
			o.errorf("%v", err)
			return
		}
		r.over = p
		s = s.with("item", "")
		s.place = p.below(s.place)
	}
	if (f != nil || o != nil) && !r.target.Repeats {
		n.errorf("%s does not repeat: foreach cannot set it", r.to)
	}
	r.rows = c.compileRows(n.get("rows"), n, r.target.Type(), s)
	c.noSlots(r.rows)
	r.dynamic = r.foreach != nil || r.over != nil
	for _, nested := range r.rows {
		r.dynamic = r.dynamic || nested.source != fromConstant && (nested.source != fromRows || nested.dynamic)
	}
}

func (c *compiler) compilePaths(r *row, n *node, s scope) {
	for _, p := range n.list("from") {
		parsed, err := c.m.shape.parsePath(p.text, s.place)
		if err != nil {
			p.errorf("%v", err)
			continue
		}
		r.paths = append(r.paths, parsed)
	}
	use := n.get("use")
	if use == nil {
		return
	}
	d := c.datatypes[use.text]
	switch {
	case d == nil:
		use.errorf("unknown datatype %q", use.text)
	case d.rows == nil:
		use.errorf("the datatype %q is used inside itself or above its own place", use.text)
	case r.target.Kind != schema.Complex || r.target.Type() != d.typ:
		use.errorf("the datatype %q makes a %s, which %s is not", use.text, d.typ.Name, r.to)
	default:
		r.source, r.rows = fromDatatype, d.rows
		c.rowCount += d.size
	}
}

// checkResult refuses an expression whose type cannot fill the target.
func (c *compiler) checkResult(r *row, n *node) {
	t := r.expr.typ
	if t == nil {
		n.errorf("the type of the expression is not known")
		return
	}
	if t.Kind() == reflect.Slice && r.target.Repeats {
		t = t.Elem()
	}
	ok := false
	switch t.Kind() {
	case reflect.String:
		ok = r.target.Kind != schema.Bool && r.target.Kind != schema.Resource
	case reflect.Bool:
		ok = r.target.Kind == schema.Bool
	case reflect.Int, reflect.Int64:
		ok = r.target.Kind == schema.Integer || r.target.Kind == schema.Decimal
	case reflect.Float64:
		ok = r.target.Kind == schema.Decimal
	}
	if r.target.Kind == schema.Complex && !slices.Contains([]string{"CodeableConcept", "Coding", "Reference"}, r.target.Type().Name) {
		ok = false
	}
	if !ok {
		n.errorf("the expression gives %s, but %s is %s", t, r.to, kindName(r))
	}
}

func kindName(r *row) string {
	if r.target.Kind == schema.Complex {
		return "a " + r.target.Type().Name
	}
	return "of kind " + r.target.Kind.String()
}

// conversions are the forms that `as` names.
var conversions = []string{"text", "code", "uri", "id", "reference", "date", "dateTime", "instant", "timestamp", "boolean", "integer", "decimal"}

func (c *compiler) compileConversion(r *row, n *node) {
	if a := n.get("as"); a != nil {
		if r.as = a.text; !slices.Contains(conversions, r.as) {
			a.errorf("unknown form %q: %s", r.as, strings.Join(conversions, ", "))
		}
	}
	if v := n.get("vocab"); v != nil {
		if r.vocab = c.m.vocabularies[v.text]; r.vocab == nil {
			v.errorf("unknown vocabulary %q%s", v.text, didYouMean(v.text, c.vocabularyNames()))
			return
		}
		c.checkVocabulary(r, v)
	}
	if r.target.Kind == schema.Complex && r.source <= fromExpr && r.vocab == nil && !slices.Contains([]string{"CodeableConcept", "Reference"}, r.target.Type().Name) {
		n.errorf("%s is a %s: set it by rows, value, use or vocab", r.to, r.target.Type().Name)
	}
}

// checkVocabulary refuses a vocabulary whose codes the target's binding lacks.
func (c *compiler) checkVocabulary(r *row, n *node) {
	switch {
	case r.target.Kind == schema.Code:
		for _, code := range r.vocab.codes {
			targets, _ := r.vocab.lookup(code)
			for _, t := range targets {
				if !r.target.Allows(t.Code) {
					n.errorf("the vocabulary %s maps %q to %q, which %s does not allow (%s)", r.vocab.file, code, t.Code, r.to, strings.Join(r.target.Codes, ", "))
				}
			}
		}
	case r.target.Kind == schema.String:
	case r.target.Kind == schema.Complex && slices.Contains([]string{"CodeableConcept", "Coding"}, r.target.Type().Name):
	default:
		n.errorf("a vocabulary cannot set %s, which is %s", r.to, kindName(r))
	}
}

// constant compiles a value that is the same for every record.
func (c *compiler) constant(r *row, n *node) {
	r.source = fromConstant
	if n.kind == yamlList && r.target.Repeats {
		for _, item := range n.values {
			c.constantItem(r, item)
		}
		return
	}
	c.constantItem(r, n)
}

func (c *compiler) constantItem(r *row, n *node) {
	if r.target.Kind == schema.Complex {
		if o := c.constantObject(n, r.target.Type()); o != nil {
			r.objects = append(r.objects, o)
		}
		return
	}
	if n.kind != yamlScalar {
		n.errorf("%s is %s and needs plain text", r.to, kindName(r))
		return
	}
	if err := schema.Check(r.target, n.text); err != nil {
		n.errorf("%v", err)
		return
	}
	r.texts = append(r.texts, n.text)
}

// constantObject builds an object from YAML through the schema.
func (c *compiler) constantObject(n *node, typ *schema.Type) *schema.Object {
	if n.kind != yamlMap {
		n.errorf("a %s is a map of its elements", typ.Name)
		return nil
	}
	o := schema.New(typ)
	for i, k := range n.keys {
		e := typ.Element(k)
		if e == nil {
			n.keyNodes[i].errorf("%s has no element %q", typ.Name, k)
			continue
		}
		values := []*node{n.values[i]}
		if n.values[i].kind == yamlList && e.Repeats {
			values = n.values[i].values
		}
		for _, v := range values {
			if e.Kind == schema.Complex {
				if child := c.constantObject(v, e.Type()); child != nil {
					o.SetObject(e, child)
				}
				continue
			}
			if v.kind != yamlScalar {
				v.errorf("%s.%s needs plain text", typ.Name, k)
			} else if err := o.SetText(e, v.text); err != nil {
				v.errorf("%v", err)
			}
		}
	}
	if m := o.Missing(); m != "" && len(n.src.lines) > 0 {
		n.errorf("the constant lacks the required element %s.%s", typ.Name, m)
	}
	return o
}
