package ingest_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
)

// TestLargeExportIsStoredAtAConstantRate ingests HANDOFF_ROWS generated rows
// (few by default) into a store on disk and prints rate and memory.
func TestLargeExportIsStoredAtAConstantRate(t *testing.T) {
	n := 600
	if s := os.Getenv("HANDOFF_ROWS"); s != "" {
		if _, err := fmt.Sscan(s, &n); err != nil {
			t.Fatal(err)
		}
	}
	p, _ := newPipeline(t)
	db := backendtest.Open(t, backend.Options{})
	p.Store, p.Facts, p.Log = db, db, db
	pr := &generated{n: n}
	var ms runtime.MemStats
	last := time.Now()
	p.Tick = func(r *flow.Report) {
		if r.Records%(n/5) == 0 {
			runtime.ReadMemStats(&ms)
			t.Logf("%7d records: %5.0f/s, %d MiB from the system", r.Records, float64(n/5)/time.Since(last).Seconds(), (ms.Sys-ms.HeapReleased)>>20)
			last = time.Now()
		}
	}
	r, err := p.Run(context.Background(), adapters.Input{Name: "large", Reader: pr})
	if err != nil {
		t.Fatal(err)
	}
	if r.Created != n || !r.AddsUp() {
		t.Errorf("%+v", *r)
	}
}

// generated is an export of n contacts of n/2 persons, made while it is read.
type generated struct {
	n, at int
	rest  string
}

func (g *generated) Read(p []byte) (int, error) {
	for g.rest == "" {
		if g.at > g.n {
			return 0, io.EOF
		}
		i := g.at
		g.at++
		text := export(fields{"IncidentNo": fmt.Sprintf("25-%06d", i), "MNI": fmt.Sprintf("R%06d", 820000+i%max(1, g.n/2)), "OfficerBadge": fmt.Sprint(7000 + i%40),
			"Behaviors": "Paranoid; Mania", "LastModified": fmt.Sprintf("2025-05-%02d 08:00:00", 1+i%28)})
		head, row, _ := strings.Cut(text, "\n")
		if g.rest = row; i == 0 {
			g.rest = head + "\n"
		}
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	return n, nil
}
