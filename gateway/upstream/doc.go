// Package upstream is what the broker asks of a connected system, and the kinds
// of system there are: FHIR servers over HTTP, and the gateway's own store.
//
// An upstream turns a type with an id or with search parameters into raw
// resources, each with the origin that the configuration gives it. It decides
// nothing and rewrites nothing. [About] tells whether a resource is about the
// patient who was asked for: no system's own filter is believed.
//
// gateway/broker calls it. Every kind passes upstreamtest.
//
// Spec: https://hl7.org/fhir/R4/http.html#search
package upstream
