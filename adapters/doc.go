// Package adapters says how records of other systems become FHIR: what a
// source of records is, what it hands on, and how far it has been read.
//
//	bytes ── Source ── Item ── mappings ── resources ── ingest ── store
//	file,    decodes    a tree   rows in     JSON with    validates, labels,
//	stdin    one format with     YAML        keyed ids    links, counts
//	         positions
//
// A [Source] only decodes. It never interprets a field, never drops one, never
// stops at a bad record: what it cannot read it hands on as a reject with its
// place and reason, so that every record of the input is accounted for.
// The formats are listed in adapters/all, without init functions. Package
// adapters/ingest brings records into a store, adapters/convert prints them.
//
// # Adding a vendor
//
//  1. If the vendor's format exists here (a delimited file, HL7 v2), write no Go.
//     Copy the nearest mapping below mappings/ and change its rows.
//  2. Put the vendor's codes into CSV vocabularies beside the mapping, each with
//     its source, and its spellings of columns into the profile's aliases.
//  3. Write the mapping's tests: one record a case, and what must be absent.
//  4. Run `handoff convert --adapter NAME --profile FILE export.csv`, read the
//     rejects and the counts, then the resources. Unmapped fields and codes are
//     counted: map them or say in the mapping that they are left out.
//  5. Name the profile in the configuration, with the system that owns the
//     records: custodian, police or Part 2. Origin comes from there alone.
//
// A new format takes one folder with a Source, one test that runs the suite in
// adaptertest, one golden, and one line in adapters/all.
package adapters
