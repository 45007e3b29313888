package search

import (
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
)

// A path is one position: member names from the resource's root on.
type path struct {
	steps    []step
	target   string // keep only references to this type
	system   string // code system behind an element of type code
	telecom  bool   // the values are ContactPoints
	choice   bool   // the last step is a choice element: effective[x]
	deceased bool   // Patient.deceased[x] as a boolean
}

// A step goes to a member, and keeps the elements whose member key is value.
type step struct{ name, key, value string }

// readPath reads the table's form: telecom[system=phone], subject{Patient}.
func readPath(s string) path {
	var p path
	if s == "!deceased" {
		return path{deceased: true}
	}
	if i := strings.IndexByte(s, '{'); i >= 0 {
		s, p.target = s[:i], strings.TrimSuffix(s[i+1:], "}")
	}
	for _, name := range strings.Split(s, ".") {
		var st step
		st.name = name
		if i := strings.IndexByte(name, '['); i >= 0 {
			st.name = name[:i]
			st.key, st.value, _ = strings.Cut(strings.TrimSuffix(name[i+1:], "]"), "=")
		}
		p.steps = append(p.steps, st)
	}
	p.telecom = p.steps[len(p.steps)-1].name == "telecom"
	return p
}

// choices are the suffixes under which a choice element (effective[x]) is
// found when a position names it without its type.
var choices = [...][]string{
	Token:     {"CodeableConcept", "Coding", "Code", "Boolean", "Identifier", "String"},
	String:    {"String", "Markdown"},
	Date:      {"DateTime", "Period", "Instant", "Date", "Timing"},
	Reference: {"Reference", "Canonical", "Uri"},
	URI:       {"Uri", "Canonical", "Url"},
	Number:    {"Integer", "Decimal"},
	Quantity:  {"Quantity", "Age", "Range", "Duration", "Money"},
}

// values calls yield for each value at the parameter's positions; JSON nulls,
// which hold the place of an absent primitive, are no values. It stops and
// returns true when yield does.
func (p *Parameter) values(root resource.Node, yield func(resource.Node, *path) bool) bool {
	for i := range p.paths {
		at := &p.paths[i]
		if at.deceased {
			continue
		}
		if p.walk(root, at, at.steps, yield) {
			return true
		}
	}
	return false
}

func (p *Parameter) walk(n resource.Node, at *path, steps []step, yield func(resource.Node, *path) bool) bool {
	if len(steps) == 0 {
		return n.Kind() != resource.Null && (at.target == "" || refersTo(n, at.target)) && yield(n, at)
	}
	st := steps[0]
	if at.choice && len(steps) == 1 {
		for m := range n.Members() {
			suffix, ok := strings.CutPrefix(m.Name(), st.name)
			if ok && slices.Contains(choices[p.Kind], suffix) && m.Kind() != resource.Null && yield(m, at) {
				return true
			}
		}
		return false
	}
	for e := range n.All(st.name) {
		if st.key != "" && !e.Get(st.key).Is(st.value) {
			continue
		}
		if p.walk(e, at, steps[1:], yield) {
			return true
		}
	}
	return false
}

// refersTo says whether a Reference is to a resource of the type: by its
// literal reference, or by its type element where there is no literal one.
func refersTo(n resource.Node, typ string) bool {
	if ref := n.Get("reference"); ref.Exists() {
		if _, t, _, ok := resource.SplitReference(ref.Text()); ok {
			return t == typ
		}
	}
	return n.Get("type").Is(typ)
}

// present says whether the parameter has any value in r, for :missing.
func (p *Parameter) present(r *resource.Resource) bool {
	if p.isDeceased() { // has a value for every Patient
		return true
	}
	return p.values(r.Root(), func(resource.Node, *path) bool { return true })
}

func (p *Parameter) isDeceased() bool { return len(p.paths) == 1 && p.paths[0].deceased }

// deceased reads Patient.deceased[x]: a date means yes.
func deceased(root resource.Node) bool {
	if b, ok := root.Get("deceasedBoolean").Bool(); ok {
		return b
	}
	return root.Get("deceasedDateTime").Exists()
}
