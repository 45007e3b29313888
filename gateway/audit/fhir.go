package audit

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
)

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
	case Cut:
		return coding{dicom, "110113", "Security Alert"}, []coding{{ownSystems + "audit-subtype", Cut, ""}}
	case Logout:
		return coding{dicom, "110114", "User Authentication"}, []coding{{dicom, "110123", "Logout"}}
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

func agents(e *Event) []agent {
	purposes := concepts(e.Purposes, "purpose-of-use")
	client := agent{
		Type: typed(dicom, "110153", "Source Role ID"), Who: who(e.Client), Requestor: e.User == "", Network: networkOf(e.Source),
	}
	switch {
	case client.Who != nil:
	case e.Interaction == Login, e.Interaction == Logout, e.Interaction == Lock:
		client.Who = &reference{Display: "browser"}
	case e.Interaction == Unlock, e.Interaction == ClientChange && e.Operation == "handoff":
		client.Who = &reference{Display: "handoff command"}
	default:
		client.Who = &reference{Display: "unknown client"}
	}
	if e.User == "" { // a system asks for itself
		client.Role, client.PurposeOfUse, client.Policy = concepts(e.Roles, "actor-role"), purposes, jti(e)
	}
	gateway := gatewayIdentity
	out := []agent{client, {Type: typed(dicom, "110152", "Destination Role ID"), Who: &gateway}}
	if e.Administrative() {
		out = []agent{{Type: typed(dicom, "110150", "Application"), Who: &gateway}}
	}
	if e.User != "" {
		out = append(out, agent{
			Type: typed("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP", "information recipient"),
			Who:  who(e.User), Name: e.UserName, Requestor: true, Role: concepts(e.Roles, "actor-role"), PurposeOfUse: purposes, Policy: jti(e),
		})
	}
	if e.Organization != "" {
		out = append(out, agent{
			Type: typed("http://terminology.hl7.org/CodeSystem/v3-RoleClass", "PROV", ""), Who: who(e.Organization), PurposeOfUse: purposes,
		})
	}
	return out
}

func jti(e *Event) []string {
	if e.TokenID == "" {
		return nil
	}
	return []string{tokenURN(e.TokenID)}
}

func tokenURN(id string) string { return "urn:ietf:params:oauth:jti:" + id }

func typed(system, code, display string) *concept {
	return &concept{Coding: []coding{{system, code, display}}}
}

// concepts turns "system|code", or a bare code of one of the project's systems,
// into codings.
func concepts(codes []string, own string) []concept {
	var out []concept
	for _, c := range codes {
		if c == "" {
			continue
		}
		out = append(out, concept{Coding: []coding{codeOf(c, own)}})
	}
	return out
}

func codeOf(c, own string) coding {
	if i := strings.LastIndexByte(c, '|'); i >= 0 && i+1 < len(c) {
		return coding{System: c[:i], Code: c[i+1:]}
	}
	return coding{System: ownSystems + own, Code: c}
}

// who is a reference where the name is one, else an identifier.
func who(name string) *reference {
	if name == "" {
		return nil
	}
	if _, _, _, ok := resource.SplitReference(name); ok {
		return &reference{Reference: name}
	}
	return &reference{Identifier: &identifier{Value: name}}
}

// networkOf is an address of type 2 (IP) or 1 (machine name).
func networkOf(address string) *network {
	if address == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	if net.ParseIP(strings.Trim(host, "[]")) != nil {
		return &network{strings.Trim(host, "[]"), "2"}
	}
	return &network{host, "1"}
}

