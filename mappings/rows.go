package mappings

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/mappings/schema"
	"github.com/handoff-health/handoff/mappings/tree"
)

// rows sets what rows say in o. It returns how many values came from the record
// and, if a required row made none, that row.
func (r *run) rows(rows []*row, o *schema.Object, trace, prefix string) (dynamic int, missing *row, err error) {
	for _, row := range rows {
		if err := r.step(); err != nil {
			return 0, nil, err
		}
		if err := r.afford(); err != nil {
			return 0, nil, err
		}
		set, made, err := r.row(row, o, trace, prefix)
		if err != nil {
			return 0, nil, err
		}
		dynamic += made
		if !set && row.required && missing == nil {
			missing = row
		}
	}
	return dynamic, missing, nil
}

// row evaluates one row. set says that the element has a value; made counts
// values that came from the record.
func (r *run) row(row *row, o *schema.Object, trace, prefix string) (set bool, made int, err error) {
	if row.when != nil {
		if holds, err := r.evalBool(row.when); err != nil || !holds {
			return false, 0, err
		}
	}
	r.used = r.used[:0]
	made, err = r.source(row, o, trace, prefix)
	if err != nil {
		return false, 0, err
	}
	r.weak = made == 0
	if made > 0 {
		r.trace(row, o, made, trace, prefix)
		if row.source == fromConstant {
			return true, 0, nil
		}
		return true, made, nil
	}
	if row.fallback != nil {
		n, err := r.source(row.fallback, o, trace, prefix)
		r.weak = true
		r.trace(row.fallback, o, n, trace, prefix)
		return n > 0, 0, err
	}
	if row.absent != nil {
		code, err := r.evalText(row.absent)
		if err != nil || code == "" {
			return false, 0, err
		}
		r.parent(row, o).SetAbsent(row.target, code)
		r.trace(row, o, 1, trace, prefix)
		return true, 1, nil
	}
	return false, 0, nil
}

// parent walks to the object that holds the target and makes it on the way.
func (r *run) parent(row *row, o *schema.Object) *schema.Object {
	for _, e := range row.chain {
		o = o.Child(e)
	}
	return o
}

// source sets the row's values and returns their number.
func (r *run) source(row *row, o *schema.Object, trace, prefix string) (int, error) {
	switch row.source {
	case fromConstant:
		for _, text := range row.texts {
			if err := r.parent(row, o).SetText(row.target, text); err != nil {
				return 0, fmt.Errorf("%s: %w", row.at, err)
			}
		}
		for _, v := range row.objects {
			r.parent(row, o).SetObject(row.target, v)
		}
		return len(row.texts) + len(row.objects), nil
	case fromRef:
		return r.refer(row, o), nil
	case fromRows:
		return r.nested(row, o, trace, prefix)
	case fromDatatype:
		return r.datatype(row, o, trace, prefix)
	case fromExpr:
		return r.expression(row, o)
	}
	return r.path(row, o)
}

// refer sets references to the resources that the record made: to those of the
// item at hand, if there are several.
func (r *run) refer(row *row, o *schema.Object) int {
	found := r.referents(row.ref)
	if len(found) > 1 && !row.target.Repeats {
		r.issue(Warning, "reference-ambiguous", r.fieldOf(row), fmt.Sprintf("%s can hold one reference, but the record makes several %s: it was left out", row.to, row.ref))
		return 0
	}
	for _, p := range found {
		ref := p.rule.typ.Name + "/" + p.id
		if p.rule.contained != "" {
			ref = "#" + p.id
		}
		v := schema.New(row.target.Type())
		if err := v.SetText(v.Type.Element("reference"), ref); err != nil {
			continue
		}
		r.parent(row, o).SetObject(row.target, v)
		if p.rule.contained != "" {
			r.refs = append(r.refs, p)
		}
	}
	return len(found)
}

// referents lists the plans that a ref means, each once.
func (r *run) referents(ref string) []*plan {
	var out []*plan
	if ref != "*" {
		for _, p := range r.related(r.named(ref), r.frame) {
			if !slices.Contains(out, p.plan) {
				out = append(out, p.plan)
			}
		}
		return out
	}
	for _, p := range r.plans {
		if p.rule.contained == "" && p.rule.typ.Name != "Provenance" && r.inside(p) {
			out = append(out, p)
		}
	}
	return out
}

// inside says that a plan was made for the item at hand or for one below it.
func (r *run) inside(p *plan) bool {
	if r.frame == nil {
		return true
	}
	return slices.ContainsFunc(p.names, func(n name) bool { return slices.Contains(r.lineage(n.frame), r.frame.key()) })
}

