// Package task reads and writes what hangs on a Task as typed inputs and
// outputs: a coded type and a value each. It knows how they are laid out and
// nothing of what they mean; the gateway's own workflows (legal bases, reviews)
// keep their facts in them.
//
// Spec: https://hl7.org/fhir/R4/task.html#Task.input
package task

import (
	"github.com/handoff-health/handoff/fhir/resource"
)

// A Field is one input or output that was read.
type Field struct {
	System, Code string
	// Member is the name of the value's member, "valueBoolean"; Value its node.
	Member string
	Value  resource.Node
}

// Text is the value as text; of a Reference its reference.
func (f Field) Text() string {
	if f.Value.Kind() == resource.Object {
		return f.Value.Get("reference").Text()
	}
	return f.Value.Text()
}

// Fields reads the list "input" or "output" of a Task, in order. An entry
// without a coded type or without a value is left out.
func Fields(r *resource.Resource, list string) []Field {
	var out []Field
	for n := range r.Root().All(list) {
		f := Field{}
		for c := range n.Get("type").All("coding") {
			f.System, f.Code = c.Get("system").Text(), c.Get("code").Text()
			break
		}
		for m := range n.Members() {
			if name := m.Name(); len(name) > 5 && name[:5] == "value" {
				f.Member, f.Value = name, m
			}
		}
		if f.Code != "" && f.Value.Exists() {
			out = append(out, f)
		}
	}
	return out
}

// A List collects inputs or outputs to be encoded with encoding/json.
type List []any

// Add appends one: member is the name of the value's member, "valueBoolean".
func (l *List) Add(system, code, member string, value any) {
	*l = append(*l, map[string]any{
		"type": map[string]any{"coding": []any{map[string]any{"system": system, "code": code}}},
		member: value,
	})
}

// Text appends one if the text is not empty.
func (l *List) Text(system, code, member, text string) {
	if text != "" {
		l.Add(system, code, member, text)
	}
}
