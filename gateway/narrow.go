package gateway

import (
	"context"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/search"
)

// A search under patient/ scopes alone is about the patient in context, whether
// it says so or not: a client asks for Observation?category=laboratory and means
// its patient.

// canNarrow says whether a search of the type can be held to one person by a
// parameter. The others (staff, places) are judged resource by resource.
func canNarrow(typ string) bool { return narrowingParam(typ) != "" }

// narrowingParam is the parameter by which a type is searched within one person.
func narrowingParam(typ string) string {
	if typ == "Patient" {
		return "_id"
	}
	for _, name := range []string{"patient", "subject"} {
		if p := search.Lookup(typ, name); p != nil && p.Kind == search.Reference && (len(p.Targets) == 0 || slices.Contains(p.Targets, "Patient")) {
			return name
		}
	}
	return ""
}

// narrow adds the person in context to the query as it is matched; what the
// caller is told that it asked stays as it was.
func (s *Server) narrow(ctx context.Context, x *exchange) error {
	if x.person = x.launched; x.person != nil {
		x.note(x.person.References...)
	} else if err := s.aboutNobody(ctx, x); err != nil {
		return err
	}
	values := slices.Clone(x.person.References)
	name := narrowingParam(x.req.Type)
	if name == "_id" {
		for i, ref := range values {
			values[i] = strings.TrimPrefix(ref, "Patient/")
		}
	}
	params := append(slices.Clone(x.params), search.Param{Name: name, Value: strings.Join(values, ",")})
	var err error
	x.query, err = search.Parse(x.req.Type, params, s.search)
	return err
}

// aboutNobody lets the rest of the way be that of a person without records.
func (s *Server) aboutNobody(ctx context.Context, x *exchange) (err error) {
	x.person, err = s.gatherer.Person(ctx, nobody)
	return err
}
