package signin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/audit"
)

// Bounds of a session (CJIS AC-11, IA-11).
const (
	MaxIdle     = 30 * time.Minute
	MaxAbsolute = 12 * time.Hour
)

// Options are the parts of a Server. All are required unless said otherwise.
type Options struct {
	Base      string // public origin of this server, "https://gateway.example"
	SiteKey   []byte // at least 32 bytes: subjects, page tokens
	Facts     store.Facts
	Audit     audit.Recorder
	Providers []Provider
	Banner    string // the notice that everybody confirms before signing in
	// Idle and Absolute end sessions; 0 and most: MaxIdle and MaxAbsolute.
	Idle, Absolute time.Duration
	// Failures of a user in Window lock the user; 0 and most: 5 in 15 minutes.
	Failures int
	Window   time.Duration
	// EndTokens notes in Facts that a session has ended, by its id (auth.EndSession): so
	// end its tokens, and whatever session has the id. until is when the last of the
	// tokens would have ended by itself.
	EndTokens func(ctx context.Context, session string, until time.Time) error
	Source    func(*http.Request) string // address of a browser; optional, the peer's
	NewID     func() string              // ids of requests
	Now       func() time.Time           // optional
	Logger    *slog.Logger               // optional
}

// A Server signs people in and keeps their sessions. It is an http.Handler for
// the paths that Paths lists, and safe for concurrent use.
type Server struct {
	o         Options
	secure    bool // cookies over TLS only
	providers map[string]*Provider
}

var _ Sessions = (*Server)(nil)

// New checks the options. It asks no provider anything yet.
func New(o Options) (*Server, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Source == nil {
		o.Source = peer
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Idle == 0 {
		o.Idle = MaxIdle
	}
	if o.Absolute == 0 {
		o.Absolute = MaxAbsolute
	}
	if o.Failures == 0 {
		o.Failures = MaxFailures
	}
	if o.Window == 0 {
		o.Window = MaxWindow
	}
	u, err := url.Parse(o.Base)
	switch {
	case err != nil || u.Host == "" || u.Path != "" || (u.Scheme != "https" && u.Scheme != "http"):
		return nil, fmt.Errorf("sign-in: %q is not an origin", o.Base)
	case len(o.SiteKey) < 32:
		return nil, errors.New("sign-in: the site key has less than 32 bytes")
	case o.Facts == nil || o.Audit == nil || o.EndTokens == nil || o.NewID == nil:
		return nil, errors.New("sign-in: facts, audit, the end of tokens or request ids are missing")
	case o.Idle < time.Minute || o.Idle > MaxIdle || o.Absolute < o.Idle || o.Absolute > MaxAbsolute:
		return nil, fmt.Errorf("sign-in: a session ends after at most %v unused and %v in all", MaxIdle, MaxAbsolute)
	case o.Failures < 1 || o.Failures > MaxFailures || o.Window < time.Minute || o.Window > MaxWindow:
		return nil, fmt.Errorf("sign-in: a user is locked after at most %d failures in at most %v", MaxFailures, MaxWindow)
	case strings.TrimSpace(o.Banner) == "":
		return nil, errors.New("sign-in: there is no notice to confirm")
	}
	s := &Server{o: o, secure: u.Scheme == "https", providers: map[string]*Provider{}}
	for i := range o.Providers {
		p := &o.Providers[i]
		switch {
		case p.ID == "" || url.PathEscape(p.ID) != p.ID || s.providers[p.ID] != nil:
			return nil, fmt.Errorf("sign-in: the provider %q has no usable id, or another's", p.ID)
		case (p.OpenID == nil) == (p.Users == nil) || p.Organization == "":
			return nil, fmt.Errorf("sign-in: the provider %s has no organisation, or nobody to ask", p.ID)
		}
		s.providers[p.ID] = p
	}
	return s, nil
}

// peer is the address at the other end of the connection.
func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// ownPath says whether next is a path of this server at which a person may land
// after signing in: no other server, no other scheme, nothing that a browser
// would read as one.
func ownPath(next string) bool {
	u, err := url.Parse(next)
	return err == nil && u.Scheme == "" && u.Host == "" && u.User == nil && strings.HasPrefix(next, pathPrefix) &&
		!strings.ContainsAny(next, "\\") && !strings.ContainsFunc(next, func(r rune) bool { return r <= ' ' || r > '~' }) &&
		!strings.Contains(u.Path, "..")
}

const pathPrefix = "/oauth/"
