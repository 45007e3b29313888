package limit

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/guard"
)

// Bounds of memory: how many callers of a kind are counted at a time.
const (
	mostClients   = 8192
	mostUsers     = 65536
	mostAddresses = 65536
)

// Options are the limits of one process.
type Options struct {
	Requests int // FHIR requests of a client in a minute; below 1: no limit
	Users    int // of one person through one client
	Tokens   int // requests to authenticate, of a client that proves its name, or of an address that does not
	// Failures in Window lock a client out at an address, for Window.
	Failures int
	Window   time.Duration
	Facts    store.Facts // keeps locks, and rates that gateways share
	// Shared says whether another gateway serves from the same store now: then the
	// limits hold for what all of them admit. nil: never.
	Shared func() bool
	Now    func() time.Time
	Logger *slog.Logger // nil: none
}

// Limits count. They are safe for concurrent use.
type Limits struct {
	o                               Options
	clients, users, proven, address *Buckets
	attempts                        attempts
	failures                        failures
	turns                           turns
}

var _ auth.Limiter = (*Limits)(nil)

// New checks the options.
func New(o Options) (*Limits, error) {
	if o.Facts == nil || o.Failures < 1 || o.Window < time.Second {
		return nil, errors.New("limit: facts, failures or their window are missing")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Limits{
		o:       o,
		clients: NewBuckets(o.Requests, mostClients, o.Now), users: NewBuckets(o.Users, mostUsers, o.Now),
		proven: NewBuckets(o.Tokens, mostClients, o.Now), address: NewBuckets(o.Tokens, mostAddresses, o.Now),
		failures: failures{m: map[string]streak{}},
	}
	for kind, b := range map[string]*Buckets{"client": l.clients, "user": l.users, "proven": l.proven, "address": l.address} {
		b.share(o.Facts, kind, o.Shared, o.Logger)
	}
	return l, nil
}

// Request spends from the rates of a client and of the person for whom it asks. If
// it may not ask now, wait is when.
func (l *Limits) Request(p *auth.Principal) (wait time.Duration, ok bool) {
	if guard.Off(guard.ClientRate) {
		return 0, true
	}
	if p.User.ID != "" {
		// A person who asks too often does not use up the client's rate for others.
		if wait, ok := l.users.Take(p.Client + "\x00" + p.User.ID); !ok {
			return wait, false
		}
	}
	return l.clients.Take(p.Client)
}

// Proven implements auth.Limiter: for a client that has proven its name.
func (l *Limits) Proven(_ context.Context, client string) error {
	if wait, ok := l.proven.Take(client); !ok && !guard.Off(guard.ClientRate) {
		return auth.TooMany(wait)
	}
	return nil
}

// network is what counts as one address: an IPv4 address, and of IPv6 the /64 that
// one subscriber has.
func network(source string) string {
	if host, _, err := net.SplitHostPort(source); err == nil {
		source = host
	}
	a, err := netip.ParseAddr(source)
	if err != nil {
		return source
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(64)
	if err != nil {
		return source
	}
	return p.String()
}
