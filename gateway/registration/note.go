package registration

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/audit"
)

// factNote is a change by the operator that waits to be put into the trail.
const factNote = "client/note/"

// Note keeps what the operator is about to do on the command line, before it is
// done: the trail has one writer, and that is the gateway where one runs.
func Note(ctx context.Context, facts store.Facts, e *audit.Event) error {
	raw, err := json.Marshal(e)
	if err != nil {
		return err
	}
	key := factNote + e.At.UTC().Format(time.RFC3339Nano) + "/" + rand.Text()
	if _, err := facts.PutIfAbsent(ctx, key, raw, time.Time{}); err != nil {
		return fmt.Errorf("note for the trail: %w", err)
	}
	return nil
}

// RecordNotes puts what waits into the trail. It is called at the start and now and
// then; an event may be recorded twice, never not at all.
func RecordNotes(ctx context.Context, facts store.Facts, trail audit.Recorder) error {
	list, err := facts.Scan(ctx, factNote, "", 100)
	if err != nil {
		return fmt.Errorf("notes for the trail: %w", err)
	}
	for _, f := range list {
		var e audit.Event
		if err := json.Unmarshal(f.Value, &e); err != nil {
			return fmt.Errorf("note for the trail: %w", err)
		}
		if err := trail.Record(ctx, &e); err != nil {
			return fmt.Errorf("note for the trail: %w", err)
		}
		if err := facts.Delete(ctx, f.Key); err != nil {
			return fmt.Errorf("note for the trail: %w", err)
		}
	}
	return nil
}
