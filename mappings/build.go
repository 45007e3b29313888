package mappings

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/mappings/schema"
	"github.com/handoff-health/handoff/mappings/tree"
)

// build plans the resources, so that they can refer to each other, then makes
// them.
func (r *run) build() error {
	for _, rule := range r.m.rules {
		if err := r.plan(rule); err != nil {
			return err
		}
	}
	for _, p := range slices.Clone(r.plans) {
		complete, err := r.make(p)
		switch {
		case err != nil:
			return err
		case !complete && p.rule.optional:
			r.plans = slices.DeleteFunc(r.plans, func(q *plan) bool { return q == p })
		case !complete:
			r.reject("resource-incomplete", "a required element could not be made")
			return nil
		}
	}
	for _, p := range r.plans {
		if p.rule.contained != "" {
			if holder := r.planned(p.rule.contained); holder != nil {
				holder.object.SetObject(holder.rule.typ.Element("contained"), p.object)
			}
		}
	}
	for _, p := range r.plans {
		if missing := p.object.Missing(); missing != "" {
			r.reject("resource-incomplete", fmt.Sprintf("%s.%s is required and could not be made", p.rule.typ.Name, missing))
			return nil
		}
	}
	return r.encode()
}

// reject refuses the record. A seal stays one, without resources: it acts by the
// record's key.
func (r *run) reject(code, message string) {
	if r.result.Action == Seal {
		r.result.Resources, r.result.Trace = nil, nil
		r.issue(Warning, code, "", message+": the record is sealed by its key")
		return
	}
	r.result.Action, r.result.Reason, r.result.Resources, r.result.Trace, r.result.Merges = Reject, code, nil, nil, nil
	r.issue(Error, code, "", message)
}

func (r *run) plan(rule *rule) error {
	if rule.when != nil {
		if holds, err := r.evalBool(rule.when); err != nil || !holds {
			return err
		}
	}
	if rule.contained != "" {
		r.plans = append(r.plans, &plan{rule: rule, id: rule.local})
		return nil
	}
	items := []any{nil}
	if rule.foreach != nil {
		v, err := r.eval(rule.foreach)
		if err != nil {
			return err
		}
		items = sliceOf(v)
	}
	if rule.over != nil {
		items = nil
		for _, n := range r.nodesAt(rule.over) {
			if !n.Empty() {
				items = append(items, n)
			}
		}
	}
	defer func() { r.item = nil }()
	for _, item := range items {
		if len(r.plans) >= maxResources {
			return fmt.Errorf("%w: over %d resources", ErrLimit, maxResources)
		}
		r.take(item)
		system, err := r.evalText(rule.system)
		if err != nil {
			return err
		}
		key, err := r.evalText(rule.key)
		if err != nil {
			return err
		}
		if key == "" {
			return fmt.Errorf("%s: the key of %s is empty", rule.at, rule.local)
		}
		id := r.opts.IDs(rule.typ.Name, system, key)
		if !resource.ValidID(id) {
			return fmt.Errorf("the id made for %s is not a FHIR id", rule.local)
		}
		if i := slices.IndexFunc(r.plans, func(p *plan) bool { return p.id == id && p.rule.typ == rule.typ }); i >= 0 {
			named := r.plans[i] // twice
			named.also = append(named.also, rule.local)
			named.named = append(named.named, naming{rule.local, item})
			if named.rule.stub && !rule.stub { // the whole form takes its place
				named.also = append(named.also, named.rule.local)
				named.rule, named.item = rule, item
			}
			continue
		}
		r.plans = append(r.plans, &plan{rule: rule, item: item, id: id, key: system + "|" + key, system: system, named: []naming{{rule.local, item}}})
	}
	return nil
}

// take makes item, an element of a list or a node of the record, the one at hand.
func (r *run) take(item any) {
	switch n := item.(type) {
	case nil:
	case *tree.Node:
		r.item = n
		r.env["item"] = trim(leaf(n))
	default:
		r.env["item"] = item
	}
}

func sliceOf(v any) []any {
	rv := reflect.ValueOf(v)
	if rv.Kind() != reflect.Slice {
		return nil
	}
	out := make([]any, rv.Len())
	for i := range out {
		out[i] = rv.Index(i).Interface()
	}
	return out
}

func (r *run) planned(local string) *plan {
	for _, p := range r.plans {
		if p.rule.local == local {
			return p
		}
	}
	return nil
}

// make builds a planned resource; complete says that no required row failed.
func (r *run) make(p *plan) (complete bool, err error) {
	p.object = schema.New(p.rule.typ)
	if err := p.object.SetText(p.rule.typ.Element("id"), p.id); err != nil {
		return false, err
	}
	r.listed = nil
	r.take(p.item)
	defer func() { r.item = nil }()
	if p.rule.foreach != nil {
		r.listed = p.rule.foreach.fields
	} else if p.rule.over != nil {
		r.listed = p.rule.over.noteField(nil)
	}
	p.trace = p.rule.typ.Name + "/" + p.id
	if p.rule.contained != "" {
		p.trace = "#" + p.id
	} else if r.opts.Trace {
		r.traceID(p)
	}
	_, missing, err := r.rows(p.rule.rows, p.object, p.trace, "")
	if err != nil {
		return false, err
	}
	if missing != nil {
		r.issue(Warning, "element-missing", r.fieldOf(missing), fmt.Sprintf("%s.%s could not be made", p.rule.typ.Name, missing.to))
	}
	return missing == nil, nil
}

// fieldOf is the field that a row is about.
func (r *run) fieldOf(row *row) string {
	for _, fields := range [][]string{row.inputs(), row.fields(), r.listed} {
		if len(fields) > 0 {
			return fields[0]
		}
	}
	return ""
}

// encode writes the planned resources.
func (r *run) encode() error {
	for _, p := range r.plans {
		if p.rule.contained != "" {
			continue
		}
		raw := p.object.Append(make([]byte, 0, 1024))
		if r.bytes += len(raw); r.bytes > maxBytes {
			return fmt.Errorf("%w: over %d bytes", ErrLimit, maxBytes)
		}
		sum := sha256.Sum256(raw)
		version := r.result.Version
		if p.rule.stub {
			version = "" // so that any other form is newer
		}
		r.result.Resources = append(r.result.Resources, Resource{
			Type: p.rule.typ.Name, ID: p.id, Key: p.key, SourceVersion: version,
			Digest: hex.EncodeToString(sum[:]), Owned: p.rule.owned, Stub: p.rule.stub, Raw: raw,
		})
	}
	return nil
}
