package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/adapters/inbox"
	"github.com/handoff-health/handoff/adapters/ingest"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/lease"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/mappings"
)

// A receiver takes the records of one feed until its context ends. Then it takes
// no more, says of what is under way what became of it, and returns nil. After
// an error it is run again.
type receiver interface {
	Run(ctx context.Context) error
}

// An intake is what a receiver is made of.
type intake struct {
	config *config.Config
	system config.System // with Receive
	log    *slog.Logger
	// inbox keeps messages; await waits until one is stored, rejected or deferred.
	inbox inbox.Receiver
	await func(ctx context.Context, seq uint64) (inbox.Status, error)
	// ingest brings a whole input, a file, into the store, in the feed's format
	// and with its mapping as it is now. It waits while the feed is paused.
	ingest func(ctx context.Context, in adapters.Input) (*flow.Report, error)
	// charset is what messages are in where they do not say it; errNoProfile: the
	// receiver is to be made later.
	charset func() (string, error)
	// mount adds an HTTP handler to the gateway's, by its path.
	mount func(path string, h http.Handler)
	trail audit.Recorder
	facts store.Facts       // for what a receiver remembers
	now   func() time.Time  // the store's clock
	count func(what string) // of events that the feed's report shows: "connection", "busy"
}

// ways has one line for each way in (config.Receive.Way). A receiver that is nil
// has mounted a handler and needs no running.
var ways = map[string]func(*intake) (receiver, error){"mllp": newMLLP, "webhook": newWebhook, "folder": newFolder}

// A liveFeed is one feed of a running gateway.
type liveFeed struct {
	system   config.System
	target   ingestTarget
	box      *inbox.Box
	feed     *inbox.Feed
	receiver receiver                 // nil: not made yet, or mounted
	open     func() (receiver, error) // makes it
	log      *slog.Logger
	live     *mappings.Live[*feed] // Get gives nil until a mapping can be used
	mapped   chan struct{}         // closed when one is in force
	paused   atomic.Bool
	report   *feedReport
	// lease says whether this gateway is the one that processes the feed: fenced is
	// target with nothing written by who has lost it.
	lease  *lease.Lease
	fenced ingestTarget
	id     string // of this gateway
	name   string
	now    func() time.Time
}

// openFeeds opens the feeds of the configuration that records come in by. Their
// handlers are added to handlers.
func (g *running) openFeeds(ctx context.Context, who *access) error {
	handlers := who.handlers
	handlers[feedReportPath] = &feedReports{config: g.config, facts: g.store, verifier: who.verifier, limits: who.limits, trail: g.trail, pin: g.cache.Pin, now: g.store.Now, log: g.log}
	for _, s := range g.config.Systems {
		if s.Kind != "feed" || s.Receive == nil {
			continue
		}
		f, err := g.openFeed(ctx, s, handlers)
		if err != nil {
			return fmt.Errorf("feed %s: %w", s.Key, err)
		}
		g.feeds = append(g.feeds, f)
	}
	g.warnOfFeeds()
	return nil
}

func (g *running) openFeed(ctx context.Context, s config.System, handlers map[string]http.Handler) (*liveFeed, error) {
	target, err := newIngestTarget(g.config, g.store, s)
	if err != nil {
		return nil, err
	}
	f := &liveFeed{system: s, target: target, fenced: target, log: g.log.With("feed", s.Key), report: newFeedReport(g.store.Now),
		id: g.trail.ID(), name: g.name(), now: g.store.Now}
	if f.lease, err = g.newLease(inbox.HolderKey(s.Key)); err != nil {
		return nil, err
	}
	f.fenced.Store, f.fenced.Facts, f.fenced.Log = lease.Fence{Store: g.store, Facts: g.store, Log: g.store, Check: f.lease.Check}.Fenced()
	f.lookPaused(ctx)
	f.box, err = inbox.Open(ctx, inbox.Options{Log: g.store, Facts: g.store, System: s.Key, SiteKey: f.target.SiteKey,
		MaxWaiting: s.Receive.MaxWaiting, MaxWaitingBytes: s.Receive.MaxWaitingBytes, Remember: s.Receive.Remember, Clock: g.store.Now, Several: g.others})
	if err != nil {
		return nil, err
	}
	f.feed = &inbox.Feed{Box: f.box, Ping: g.store.Ping, Log: f.log, Paused: f.paused.Load, Tally: f.report.count, Held: f.lease.Check, Term: f.lease.Term,
		Pipeline: func() *ingest.Pipeline { return f.fenced.pipeline(f.live.Get()) }}
	f.watchMapping()
	make, known := ways[s.Receive.Way()]
	if !known {
		return nil, fmt.Errorf("receive: %q is not a way in", s.Receive.Way())
	}
	f.open = func() (receiver, error) {
		return make(&intake{config: g.config, system: s, log: f.log, inbox: f.box, await: f.box.Await, ingest: f.ingest, charset: f.charset,
			mount: func(path string, h http.Handler) { handlers[path] = h }, trail: g.trail, facts: f.fenced.Facts, now: g.store.Now, count: f.report.event})
	}
	if f.receiver, err = f.open(); errors.Is(err, errNoProfile) {
		f.log.Error("the receiver does not listen, because only the profile says how messages are to be read; senders have to keep them")
		return f, nil
	}
	return f, err
}

