package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/transfer"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/rollback"
)

// What a gateway does so that it does not answer from yesterday's store.

// ageEvery, if set, is how often the age of the store is looked at. A test sets it.
var ageEvery time.Duration

// rollbackOptions are those of a gateway with a trail of its own.
func rollbackOptions(c *config.Config, db backend.Backend) rollback.Options {
	o := rollback.Options{Facts: db, Store: storeName(c), Dir: c.Path(c.Audit.Dir), Now: db.Now, Look: ageEvery}
	for _, t := range c.Audit.Others {
		o.Others = append(o.Others, c.Path(t.Dir))
	}
	if address, _ := c.StoreAddress(); backend.IsMongo(address) { // SQLite's epoch is each process's own
		o.Epoch = func(ctx context.Context) (rollback.EpochSeen, error) { return epochSeen(ctx, o.Dir, db) }
	}
	return o
}

// epochSeen compares the epoch of a trail's last answer with the store's. A copy counts
// anew: of it a trail cannot tell.
func epochSeen(ctx context.Context, dir string, db backend.Backend) (e rollback.EpochSeen, err error) {
	if e.Trail, e.At, err = audit.LastEpoch(ctx, dir); err != nil || e.Trail == 0 {
		return rollback.EpochSeen{}, err
	}
	if copied, err := transfer.Copied(ctx, db); err != nil || copied {
		return rollback.EpochSeen{}, err
	}
	e.Store, err = db.Epoch(ctx)
	return e, err
}

// compareAge refuses a store that is older than what this gateway has seen of it. It is
// asked before the gateway writes anything.
func (g *running) compareAge(ctx context.Context) (err error) {
	o := rollbackOptions(g.config, g.store)
	o.Logger, o.Changed = g.log, g.trail.Count
	g.age, err = rollback.Begin(ctx, o)
	return err
}

// watchAge looks at the store's age while the gateway serves. On a store that was put
// back under it no request is answered any more, and the gateway ends: what it has in
// memory is of another store.
func (g *running) watchAge(ctx context.Context) {
	if err := g.age.Run(ctx); err != nil {
		g.outdated.Store(&err)
		g.log.Error("no request is answered any more, and the gateway ends: its store was put back", "error", err)
		if g.giveUp != nil {
			g.giveUp()
		}
	}
}

// markLast has the store remember what was done since the last mark.
func (g *running) markLast() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveWithin)
	defer cancel()
	if err := g.age.End(ctx); err != nil {
		g.log.Warn("how far the store has come was not noted at the end", "error", err)
	}
}

// whileCurrent answers 503 as soon as the store is known to be older than what was seen
// of it.
func (g *running) whileCurrent(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.outdated.Load() != nil && r.URL.Path != "/healthz" {
			w.Header().Set("Retry-After", "60")
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// outdatedErr says why the gateway ended by itself; nil if it was told to.
func (g *running) outdatedErr() error {
	if err := g.outdated.Load(); err != nil {
		return *err
	}
	return nil
}

func newGatewaysAcceptStore(file *string) *cobra.Command {
	var by, reason string
	cmd := &cobra.Command{
		Use:   "accept-store",
		Short: "Let a gateway serve from a store that is older than what it has seen of it",
		Long: `A gateway notes beside its audit trail how far its store has come, and does not
start on one that has come less far: a backup was restored, or the deployment went
back, and what was revoked, ended and expunged since is not in the store. Do that
again first; docs/store.md, 'Backup and restore', says how. This command then makes
the store count for the gateway of the configuration, and puts into its audit trail
who said so and why. Each gateway of the store that refuses it needs it. Stop the
gateway first: it is refused while it runs.

Exit status: 0; 1 if the gateway runs or the store cannot be read; 2 wrong usage.`,
		Example: `  handoff gateways accept-store --config handoff.yaml --by mlopez --reason "disk of db1 lost; revocations since 06:00 were done again"`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := answeredFor(by); err != nil {
				return err
			}
			if reason == "" {
				return usageError("--reason is required: whoever reads the trail has to know why")
			}
			return withFacts(cmd, *file, func(c *config.Config, db backend.Backend) error {
				return acceptStore(cmd, c, db, by, reason)
			})
		},
	}
	cmd.Flags().StringVar(&by, "by", "", "who does it; it is recorded")
	cmd.Flags().StringVar(&reason, "reason", "", "why, and what was done about what is missing; it is recorded")
	return cmd
}

// acceptStore records it before it counts. The trail's epochs of before count no more.
func acceptStore(cmd *cobra.Command, c *config.Config, db backend.Backend, by, reason string) error {
	err := withTrail(cmd.Context(), c, db, func(trail *audit.Trail) error {
		e := &audit.Event{
			ID: newRequestID(), At: db.Now().UTC(), Interaction: audit.StoreAccept, User: by, Operation: "handoff", Path: "gateways accept-store",
			Query: url.Values{"reason": {reason}, "store": {storeName(c)}}.Encode(),
		}
		if err := trail.Record(cmd.Context(), e); err != nil {
			return err
		}
		lost, err := rollback.Accept(cmd.Context(), rollbackOptions(c, db))
		if err != nil {
			return err
		}
		if lost == "" {
			lost = "no mark is missing"
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s counts as it is: %s\n", storeName(c), lost)
		return err
	})
	if errors.Is(err, audit.ErrInUse) {
		return fmt.Errorf("%w: stop the gateway first", err)
	}
	return err
}
