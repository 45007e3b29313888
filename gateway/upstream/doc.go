// Package upstream is what the broker asks of a connected system, and the kinds
// of system there are: FHIR servers over HTTP, and the gateway's own store.
//
// An upstream sends the linked patient's id at that system and nothing else of
// the caller's record. It decides nothing; what it returns is raw.
package upstream
