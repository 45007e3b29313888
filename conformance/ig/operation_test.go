package ig

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/parameters"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway"
	"github.com/handoff-health/handoff/gateway/rest"
)

// levels says where an operation is invoked, by its routes.
type levels struct {
	resource              string
	system, typ, instance bool
}

func routed() map[string]levels {
	out := map[string]levels{}
	for _, r := range rest.Routes() {
		if !strings.HasPrefix(r.Interaction, "$") {
			continue
		}
		l := out[r.Interaction]
		l.resource = r.Type
		switch {
		case r.Type == "":
			l.system = true
		case strings.Contains(r.Pattern, "/:id/"):
			l.instance = true
		default:
			l.typ = true
		}
		out[r.Interaction] = l
	}
	return out
}

func TestEveryOperationIsDefinedAsItIsRouted(t *testing.T) {
	defs := ofType(t, "OperationDefinition")
	routes := routed()
	for op, want := range routes {
		r := defs[strings.TrimPrefix(op, "$")]
		if r == nil {
			t.Errorf("%s has a route and no OperationDefinition", op)
			continue
		}
		root := r.Root()
		flag := func(name string) bool { b, _ := root.Get(name).Bool(); return b }
		var on []string
		for n := range root.All("resource") {
			on = append(on, n.Text())
		}
		got := levels{strings.Join(on, ","), flag("system"), flag("type"), flag("instance")}
		if got != want || "$"+root.Get("code").Text() != op || !root.Get("kind").Is("operation") {
			t.Errorf("%s is defined as %+v, code %s, and routed as %+v", op, got, root.Get("code").Text(), want)
		}
		if !strings.Contains(root.Get("comment").Text(), "It never: ") {
			t.Errorf("%s does not say what it never does", op)
		}
		if b, given := root.Get("affectsState").Bool(); !given || b == slices.Contains([]string{rest.CrisisSummary, rest.ExplainAccess, rest.WhatIf}, op) {
			t.Errorf("%s: affectsState is %v", op, b)
		}
	}
	if len(defs) != len(routes) {
		t.Errorf("%d OperationDefinitions for %d operations", len(defs), len(routes))
	}
}

func TestInParametersAreThoseThatAreRead(t *testing.T) {
	specs := gateway.OperationParameters(wholeLaw(t))
	defs := ofType(t, "OperationDefinition")
	for op := range routed() {
		if specs[op] == nil {
			t.Errorf("nobody says what %s reads", op)
		}
	}
	for op, spec := range specs {
		if r := defs[strings.TrimPrefix(op, "$")]; r != nil {
			compare(t, op, r.Root().Get("parameter"), spec)
		}
	}
}

// compare holds the parameters with use "in" against what is read.
func compare(t *testing.T, at string, list resource.Node, spec []parameters.Param) {
	t.Helper()
	defined := map[string]resource.Node{}
	for p := range list.Elements() {
		if !p.Get("use").Is("in") {
			continue
		}
		name := p.Get("name").Text()
		if defined[name].Exists() {
			t.Errorf("%s: %s stands twice", at, name)
		}
		defined[name] = p
	}
	for _, want := range spec {
		p, ok := defined[want.Name]
		delete(defined, want.Name)
		if !ok {
			t.Errorf("%s: %s is read and not defined", at, want.Name)
			continue
		}
		here := at + "." + want.Name
		card := map[bool]string{true: "1"}[want.Required] + map[bool]string{false: "0"}[want.Required] + ".." + map[bool]string{true: "*", false: "1"}[want.Many]
		if got := fmt.Sprintf("%s..%s", p.Get("min").Raw(), p.Get("max").Text()); got != card {
			t.Errorf("%s is %s, and read as %s", here, got, card)
		}
		if got, want := p.Get("type").Text(), typeOf(want.Value, p); got != want {
			t.Errorf("%s has type %q, and is read as %q", here, got, want)
		}
		compare(t, here, p.Get("part"), want.Parts)
	}
	for name := range defined {
		t.Errorf("%s: %s is defined and not read", at, name)
	}
}

// typeOf is the FHIR type of a member value[x]; of a resource what is defined.
func typeOf(value string, p resource.Node) string {
	switch value {
	case "part":
		return ""
	case "value[x]":
		return "Type"
	case "resource":
		return p.Get("type").Text()
	}
	name := strings.TrimPrefix(value, "value")
	switch name {
	case "Reference", "Identifier", "Coding", "CodeableConcept", "Attachment", "Signature", "Period":
		return name
	}
	return strings.ToLower(name[:1]) + name[1:]
}

func TestEveryParameterIsDocumentedAndTyped(t *testing.T) {
	var look func(at string, list resource.Node)
	look = func(at string, list resource.Node) {
		for p := range list.Elements() {
			here := at + "." + p.Get("name").Text()
			if p.Get("documentation").Text() == "" {
				t.Errorf("%s is not documented", here)
			}
			if p.Get("type").Exists() == p.Get("part").Exists() { // opd-1
				t.Errorf("%s needs either a type or parts", here)
			}
			if p.Get("targetProfile").Exists() && !p.Get("type").Is("Reference") { // opd-3
				t.Errorf("%s has a targetProfile and is no Reference", here)
			}
			look(here, p.Get("part"))
		}
	}
	for id, r := range ofType(t, "OperationDefinition") {
		look(id, r.Root().Get("parameter"))
		if !slices.ContainsFunc(slices.Collect(r.Root().All("parameter")), func(p resource.Node) bool { return p.Get("use").Is("out") }) {
			t.Errorf("%s does not say what it returns", id)
		}
	}
}
