package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/handoff-health/handoff/gateway"
	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/notify"
)

// What a configuration says of legal bases, emergencies and notices.

func basisLimits(c *config.Config) gateway.BasisLimits {
	return gateway.BasisLimits{Longest: c.LegalBases.Longest, LongestOf: c.LegalBases.LongestOf, MaxDocument: c.LegalBases.MaxDocument}
}

func emergencyLimits(c *config.Config) gateway.EmergencyLimits {
	return gateway.EmergencyLimits{Lifetime: c.Emergency.Lifetime, ReviewWithin: c.Emergency.ReviewWithin}
}

// newOutbox makes what delivers notices to privacy contacts.
func newOutbox(c *config.Config, g *running, log *slog.Logger) (*notify.Outbox, error) {
	contacts := map[string]notify.Contact{}
	for _, o := range c.Organizations {
		if p := o.PrivacyContact; p != nil && p.Webhook != "" {
			contacts[attribute.Reference(o.ID)] = notify.Contact{URL: p.Webhook, Secret: p.WebhookSecret.Reveal()}
		}
	}
	return notify.New(notify.Options{
		Store: g.store, Base: c.Server.Base, Logger: log, Every: 2 * time.Second, Now: g.store.Now, Held: g.background.Check,
		Contact: func(organization string) (notify.Contact, bool) {
			contact, ok := contacts[organization]
			return contact, ok
		},
	})
}

// deliver delivers notices, and records what administrators do beside this
// process, where no other gateway does, and looks after the others, until the
// function that it returns is called, which waits for what is under way.
func (g *running) deliver(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		g.background.Run(ctx, func(ctx context.Context) {
			var both sync.WaitGroup
			both.Go(func() { g.outbox.Run(ctx) })
			both.Go(func() { g.recordUnlocks(ctx) })
			both.Wait()
		})
	})
	running.Go(func() { g.peers.Run(ctx) })
	running.Go(func() { g.watchClock(ctx) })
	running.Go(func() { g.watchAge(ctx) })
	return func() {
		cancel()
		running.Wait()
		g.markLast()
	}
}
