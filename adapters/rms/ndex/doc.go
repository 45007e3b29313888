// Package ndex reads police reports in NIEM XML: N-DEx publications (2.1 in a
// LEXS envelope, later ones on NIEM 3 to 6), the NIEM messages that resemble
// them, and NIBRS submissions. It turns one report into one record for each
// person and incident: the incident with this person alone, the officers, the
// other people with their roles, the crisis supplement.
//
//	bytes ── text ── framer ── one report ── element ── graph ── tree.Record
//	         charset  finds     as a small   names and   roles,    one for each
//	                  reports   document     namespaces  links     person
//
// The framer holds one report at a time: a file of any length is read in flat
// memory, and a broken report costs itself only. Names are matched by local name
// and family of namespace (see family.go): the same local name in a foreign
// namespace means nothing here. References (s:id and s:ref, structures:uri,
// RoleOfPerson, lexslib:SameAsDigestReference) and associations are resolved
// here, so that mapping rows see nesting only.
//
// It never interprets a value, never decides what goes out (mappings/rms/ndex
// does), never follows a DTD, an entity or a schema location. What no row can
// reach stands below Unread in the record, so that it is counted.
//
// Called by adapters/all. Formats: N-DEx IEPD 2.1.1, LEXS 3.1.4, NIEM NDR 2 to
// 6, NIBRS 2019.1; design/police.md sections 1.1 and 2. ADR 0029.
package ndex
