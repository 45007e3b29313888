package auth

import (
	"fmt"
	"sync/atomic"
	"time"
)

// A Registry holds the registered clients. It is safe for concurrent use, and
// Replace takes effect for every request that starts afterwards.
type Registry struct {
	fetcher Fetcher
	now     func() time.Time
	state   atomic.Pointer[registrations]
}

// registrations is one state of the registry; it never changes.
type registrations struct{ clients map[string]*registered }

type registered struct {
	Client
	keys KeySource // nil for a client of an outside issuer, and for an app without a key
}

// NewRegistry checks and takes the clients. fetcher may be nil if none has a
// JWKS URL; now nil is time.Now.
func NewRegistry(clients []Client, fetcher Fetcher, now func() time.Time) (*Registry, error) {
	if now == nil {
		now = time.Now
	}
	r := &Registry{fetcher: fetcher, now: now}
	if err := r.Replace(clients); err != nil {
		return nil, err
	}
	return r, nil
}

// Replace puts a new set of clients in force, whole or, on an error, not at all.
func (r *Registry) Replace(clients []Client) error {
	next := &registrations{clients: make(map[string]*registered, len(clients))}
	for i, c := range clients {
		if err := c.check(); err != nil {
			return fmt.Errorf("client %d (%q): %w", i, c.ID, err)
		}
		if next.clients[c.ID] != nil {
			return fmt.Errorf("client %d: id %q is taken", i, c.ID)
		}
		keys, err := r.keySource(&c)
		if err != nil {
			return fmt.Errorf("client %q: %w", c.ID, err)
		}
		next.clients[c.ID] = &registered{Client: c.clone(), keys: keys}
	}
	r.state.Store(next)
	return nil
}

func (r *Registry) keySource(c *Client) (KeySource, error) {
	switch {
	case c.Issuer != "", c.JWKSURL == "" && len(c.JWKS) == 0: // check has said that it needs none
		return nil, nil
	case c.JWKSURL != "":
		return NewRemoteKeys(c.JWKSURL, r.fetcher, r.now)
	}
	return ParseKeySet(c.JWKS)
}

// current returns the state in force.
func (r *Registry) current() *registrations { return r.state.Load() }
