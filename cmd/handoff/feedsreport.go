package main

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/adapters/inbox"
)

// A feedReport gathers what a running feed tells about itself.
type feedReport struct {
	inbox.Tally
	now      func() time.Time
	mu       sync.Mutex
	since    time.Time
	state    string // of the receiver
	broken   string
	restarts int
	events   map[string]int64
	records  map[string]int64 // by outcome, since the process began
	received int64            // the most messages that metrics told of
	mapping  inbox.Mapping
}

func newFeedReport(now func() time.Time) *feedReport {
	return &feedReport{now: now, since: now().UTC(), state: "mounted", events: map[string]int64{}, records: map[string]int64{}}
}

// receiver notes how the receiver is.
func (r *feedReport) receiver(state string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = state
	switch {
	case err != nil:
		r.broken = err.Error()
		r.restarts++
	case state == "stopped":
		r.broken = ""
	}
}

// event counts something that a receiver saw.
func (r *feedReport) event(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events[what]++
}

// outcomes are the words for what becomes of a record.
var outcomes = map[flow.Outcome]string{flow.Rejected: "rejected", flow.Created: "created", flow.Updated: "updated",
	flow.Duplicate: "duplicate", flow.Superseded: "superseded", flow.NonRecord: "non-record"}

// count counts an item whose outcome is durable.
func (r *feedReport) count(m *flow.Mapped, o flow.Outcome) {
	r.Add(m, o, r.now())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records[outcomes[o]]++
}

// counted is where the messages of a box are now, for counters, which never fall: of
// two that ask at once the later one is told no less. What was received falls where a
// message that waited turns out to be one that nobody was told is taken.
func (r *feedReport) counted(b *inbox.Box) inbox.Standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := b.Counts()
	r.received = max(r.received, c.Received)
	c.Received = r.received
	return c
}

// mapped notes which mapping is in force, or why a newer one is not.
func (r *feedReport) mapped(fd *feed, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now().UTC()
	if err != nil {
		r.mapping.Error, r.mapping.FailedAt = err.Error(), now
		return
	}
	r.mapping = inbox.Mapping{Name: fd.mapping.Name, Version: fd.mapping.Version, Loaded: now}
}

// running is what is told of the feed now.
func (f *liveFeed) running() inbox.Running { return f.runningWith(f.box.Counts()) }

// runningWith is what is told of the feed where its messages are as c says: whoever
// tells of both tells of one moment.
func (f *liveFeed) runningWith(c inbox.Standing) inbox.Running {
	r := f.report
	r.mu.Lock()
	defer r.mu.Unlock()
	out := inbox.Running{Gateway: f.name, ID: f.id, At: f.now().UTC(), Since: r.since, Way: f.system.Receive.Way(), Receiver: r.state, Error: r.broken, Restarts: r.restarts,
		Events: maps.Clone(r.events), Received: c.Received, Waiting: c.Waiting, WaitingBytes: c.WaitingBytes, Oldest: c.Oldest, Deferred: c.Deferred,
		PerMinute: f.box.Rates(), Mapping: r.mapping}
	if retry := f.feed.Retrying(); retry.Tries > 0 {
		out.Retry = &retry
	}
	return out
}

const (
	tallyEvery = 2 * time.Second
	tellEvery  = 5 * time.Second
)

// look does what comes again and again: whether the feed was paused, by whatever
// process; whether its mapping has changed; and to keep what it has to tell.
func (f *liveFeed) look(ctx context.Context) {
	reload, pause := time.NewTicker(f.system.Receive.Reload), time.NewTicker(time.Second)
	tally, tell := time.NewTicker(tallyEvery), time.NewTicker(tellEvery)
	for _, t := range []*time.Ticker{reload, pause, tally, tell} {
		defer t.Stop()
	}
	f.tell(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
			f.lookPaused(ctx)
		case <-reload.C:
			f.lookMapping()
		case <-tally.C:
			f.keepTally(ctx)
		case <-tell.C:
			f.tell(ctx)
		}
	}
}

// keepTally adds what was counted to what is kept. What cannot be kept now is
// kept later.
func (f *liveFeed) keepTally(ctx context.Context) {
	err := errors.Join(f.report.Save(ctx, f.target.Facts, f.system.Key), f.box.KeepReceipts(ctx))
	if err != nil && ctx.Err() == nil {
		f.log.Warn("the counts of a feed could not be kept", "error", err)
	}
}

func (f *liveFeed) tell(ctx context.Context) {
	if err := inbox.SaveRunning(ctx, f.target.Facts, f.system.Key, f.running()); err != nil && ctx.Err() == nil {
		f.log.Warn("the state of a feed could not be kept", "error", err)
	}
}

func (f *liveFeed) lookPaused(ctx context.Context) {
	p, err := inbox.Paused(ctx, f.target.Facts, f.system.Key)
	if err != nil {
		return // as it was: the store is asked again
	}
	if was := f.paused.Swap(p != nil); was != (p != nil) {
		f.log.Info("a feed was paused or resumed", "paused", p != nil)
	}
}
