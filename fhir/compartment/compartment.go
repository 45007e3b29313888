package compartment

import (
	_ "embed"
	"slices"
	"strings"
	"sync"

	"github.com/handoff-health/handoff/fhir/resource"
)

//go:embed patient.tsv
var patientTSV string

// positions of the patient compartment by type, read once.
var positions = sync.OnceValue(func() map[string][][]string {
	m := map[string][][]string{}
	for line := range strings.Lines(patientTSV) {
		typ, paths, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok || typ[0] == '#' {
			continue
		}
		for p := range strings.SplitSeq(paths, "|") {
			m[typ] = append(m[typ], strings.Split(p, "."))
		}
	}
	return m
})

// primary are the members that name the person a resource is mainly about, in
// whatever type they stand: also in types that R4 leaves out of the
// compartment although they name a patient (Device).
var primary = []string{"subject", "patient", "for", "beneficiary", "individual", "candidate"}

// Includes says whether R4's patient compartment has the type.
func Includes(typ string) bool { return typ == "Patient" || positions()[typ] != nil }

// Types lists the types of the patient compartment, sorted, Patient included.
func Types() []string {
	out := []string{"Patient"}
	for t := range positions() {
		if t != "Patient" {
			out = append(out, t)
		}
	}
	slices.Sort(out)
	return out
}

// Patients returns the references of all persons a resource is about, sorted,
// each once: "Patient/1", or the absolute URL of another server's Patient,
// without version. A Patient is about itself and those it is linked to. What
// contained resources say counts too.
func Patients(r *resource.Resource) []string {
	var out []string
	if r.Type() == "Patient" && r.ID() != "" {
		out = append(out, r.Reference())
	}
	each(r.Root(), r.Type(), func(ref resource.Node) {
		if p := patient(ref); p != "" {
			out = append(out, p)
		}
	})
	slices.Sort(out)
	return slices.Compact(out)
}

// In says whether the person, "Patient/1", is one of those r is about.
func In(r *resource.Resource, person string) bool {
	return person != "" && slices.Contains(Patients(r), person)
}

// Subject returns the reference of the person whose consents govern r: the
// Patient itself, or who stands in subject, patient or their like; where a
// type has none of these, the only Patient of its compartment positions. It is
// "" if there is no such person, or more than one.
func Subject(r *resource.Resource) string {
	if r.Type() == "Patient" {
		if r.ID() == "" {
			return ""
		}
		return r.Reference()
	}
	found, stated := "", false
	for _, name := range primary {
		for ref := range r.Root().All(name) {
			if ref.Kind() != resource.Object {
				continue
			}
			stated = true
			p := patient(ref)
			if p == "" {
				continue
			}
			if found != "" && found != p {
				return ""
			}
			found = p
		}
	}
	if stated {
		return found
	}
	if all := Patients(r); len(all) == 1 {
		return all[0]
	}
	return ""
}

// Unresolved says whether r names a person that has no reference of its own:
// by identifier, by a contained Patient, or by a URN.
func Unresolved(r *resource.Resource) bool {
	contained := map[string]string{}
	for c := range r.Root().All("contained") {
		contained["#"+c.Get("id").Text()] = c.Get("resourceType").Text()
	}
	found := false
	each(r.Root(), r.Type(), func(ref resource.Node) {
		literal, typ := ref.Get("reference").Text(), ref.Get("type").Text()
		_, _, _, resolves := resource.SplitReference(literal)
		switch {
		case resolves, typ != "" && typ != "Patient":
		case strings.HasPrefix(literal, "#"):
			found = found || contained[literal] == "Patient" || contained[literal] == ""
		case literal != "", ref.Get("identifier").Exists(), typ == "Patient":
			found = true
		}
	})
	return found
}

// each calls visit with every Reference at a position of the compartment, and
// of contained resources at theirs.
func each(root resource.Node, typ string, visit func(resource.Node)) {
	for _, p := range positions()[typ] {
		walk(root, p, visit)
	}
	for _, name := range primary {
		walk(root, []string{name}, visit)
	}
	for c := range root.All("contained") {
		each(c, c.Get("resourceType").Text(), visit)
	}
}

func walk(n resource.Node, path []string, visit func(resource.Node)) {
	if len(path) == 0 {
		if n.Kind() == resource.Object {
			visit(n)
		}
		return
	}
	for e := range n.All(path[0]) {
		walk(e, path[1:], visit)
	}
}

// patient returns the normalised literal reference if it is to a Patient.
func patient(ref resource.Node) string {
	base, typ, id, ok := resource.SplitReference(ref.Get("reference").Text())
	switch {
	case !ok || typ != "Patient":
		return ""
	case base == "":
		return "Patient/" + id
	}
	return base + "/Patient/" + id
}
