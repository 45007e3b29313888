package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/handoff-health/handoff/fhir/parameters"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/capture"
	"github.com/handoff-health/handoff/gateway/enforce"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/rest"
)

// An exchange is one request on its way through the pipeline.
type exchange struct {
	req       *rest.Request
	started   time.Time // by this machine's clock
	at        time.Time // the instant every decision of this request is made for
	event     *audit.Event
	principal *auth.Principal
	demand    demand            // of the interaction, on the scopes
	levels    []string          // of scopes at which the interaction is open
	launched  *attribute.Person // in context, where patient/ scopes count; nil: nobody
	narrowed  bool              // a search that names nobody is held to launched

	params  []search.Param     // as asked
	asked   *search.Query      // the same, parsed: for links
	query   *search.Query      // as it is matched: the person's other references added
	version int64              // of a vread
	body    *resource.Resource // of a write
	given   parameters.Set     // of an operation: its parameters

	person   *attribute.Person
	sessions map[sessionKey]posed
	people   map[string]*standing // by Patient reference

	candidates []*candidate
	more       func(context.Context) ([]*candidate, error) // further candidates; nil: none
	kept       []*candidate
	denied     []*candidate
	whole      bool   // candidates are all there are: the page is cut from them
	from       place  // where the page starts
	next       *place // where the one after it starts; nil at the end
	mu         sync.Mutex
	incomplete bool        // a system that would have been asked did not answer
	explain    *explaining // of $explain-access
	written    *store.Record
	created    bool
	ending     ending // of a revocation
	captured   *capture.Capture
	callBack   []byte          // of a capture: the request to call back
	partial    map[string]bool // references to what is seen in part
	seen       map[string]bool // references whose visibility was decided
}

// A candidate is a resource that could be in the answer.
type candidate struct {
	resource *resource.Resource
	origin   resource.Origin
	record   *store.Record // of the own store; nil for a connected system's
	subject  policy.Subject
	decision policy.Decision
	question *policy.Request // that decision answers; nil: policy was not asked
	digest   string          // of the content, for the event
	labelled string          // digest of the labels, for the event
	withheld bool            // permitted, and no part of the answer
	how      string          // permit, redact, deny: how it was carried out
	result   enforce.Result
	final    *resource.Resource // the form in which it goes out
	raw      []byte             // of final, with version and time where they are ours
	from     string             // the store's place before the stretch it came in
	sort     search.SortValue
}

func (c *candidate) reference() string { return c.resource.Reference() }

// begin starts an exchange and its event.
func (s *Server) begin(r *rest.Request) *exchange {
	now := s.o.Now().In(s.o.Location) // dates without a zone are the site's
	return &exchange{
		req: r, at: now, started: time.Now(),
		event: &audit.Event{
			ID: s.o.NewID(), At: now.UTC(), Interaction: r.Interaction,
			Operation: r.HTTP.Method, Path: recordedPath(r.Path), Query: recordedQuery(r.HTTP.URL.RawQuery), Source: r.Source(),
		},
		sessions: map[sessionKey]posed{},
		people:   map[string]*standing{},
		seen:     map[string]bool{},
		partial:  map[string]bool{},
	}
}

// lacks notes that a system that would have been asked did not answer in full.
// Systems are asked side by side.
func (x *exchange) lacks() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.incomplete = true
}

// asks notes that a system was asked.
func (x *exchange) asks(system string) {
	if !slices.Contains(x.event.Systems, system) {
		x.event.Systems = append(x.event.Systems, system)
	}
}

// note puts a person's references into the event, once each.
func (x *exchange) note(references ...string) {
	for _, ref := range references {
		if ref != "" && !slices.Contains(x.event.Patients, ref) {
			x.event.Patients = append(x.event.Patients, ref)
		}
	}
}

// resetSessions forgets decision points, when what they depend on has changed.
func (x *exchange) resetSessions() { x.sessions = map[sessionKey]posed{} }
