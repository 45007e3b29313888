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

// The Questionnaires that the gateway publishes: forms, about nobody, open to
// whoever has a token.

// anyToken asks for a token and nothing more.
func anyToken(*exchange) error { return nil }

// publish reads the Questionnaires; one that cannot be read stops the start.
func publish(raws [][]byte) ([]*resource.Resource, error) {
	var out []*resource.Resource
	for i, raw := range raws {
		r, err := resource.Parse(raw)
		if err != nil {
			return nil, fmt.Errorf("gateway: published Questionnaire %d: %w", i, err)
		}
		if r.Type() != "Questionnaire" || r.ID() == "" {
			return nil, fmt.Errorf("gateway: published Questionnaire %d is a %s, or has no id", i, r.Type())
		}
		out = append(out, r)
	}
	return out, nil
}

// readForms reads a search: by url, name, _id or status, each at most once.
func readForms(s *Server, x *exchange) error {
	params, err := search.ParseQuery(x.req.HTTP.URL.RawQuery)
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
			return outcome.NotSupported("a search of Questionnaires has no parameter %q", clip(p.Name)).At("http." + clip(p.Name))
		}
	}
	return nil
}

// fits says whether a form is what a parameter asks for: a url with or without
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

func renderForms(s *Server, x *exchange) (*rest.Response, error) {
	b := bundle.New(bundle.Searchset)
	n := 0
	for _, r := range s.forms {
		if slices.ContainsFunc(x.params, func(p search.Param) bool { return !fits(r, p) }) {
			continue
		}
		n++
		b.Add(s.o.Base+"/"+r.Reference(), r.Raw(), bundle.ModeMatch)
	}
	b.Total(n)
	self := s.o.Base + "/Questionnaire"
	if q := encode(x.params); q != "" {
		self += "?" + q
	}
	b.Link("self", self)
	return &rest.Response{Status: http.StatusOK, Header: http.Header{}, Body: b.Bytes()}, nil
}

func renderForm(s *Server, x *exchange) (*rest.Response, error) {
	for _, r := range s.forms {
		if r.ID() == x.req.ID {
			return &rest.Response{Status: http.StatusOK, Header: http.Header{}, Body: r.Raw()}, nil
		}
	}
	return nil, outcome.NotFound(fmt.Errorf("no Questionnaire %.64q", x.req.ID))
}
