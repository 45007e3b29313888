// Package answers holds the proof that the stores give the same answers: one corpus,
// the official R4 examples and what the demo's own data becomes, written to each of
// them in the same order with the entries of the real extractor, and generated search
// plans run page by page with updates and deletions in between, and, in walks, between
// the pages of one search; searches as callers write them, over odd resources; the
// largest plans that may be. Ids, order, totals,
// pages, contents and cursors are the same, and those of a model that looks at every
// resource. Without a server the embedded store is compared with the model alone, and
// that is said. Nobody imports it.
package answers
