// Package mappings turns a source record, decoded into a [tree.Record], into
// FHIR R4 resources by a mapping file: YAML, one row for each target element.
//
// It is pure: no clock, no network, no random ids. The same record, mapping,
// profile and key give the same bytes. It decides what a field means in FHIR; it
// never decodes a format, never stores, never judges who may see a resource.
// Adapters call [Load] once and [Map.Apply] for each record.
package mappings
