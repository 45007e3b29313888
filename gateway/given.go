package gateway

import (
	"time"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/parameters"
	"github.com/handoff-health/handoff/fhir/resource"
)

// Reading what an operation is given.

// readGiven reads the body of an operation into x.given.
func (s *Server) readGiven(x *exchange, spec parameters.Spec) (err error) {
	if err := readNothing(s, x); err != nil {
		return err
	}
	if x.req.HTTP.ContentLength == 0 {
		for _, p := range spec {
			if p.Required {
				return outcome.BadRequest(outcome.CodeRequired, "the parameter %q is missing", p.Name).At("Parameters.parameter")
			}
		}
	}
	x.given, err = s.parameters(x, spec)
	return err
}

// parameters reads the body of an operation; none counts as empty Parameters.
func (s *Server) parameters(x *exchange, spec parameters.Spec) (parameters.Set, error) {
	if x.req.HTTP.ContentLength == 0 {
		return parameters.Set{}, nil
	}
	r, err := s.sent(x)
	if err != nil {
		return parameters.Set{}, err
	}
	return parameters.Read(r, spec)
}

// sent parses the resource in the body.
func (s *Server) sent(x *exchange) (*resource.Resource, error) {
	raw, err := x.req.Resource(s.o.MaxBody)
	if err != nil {
		return nil, err
	}
	r, err := resource.Parse(raw)
	if err != nil { // always a *resource.SyntaxError
		return nil, outcome.BadRequest(outcome.CodeStructure, "the body is not a resource: %v", err)
	}
	return r, nil
}

func reasonSpec(required bool) parameters.Spec {
	return parameters.Spec{{Name: "reason", Value: "valueString", Required: required}}
}

// moment reads an instant with its zone, or a day: that is its end here.
func (s *Server) moment(set parameters.Set, name string) (time.Time, error) {
	if !set.Has(name) {
		return time.Time{}, nil
	}
	v := set.One(name)
	if t, err := time.Parse(time.RFC3339, v.Text()); err == nil {
		return t.UTC().Truncate(time.Millisecond), nil
	}
	zone := s.o.Location
	if zone == nil {
		zone = time.UTC
	}
	t, err := time.ParseInLocation(time.DateOnly, v.Text(), zone)
	if err != nil {
		return t, outcome.BadRequest(outcome.CodeValue, "%s must be an instant with its zone, or a day", name).At(v.At)
	}
	return t.AddDate(0, 0, 1).UTC(), nil
}

// named reads a reference to a resource of the type here; "" if none was given.
func (s *Server) named(set parameters.Set, name, typ string) (string, error) {
	if !set.Has(name) {
		return "", nil
	}
	v := set.One(name)
	ref, ok := s.here(v.Text())
	if _, t, _, _ := resource.SplitReference(ref); !ok || typ != "" && t != typ {
		return "", outcome.BadRequest(outcome.CodeValue, "%s must be a reference to a %s here, %s/id", name, typ, typ).At(v.At)
	}
	return ref, nil
}

// here strips this server and a version from a reference.
func (s *Server) here(ref string) (string, bool) {
	base, typ, id, ok := resource.SplitReference(ref)
	if !ok || base != "" && base != s.o.Base {
		return "", false
	}
	return typ + "/" + id, true
}

// allNamed reads a list of references.
func (s *Server) allNamed(set parameters.Set, name string) ([]string, error) {
	var out []string
	for _, v := range set.All(name) {
		ref, ok := s.here(v.Text())
		if !ok {
			return nil, outcome.BadRequest(outcome.CodeValue, "%s must be a reference to a resource here, Type/id", name).At(v.At)
		}
		out = append(out, ref)
	}
	return out, nil
}

// atParameters turns names of parameters into places in the request.
func atParameters(issues []outcome.Issue) []outcome.Issue {
	for i := range issues {
		issues[i].Expression = "Parameters." + issues[i].Expression
	}
	return issues
}
