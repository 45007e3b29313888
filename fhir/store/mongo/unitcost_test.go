package mongo

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/event"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/store"
)

// A stopwatch adds up how long commands take, by what they are.
type stopwatch struct {
	mu    sync.Mutex
	names map[int64]string
	took  map[string]time.Duration
}

func (w *stopwatch) monitor() *event.CommandMonitor {
	return &event.CommandMonitor{
		Started: func(_ context.Context, e *event.CommandStartedEvent) {
			w.mu.Lock()
			defer w.mu.Unlock()
			of, _ := e.Command.Lookup(e.CommandName).StringValueOK()
			w.names[e.RequestID] = e.CommandName + "-" + of
		},
		Succeeded: func(_ context.Context, e *event.CommandSucceededEvent) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.took[w.names[e.RequestID]] += e.Duration
			delete(w.names, e.RequestID)
		},
	}
}

// costWrite is a resource of 1.2 kB with 13 index entries, as a Patient has.
func costWrite(id string, expect int64) store.Write {
	w := tripWrite(id, expect)
	w.Raw = []byte(fmt.Sprintf(`{"resourceType":"Patient","id":%q,"text":%q}`, id, strings.Repeat("x", 1100)))
	w.Index = nil
	for k := range 13 {
		w.Index = append(w.Index, fmt.Sprintf("parameter%02d|%s-%d", k, id, expect%3))
	}
	return w
}

// BenchmarkUnit tells where the time of a unit goes: ms of each kind of command. Those
// that run side by side count both.
func BenchmarkUnit(b *testing.B) {
	for _, n := range []int{3, 100, 1000} {
		uri := freshURI(b)
		db := openAt(b, uri, Options{SweepEvery: -1})
		for _, kind := range []string{"creates", "updates"} {
			b.Run(fmt.Sprintf("%s=%d", kind, n), func(b *testing.B) {
				w := &stopwatch{names: map[int64]string{}, took: map[string]time.Duration{}}
				client, err := driver.Connect(options.Client().ApplyURI(uri).SetMonitor(w.monitor()))
				if err != nil {
					b.Fatal(err)
				}
				defer func() { _ = client.Disconnect(context.Background()) }()
				base := db.base
				defer func() { db.base = base }()
				db.base = client.Database(db.name)
				for k := 0; b.Loop(); k++ {
					ws := make([]store.Write, n)
					for i := range ws {
						if kind == "creates" {
							ws[i] = costWrite(fmt.Sprintf("c%d-%d-%d", b.N, k, i), store.Absent)
							continue
						}
						ws[i] = costWrite(fmt.Sprintf("u%d", i), store.AnyVersion)
					}
					if _, err := db.Apply(b.Context(), ws); err != nil {
						b.Fatal(err)
					}
				}
				for name, took := range w.took {
					b.ReportMetric(float64(took.Microseconds())/1000/float64(b.N), "ms-"+name)
				}
			})
		}
	}
}