// ingest brings one input into the store.
func (f *liveFeed) ingest(ctx context.Context, in adapters.Input) (*flow.Report, error) {
	for f.paused.Load() {
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return nil, err
		}
	}
	p := f.fenced.pipeline(f.live.Get())
	p.Each = func(m *flow.Mapped, o flow.Outcome) error {
		f.report.count(m, o)
		return nil
	}
	report, err := p.Run(ctx, in)
	f.keepTally(context.WithoutCancel(ctx))
	return report, err
}

// runFeeds runs the feeds. stop ends the receivers first, so that what they have
// acknowledged can still be taken, then the processing, and keeps the reports.
func (g *running) runFeeds(ctx context.Context) (stop func()) {
	receiving, endReceiving := context.WithCancel(ctx)
	processing, endProcessing := context.WithCancel(context.WithoutCancel(ctx))
	var receivers, processors sync.WaitGroup
	for _, f := range g.feeds {
		f.runReceiver(receiving, &receivers)
		if !f.shares() {
			processors.Go(func() {
				if f.awaitMapping(processing) {
					f.lease.Run(processing, f.process)
				}
			})
		}
		processors.Go(func() { f.look(processing) })
		processors.Go(func() {
			f.box.Follow(processing, func(err error) {
				f.log.Warn("what other gateways took of a feed could not be looked at", "error", err)
			})
		})
	}
	return func() {
		endReceiving()
		receivers.Wait()
		endProcessing()
		processors.Wait()
		for _, f := range g.feeds {
			f.keepTally(context.WithoutCancel(ctx))
			f.tell(context.WithoutCancel(ctx))
		}
	}
}

// runReceiver runs a feed's receiver from when it can be run on.
func (f *liveFeed) runReceiver(ctx context.Context, receivers *sync.WaitGroup) {
	if f.system.Receive.Way() == "webhook" { // it is mounted
		return
	}
	run := f.receive
	if f.shares() {
		run = func(ctx context.Context) { f.lease.Run(ctx, f.receive) }
	}
	if waits := f.receiver == nil || f.shares(); waits && f.live.Get() == nil {
		f.report.receiver("waiting", nil)
	}
	receivers.Go(func() {
		if f.receiver != nil && !f.shares() || f.awaitMapping(ctx) {
			run(ctx)
		}
	})
}

// shares says whether the receiver itself reads from what gateways share: a folder
// is read by one of them, and nothing of it goes through the inbox.
func (f *liveFeed) shares() bool { return f.system.Receive.Way() == "folder" }

const (
	firstRestart = time.Second
	lastRestart  = time.Minute
)

// receive runs a feed's receiver, again if it breaks.
func (f *liveFeed) receive(ctx context.Context) {
	wait := firstRestart
	for {
		began := time.Now()
		err := f.runOnce(ctx)
		if ctx.Err() != nil {
			f.report.receiver("stopped", nil)
			return
		}
		if time.Since(began) > lastRestart {
			wait = firstRestart
		}
		f.report.receiver("broken", err)
		f.log.Error("a receiver broke off and is started again", "error", err, "wait", wait)
		if sleep(ctx, wait) != nil {
			return
		}
		wait = min(2*wait, lastRestart)
	}
}

// runOnce makes the receiver if that is to be done yet, and runs it until it breaks.
func (f *liveFeed) runOnce(ctx context.Context) (err error) {
	if f.receiver == nil {
		if f.receiver, err = f.open(); err != nil {
			return err
		}
	}
	f.report.receiver("running", nil)
	return guardedRun(ctx, f.receiver)
}

// guardedRun turns a panic into an error that does not quote its value.
func guardedRun(ctx context.Context, r receiver) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a panic with a %T", p)
		}
	}()
	if err = r.Run(ctx); err == nil {
		err = errors.New("it ended by itself")
	}
	return err
}

// process runs a feed's processing, for as long as this gateway holds its lease.
func (f *liveFeed) process(ctx context.Context) {
	for ctx.Err() == nil {
		if err := f.feed.Run(ctx); err != nil && f.lease.Check() == nil {
			f.log.Error("the processing of a feed broke off and is started again", "error", err)
		}
		_ = sleep(ctx, firstRestart)
	}
}

// sleep waits; its error is the context's.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