// nested makes one object by the rows below, or one for each item.
func (r *run) nested(row *row, o *schema.Object, trace, prefix string) (int, error) {
	switch {
	case row.foreach != nil:
		v, err := r.eval(row.foreach)
		if err != nil {
			return 0, err
		}
		n := 0
		for _, item := range sliceOf(v) {
			err := r.within(&frame{outer: r.frame, value: item}, func() error {
				r.listed = row.foreach.fields
				made, err := r.one(row, o, trace, prefix)
				n += made
				return err
			})
			if err != nil {
				return 0, err
			}
		}
		return n, nil
	case row.over != nil:
		return r.eachObject(row, row.over, o, trace, prefix)
	}
	return r.one(row, o, trace, prefix)
}

// nodesAt copies the nodes at a path: find's memory is used again below.
func (r *run) nodesAt(p *recordPath) []*tree.Node {
	return append([]*tree.Node(nil), r.find(p)...)
}

func (r *run) datatype(row *row, o *schema.Object, trace, prefix string) (int, error) {
	outer := r.via
	defer func() { r.via = outer }()
	if r.via = row.at; outer != "" {
		r.via = outer + ", " + row.at
	}
	n := 0
	for _, p := range row.paths {
		made, err := r.eachObject(row, p, o, trace, prefix)
		if err != nil {
			return 0, err
		}
		if n += made; n > 0 && !row.target.Repeats {
			break
		}
	}
	return n, nil
}

// eachObject makes one object for each node or group at a path.
func (r *run) eachObject(row *row, p *recordPath, o *schema.Object, trace, prefix string) (int, error) {
	n := 0
	for _, f := range r.framesAt(p) {
		err := r.within(f, func() error {
			made, err := r.one(row, o, trace, prefix)
			n += made
			return err
		})
		if err != nil {
			return 0, err
		}
		if n > 0 && !row.target.Repeats {
			break
		}
	}
	return n, nil
}

// one makes an object by the row's own rows. It is kept if the record gave it
// anything (or nothing in it depends on the record) and nothing required lacks.
func (r *run) one(row *row, o *schema.Object, trace, prefix string) (int, error) {
	v := schema.New(row.target.Type())
	if !row.target.Repeats {
		if parent := r.existing(row, o); parent != nil {
			v = parent
		}
	}
	before := v.Empty()
	traced := len(r.result.Trace)
	at := prefix + row.to
	if row.target.Repeats && r.opts.Trace {
		n := 0
		if parent := r.peek(row, o); parent != nil {
			n = parent.Len(row.target.Name)
		}
		at = fmt.Sprintf("%s[%d]", at, n)
	}
	dynamic, missing, err := r.rows(row.rows, v, trace, at+".")
	if err != nil {
		return 0, err
	}
	if missing != nil || v.Empty() || dynamic == 0 && (row.dynamic || row.source == fromDatatype) {
		r.result.Trace = r.result.Trace[:traced]
		return 0, nil
	}
	if before {
		r.parent(row, o).SetObject(row.target, v)
	}
	return 1, nil
}

// existing is the object that the target already has, nil if it has none.
func (r *run) existing(row *row, o *schema.Object) *schema.Object {
	for _, e := range row.chain {
		if !o.Has(e.Name) {
			return nil
		}
		o = o.Child(e)
	}
	if !o.Has(row.target.Name) {
		return nil
	}
	return o.Child(row.target)
}

func (r *run) expression(row *row, o *schema.Object) (int, error) {
	v, err := r.eval(row.expr)
	if err != nil {
		return 0, err
	}
	if rv := reflect.ValueOf(v); rv.Kind() == reflect.Slice {
		n := 0
		for i := range rv.Len() {
			made, err := r.value(row, o, rv.Index(i).Interface(), false)
			if err != nil {
				return 0, err
			}
			n += made
		}
		return n, nil
	}
	return r.value(row, o, v, false)
}

// path sets the text at the row's paths: of the first path that has any.
func (r *run) path(row *row, o *schema.Object) (int, error) {
	n := 0
	for _, p := range row.paths {
		if f := p.noteField(nil); f != nil {
			r.field = f[0]
		}
		for _, at := range r.nodesAt(p) {
			if p.relative && p.full == "" && p.steps == nil { // of a datatype: the node says which field
				r.field, _, _ = strings.Cut(at.Pos.Path, ".")
			}
			if at.Null {
				r.issue(Information, "explicit-null", r.field, "the source emptied the field on purpose")
				continue
			}
			made, err := r.value(row, o, trim(leaf(at)), true)
			if err != nil {
				return 0, err
			}
			if made > 0 && r.opts.Trace {
				r.used = append(r.used, r.place(at))
			}
			if n += made; n > 0 && !row.target.Repeats {
				return n, nil
			}
		}
		if n > 0 {
			break
		}
	}
	return n, nil
}

func trim(s string) string { return strings.TrimSpace(s) }
