// Package mappings turns a source record, decoded into a [tree.Record], into
// FHIR R4 resources by a mapping file: YAML, one row for each target element.
//
// It is pure: no clock, no network, no random ids. The same record, mapping,
// profile and key give the same bytes. It decides what a field means in FHIR; it
// never decodes a format, never stores, never judges who may see a resource.
// Adapters call [Load] once and [Map.Apply] for each record:
//
//	mapping file ─┐
//	vocabularies ─┤ Load: compiled, checked, all or nothing
//	profile      ─┘        │
//	tree.Record ──────── Apply ──> Result: action, resources, issues, unmapped, trace
//
// # A mapping file
//
//	columns | segments  the fields that the format has; any other is an error; a
//	                    column can be {name, aliases, required}: other names in
//	                    headers, and whether a file without it is refused
//	vocabularies        name: CSV file (columns of the v2-to-FHIR guide)
//	datatypes, rowsets  rows that are used again; rowset-files: those that several
//	                    mappings share
//	let                 named values, computed once for a record, in order
//	key, record-version what the record is at its source, and which state of it
//	record-groups       wider keys: the incident
//	update              merge, or {merge: [kinds]}: records say what changes
//	record-scope        the group that an expunge or seal without a key means
//	outcomes            the first that holds: reject, seal, expunge, keep, test
//	checks              issues
//	ignore              fields left out on purpose, with the reason
//	resources           what is made: id (local name), type, when, foreach or
//	                    over, let, system and key (for the logical id), rows;
//	                    or a group: over, foreach, when, let and resources that
//	                    are made for each item
//	merges              persons that become one, or two again (undo): survivor
//	                    and loser are Patients of resources, or {system, key};
//	                    stub: true marks a minimal form of a Patient
//
// A row sets one element: `to`, then one source (`from` a field, `expr`, `value`
// a constant, `ref` to another resource, `rows` below it), and what shapes it:
// `when`, `foreach` or `over`, `as`, `vocab`, `use`, `else`, `absent`
// (data-absent-reason), `required`. Targets are checked against R4, constants
// and vocabularies against required bindings, expressions (expr-lang) against
// the types of what they use: a fault is found by Load and named with
// file:line:column. [Functions] lists what expressions can call. Extensions of a
// primitive that does not repeat are set by `to: birthDate.extension` and rows.
//
// A profile can change the mapping for its sender: `inherit` another profile, add
// segments, columns, elements, kinds, vocabularies, ignored fields, and `override`
// lists of the mapping by operations on their members, which are called by name,
// id, code or target: add (before, after), replace (with), remove, change (set,
// unset, rows). A [Live] loads all of it again when a file changes.
//
// A path of `over` is a field (PID-3: its repetitions), an element (/Incident/
// Person, ./Alias), or segments (PID+PD1+MRG: a group starts at each PID). Inside,
// ./Name, ../Role and .1 start at the item, and PID-5 reads the group's own PID.
// `ref` means the resource of the item at hand, or of the nearest item around it;
// if several remain for an element that holds one, it is left out with an issue.
//
// # Records that say what changes
//
// With `update: merge` each row of a resource sets a slot (see [Slot]). A row
// that makes a value states its slot; one that makes none because a field that
// it is about is `""` empties it, as `delete: condition` does; otherwise the slot
// keeps what an earlier or a later record says, the newest by record-version.
// `else`, `absent` and a row with `default: true` give what stands where no
// record states the slot. Rows for one element that does not repeat, and for the
// types of a choice, share a slot; rows for a repeating element have one each,
// named by what they read. A row that comes to read other fields is another
// slot: `name:` keeps the old one.
//
// Nothing that is not stated is written: a value that cannot be read is left
// out with an issue, a code without a row keeps its text and is counted, a field
// that no row reads is counted too. Free text passes a guard that repairs it and
// withholds formulas and criminal-history content.
//
// Spec: https://hl7.org/fhir/R4/, https://hl7.org/fhir/uv/v2mappings/2024Sep/
package mappings
