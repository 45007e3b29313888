package rest

import "net/http"

// Interactions, by their FHIR codes (restful-interaction) where there is one.
const (
	Capabilities = "capabilities"
	Discovery    = "smart-configuration"
	Read         = "read"
	VRead        = "vread"
	SearchType   = "search-type"
	Create       = "create"
	Update       = "update"
	// CrisisSummary is the officer's one question, of a Patient or of a name.
	CrisisSummary = "$crisis-summary"
	// ExplainAccess is the privacy officer's question why somebody gets something.
	ExplainAccess = "$explain-access"
	// Of the Consent registry.
	Capture = "$capture"
	Revoke  = "$revoke"
	WhatIf  = "$what-if"
	// Of what the gateway publishes about itself: forms, operations, codes, profiles.
	Definition  = "read-definition"
	Definitions = "search-definition"
	// Steps of a declared legal basis, and of an emergency.
	DeclareBasis   = "$declare-basis"
	AcceptBasis    = "$accept-basis"
	RejectBasis    = "$reject-basis"
	WithdrawBasis  = "$withdraw-basis"
	CancelTask     = "$cancel" // of the declarer's own: a legal basis or an emergency
	BreakGlass     = "$break-glass"
	CompleteReview = "$complete-review"
	// Preflight is a browser's question whether a page may ask; on any path.
	Preflight = "preflight"
	Unknown   = "" // no route fits
)

// A Route is one row of the table.
type Route struct {
	Interaction string
	Method      string
	Pattern     string // below the FHIR base, gin's syntax
	Open        bool   // answered without a token
	Type        string // resource type, where the pattern has it as a word: of an operation
}

// Routes is the table of all FHIR routes. Tests that go over every path of the
// gateway enumerate it; there is no other place that adds one.
func Routes() []Route {
	return []Route{
		{Interaction: Capabilities, Method: http.MethodGet, Pattern: "/metadata", Open: true},
		{Interaction: Discovery, Method: http.MethodGet, Pattern: "/.well-known/smart-configuration", Open: true},
		{Interaction: SearchType, Method: http.MethodGet, Pattern: "/:type"},
		{Interaction: SearchType, Method: http.MethodPost, Pattern: "/:type/_search"},
		{Interaction: Read, Method: http.MethodGet, Pattern: "/:type/:id"},
		{Interaction: VRead, Method: http.MethodGet, Pattern: "/:type/:id/_history/:vid"},
		{Interaction: CrisisSummary, Method: http.MethodGet, Pattern: "/Patient/:id/$crisis-summary", Type: "Patient"},
		{Interaction: CrisisSummary, Method: http.MethodPost, Pattern: "/Patient/:id/$crisis-summary", Type: "Patient"},
		{Interaction: CrisisSummary, Method: http.MethodPost, Pattern: "/Patient/$crisis-summary", Type: "Patient"},
		{Interaction: ExplainAccess, Method: http.MethodPost, Pattern: "/$explain-access"},
		{Interaction: Capture, Method: http.MethodPost, Pattern: "/Consent/$capture", Type: "Consent"},
		{Interaction: Definitions, Method: http.MethodGet, Pattern: "/Questionnaire", Type: "Questionnaire"},
		{Interaction: Definitions, Method: http.MethodPost, Pattern: "/Questionnaire/_search", Type: "Questionnaire"},
		{Interaction: Definition, Method: http.MethodGet, Pattern: "/Questionnaire/:id", Type: "Questionnaire"},
		{Interaction: Definitions, Method: http.MethodGet, Pattern: "/OperationDefinition", Type: "OperationDefinition"},
		{Interaction: Definitions, Method: http.MethodPost, Pattern: "/OperationDefinition/_search", Type: "OperationDefinition"},
		{Interaction: Definition, Method: http.MethodGet, Pattern: "/OperationDefinition/:id", Type: "OperationDefinition"},
		{Interaction: Definitions, Method: http.MethodGet, Pattern: "/CodeSystem", Type: "CodeSystem"},
		{Interaction: Definitions, Method: http.MethodPost, Pattern: "/CodeSystem/_search", Type: "CodeSystem"},
		{Interaction: Definition, Method: http.MethodGet, Pattern: "/CodeSystem/:id", Type: "CodeSystem"},
		{Interaction: Definitions, Method: http.MethodGet, Pattern: "/ValueSet", Type: "ValueSet"},
		{Interaction: Definitions, Method: http.MethodPost, Pattern: "/ValueSet/_search", Type: "ValueSet"},
		{Interaction: Definition, Method: http.MethodGet, Pattern: "/ValueSet/:id", Type: "ValueSet"},
		{Interaction: Definitions, Method: http.MethodGet, Pattern: "/StructureDefinition", Type: "StructureDefinition"},
		{Interaction: Definitions, Method: http.MethodPost, Pattern: "/StructureDefinition/_search", Type: "StructureDefinition"},
		{Interaction: Definition, Method: http.MethodGet, Pattern: "/StructureDefinition/:id", Type: "StructureDefinition"},
		{Interaction: WhatIf, Method: http.MethodPost, Pattern: "/Consent/$what-if", Type: "Consent"},
		{Interaction: Revoke, Method: http.MethodPost, Pattern: "/Consent/:id/$revoke", Type: "Consent"},
		{Interaction: DeclareBasis, Method: http.MethodPost, Pattern: "/Task/$declare-basis", Type: "Task"},
		{Interaction: AcceptBasis, Method: http.MethodPost, Pattern: "/Task/:id/$accept-basis", Type: "Task"},
		{Interaction: RejectBasis, Method: http.MethodPost, Pattern: "/Task/:id/$reject-basis", Type: "Task"},
		{Interaction: WithdrawBasis, Method: http.MethodPost, Pattern: "/Task/:id/$withdraw-basis", Type: "Task"},
		{Interaction: CancelTask, Method: http.MethodPost, Pattern: "/Task/:id/$cancel", Type: "Task"},
		{Interaction: BreakGlass, Method: http.MethodPost, Pattern: "/Patient/:id/$break-glass", Type: "Patient"},
		{Interaction: CompleteReview, Method: http.MethodPost, Pattern: "/Task/:id/$complete-review", Type: "Task"},
		{Interaction: Create, Method: http.MethodPost, Pattern: "/:type"},
		{Interaction: Update, Method: http.MethodPut, Pattern: "/:type/:id"},
	}
}
