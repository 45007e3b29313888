package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/bundle"
	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/gateway/rest"
)

// What the gateway publishes: Questionnaires, and the definitions of its
// operations, codes, profiles and extensions. They are about nobody, so no scope
// is asked; a token is, so that without one there are no more than the two
// documents that tell how to get one.

// publishedTypes lists the types of what can be published, by the routes.
func publishedTypes() []string {
	var out []string
	for _, r := range rest.Routes() {
		if r.Interaction == rest.Definition {
			out = append(out, r.Type)
		}
	}
	return out
}

// publish reads what is published; one that cannot be read, or stands twice,
// stops the start.
func publish(raws [][]byte) ([]*resource.Resource, error) {
	var out []*resource.Resource
	seen := map[string]bool{}
	for i, raw := range raws {
		r, err := resource.Parse(raw)
		if err != nil {
			return nil, fmt.Errorf("gateway: published resource %d: %w", i, err)
		}
		switch {
		case !slices.Contains(publishedTypes(), r.Type()) || r.ID() == "":
			return nil, fmt.Errorf("gateway: published resource %d is a %s, or has no id", i, r.Type())
		case seen[r.Reference()]:
			return nil, fmt.Errorf("gateway: %s is published twice", r.Reference())
		}
		seen[r.Reference()] = true
		out = append(out, r)
	}
	return out, nil
}

// readDefinitions reads a search: by url, name, _id or status, each at most once.
func readDefinitions(s *Server, x *exchange) error {
	params, err := x.req.Query(s.o.MaxBody)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, p := range params {
		switch p.Name {
		case "url", "name", "_id", "status":
			if seen[p.Name] || p.Value == "" {
				return outcome.BadRequest(outcome.CodeInvalid, "%s stands more than once, or is empty", p.Name).At("http." + p.Name)
			}
			seen[p.Name] = true
			x.params = append(x.params, p)
		case "_format":
		default:
			return outcome.NotSupported("a search of %s has no parameter %q", x.req.Type, clip(p.Name)).At("http." + clip(p.Name))
		}
	}
	x.event.Query = encode(x.params)
	return nil
}

// fits says whether a definition is what a parameter asks for: a url with or without
// its version, the beginning of a name.
func fits(r *resource.Resource, p search.Param) bool {
	root := r.Root()
	switch p.Name {
	case "url":
		canonical, version, versioned := strings.Cut(p.Value, "|")
		return root.Get("url").Is(canonical) && (!versioned || root.Get("version").Is(version))
	case "name":
		return strings.HasPrefix(strings.ToLower(root.Get("name").Text()), strings.ToLower(p.Value))
	case "_id":
		return r.ID() == p.Value
	case "status":
		return root.Get("status").Is(p.Value)
	}
	return false
}

func renderDefinitions(s *Server, x *exchange) (*rest.Response, error) {
	b := bundle.New(bundle.Searchset)
	n := 0
	for _, r := range s.published {
		if r.Type() != x.req.Type || slices.ContainsFunc(x.params, func(p search.Param) bool { return !fits(r, p) }) {
			continue
		}
		n++
		b.Add(s.o.Base+"/"+r.Reference(), r.Raw(), bundle.ModeMatch)
	}
	b.Total(n)
	self := s.o.Base + "/" + x.req.Type
	if q := encode(x.params); q != "" {
		self += "?" + q
	}
	b.Link("self", self)
	return &rest.Response{Status: http.StatusOK, Header: http.Header{}, Body: b.Bytes()}, nil
}

func renderDefinition(s *Server, x *exchange) (*rest.Response, error) {
	for _, r := range s.published {
		if r.Type() == x.req.Type && r.ID() == x.req.ID {
			return &rest.Response{Status: http.StatusOK, Header: http.Header{}, Body: r.Raw()}, nil
		}
	}
	return nil, outcome.NotFound(fmt.Errorf("no %s %.64q", x.req.Type, x.req.ID))
}
