package gateway

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway/rest"
	"github.com/handoff-health/handoff/gateway/smart"
)

// The CapabilityStatement: https://hl7.org/fhir/R4/capabilitystatement.html

// Served lists the resource types that can be read and searched: those that
// adapters make and those that connected systems return.
func Served() []string {
	return []string{
		"AllergyIntolerance", "CarePlan", "CareTeam", "Communication", "Condition", "Consent", "DiagnosticReport", "DocumentReference",
		"Encounter", "Flag", "Goal", "Immunization", "Location", "MedicationRequest", "MedicationStatement", "Observation",
		"Organization", "Patient", "Practitioner", "PractitionerRole", "Procedure", "Provenance", "RelatedPerson",
		"ServiceRequest", "Task",
	}
}

// SupportedScopes lists what can be asked for at these levels, for
// scopes_supported: what can be read and searched, the granular scopes of US
// Core, what opens writes and steps, and the scopes of operations.
func SupportedScopes(levels ...string) []string {
	var out []string
	for _, level := range levels {
		out = append(out, smart.SupportedScopes(level, smart.Read|smart.Search, Served()...)...)
		out = append(out, smart.USCoreScopes(level, Served()...)...)
		out = append(out, level+"/Consent.crus")
		if slices.Contains(workforce, level) {
			out = append(out, level+"/Task.crus")
		}
	}
	return append(out, smart.OperationScopes()...)
}

type object = map[string]any

// capabilities builds the statement from the route table and the search
// parameters, so that it cannot promise what is not there.
func capabilities(base string, d smart.Discovery) []byte {
	var resources []object
	for _, typ := range Served() {
		interactions := []object{{"code": "read"}, {"code": "vread"}, {"code": "search-type"}}
		res := object{"type": typ, "interaction": interactions, "versioning": "versioned", "searchParam": searchParams(typ)}
		if ops := operations(typ); len(ops) > 0 {
			res["operation"] = ops
		}
		if typ == "Consent" {
			res["interaction"] = append(interactions, object{"code": "create"}, object{"code": "update"})
			res["conditionalCreate"] = true
			res["updateCreate"] = false
			res["versioning"] = "versioned-update"
		}
		resources = append(resources, res)
	}
	for _, typ := range publishedTypes() {
		resources = append(resources, object{
			"type": typ, "interaction": []object{{"code": "read"}, {"code": "search-type"}},
			"searchParam": []object{{"name": "url", "type": "uri"}, {"name": "name", "type": "string"}, {"name": "_id", "type": "token"}, {"name": "status", "type": "token"}},
		})
	}
	security := object{
		"cors":    true,
		"service": []object{{"coding": []object{{"system": "http://terminology.hl7.org/CodeSystem/restful-security-service", "code": "SMART-on-FHIR"}}}},
	}
	if uris := oauthURIs(d); len(uris) > 0 { // deprecated, but clients still look here first
		security["extension"] = []object{{
			"url":       "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
			"extension": uris,
		}}
	}
	statement := object{
		"resourceType": "CapabilityStatement", "status": "active", "date": "2026-11-24", "kind": "instance",
		"software":       object{"name": "Handoff"},
		"implementation": object{"description": "Handoff: FHIR gateway between police and mental-health systems", "url": base},
		"fhirVersion":    "4.0.1", "format": []string{"application/fhir+json", "json"},
		"rest": []object{{"mode": "server", "security": security, "resource": resources, "operation": operations("")}},
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(statement); err != nil {
		panic("gateway: the capability statement cannot be encoded: " + err.Error()) // it is built of constants
	}
	return bytes.TrimSpace(out.Bytes())
}

// oauthURIs are the endpoints that there are, by the names of SMART's extension.
func oauthURIs(d smart.Discovery) []object {
	var out []object
	for _, e := range [...]struct{ name, url string }{
		{"token", d.TokenEndpoint}, {"authorize", d.AuthorizationEndpoint}, {"introspect", d.IntrospectionEndpoint},
		{"revoke", d.RevocationEndpoint}, {"register", d.RegistrationEndpoint},
	} {
		if e.url != "" {
			out = append(out, object{"url": e.name, "valueUri": e.url})
		}
	}
	return out
}

// operations lists those of a type that have a route; "" is the whole system.
func operations(typ string) []object {
	var out []object
	for _, r := range rest.Routes() {
		name, ok := strings.CutPrefix(r.Interaction, "$")
		if ok && r.Type == typ && !slices.ContainsFunc(out, func(o object) bool { return o["name"] == name }) {
			out = append(out, object{"name": name, "definition": terminology.Base + "/OperationDefinition/" + name})
		}
	}
	return out
}

func searchParams(typ string) []object {
	var out []object
	for _, p := range search.Parameters(typ) {
		if p.Kind == search.NotSupported {
			continue
		}
		out = append(out, object{"name": p.Name, "type": p.Kind.String()})
	}
	return out
}

func renderCapabilities(s *Server, x *exchange) (*rest.Response, error) {
	if err := x.req.Acceptable(); err != nil {
		return nil, err
	}
	h := http.Header{}
	h.Set("Cache-Control", "public, max-age=300")
	return &rest.Response{Status: http.StatusOK, Header: h, Body: s.capabilities}, nil
}

// renderDiscovery serves the SMART configuration document: JSON, whatever
// Accept says, for pages of any origin.
func renderDiscovery(s *Server, _ *exchange) (*rest.Response, error) {
	h := http.Header{}
	h.Set("Cache-Control", "public, max-age=300")
	return &rest.Response{Status: http.StatusOK, Header: h, Body: s.discovery, Type: "application/json"}, nil
}

// renderPreflight answers a browser's question; rest has set what the page may.
func renderPreflight(*Server, *exchange) (*rest.Response, error) {
	return &rest.Response{Status: http.StatusNoContent, Header: http.Header{}}, nil
}
