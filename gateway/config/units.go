package config

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	hl7Field    = regexp.MustCompile(`^[A-Z][A-Z0-9]{2}-[1-9][0-9]*(\.[1-9][0-9]*)?$`)
	elementPath = regexp.MustCompile(`^([A-Z][A-Za-z]+\.)?[a-z][A-Za-z0-9]*(\.[a-z][A-Za-z0-9]*)*$`)
)

// part2Units checks the rules by which a system's Part 2 units are told: a rule
// that can never match would leave a program's records open.
func (k *checker) part2Units(at string, s System) {
	if len(s.Part2Units) == 0 {
		return
	}
	whole := s.Part2 != nil && *s.Part2
	if o := k.Organization(s.Organization); o != nil && o.Part2 && s.Part2 == nil {
		whole = true
	}
	if whole {
		k.fault(at+".part2Units", "the whole system is Part 2 already; set part2: false for it if only units are")
	}
	if o := k.Organization(s.Organization); o != nil && o.Kind == "police" {
		k.fault(at+".part2Units", "a police agency has no Part 2 unit")
	}
	for i, u := range s.Part2Units {
		at := fmt.Sprintf("%s.part2Units[%d]", at, i)
		k.part2Place(at, s, u)
		if len(u.Values) == 0 {
			k.fault(at+".values", "is missing: what stands there for a Part 2 unit")
		}
		seen := map[string]string{}
		for _, list := range [...]struct {
			name   string
			values []string
		}{{"values", u.Values}, {"others", u.Others}} {
			for n, v := range list.values {
				at := fmt.Sprintf("%s.%s[%d]", at, list.name, n)
				folded := strings.ToLower(strings.Join(strings.Fields(v), " "))
				switch {
				case folded == "":
					k.fault(at, "is empty")
				case seen[folded] != "":
					k.value(at, v, "stands among "+seen[folded]+" already")
				}
				seen[folded] = list.name
			}
		}
	}
}

// part2Place wants a field for a feed and an element for a FHIR server.
func (k *checker) part2Place(at string, s System, u Part2Unit) {
	switch {
	case s.Kind == "fhir" && u.Field != "":
		k.fault(at+".field", "is for feeds; a system of kind fhir has an element")
	case s.Kind == "fhir" && !elementPath.MatchString(u.Element):
		k.value(at+".element", u.Element, "is no path of elements such as serviceProvider or Encounter.location.location")
	case s.Kind == "feed" && u.Element != "":
		k.fault(at+".element", "is for systems of kind fhir; a feed has a field")
	case s.Kind == "feed" && strings.TrimSpace(u.Field) == "":
		k.fault(at+".field", "is missing: a field such as PV1-10, or a column")
	case s.Kind == "feed" && strings.Contains(s.Adapter, "hl7v2") && !hl7Field.MatchString(u.Field):
		k.value(at+".field", u.Field, "is no field of HL7 v2 such as MSH-4, PV1-3.4 or PV1-10")
	}
}
