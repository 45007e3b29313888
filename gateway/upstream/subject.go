package upstream

import (
	"net/url"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
)

// A Relation says how a resource stands to the patient who was asked for. The
// zero value is the one that keeps it back.
type Relation uint8

// The relations.
const (
	Foreign        Relation = iota // about another patient, or about none
	Unclear                        // it does not say in a way that can be checked
	Own                            // about the patient
	Administrative                 // about no patient: organisations, people who work there, places
)

// administrative are the R4 types without a patient compartment that an answer
// about a patient may refer to. Binary is not among them: its content may be
// anybody's.
var administrative = map[string]bool{
	"Organization": true, "OrganizationAffiliation": true, "Practitioner": true, "PractitionerRole": true,
	"Location": true, "HealthcareService": true, "Endpoint": true, "Medication": true,
	"Substance": true, "ValueSet": true, "CodeSystem": true, "Questionnaire": true, "PlanDefinition": true,
	"ActivityDefinition": true,
}

// IsAdministrative says whether resources of a type are about no patient. Of any
// other type, a resource that names no patient is not to be handed on.
func IsAdministrative(typ string) bool { return administrative[typ] }

// single lists, for types whose patient does not stand in subject or patient,
// the one element that says whose resource it is. Source: the patient
// compartment of R4, https://hl7.org/fhir/R4/compartmentdefinition-patient.html,
// narrowed to the element that is the record's subject.
var single = map[string][]string{
	"Coverage":          {"beneficiary"},
	"EnrollmentRequest": {"candidate"},
	"ResearchSubject":   {"individual"},
	"Task":              {"for"},
}

// among lists, for types that may be about several people, where each is named;
// one of them being the patient is enough.
var among = map[string][][]string{
	"Account":             {{"subject"}},
	"Appointment":         {{"participant", "actor"}},
	"AppointmentResponse": {{"actor"}},
	"AuditEvent":          {{"agent", "who"}, {"entity", "what"}},
	"Contract":            {{"subject"}},
	"Group":               {{"member", "entity"}},
	"Person":              {{"link", "target"}},
	"Provenance":          {{"target"}},
}

// About says whether r is about the patient with this id at the system whose
// bases these are. Only a literal reference counts: an identifier or a display
// cannot be checked, and a system's own filter is not believed.
func About(r *resource.Resource, bases []string, patient string) Relation {
	typ, root := r.Type(), r.Root()
	switch {
	case administrative[typ]:
		return Administrative
	case patient == "":
		return Foreign
	case typ == "Patient":
		if r.ID() == patient {
			return Own
		}
		return Foreign
	}
	is := func(n resource.Node) bool { return isPatient(n, bases, patient) }
	if paths, ok := among[typ]; ok {
		for _, path := range paths {
			if anyAt(root, path, is) {
				return Own
			}
		}
		return Foreign
	}
	names, ok := single[typ]
	if !ok {
		names = []string{"subject", "patient"}
	}
	return whose(root, names, is)
}

// whose wants every subject that is named to be the patient, and at least one
// to be named.
func whose(root resource.Node, names []string, is func(resource.Node) bool) Relation {
	rel := Unclear
	for _, name := range names {
		for n := range root.All(name) {
			switch ref := n.Get("reference"); {
			case is(n):
				rel = max(rel, Own)
			case ref.Kind() == resource.String && !strings.HasPrefix(ref.Text(), "#"):
				return Foreign
			default: // an identifier, a display, a contained Patient
				return Unclear
			}
		}
	}
	return rel
}

func anyAt(n resource.Node, path []string, is func(resource.Node) bool) bool {
	if len(path) == 0 {
		return is(n)
	}
	for c := range n.All(path[0]) {
		if anyAt(c, path[1:], is) {
			return true
		}
	}
	return false
}

func isPatient(n resource.Node, bases []string, patient string) bool {
	base, typ, id, ok := resource.SplitReference(n.Get("reference").Text())
	return ok && typ == "Patient" && id == patient && (base == "" || OwnBase(bases, base))
}

// OwnBase says whether base is one of a system's bases: scheme and host are
// compared without case and with their default ports.
func OwnBase(bases []string, base string) bool {
	base = strings.TrimRight(base, "/")
	for _, b := range bases {
		b = strings.TrimRight(b, "/")
		if b == base || canonicalBase(b) == canonicalBase(base) {
			return true
		}
	}
	return false
}

func canonicalBase(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return s
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	switch {
	case u.Scheme == "https":
		u.Host = strings.TrimSuffix(u.Host, ":443")
	case u.Scheme == "http":
		u.Host = strings.TrimSuffix(u.Host, ":80")
	}
	return u.String()
}
