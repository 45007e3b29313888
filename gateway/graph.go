package gateway

import (
	"context"
	"errors"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/replay"
)

// maxNamed is how many instances that Consents name are read to learn what they
// refer to; about the rest nothing is known, which permits nothing and denies.
const maxNamed = 64

// graphOf reads the instances of the own store that a person's Consents name in
// provision.data, since "related" data are those that an instance refers to.
func (s *Server) graphOf(ctx context.Context, filed []*attribute.Filed) (consent.Graph, error) {
	var found []*resource.Resource
	var versions []string
	asked := map[string]bool{}
	for _, f := range filed {
		for _, ref := range f.Named {
			_, typ, id, ok := resource.SplitReference(ref)
			if !ok || asked[ref] || s.o.IDs.IsOpaque(id) || len(asked) >= maxNamed {
				continue
			}
			asked[ref] = true
			rec, err := s.o.Store.Read(ctx, store.Key{Type: typ, ID: id})
			if errors.Is(err, store.ErrNotFound) || (err == nil && rec.Deleted) {
				continue
			}
			if err != nil {
				return nil, err
			}
			r, err := resource.Parse(rec.Raw)
			if err != nil {
				return nil, err
			}
			found = append(found, r)
			versions = append(versions, versioned(rec)+" "+resource.Digest(rec.Raw))
		}
	}
	return replay.NewGraph(found, versions), nil
}
