package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"time"

	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/lease"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/peers"
)

// What a gateway does to serve from one store with others.

// checkKey compares one key with the store's, and remembers it for when this gateway
// has entered.
func (g *running) checkKey(ctx context.Context, name string, key []byte) error {
	mine := peers.Keys{name: peers.Fingerprint([]byte(g.config.Site.Key.Reveal()), name, key)}
	if g.keys == nil {
		g.keys = peers.Keys{}
	}
	maps.Copy(g.keys, mine)
	return peers.CheckKeys(ctx, g.store, g.trail.ID(), mine)
}

// loadOrGenerateKey is a variable for tests, which start many gateways: an RSA key takes
// longer to make than all the rest of a start.
var loadOrGenerateKey = auth.LoadOrGenerateKey

// sharedKey reads a key that all gateways of the store hold, or makes it where none
// serves yet.
func (g *running) sharedKey(name, path, algorithm string) (*auth.PrivateKey, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := peers.MayMakeKeys(ctx, g.store, g.trail.ID(), name); err != nil {
			return nil, err
		}
	}
	key, err := loadOrGenerateKey(path, algorithm)
	if err != nil {
		return nil, err
	}
	public, err := auth.PublicKeys(key)
	if err != nil {
		return nil, err
	}
	return key, g.checkKey(ctx, name, public)
}

// enter makes this gateway known to the others of the store.
func (g *running) enter(ctx context.Context) (err error) {
	g.peers, err = peers.Join(ctx, peers.Options{
		Facts: g.store, ID: g.trail.ID(), Name: g.name(), Trail: g.config.Path(g.config.Audit.Dir), Now: g.store.Now, Logger: g.log,
	})
	if err != nil {
		return err
	}
	return peers.ConfirmKeys(ctx, g.store, g.keys)
}

// name is how people find this gateway again.
func (g *running) name() string { return nameOf(g.config) }

func nameOf(c *config.Config) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return host + " " + c.Server.Listen
}

// others says whether another gateway serves from the store.
func (g *running) others() bool { return g.peers != nil && g.peers.Others() }

// withTrail lets a command write into the trail of a configuration, which becomes
// known to whoever accounts for disclosures from this store. While a gateway has the
// trail it gives audit.ErrInUse.
func withTrail(ctx context.Context, c *config.Config, db backend.Backend, do func(*audit.Trail) error) (err error) {
	trail, err := openTrail(c, slog.New(slog.DiscardHandler), db.Now)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, trail.Close()) }()
	m := peers.Member{ID: trail.ID(), Name: nameOf(c), Trail: c.Path(c.Audit.Dir), Started: db.Now().UTC().Truncate(time.Second)}
	if err := peers.Note(ctx, db, m); err != nil {
		return err
	}
	return do(trail)
}

// newLease is this gateway's part in something that one gateway at a time does.
func (g *running) newLease(key string) (*lease.Lease, error) {
	return lease.New(lease.Options{Facts: g.store, Key: key, Holder: g.trail.ID(), Name: g.name(), Logger: g.log})
}

// clockTolerance is how far this machine's clock may be from the store's without a
// warning.
const clockTolerance = time.Second

// watchClock warns when this machine's clock is not the store's. Everything that is
// issued and judged goes by the store's; what the machine's own logs say does not.
func (g *running) watchClock(ctx context.Context) {
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	var told time.Duration
	for {
		off := machineClock().Sub(g.store.Now()).Round(time.Millisecond)
		switch {
		case off.Abs() > clockTolerance && (off-told).Abs() > clockTolerance:
			g.log.Warn("this machine's clock is not the store's, by which the gateway goes; set it (CJIS AU-8)", "ahead", off)
			told = off
		case off.Abs() <= clockTolerance && told != 0:
			g.log.Info("this machine's clock is the store's again", "ahead", off)
			told = 0
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// machineClock is the clock of this machine. A test lets it run off.
var machineClock = time.Now
