// Package flow is what converting and ingesting have in common: it reads a
// [adapters.Source], maps its records in parallel, hands the results on in the
// order of the input, and counts what became of each.
//
// The counts obey one rule for any input (decisions 6.3): records = created +
// updated + duplicates + rejects + non-records. It stores nothing and decides
// nothing about a result. Packages convert and ingest call it.
package flow
