package auth

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Registry holds the registered clients: those that it was given, and those of a
// [Source] beside them. It is safe for concurrent use, and a change is in force for
// every request that starts after it was acknowledged.
type Registry struct {
	fetcher Fetcher
	now     func() time.Time
	source  Source // nil: none
	given   atomic.Pointer[[]Client]
	loading sync.Mutex // of a change that several requests see at once
	state   atomic.Pointer[registrations]
}

// A Source is where registrations change while the gateway runs.
type Source interface {
	// Version is different, and greater, after every change. It is asked at each
	// request.
	Version(ctx context.Context) (int64, error)
	// Load returns what stands beside the given clients, at least as new as the
	// version read before.
	Load(ctx context.Context) (Changes, error)
}

// Changes are what a Source says.
type Changes struct {
	Clients []Client // registered there; one under the id of a given client does not count
	// Disabled are clients, given ones too, that are disabled beside those whose
	// registration says so.
	Disabled map[string]bool
}

// registrations is one state of the registry; it never changes.
type registrations struct {
	version int64
	given   *[]Client
	clients map[string]*registered
}

type registered struct {
	Client
	keys KeySource // nil for a client of an outside issuer, and for an app without a key
	now  func() time.Time
}

// NewRegistry checks and takes the clients. fetcher may be nil if none has a
// JWKS URL; now nil is time.Now.
func NewRegistry(clients []Client, fetcher Fetcher, now func() time.Time) (*Registry, error) {
	return FollowingRegistry(clients, nil, fetcher, now)
}

// FollowingRegistry is NewRegistry with a source of clients beside those.
func FollowingRegistry(clients []Client, source Source, fetcher Fetcher, now func() time.Time) (*Registry, error) {
	if now == nil {
		now = time.Now
	}
	r := &Registry{fetcher: fetcher, now: now, source: source}
	if err := r.Replace(clients); err != nil {
		return nil, err
	}
	return r, nil
}

// Replace puts a new set of given clients in force, whole or, on an error, not at
// all.
func (r *Registry) Replace(clients []Client) error {
	given := make([]Client, len(clients))
	for i, c := range clients {
		if err := c.check(); err != nil {
			return fmt.Errorf("client %d (%q): %w", i, c.ID, err)
		}
		if slices.ContainsFunc(clients[:i], func(o Client) bool { return o.ID == c.ID }) {
			return fmt.Errorf("client %d: id %q is taken", i, c.ID)
		}
		given[i] = c.clone()
	}
	r.loading.Lock()
	defer r.loading.Unlock()
	next, err := r.build(&given, 0, Changes{})
	if err != nil {
		return err
	}
	r.given.Store(&given)
	if r.source == nil {
		r.state.Store(next)
	}
	return nil
}

// build makes a state. Keys that were fetched for a client stay with it.
func (r *Registry) build(given *[]Client, version int64, changes Changes) (*registrations, error) {
	next := &registrations{version: version, given: given, clients: make(map[string]*registered, len(*given)+len(changes.Clients))}
	before := r.state.Load()
	for _, list := range [2][]Client{*given, changes.Clients} {
		for _, c := range list {
			if next.clients[c.ID] != nil {
				continue
			}
			c.Disabled = c.Disabled || changes.Disabled[c.ID]
			reg := &registered{Client: c.clone(), now: r.now}
			if old := before.of(c.ID); old != nil && old.sameKeys(&c) {
				reg.keys = old.keys
			} else {
				var err error
				if reg.keys, err = r.keySource(&c); err != nil {
					return nil, fmt.Errorf("client %q: %w", c.ID, err)
				}
			}
			next.clients[c.ID] = reg
		}
	}
	return next, nil
}

func (s *registrations) of(id string) *registered {
	if s == nil {
		return nil
	}
	return s.clients[id]
}

// sameKeys says whether what proves the client's name has not changed.
func (c *registered) sameKeys(o *Client) bool {
	return c.Issuer == o.Issuer && c.JWKSURL == o.JWKSURL && bytes.Equal(c.JWKS, o.JWKS) &&
		slices.EqualFunc(c.Retiring, o.Retiring, func(a, b Retiring) bool {
			return bytes.Equal(a.JWKS, b.JWKS) && a.SecretHash == b.SecretHash && a.Until.Equal(b.Until)
		})
}

func (r *Registry) keySource(c *Client) (KeySource, error) {
	switch {
	case c.Issuer != "", c.JWKSURL == "" && len(c.JWKS) == 0: // check has said that it needs none
		return nil, nil
	case c.JWKSURL != "":
		return NewRemoteKeys(c.JWKSURL, r.fetcher, r.now)
	}
	return newRotation(c.JWKS, c.Retiring, r.now)
}

// current returns the state in force. An error means that it cannot be known.
func (r *Registry) current(ctx context.Context) (*registrations, error) {
	if r.source == nil {
		return r.state.Load(), nil
	}
	version, err := r.source.Version(ctx)
	if err != nil {
		return nil, fmt.Errorf("registered clients: %w", err)
	}
	// A request that reads by an older epoch than the newest state may use it.
	if s := r.state.Load(); s != nil && s.version >= version && s.given == r.given.Load() {
		return s, nil
	}
	return r.reload(ctx, version)
}

func (r *Registry) reload(ctx context.Context, version int64) (*registrations, error) {
	r.loading.Lock()
	defer r.loading.Unlock()
	given := r.given.Load()
	if s := r.state.Load(); s != nil && s.version >= version && s.given == given {
		return s, nil
	}
	changes, err := r.source.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("registered clients: %w", err)
	}
	next, err := r.build(given, version, changes)
	if err != nil {
		return nil, fmt.Errorf("registered clients: %w", err)
	}
	r.state.Store(next)
	return next, nil
}

// client looks one up; nil if there is none. An error means that it cannot be known.
func (r *Registry) client(ctx context.Context, id string) (*registered, error) {
	s, err := r.current(ctx)
	if err != nil {
		return nil, err
	}
	return s.clients[id], nil
}

// All lists the clients that stand now, disabled ones too, in no order. Their
// slices are shared and must not be changed.
func (r *Registry) All(ctx context.Context) ([]*Client, error) {
	s, err := r.current(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]*Client, 0, len(s.clients))
	for _, c := range s.clients {
		out = append(out, &c.Client)
	}
	return out, nil
}
