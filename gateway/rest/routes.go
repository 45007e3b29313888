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
	Unknown      = "" // no route fits
)

// A Route is one row of the table.
type Route struct {
	Interaction string
	Method      string
	Pattern     string // below the FHIR base, gin's syntax
	Open        bool   // answered without a token
}

// Routes is the table of all FHIR routes. Tests that go over every path of the
// gateway enumerate it; there is no other place that adds one.
func Routes() []Route {
	return []Route{
		{Capabilities, http.MethodGet, "/metadata", true},
		{Discovery, http.MethodGet, "/.well-known/smart-configuration", true},
		{SearchType, http.MethodGet, "/:type", false},
		{SearchType, http.MethodPost, "/:type/_search", false},
		{Read, http.MethodGet, "/:type/:id", false},
		{VRead, http.MethodGet, "/:type/:id/_history/:vid", false},
		{Create, http.MethodPost, "/:type", false},
		{Update, http.MethodPut, "/:type/:id", false},
	}
}
