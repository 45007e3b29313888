package audit

// Code systems of an AuditEvent.
const (
	dicom           = "http://dicom.nema.org/resources/ontology/DCM"
	eventType       = "http://terminology.hl7.org/CodeSystem/audit-event-type"
	restInteraction = "http://hl7.org/fhir/restful-interaction"
	entityType      = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
	objectRole      = "http://terminology.hl7.org/CodeSystem/object-role"
	sourceType      = "http://terminology.hl7.org/CodeSystem/security-source-type"
	balp            = "https://profiles.ihe.net/ITI/BALP/CodeSystem/"
	ownSystems      = "https://handoff-health.github.io/fhir/CodeSystem/"
)

// The types below are the parts of R4's AuditEvent that are used. The public
// models cannot be: an empty value[x] of entity.detail does not leave them.
type (
	coding struct {
		System  string `json:"system,omitempty"`
		Code    string `json:"code"`
		Display string `json:"display,omitempty"`
	}
	concept struct {
		Coding []coding `json:"coding,omitempty"`
		Text   string   `json:"text,omitempty"`
	}
	identifier struct {
		System string `json:"system,omitempty"`
		Value  string `json:"value"`
	}
	reference struct {
		Reference  string      `json:"reference,omitempty"`
		Identifier *identifier `json:"identifier,omitempty"`
		Display    string      `json:"display,omitempty"`
	}
	network struct {
		Address string `json:"address"`
		Type    string `json:"type"`
	}
	agent struct {
		Type         *concept   `json:"type,omitempty"`
		Role         []concept  `json:"role,omitempty"`
		Who          *reference `json:"who,omitempty"`
		Name         string     `json:"name,omitempty"`
		Requestor    bool       `json:"requestor"`
		Policy       []string   `json:"policy,omitempty"`
		Network      *network   `json:"network,omitempty"`
		PurposeOfUse []concept  `json:"purposeOfUse,omitempty"`
	}
	detail struct {
		Type        string `json:"type"`
		ValueString string `json:"valueString"`
	}
	entity struct {
		What          *reference `json:"what,omitempty"`
		Type          *coding    `json:"type,omitempty"`
		Role          *coding    `json:"role,omitempty"`
		SecurityLabel []coding   `json:"securityLabel,omitempty"`
		Query         string     `json:"query,omitempty"`
		Detail        []detail   `json:"detail,omitempty"`
	}
	source struct {
		Observer reference `json:"observer"`
		Type     []coding  `json:"type"`
	}
	auditEvent struct {
		ResourceType   string    `json:"resourceType"`
		ID             string    `json:"id,omitempty"`
		Type           coding    `json:"type"`
		Subtype        []coding  `json:"subtype,omitempty"`
		Action         string    `json:"action"`
		Recorded       string    `json:"recorded"`
		Outcome        string    `json:"outcome"`
		OutcomeDesc    string    `json:"outcomeDesc,omitempty"`
		PurposeOfEvent []concept `json:"purposeOfEvent,omitempty"`
		Agent          []agent   `json:"agent"`
		Source         source    `json:"source"`
		Entity         []entity  `json:"entity,omitempty"`
	}
)

// gatewayIdentity is who observed and served: one name for every deployment,
// because which one it was stands in the trail's id.
var gatewayIdentity = reference{
	Identifier: &identifier{System: "urn:ietf:rfc:3986", Value: "https://handoff-health.github.io/fhir/Device/gateway"},
	Display:    "Handoff gateway",
}
