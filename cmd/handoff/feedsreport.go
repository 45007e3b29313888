package main

import (
	"sync"

	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/fhir/store"
)

// A feedReport gathers what a running feed is to tell about itself.
type feedReport struct {
	mu     sync.Mutex
	facts  store.Facts
	system string
	state  string // of the receiver
	broken error
	events map[string]int64
	counts flow.Report
}

func newFeedReport(facts store.Facts, system string) *feedReport {
	return &feedReport{facts: facts, system: system, events: map[string]int64{}}
}

// receiver notes how the receiver is.
func (r *feedReport) receiver(state string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state, r.broken = state, err
}

// event counts something that a receiver saw.
func (r *feedReport) event(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events[what]++
}

// tally counts an item whose outcome is durable.
func (r *feedReport) tally(m *flow.Mapped, o flow.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts.Count(m, o)
}
