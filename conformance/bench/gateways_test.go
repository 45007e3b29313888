package main

import (
	"context"
	"io"
	"path/filepath"
	"testing"
	"time"
)

// The loads of the comparison are answered as they should be, here by a gateway on
// the embedded store.
func TestLoadsOfTheComparisonAreAnswered(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the gateway; the short bench does, too")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	b := &bench{options: options{short: true}, pace: shortPace, log: io.Discard, dir: t.TempDir()}
	if err := b.buildGateway(ctx, filepath.Join(b.dir, "handoff")); err != nil {
		t.Fatal(err)
	}
	f, err := b.startFleet(ctx, "SQLite", filepath.Join(b.dir, "fleet.db"), 1)
	defer func() {
		if err := f.close(); err != nil {
			t.Error(err)
		}
	}()
	if err != nil {
		t.Fatal(err)
	}
	token, err := f.members[0].bearer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name, ask := range map[string]asker{"reads": f.reads(token), "writes": f.writes(token, true), "both": f.mixed(token, true)} {
		if _, err := drive(ctx, f.seats(1), requestsOf(2, ask), 20*time.Millisecond); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
