package validate

import (
	"slices"
	"strconv"
	"strings"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
)

// The profiles that are checked, by their canonical URL.
const (
	USCorePatient   = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"
	USCoreEncounter = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-encounter"
)

const (
	usCoreRace      = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race"
	usCoreEthnicity = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-ethnicity"
	cdcRace         = "urn:oid:2.16.840.1.113883.6.238"
	nullFlavor      = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"
	absentReason    = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
)

// Codes of omb-race-category and omb-ethnicity-category (US Core 5.0.1).
var (
	ombRaces       = []string{"1002-5", "2028-9", "2054-5", "2076-8", "2106-3"}
	ombEthnicities = []string{"2135-2", "2186-5"}
	ombUnknown     = []string{"UNK", "ASKU"}
)

// Claims checks a resource against the profiles of US Core 5.0.1 that its
// meta.profile claims and that are known here, in addition to [Resource]: what
// says that it meets a profile must meet it.
func Claims(r *resource.Resource) []Issue {
	var out []Issue
	for p := range r.Root().Get("meta").All("profile") {
		url, _, _ := strings.Cut(p.Text(), "|")
		found, _ := Profile(r, url)
		out = append(out, found...)
	}
	return out
}

// Profile checks a resource against one profile, whether it claims it or not,
// beyond what R4 wants. known is false for a profile that is not checked here.
func Profile(r *resource.Resource, url string) (issues []Issue, known bool) {
	c := &checker{tables: load(), raw: r.Raw()}
	typ := ""
	switch url {
	case USCorePatient:
		typ = "Patient"
	case USCoreEncounter:
		typ = "Encounter"
	default:
		return nil, false
	}
	root := r.Root()
	if r.Type() != typ {
		c.report(root, r.Type(), outcome.CodeStructure, "claims a profile of %s", typ)
		return c.issues, true
	}
	c.need(root, typ, "identifier", typ == "Patient")
	i := 0
	for id := range root.All("identifier") {
		at := typ + ".identifier[" + strconv.Itoa(i) + "]"
		c.need(id, at, "system", true)
		c.need(id, at, "value", true)
		i++
	}
	if typ == "Patient" {
		c.usCorePatient(root)
	} else {
		c.need(root, typ, "type", true)
		c.need(root, typ, "subject", true)
	}
	return c.issues, true
}

// need reports an element that a profile requires and that is neither there nor
// explained by an extension.
func (c *checker) need(n resource.Node, at, name string, required bool) {
	if required && !n.Get(name).Exists() && !n.Get("_"+name).Exists() {
		c.report(n, at+"."+name, outcome.CodeRequired, "US Core requires it")
	}
}

func (c *checker) usCorePatient(n resource.Node) {
	c.need(n, "Patient", "name", true)
	c.need(n, "Patient", "gender", true)
	named, excused := false, false
	for name := range n.All("name") {
		named = named || name.Get("family").Exists() || name.Get("given").Exists()
	}
	for e := range n.All("extension") {
		excused = excused || e.Get("url").Is(absentReason)
	}
	if n.Get("name").Exists() && named == excused {
		c.report(n.Get("name"), "Patient.name", outcome.CodeInvariant, "either a family or given name or a reason for its absence (us-core-6)")
	}
	for _, list := range []struct {
		name  string
		needs []string
	}{{"telecom", []string{"system", "value"}}, {"communication", []string{"language"}}} {
		i := 0
		for v := range n.All(list.name) {
			for _, need := range list.needs {
				c.need(v, "Patient."+list.name+"["+strconv.Itoa(i)+"]", need, true)
			}
			i++
		}
	}
	i := 0
	for e := range n.All("extension") {
		at := "Patient.extension[" + strconv.Itoa(i) + "]"
		switch {
		case e.Get("url").Is(usCoreRace):
			c.ombExtension(e, at, ombRaces, 5)
		case e.Get("url").Is(usCoreEthnicity):
			c.ombExtension(e, at, ombEthnicities, 1)
		}
		i++
	}
}

// ombExtension checks us-core-race or us-core-ethnicity: at most so many
// categories, each of the value set, and exactly one text.
func (c *checker) ombExtension(e resource.Node, at string, categories []string, most int) {
	texts, count := 0, 0
	for part := range e.All("extension") {
		switch {
		case part.Get("url").Is("text"):
			texts++
			if !part.Get("valueString").Exists() {
				c.report(part, at, outcome.CodeRequired, "the text needs a valueString")
			}
		case part.Get("url").Is("ombCategory"):
			count++
			v := part.Get("valueCoding")
			known := v.Get("system").Is(cdcRace) && slices.Contains(categories, v.Get("code").Text())
			if !known && (!v.Get("system").Is(nullFlavor) || !slices.Contains(ombUnknown, v.Get("code").Text())) {
				c.report(part, at, outcome.CodeCodeInvalid, "the category is none of the value set's")
			}
		}
	}
	if texts != 1 {
		c.report(e, at, outcome.CodeRequired, "exactly one text is required")
	}
	if count > most {
		c.report(e, at, outcome.CodeStructure, "at most %d categories", most)
	}
}
