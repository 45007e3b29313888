package audit

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
)

// Render renders an event as a FHIR R4 AuditEvent in the shape of BALP:
// client, server, user and organisation as agents; patients, the query, the
// resources decided on, the consents that spoke, the token and the request id
// as entities. https://hl7.org/fhir/R4/auditevent.html
func Render(e *Event) ([]byte, error) {
	out := auditEvent{
		ResourceType: "AuditEvent", Action: action(e), Recorded: e.At.UTC().Format("2006-01-02T15:04:05.000Z07:00"),
		Outcome: fmt.Sprint(uint8(e.Outcome)), OutcomeDesc: outcomeDesc(e), PurposeOfEvent: concepts(e.Purposes, "purpose-of-use"),
		Agent: agents(e), Entity: entities(e),
		Source: source{Observer: gatewayIdentity, Type: []coding{{sourceType, "4", "Application Server"}}},
	}
	switch e.Outcome {
	case Success, Minor, Serious, Major:
	default:
		return nil, fmt.Errorf("render event %s: %d is not an outcome", e.ID, e.Outcome)
	}
	out.Type, out.Subtype = kind(e)
	if resource.ValidID(e.ID) {
		out.ID = e.ID
	}
	raw, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("render event %s: %w", e.ID, err)
	}
	return raw, nil
}

// kind is the event's type and subtypes.
func kind(e *Event) (coding, []coding) {
	switch e.Interaction {
	case Opened:
		return coding{dicom, "110100", "Application Activity"}, []coding{{dicom, "110120", "Application Start"}}
	case Closing:
		return coding{dicom, "110100", "Application Activity"}, []coding{{dicom, "110121", "Application Stop"}}
	case Cut, StoreAccept:
		return coding{dicom, "110113", "Security Alert"}, []coding{{ownSystems + "audit-subtype", e.Interaction, ""}}
	case Logout:
		return coding{dicom, "110114", "User Authentication"}, []coding{{dicom, "110123", "Logout"}}
	case SignOut:
		return coding{dicom, "110114", "User Authentication"}, []coding{{dicom, "110123", "Logout"}, {ownSystems + "audit-subtype", SignOut, ""}}
	case Lock, Unlock, ClientChange:
		return coding{dicom, "110113", "Security Alert"}, []coding{{dicom, "110137", "User security Attributes Changed"}, {ownSystems + "audit-subtype", e.Interaction, ""}}
	case "token", "authorize", Login:
		return coding{dicom, "110114", "User Authentication"}, []coding{{dicom, "110122", "Login"}}
	}
	sub := []coding{{ownSystems + "audit-subtype", e.Interaction, ""}}
	if restful[e.Interaction] {
		sub[0] = coding{System: restInteraction, Code: e.Interaction}
	}
	if e.Interaction == "" {
		sub = nil
	}
	if len(consentsOf(e)) > 0 { // the decision hung on a consent
		sub = append(sub, coding{balp + "AuthZsubType", "AuthZ-Consent", ""})
	}
	return coding{eventType, "rest", "RESTful Operation"}, sub
}

// restful are the codes of http://hl7.org/fhir/restful-interaction.
var restful = map[string]bool{
	"read": true, "vread": true, "update": true, "patch": true, "delete": true, "history": true, "history-instance": true,
	"history-type": true, "history-system": true, "create": true, "search": true, "search-type": true, "search-system": true,
	"capabilities": true, "transaction": true, "batch": true, "operation": true,
}

// action is C, R, U, D or E: https://hl7.org/fhir/R4/valueset-audit-event-action.html
func action(e *Event) string {
	switch e.Interaction {
	case "create":
		return "C"
	case "read", "vread", "history", "history-instance", "history-type", "history-system", "capabilities":
		return "R"
	case "update", "patch":
		return "U"
	case "delete":
		return "D"
	}
	return "E" // BALP: a search is executed
}

// outcomeDesc says why, in stable codes only.
func outcomeDesc(e *Event) string {
	var parts []string
	if e.Reason != "" {
		parts = append(parts, e.Reason)
	}
	if e.Status != 0 {
		parts = append(parts, fmt.Sprintf("HTTP %d", e.Status))
	}
	if e.Incomplete {
		parts = append(parts, "incomplete")
	}
	return strings.Join(parts, "; ")
}
