package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/handoff-health/handoff/fhir/store"
)

// SQLite gives up the whole transaction when the disk is full, so no job of the
// batch may be acknowledged.
func TestAFullDiskAcknowledgesNothingThatIsLost(t *testing.T) {
	db := populate(t, 10)
	limit := func(pages int) {
		t.Helper()
		err := db.submit(context.Background(), func(tx *txn) error {
			var n int
			return tx.conn.QueryRowContext(tx.ctx, fmt.Sprintf("PRAGMA max_page_count = %d", pages)).Scan(&n)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	limit(120)
	pad := strings.Repeat("x", 3000)
	write := func(id string) error {
		_, err := db.Write(context.Background(), store.Write{Record: store.Record{
			Key: store.Key{Type: "Patient", ID: id}, Raw: []byte(pad), Index: []string{"family|full"},
		}})
		return err
	}
	var acked sync.Map
	var full atomic.Int64
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for n := range 40 {
				id := fmt.Sprintf("w%d-%d", w, n)
				switch err := write(id); {
				case err == nil:
					acked.Store(id, true)
				case errors.Is(err, store.ErrFull):
					full.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if full.Load() == 0 {
		t.Fatal("the disk did not fill up")
	}
	limit(1 << 30)
	if err := write("after"); err != nil {
		t.Errorf("with space again: %v", err)
	}
	count := 1
	acked.Range(func(id, _ any) bool {
		count++
		if _, err := db.Read(context.Background(), store.Key{Type: "Patient", ID: id.(string)}); err != nil {
			t.Errorf("acknowledged, but lost: %v: %v", id, err)
		}
		return true
	})
	n, err := db.Count(context.Background(), store.Plan{Type: "Patient", Where: eq("family", "full")})
	if err != nil || n != count {
		t.Errorf("%d resources, %v, %d were acknowledged", n, err, count)
	}
	if err := db.Check(context.Background()); err != nil {
		t.Error(err)
	}
}
