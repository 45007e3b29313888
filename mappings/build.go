package mappings

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/mappings/schema"
)

// build plans the resources, so that they can refer to each other, then makes
// them.
func (r *run) build() error {
	if err := r.plan(r.m.entries); err != nil {
		return err
	}
	for _, p := range slices.Clone(r.plans) {
		complete := false
		err := r.again(p.frame, func() (err error) {
			complete, err = r.make(p)
			return err
		})
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
			if holder := r.holder(p); holder != nil {
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

// plan plans the resources of entries, those of a group for each of its items.
func (r *run) plan(entries []*entry) error {
	for _, e := range entries {
		do := func() error {
			if e.rule == nil {
				return r.plan(e.entries)
			}
			return r.planRule(e.rule)
		}
		var err error
		if e.loop == nil {
			err = do()
		} else {
			err = r.each(e.loop, do)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *run) planRule(rule *rule) error {
	if rule.when != nil {
		if holds, err := r.evalBool(rule.when); err != nil || !holds {
			return err
		}
	}
	if len(r.plans) >= maxResources {
		return fmt.Errorf("%w: over %d resources", ErrLimit, maxResources)
	}
	p := &plan{rule: rule, frame: r.frame, names: []name{{rule.local, r.frame}}}
	if rule.contained != "" {
		p.id = rule.local
		r.plans = append(r.plans, p)
		return nil
	}
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
	p.id, p.key, p.system = r.opts.IDs(rule.typ.Name, system, key), system+"|"+key, system
	if !resource.ValidID(p.id) {
		return fmt.Errorf("the id made for %s is not a FHIR id", rule.local)
	}
	if i := slices.IndexFunc(r.plans, func(q *plan) bool { return q.id == p.id && q.rule.typ == rule.typ }); i >= 0 {
		q := r.plans[i] // named twice
		q.names = append(q.names, p.names...)
		if q.rule.stub && !rule.stub { // the whole form takes its place
			q.rule, q.frame = rule, r.frame
		}
		return nil
	}
	r.plans = append(r.plans, p)
	return nil
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

// holder is the resource that holds a contained one.
func (r *run) holder(p *plan) *plan {
	for _, h := range r.related(r.named(p.rule.contained), p.frame) {
		return h.plan
	}
	return nil
}

// make builds a planned resource; complete says that no required row failed.
func (r *run) make(p *plan) (complete bool, err error) {
	p.object = schema.New(p.rule.typ)
	if err := p.object.SetText(p.rule.typ.Element("id"), p.id); err != nil {
		return false, err
	}
	p.trace = p.rule.typ.Name + "/" + p.id
	if p.rule.contained != "" {
		p.trace = "#" + p.id
	} else if r.opts.Trace {
		r.traceID(p)
	}
	var missing *row
	if p.rule.merges {
		missing, err = r.slots(p)
	} else {
		_, missing, err = r.rows(p.rule.rows, p.object, p.trace, "")
	}
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
	for _, fields := range [][]string{row.inputs(), row.fields(""), r.listed} {
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
		var raw []byte
		var slots Slots
		if !p.rule.merges {
			raw = p.object.Append(make([]byte, 0, 1024))
		} else {
			var err error
			slots = r.said(p)
			if raw, err = slots.Assemble(p.rule.typ.Name, p.id); err != nil {
				return err
			}
			if e := slots.lacks(p.rule.typ); e != "" {
				r.reject("resource-incomplete", fmt.Sprintf("%s.%s is required, the record deletes it, and it has no default", p.rule.typ.Name, e))
				return nil
			}
		}
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
			Digest: hex.EncodeToString(sum[:]), Owned: p.rule.owned, Stub: p.rule.stub, Raw: raw, Slots: slots,
		})
	}
	return nil
}
