package ingest

import (
	"slices"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/validate"
)

// R4 validates against the structure of FHIR R4 and the profiles of US Core that
// a resource claims.
type R4 struct{}

// Validate returns the errors that make a resource unfit to be stored.
func (R4) Validate(r *resource.Resource) []string {
	var problems []string
	for _, is := range slices.Concat(validate.Resource(r), validate.Claims(r)) {
		if is.Severity == outcome.Failure || is.Severity == outcome.Fatal {
			problems = append(problems, is.Expression+": "+is.Diagnostics)
		}
	}
	return problems
}

// Labels computes security labels as the gateway does on a write.
type Labels struct{ Labeller *label.Labeller }

// Label returns the labels as "system|code".
func (l Labels) Label(r *resource.Resource, o resource.Origin) ([]string, string, error) {
	var labels label.Labels
	l.Labeller.Label(r, o, &labels)
	return labels.Texts(), labels.Version, nil
}

// Entries computes search entries by the parameters that the gateway serves.
type Entries struct{}

// Index returns "param|value" entries.
func (Entries) Index(r *resource.Resource) ([]string, error) { return search.Index(r), nil }
