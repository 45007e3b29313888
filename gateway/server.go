package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/broker"
	"github.com/handoff-health/handoff/gateway/identity"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/rest"
	"github.com/handoff-health/handoff/gateway/smart"
)

// A Verifier turns a bearer token into who it speaks for.
type Verifier interface {
	Verify(ctx context.Context, bearer string) (*auth.Principal, error)
}

// A Limiter says whether the caller of a request may ask now, and if not, when.
type Limiter interface {
	Request(p *auth.Principal) (wait time.Duration, ok bool)
}

// Options are the parts of a gateway. All are required unless said otherwise.
type Options struct {
	Base      string // public FHIR base URL
	MaxBody   int64  // bytes of a request body; 0: 1 MiB
	SiteKey   []byte // seals paging cursors, makes ids
	Store     store.Store
	Facts     store.Facts
	Verifier  Verifier
	Limits    Limiter         // optional: how often clients and people may ask
	Discovery smart.Discovery // the SMART configuration document
	Directory *attribute.Directory
	Identity  attribute.Identity
	IDs       *identity.IDMap
	Broker    *broker.Broker
	Labeller  *label.Labeller
	Policy    *policy.Engine
	Audit     audit.Recorder
	Other     map[string]http.Handler // what is no FHIR: token endpoint, health; optional
	// Proxies are believed about where a request comes from; optional.
	Proxies rest.Proxies
	// Origins says whether a page of this origin may call here: whether an enabled
	// client registered it. Optional, then none may.
	Origins func(ctx context.Context, origin string) bool
	// Capture bounds Consents captured on the scene; optional, then none can be.
	Capture CaptureLimits
	// Published are forms and definitions, served as they stand; optional.
	Published [][]byte
	Crisis    Crisis // what Patient/$crisis-summary offers to everybody; optional
	// Bases and Emergency bound acceptance and declarations; optional.
	Bases     BasisLimits
	Emergency EmergencyLimits
	Lookups   time.Duration    // how long the references of one lot are looked up; 0: 2 s
	Location  *time.Location   // of dates without a zone; optional, UTC
	Now       func() time.Time // optional
	NewID     func() string    // ids of requests and new resources; optional
	Logger    *slog.Logger     // optional
}

// A Server answers FHIR requests. It is an http.Handler and safe for
// concurrent use.
type Server struct {
	o            Options
	search       search.Options
	gatherer     *attribute.Gatherer
	interactions map[string]interaction
	seal         *seal
	subjects     subjects
	versions     versions
	forgotten    atomic.Int64         // as of which count of expunges persons are remembered
	published    []*resource.Resource // forms and definitions
	capabilities []byte
	decidesBy    audit.Facts // what every event says its decisions depended on
	discovery    []byte
	handler      http.Handler
}

// New puts a gateway together. It refuses to exist with a part missing.
func New(o Options) (*Server, error) {
	if o.Store == nil || o.Facts == nil || o.Verifier == nil || o.Directory == nil || o.Identity == nil ||
		o.IDs == nil || o.Broker == nil || o.Labeller == nil || o.Policy == nil || o.Audit == nil {
		return nil, errors.New("gateway: a part is missing")
	}
	base, err := url.Parse(o.Base)
	if err != nil || base.Host == "" {
		return nil, errors.New("gateway: the base is not an absolute URL")
	}
	if o.MaxBody == 0 {
		o.MaxBody = 1 << 20
	}
	if o.Lookups == 0 {
		o.Lookups = lookupTime
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = rand.Text
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Location == nil {
		o.Location = time.UTC
	}
	s := &Server{
		o:            o,
		decidesBy:    decidesBy(o.Policy, label.LabelSetVersion),
		search:       search.Options{Base: o.Base, CursorParam: cursorParam, Location: o.Location, Now: o.Now},
		gatherer:     &attribute.Gatherer{Directory: o.Directory, Store: o.Store, Identity: o.Identity, Base: o.Base},
		interactions: interactions(),
	}
	if err := s.o.Bases.check(s); err != nil {
		return nil, err
	}
	s.o.Emergency.fill()
	if s.seal, err = newSeal(o.SiteKey); err != nil {
		return nil, err
	}
	if s.published, err = publish(o.Published); err != nil {
		return nil, err
	}
	s.capabilities = capabilities(o.Base, o.Discovery)
	if s.discovery, err = o.Discovery.JSON(); err != nil {
		return nil, err
	}
	s.handler = rest.New(rest.Options{
		BasePath: base.Path, Other: o.Other, Proxies: o.Proxies, Origins: o.Origins, HTTPS: base.Scheme == "https",
	}, s.handle)
	return s, nil
}

// pinner is a store with memory that has to know when a request starts.
type pinner interface {
	Pin(ctx context.Context) (context.Context, error)
	Pinned(ctx context.Context) int64
}

// pin lets a store with memory answer this request from what is as new as the
// request itself.
func (s *Server) pin(ctx context.Context) (context.Context, error) {
	if p, ok := s.o.Store.(pinner); ok {
		return p.Pin(ctx)
	}
	return ctx, nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }
