package part2

import (
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
)

// directory are the types that are about nobody: an entry of a directory is no
// patient's record, whatever unit it names.
var directory = map[string]bool{
	"Organization": true, "OrganizationAffiliation": true, "Location": true, "HealthcareService": true, "Endpoint": true,
	"Practitioner": true, "PractitionerRole": true, "CapabilityStatement": true, "OperationOutcome": true,
}

// OfResource says whether a resource is Part 2, by what it says of its unit
// itself or by a contained Encounter that it took place in. An Encounter that
// stands elsewhere is not looked up: its unit is not known here.
func (rs *Rules) OfResource(r *resource.Resource) bool {
	if rs.Empty() || directory[r.Type()] {
		return false
	}
	root, f := r.Root(), finding{}
	rs.read(r.Type(), root, root, &f)
	for _, e := range [...]resource.Node{root.Get("encounter"), root.Get("context"), root.Path("context", "encounter")} {
		for ref := range e.Elements() {
			if c := contained(root, ref); c.Get("resourceType").Is("Encounter") {
				rs.read("Encounter", c, root, &f)
			}
		}
	}
	return f.part2()
}

// read takes what the resource at n says into f.
func (rs *Rules) read(typ string, n, root resource.Node, f *finding) {
	for i := range rs.rules {
		if r := &rs.rules[i]; r.typ == "" || r.typ == typ {
			follow(n, r.path, func(v resource.Node) { f.take(r, []Value{spellings(v, root)}) })
		}
	}
}

// follow visits every value at the end of a path; arrays are looked through.
func follow(n resource.Node, path []string, visit func(resource.Node)) {
	if len(path) == 0 {
		visit(n)
		return
	}
	for c := range n.All(path[0]) {
		follow(c, path[1:], visit)
	}
}

// spellings lists the ways to write a value: of a Reference its literal form,
// also without its base, its identifier and its display, and what a contained
// target has; of a Coding or a concept its codes with and without their system,
// and its texts; of an Identifier its value with and without its system.
func spellings(n, root resource.Node) Value {
	if n.Kind() == resource.String {
		return Value{n.Text()}
	}
	var out Value
	add := func(parts ...resource.Node) {
		for _, p := range parts {
			out = append(out, p.Text())
		}
	}
	pair := func(system, code resource.Node) {
		if code.Kind() == resource.String {
			out = append(out, code.Text(), system.Text()+"|"+code.Text())
		}
	}
	add(n.Get("display"), n.Get("text"), n.Get("name"))
	pair(n.Get("system"), n.Get("code"))
	pair(n.Get("system"), n.Get("value"))
	for _, name := range [...]string{"identifier", "coding"} {
		for c := range n.All(name) {
			out = append(out, spellings(c, root)...)
		}
	}
	if ref := n.Get("reference"); ref.Kind() == resource.String {
		add(ref)
		if _, typ, id, ok := resource.SplitReference(ref.Text()); ok {
			out = append(out, typ+"/"+id)
		}
		if c := contained(root, n); c.Exists() {
			out = append(out, spellings(c, resource.Node{})...)
			add(c.Path("managingOrganization", "display"), c.Path("managingOrganization", "reference"), c.Get("description"))
		}
	}
	return out
}

// contained returns the resource that a Reference within root points at.
func contained(root, ref resource.Node) resource.Node {
	id, ok := strings.CutPrefix(ref.Get("reference").Text(), "#")
	if !ok || id == "" {
		return resource.Node{}
	}
	for c := range root.All("contained") {
		if c.Get("id").Is(id) {
			return c
		}
	}
	return resource.Node{}
}
