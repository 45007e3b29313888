package search

import (
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/validate"
)

const subsetted = `{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}`

// Projects says whether the query asks for a part of each resource only.
func (q *Query) Projects() bool {
	return len(q.elements) > 0 || q.summary == SummaryTrue || q.summary == SummaryText || q.summary == SummaryData
}

// Project cuts a resource down to what _elements and _summary ask for. Id,
// meta, mandatory elements and those that change the meaning of others stay.
// What was cut is tagged SUBSETTED; a resource that loses nothing is returned
// as it is. Matching and deciding come before: on the whole resource.
//
// An included resource of another type, or an OperationOutcome, is cut by
// _summary alone.
func (q *Query) Project(r *resource.Resource) []byte {
	keep := q.keeps(r.Type())
	if keep == nil {
		return r.Raw()
	}
	root, e := r.Root(), r.Edit()
	for m := range root.Members() {
		name := strings.TrimPrefix(m.Name(), "_")
		if name != "resourceType" && !slices.Contains(keep, name) {
			e.Remove(m)
		}
	}
	if !e.Changed() {
		return r.Raw()
	}
	tag(e, root)
	return e.Bytes()
}

// keeps lists the members that stay; nil if all do.
func (q *Query) keeps(typ string) []string {
	if !q.Projects() || !validate.Covers(typ) || typ == "OperationOutcome" {
		return nil
	}
	var keep []string
	switch {
	case len(q.elements) > 0 && typ == q.typ:
		for _, e := range q.elements {
			keep = append(keep, validate.Names(typ, e)...)
		}
	case q.summary == SummaryTrue:
		keep = validate.Elements(typ, true)
	case q.summary == SummaryText:
		keep = []string{"text"}
	case q.summary == SummaryData:
		keep = slices.DeleteFunc(validate.Elements(typ, false), func(s string) bool { return s == "text" })
	default:
		return nil
	}
	return append(keep, validate.Kept(typ)...)
}

// tag adds SUBSETTED to meta.tag if it is not there.
func tag(e *resource.Editor, root resource.Node) {
	meta := root.Get("meta")
	tags := meta.Get("tag")
	for t := range tags.Elements() {
		if t.Get("code").Is("SUBSETTED") {
			return
		}
	}
	switch {
	case tags.Kind() == resource.Array && tags.Len() > 0:
		e.Append(tags, []byte(subsetted))
	case meta.Kind() == resource.Object:
		e.Set(meta, "tag", []byte("["+subsetted+"]"))
	default:
		e.Set(root, "meta", []byte(`{"tag":[`+subsetted+`]}`))
	}
}
