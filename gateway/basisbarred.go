package gateway

import (
	"context"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/legalbasis"
	"github.com/handoff-health/handoff/gateway/policy"
)

// barred says by which law an accepted basis would reach nothing of what it
// covers, and what has to be stated for that law; empty if it reaches something,
// or if that hangs on what is not known here: the labels of a connected system's
// resource. What it reaches in the end is decided with each request.
func (s *Server) barred(ctx context.Context, x *exchange, c *legalbasis.Case) ([]outcome.Issue, error) {
	session := s.sessionOf(x, c)
	known := []*label.Labels{nil}
	if len(c.Accepted.Covers) > 0 {
		known = nil
	}
	for _, ref := range c.Accepted.Covers {
		l, err := s.labelsOfOwn(ctx, ref)
		if err != nil {
			return nil, err
		}
		known = append(known, l)
	}
	var out []outcome.Issue
	for _, l := range known {
		unmet := session.Unmet(s.originOf(c.Custodian), l)
		if len(unmet) == 0 {
			return nil, nil
		}
		for _, u := range unmet {
			if i := issueOf(u); !slices.Contains(out, i) {
				out = append(out, i)
			}
		}
	}
	return out, nil
}

// originOf is what is known of a custodian's data without looking at them.
func (s *Server) originOf(custodian string) resource.Origin {
	return resource.Origin{Custodian: custodian, Police: s.o.Directory.Police(custodian)}
}

func issueOf(u policy.Unmet) outcome.Issue {
	i := outcome.Issue{Code: outcome.CodeInvariant, Diagnostics: u.Citation + ": " + u.Says}
	if len(u.Attributes) > 0 {
		i.Code, i.Expression = outcome.CodeRequired, "Parameters.attributes"
		i.Diagnostics += "; it asks for the attributes " + strings.Join(u.Attributes, ", ")
	}
	return i
}

// labelsOfOwn are the labels of a resource in the own store; nil if it is a
// connected system's.
func (s *Server) labelsOfOwn(ctx context.Context, ref string) (*label.Labels, error) {
	_, typ, id, ok := resource.SplitReference(ref)
	if !ok || s.o.IDs.IsOpaque(id) {
		return nil, nil
	}
	c, err := s.fromStore(ctx, store.Key{Type: typ, ID: id})
	if c == nil || err != nil {
		return nil, err
	}
	return c.subject.Labels, nil
}