func entities(e *Event) []entity {
	var out []entity
	if e.ID != "" {
		out = append(out, entity{
			Type: &coding{balp + "BasicAuditEntityType", "XrequestId", ""},
			What: &reference{Identifier: &identifier{Value: e.ID}}, Detail: circumstances(e),
		})
	}
	for _, p := range e.Patients {
		out = append(out, entity{What: who(p), Type: &coding{entityType, "1", "Person"}, Role: &coding{objectRole, "1", "Patient"}})
	}
	if e.Query != "" || strings.HasPrefix(e.Interaction, "search") {
		asked := e.Path
		if e.Query != "" {
			asked += "?" + e.Query
		}
		out = append(out, entity{
			Type: &coding{entityType, "2", "System Object"}, Role: &coding{objectRole, "24", "Query"},
			Query: base64.StdEncoding.EncodeToString([]byte(asked)),
		})
	}
	for i := range e.Resources {
		out = append(out, judged(&e.Resources[i]))
	}
	for _, c := range consentsOf(e) {
		out = append(out, entity{What: who(c), Type: &coding{"http://hl7.org/fhir/resource-types", "Consent", "Consent"}})
	}
	for _, b := range basesOf(e) {
		out = append(out, entity{What: who(b), Type: &coding{entityType, "2", "System Object"}, Role: &coding{objectRole, "13", "Security Resource"}})
	}
	if e.TokenID != "" {
		out = append(out, entity{
			Type: &coding{balp + "UserAgentTypes", "UserOauthAgent", ""},
			What: &reference{Identifier: &identifier{Value: tokenURN(e.TokenID)}},
		})
	}
	return slices.DeleteFunc(out, func(n entity) bool { return n.What == nil && n.Query == "" })
}

func judged(j *Judged) entity {
	out := entity{What: who(j.Reference), Type: &coding{entityType, "2", "System Object"}, Role: &coding{objectRole, "4", "Domain Resource"}}
	for _, l := range j.Labels {
		if l != "" {
			out.SecurityLabel = append(out.SecurityLabel, codeOf(l, "cji-label"))
		}
	}
	if j.Decision != "" {
		out.Detail = append(out.Detail, detail{"decision", j.Decision})
	}
	if j.Policy != "" {
		out.Detail = append(out.Detail, detail{"decided", j.Policy})
	}
	if j.Unsent {
		out.Detail = append(out.Detail, detail{"sent", "no"})
	}
	for _, o := range j.Obligations {
		out.Detail = append(out.Detail, detail{"obligation", o})
	}
	if j.Origin.Custodian != "" {
		out.Detail = append(out.Detail, detail{"custodian", j.Origin.Custodian})
	}
	if j.Digest != "" {
		out.Detail = append(out.Detail, detail{"digest", j.Digest})
	}
	for _, r := range j.Reasons {
		text := strings.TrimSpace(strings.Join([]string{r.Rule, r.Effect, r.Pack, r.Consent, r.Path, r.Basis, r.Citation}, " "))
		if text != "" {
			out.Detail = append(out.Detail, detail{"reason", strings.Join(strings.Fields(text), " ")})
		}
	}
	return out
}

// circumstances are what BALP has no element for.
func circumstances(e *Event) []detail {
	var out []detail
	add := func(name, value string) {
		if value != "" {
			out = append(out, detail{name, value})
		}
	}
	add("request", strings.TrimSpace(e.Operation+" "+e.Path))
	add("systems", strings.Join(e.Systems, " "))
	add("obligations", strings.Join(e.Obligations, " "))
	if e.Duration > 0 {
		add("duration", e.Duration.String())
	}
	if e.BytesOut > 0 {
		add("bytesOut", fmt.Sprint(e.BytesOut))
	}
	if e.ConsentEpoch > 0 {
		add("consentEpoch", fmt.Sprint(e.ConsentEpoch))
	}
	if e.Unlisted > 0 {
		add("unlisted", fmt.Sprint(e.Unlisted))
	}
	if e.Facts != nil {
		for _, l := range e.Facts.Laws {
			add("law", l)
		}
		add("labelSet", e.Facts.LabelSet)
	}
	return out
}

// basesOf lists the accepted legal bases that were grounds, each once.
func basesOf(e *Event) []string {
	var out []string
	for i := range e.Resources {
		for _, r := range e.Resources[i].Reasons {
			if r.Basis != "" && !slices.Contains(out, r.Basis) {
				out = append(out, r.Basis)
			}
		}
	}
	return out
}

// consentsOf lists the consents that spoke, each once.
func consentsOf(e *Event) []string {
	var out []string
	for i := range e.Resources {
		for _, r := range e.Resources[i].Reasons {
			if r.Consent != "" && !slices.Contains(out, r.Consent) {
				out = append(out, r.Consent)
			}
		}
	}
	return out
}
