package upstream

import (
	"context"
	"errors"
	"net/url"

	"github.com/handoff-health/handoff/fhir/resource"
)

// What an upstream answers with besides resources. Match them with errors.Is.
// Texts of errors are for the operator's log: they name the system and no
// patient, and no caller may see them.
var (
	ErrNotFound   = errors.New("not found")
	ErrIncomplete = errors.New("incomplete")                         // a search gave part of what matches
	ErrSuppressed = errors.New("withheld by the system's own rules") // break-the-glass, restricted patient
	ErrRefused    = errors.New("refused")                            // the system answered, and will answer the same again
	ErrQuery      = errors.New("it cannot be asked like this")       // refused because of the parameters; wider may do
	ErrFailed     = errors.New("failed")                             // no answer, or none that can be used
)

// An Upstream is one system that can be asked. It is safe for concurrent use
// and ends its work when ctx does.
type Upstream interface {
	// Name is the system's key in the configuration.
	Name() string
	// Bases lists the FHIR base URLs under which the system's own references
	// may be written, the canonical one first. None means that its ids are
	// this gateway's own and that nothing is rewritten.
	Bases() []string
	// Read returns one resource by the system's own id, ErrNotFound if it has
	// none.
	Read(ctx context.Context, typ, id string) (Item, error)
	// Search asks for resources of a type and yields what matches as it comes,
	// until yield returns false. It never yields OperationOutcomes. A partial
	// result ends with ErrIncomplete or another error; what was yielded before
	// is good.
	Search(ctx context.Context, typ string, params url.Values, yield func(Item) bool) error
}

// An Item is a resource with what is known of it besides its bytes.
type Item struct {
	Resource *resource.Resource
	Origin   resource.Origin
	// Labels and LabelSet are those computed at ingest, for a resource of the
	// gateway's own store; empty for all others, which are labelled on the way.
	Labels   []string
	LabelSet string
}
