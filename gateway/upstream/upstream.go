package upstream

import (
	"context"
	"net/url"

	"github.com/handoff-health/handoff/fhir/resource"
)

// An Upstream is one system that can be asked.
type Upstream interface {
	// Name is the system's key in the configuration.
	Name() string
	// Origin is what its configuration says of every resource from it.
	Origin() resource.Origin
	// Read returns one resource by the system's own id, ErrNotFound if it has none.
	Read(ctx context.Context, typ, id string) (*resource.Resource, error)
	// Search asks for resources of a type. It yields matches page by page;
	// a partial result ends with an error.
	Search(ctx context.Context, typ string, params url.Values, yield func(*resource.Resource) bool) error
}
