package main

import (
	"context"
	"errors"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// pausedKey names the fact that says that a feed is not to process.
func pausedKey(system string) string { return "feeds/" + system + "/paused" }

// look looks again and again whether the feed was paused, by whatever process,
// and whether its mapping has changed.
func (f *liveFeed) look(ctx context.Context) {
	reload := time.NewTicker(f.system.Receive.Reload)
	defer reload.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	f.lookPaused(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.lookPaused(ctx)
		case <-reload.C:
		}
	}
}

func (f *liveFeed) lookPaused(ctx context.Context) {
	switch _, err := f.target.Facts.Get(ctx, pausedKey(f.system.Key)); {
	case err == nil:
		f.paused.Store(true)
	case errors.Is(err, store.ErrNotFound):
		f.paused.Store(false)
	} // else as it was: the store is asked again
}
