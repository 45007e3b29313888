package smart

// A kind says how a coded element is written.
type kind uint8

const (
	concept kind = iota // CodeableConcept
	coding              // Coding
	code                // code
)

// An element is where a token search parameter looks.
type element struct {
	path   []string
	kind   kind
	system string // of a code, where the table knows it
}

// elementsOf returns where a parameter looks on a type; nothing if the table
// does not have it.
func elementsOf(typ, param string) []element {
	if e, ok := elements[typ][param]; ok {
		return e
	}
	return commonElements[param]
}

// supported says whether criteria on this parameter can be evaluated: for "*",
// on some type.
func supported(typ, param string) bool {
	if typ != "*" {
		return elementsOf(typ, param) != nil
	}
	if commonElements[param] != nil {
		return true
	}
	for _, params := range elements {
		if params[param] != nil {
			return true
		}
	}
	return false
}

func concepts(path ...string) []element { return []element{{path: path, kind: concept}} }
func codings(path ...string) []element  { return []element{{path: path, kind: coding}} }
func codes(path, system string) []element {
	return []element{{path: []string{path}, kind: code, system: system}}
}

// commonElements are the token parameters of every type.
var commonElements = map[string][]element{
	"_tag":      codings("meta", "tag"),
	"_security": codings("meta", "security"),
}

const hl7 = "http://hl7.org/fhir/"

// elements are the token parameters of a type that a granular scope may use:
// those on one coded element, from the R4 search parameters
// (https://hl7.org/fhir/R4/searchparameter-registry.html).
var elements = map[string]map[string][]element{
	"AllergyIntolerance": {
		"category":            codes("category", hl7+"allergy-intolerance-category"),
		"clinical-status":     concepts("clinicalStatus"),
		"code":                append(concepts("code"), concepts("reaction", "substance")...),
		"criticality":         codes("criticality", hl7+"allergy-intolerance-criticality"),
		"type":                codes("type", hl7+"allergy-intolerance-type"),
		"verification-status": concepts("verificationStatus"),
	},
	"Appointment": {
		"appointment-type": concepts("appointmentType"),
		"service-category": concepts("serviceCategory"),
		"service-type":     concepts("serviceType"),
		"specialty":        concepts("specialty"),
		"status":           codes("status", hl7+"appointmentstatus"),
	},
	"CarePlan": {
		"category": concepts("category"),
		"intent":   codes("intent", ""),
		"status":   codes("status", hl7+"request-status"),
	},
	"CareTeam": {
		"category": concepts("category"),
		"status":   codes("status", hl7+"care-team-status"),
	},
	"Communication": {
		"category": concepts("category"),
		"status":   codes("status", hl7+"event-status"),
	},
	"CommunicationRequest": {
		"category": concepts("category"),
		"status":   codes("status", hl7+"request-status"),
	},
	"Composition": {
		"category": concepts("category"),
		"status":   codes("status", hl7+"composition-status"),
		"type":     concepts("type"),
	},
	"Condition": {
		"category":            concepts("category"),
		"clinical-status":     concepts("clinicalStatus"),
		"code":                concepts("code"),
		"severity":            concepts("severity"),
		"verification-status": concepts("verificationStatus"),
	},
	"Consent": {
		"category": concepts("category"),
		"scope":    concepts("scope"),
		"status":   codes("status", hl7+"consent-state-codes"),
	},
	"Coverage": {
		"status": codes("status", hl7+"fm-status"),
		"type":   concepts("type"),
	},
	"Device": {
		"status": codes("status", hl7+"device-status"),
		"type":   concepts("type"),
	},
	"DiagnosticReport": {
		"category": concepts("category"),
		"code":     concepts("code"),
		"status":   codes("status", hl7+"diagnostic-report-status"),
	},
	"DocumentReference": {
		"category": concepts("category"),
		"status":   codes("status", hl7+"document-reference-status"),
		"type":     concepts("type"),
	},
	"Encounter": {
		"class":       codings("class"),
		"reason-code": concepts("reasonCode"),
		"status":      codes("status", hl7+"encounter-status"),
		"type":        concepts("type"),
	},
	"EpisodeOfCare": {
		"status": codes("status", hl7+"episode-of-care-status"),
		"type":   concepts("type"),
	},
	"Goal": {
		"category":         concepts("category"),
		"lifecycle-status": codes("lifecycleStatus", hl7+"goal-status"),
	},
	"Immunization": {
		"status":       codes("status", hl7+"event-status"),
		"vaccine-code": concepts("vaccineCode"),
	},
	"List": {
		"code":   concepts("code"),
		"status": codes("status", hl7+"list-status"),
	},
	"Location": {
		"status": codes("status", hl7+"location-status"),
		"type":   concepts("type"),
	},
	"Medication": {
		"code":   concepts("code"),
		"status": codes("status", ""),
	},
	"MedicationAdministration": {
		"code":   concepts("medicationCodeableConcept"),
		"status": codes("status", ""),
	},
	"MedicationDispense": {
		"code":   concepts("medicationCodeableConcept"),
		"status": codes("status", ""),
		"type":   concepts("type"),
	},
	"MedicationRequest": {
		"category": concepts("category"),
		"code":     concepts("medicationCodeableConcept"),
		"intent":   codes("intent", ""),
		"status":   codes("status", ""),
	},
	"MedicationStatement": {
		"category": concepts("category"),
		"code":     concepts("medicationCodeableConcept"),
		"status":   codes("status", ""),
	},
	"Observation": {
		"category":      concepts("category"),
		"code":          concepts("code"),
		"status":        codes("status", hl7+"observation-status"),
		"value-concept": concepts("valueCodeableConcept"),
	},
	"Organization": {"type": concepts("type")},
	"Patient":      {"gender": codes("gender", hl7+"administrative-gender")},
	"Person":       {"gender": codes("gender", hl7+"administrative-gender")},
	"Practitioner": {"gender": codes("gender", hl7+"administrative-gender")},
	"PractitionerRole": {
		"role":      concepts("code"),
		"specialty": concepts("specialty"),
	},
	"Procedure": {
		"category": concepts("category"),
		"code":     concepts("code"),
		"status":   codes("status", hl7+"event-status"),
	},
	"QuestionnaireResponse": {"status": codes("status", hl7+"questionnaire-answers-status")},
	"RelatedPerson": {
		"gender":       codes("gender", hl7+"administrative-gender"),
		"relationship": concepts("relationship"),
	},
	"ServiceRequest": {
		"category": concepts("category"),
		"code":     concepts("code"),
		"intent":   codes("intent", hl7+"request-intent"),
		"priority": codes("priority", hl7+"request-priority"),
		"status":   codes("status", hl7+"request-status"),
	},
	"Specimen": {
		"status": codes("status", hl7+"specimen-status"),
		"type":   concepts("type"),
	},
	"Task": {
		"business-status": concepts("businessStatus"),
		"code":            concepts("code"),
		"intent":          codes("intent", ""),
		"priority":        codes("priority", hl7+"request-priority"),
		"status":          codes("status", hl7+"task-status"),
	},
}
