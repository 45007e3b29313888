// Package eido reads Emergency Incident Data Objects: what dispatch systems hand to
// each other in JSON (NENA-STA-021.1).
//
// It turns each object into one record of kind incident: the incident component at
// the root with what it refers to nested where the reference stands, whatever list
// the component stood in. A member *Reference becomes a member without that ending,
// with the component's members below it. Persons, locations, notes, dispositions,
// cautions, dispatches and calls to which nothing refers stand at the root, as those
// of the incident. A reference that leads nowhere is reported; one that leads back is
// left as the component's id. The values of a location (PIDF-LO, XML inside a text)
// become members, the text of notes (HTML) plain text.
//
// It never guesses who is meant by a component: roles are the mapping's to read.
//
// Spec: NENA-STA-021.1b-2022, RFC 5139 (civic addresses), RFC 5491 (PIDF-LO)
package eido
