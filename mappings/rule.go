package mappings

import (
	"slices"

	"github.com/handoff-health/handoff/mappings/schema"
)

// A rule makes resources of one type from a record.
type rule struct {
	local     string // name inside the mapping
	at        string
	typ       *schema.Type
	contained string // local name of the resource that holds it; "" = stands alone
	owned     bool
	optional  bool // left out if a required row makes nothing; else the record is rejected
	stub      bool // a minimal form: see Resource.Stub
	when      *program
	system    *program
	key       *program
	rows      []*row
	merges    bool // its rows are slots
}

// A source kind of a row.
type rowSource uint8

const (
	fromPath rowSource = iota
	fromExpr
	fromConstant
	fromRef
	fromRows
	fromDatatype
)

// A row sets one element of the output.
type row struct {
	at       string // file:line
	to       string
	chain    []*schema.Element // the elements on the way to target
	target   *schema.Element
	source   rowSource
	paths    []*recordPath
	expr     *program
	objects  []*schema.Object // constants of a Complex target
	texts    []string         // several constants of a repeating primitive
	ref      string
	rows     []*row
	dynamic  bool // a nested row depends on the record
	foreach  *program
	over     *recordPath // foreach over the nodes of a path
	vocab    *vocabulary
	as       string
	when     *program
	fallback *row // else
	absent   *program
	required bool

	slot slotName // of a row of a resource that is merged
	cut  *program // delete: the slot is emptied where it holds
	weak bool     // default: stands only where no message states the slot
	only *node    // the first key of the row that only such rows have
}

// fields are the columns, HL7 fields or elements that the row reads, for
// coverage. base is the element at hand where the row does not know it: that of
// the place where a datatype is used.
func (r *row) fields(base string) []string {
	out := r.inputs()
	paths := r.paths
	for _, p := range []*program{r.when, r.absent, r.expr, r.foreach} {
		if p != nil {
			out = append(out, p.fields...)
			paths = append(slices.Clip(paths), p.paths...)
		}
	}
	for _, p := range paths {
		out = p.fieldsBelow(base, out)
	}
	bases := []string{base}
	switch {
	case r.source == fromDatatype:
		bases = nil
		for _, p := range r.paths {
			bases = append(bases, p.base(base))
		}
	case r.over != nil:
		out = r.over.fieldsBelow(base, out)
		bases[0] = r.over.base(base)
	}
	for _, b := range bases {
		for _, n := range r.rows {
			out = append(out, n.fields(b)...)
		}
	}
	return out
}

// inputs are the fields that the row's value is made from.
func (r *row) inputs() []string {
	var out []string
	for _, p := range r.paths {
		out = p.noteField(out)
	}
	out = r.over.noteField(out)
	for _, p := range []*program{r.expr, r.foreach} {
		if p != nil {
			out = append(out, p.fields...)
		}
	}
	return out
}

// A datatype is a reusable set of rows for one FHIR data type.
type datatype struct {
	name string
	typ  *schema.Type
	rows []*row
	size int // rows, with those of the datatypes that it uses
}

// A let is a value computed once for a record.
type let struct {
	name, field string
	expr, when  *program
	zero        any // its value where when does not hold
}

// An outcome decides what becomes of a record; the first that holds counts.
type outcome struct {
	when          *program
	action        Action
	code          string
	message       string
	field         string
	at            string
	issueSeverity Severity
	bare          bool // acts by the key alone: no resources are made
}

// A check raises an issue.
type check struct {
	when           *program
	severity       Severity
	code, message  string
	field, atPlace string
}
