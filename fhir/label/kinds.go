package label

import (
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
)

// A kind says which elements of a resource type are its subject matter: codes
// in them label the whole resource, codes elsewhere only the element.
type kind struct {
	name           string
	holdsResources bool // resources may stand anywhere in it: Bundle, Parameters
}

func kindOf(resourceType string) kind {
	return kind{resourceType, resourceType == "Bundle" || resourceType == "Parameters"}
}

// known are the types whose names matter here, so that a contained resource's
// type can be read without allocating.
var known = [...]string{
	"Condition", "Observation", "Procedure", "AllergyIntolerance", "ServiceRequest", "DiagnosticReport", "Flag",
	"Medication", "MedicationRequest", "MedicationStatement", "MedicationAdministration", "MedicationDispense", "MedicationKnowledge",
	"DocumentReference", "DocumentManifest", "Composition", "Immunization", "Bundle", "Parameters", "Consent",
	"Organization", "Practitioner", "PractitionerRole", "Patient", "RelatedPerson", "Location", "Device",
}

func kindOfNode(t resource.Node) kind {
	for _, name := range known {
		if t.Is(name) {
			return kindOf(name)
		}
	}
	return kindOf(t.Text())
}

// coded says whether the type has a principal element, whose absence leaves open
// what a resource is about.
func (k kind) coded() bool {
	switch k.name {
	case "Condition", "Observation", "Procedure", "AllergyIntolerance", "ServiceRequest", "DiagnosticReport", "Flag",
		"DocumentReference", "DocumentManifest", "Composition", "Immunization", "Basic", "RiskAssessment", "ClinicalImpression", "DetectedIssue":
		return true
	}
	return k.medication()
}

// personal says whether words in texts count: not in the entries of a
// directory, which are about nobody, nor in a Consent, which speaks of kinds of
// records rather than of the person (consents.go reads it).
func (k kind) personal() bool {
	switch k.name {
	case "Consent", "Organization", "OrganizationAffiliation", "Location", "HealthcareService", "Practitioner", "PractitionerRole", "Endpoint",
		"Questionnaire", "PlanDefinition", "ActivityDefinition", "Library", "ValueSet", "CodeSystem", "ConceptMap", "StructureDefinition",
		"SearchParameter", "OperationDefinition", "CapabilityStatement", "ImplementationGuide", "Measure":
		return false
	}
	return true
}

// medication says whether the type is about a drug.
func (k kind) medication() bool { return strings.HasPrefix(k.name, "Medication") }

// principal returns the resource's principal elements: `code` wherever a type
// has one, and what the design lists beside it.
func (k kind) principal(n resource.Node) (set [8]resource.Node, count int) {
	add := func(name string) {
		if m := n.Get(name); m.Exists() {
			set[count] = m
			count++
		}
	}
	add("code")
	switch k.name {
	case "Observation":
		add("valueCodeableConcept")
		add("valueString")
	case "DocumentReference", "DocumentManifest", "Composition":
		add("type")
	case "Immunization":
		add("vaccineCode")
	case "Medication":
		add("ingredient")
	case "MedicationRequest", "MedicationStatement", "MedicationAdministration", "MedicationDispense":
		add("medicationCodeableConcept")
	}
	return set, count
}
