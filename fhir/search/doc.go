// Package search turns FHIR search parameters into three things that agree
// with each other: entries for a stored resource ([Index]), a plan over such
// entries ([Query.Plan]) and an exact judgement of one resource
// ([Query.Match]).
//
// The plan finds a superset: whatever Match accepts, the plan finds, also when
// whole elements were cut from the resource after it was indexed. So a caller
// runs the plan on what is stored, decides and redacts each resource, and then
// asks Match on the form that will be returned: a redacted element neither
// finds a resource nor keeps one from being found (decisions 3.1).
//
// Parsing is strict. A parameter, modifier, prefix or value that is not known,
// not supported or malformed is a typed [Error] that names it; nothing is
// ignored (decisions 3.8). Supported are the token, string, date, reference,
// uri, number and quantity parameters of every R4 resource type, with the
// modifiers :missing, :not, :text, :exact, :contains, :identifier and :[type];
// refused are composites, chains, _has, includes, _text, _content, _filter,
// near and phonetic.
//
// How values compare:
//
//   - token: case-sensitive. `code`, `system|code`, `|code`, `system|`. A code
//     element matches with the system of its required binding. A ContactPoint
//     compares by letters and digits alone; a North American 1 before ten
//     digits does not count.
//   - string: starts with, after folding: NFKD, marks stripped, lower case,
//     apostrophes and full stops dropped, other punctuation a space.
//     `obrien` finds O'Brien, `munoz` Muñoz, `smith jo` Smith-Jones.
//   - date: intervals, as https://hl7.org/fhir/R4/search.html#prefix defines.
//     What has no time zone is read in Options.Location, in the query as in the
//     resource. ap reaches a tenth of the gap between now and the date further,
//     to both sides.
//   - reference: `Patient/1`, `1`, or an absolute URL, which on the server's
//     own base is the same as the relative form. Versions do not count.
//   - quantity: the unit compares as system and code (or as unit, if no system
//     is given); there is no conversion.
//
// It knows no request, caller or policy. Callers: gateway/rest, gateway/smart
// (granular scopes), gateway/enforce, whoever writes to a store.
//
// Spec: https://hl7.org/fhir/R4/search.html
package search

//go:generate go run ./gen -parameters ../../../shared/data/fhir/r4-definitions/search-parameters.json
