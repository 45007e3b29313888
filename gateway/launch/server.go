package launch

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/oauth"
	"github.com/handoff-health/handoff/gateway/page"
	"github.com/handoff-health/handoff/gateway/signin"
)

//go:embed pages/*.html
var pageFiles embed.FS

var pages = func() *page.Templates {
	t, err := page.Parse(pageFiles, "pages/*.html")
	if err != nil {
		panic(err) // the templates are part of the program, and a test shows them
	}
	return t
}()

// Paths at the origin of the server.
const (
	Path          = "/oauth/launch"           // POST: registers the context of an EHR launch
	AuthorizePath = oauth.PagePath            // where a person decides about a request
	rolePath      = "/oauth/launch/role"      // the steps on the way there
	patientPath   = "/oauth/launch/patient"   //
	encounterPath = "/oauth/launch/encounter" //
	decisionPath  = "/oauth/launch/decision"  //
	flowLife      = 10 * time.Minute          // from request to decision
	maxForm       = 32 << 10                  // bytes
)

// Records answers a question of the gateway's own for somebody: [gateway.Server.Ask].
type Records interface {
	Ask(ctx context.Context, p *auth.Principal, target string, from *http.Request) (status int, body []byte)
}

// A Verifier says for whom a bearer token speaks.
type Verifier interface {
	Verify(ctx context.Context, bearer string) (*auth.Principal, error)
}

// Options are the parts of a Server. All are required unless said otherwise.
type Options struct {
	Origin       string // public origin, "https://gateway.example"
	Base         string // FHIR base URL
	Registry     *auth.Registry
	Verifier     Verifier
	Facts        store.Facts
	Requests     oauth.Requests
	Sessions     signin.Sessions
	Records      Records
	Audit        audit.Recorder
	Organization func(reference string) string // name for people; "" if it is not known
	// Pin gives the context of a request that starts now, where the verifier's facts
	// have memory; optional.
	Pin    func(context.Context) (context.Context, error)
	Source func(*http.Request) string // address of a browser; optional, the peer's
	NewID  func() string
	Now    func() time.Time // optional
	Logger *slog.Logger     // optional
}

// A Server shows the pages of a launch. It is safe for concurrent use.
type Server struct {
	o      Options
	secure bool
}

// New checks the options.
func New(o Options) (*Server, error) {
	u, err := url.Parse(o.Origin)
	if err != nil || u.Host == "" || u.Path != "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, fmt.Errorf("launch: %q is not an origin", o.Origin)
	}
	if o.Base == "" || o.Registry == nil || o.Verifier == nil || o.Facts == nil || o.Requests == nil || o.Sessions == nil || o.Records == nil || o.Audit == nil || o.Organization == nil || o.NewID == nil {
		return nil, errors.New("launch: a part is missing")
	}
	if o.Source == nil {
		o.Source = peer
	}
	if o.Pin == nil {
		o.Pin = func(ctx context.Context) (context.Context, error) { return ctx, nil }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{o: o, secure: u.Scheme == "https"}, nil
}

// Handlers are what the server mounts, by path.
func (s *Server) Handlers() map[string]http.Handler {
	return map[string]http.Handler{
		Path:          http.HandlerFunc(s.register),
		AuthorizePath: s.shown(s.next),
		rolePath:      s.posted(s.chooseRole),
		patientPath:   s.posted(s.choosePatient),
		encounterPath: s.posted(s.chooseEncounter),
		decisionPath:  s.posted(s.decide),
	}
}

// A step answers one page of a flow.
type step func(w http.ResponseWriter, r *http.Request, f *flow) error

// shown is a page that a browser opens.
func (s *Server) shown(do step) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", http.MethodGet)
			s.wrote(page.Show(w, http.StatusMethodNotAllowed, page.Message{Title: "This cannot be done here"}))
			return
		}
		s.run(w, r, r.URL.Query()["id"], do)
	})
}

// posted is a form that a page of this package sends.
func (s *Server) posted(do step) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			s.wrote(page.Show(w, http.StatusMethodNotAllowed, page.Message{Title: "This cannot be done here"}))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if !s.o.Sessions.Check(r) {
			s.failed(w, r, nil, errForeign)
			return
		}
		s.run(w, r, r.PostForm["id"], do)
	})
}

// run finds the flow and whom it is for, and does the step.
func (s *Server) run(w http.ResponseWriter, r *http.Request, ids []string, do step) {
	if len(ids) != 1 {
		s.failed(w, r, nil, errForeign)
		return
	}
	ctx, err := s.o.Pin(r.Context())
	if err != nil {
		s.failed(w, r, nil, err)
		return
	}
	r = r.WithContext(ctx)
	f, err := s.flow(w, r, ids[0])
	if err == nil {
		var ready bool
		if ready, err = s.person(w, r, f); err == nil && !ready {
			return
		}
	}
	if err == nil {
		err = do(w, r, f)
	}
	if err != nil {
		s.failed(w, r, f, err)
	}
}

func (s *Server) wrote(err error) {
	if err != nil {
		s.o.Logger.Warn("a page was not sent", "error", err)
	}
}

// peer is the address at the other end of the connection, without its port: the
// browser's, also behind a trusted proxy, because rest's front has set it.
func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// record writes an event before anything is answered.
func (s *Server) record(ctx context.Context, e *audit.Event) error {
	if err := s.o.Audit.Record(context.WithoutCancel(ctx), e); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}
