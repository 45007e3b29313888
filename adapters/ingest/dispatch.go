package ingest

import (
	"context"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/mappings"
)

// A dispatcher sends records to workers so that those of one person, and those
// of one record key, are processed in order.
type dispatcher struct {
	inbox []chan *pending
	order chan *pending
	wg    sync.WaitGroup
	mu    sync.Mutex
	keys  map[string]lane // record keys that are under way
}

type lane struct{ worker, count int }

func (d *dispatcher) dispatch(ctx context.Context, m *flow.Mapped) error {
	job := &pending{m: m, done: make(chan struct{})}
	worker := 0
	// Judged before the worker has it, which may change the result.
	single := m.Result != nil && alone(m.Result)
	if m.Result != nil {
		worker = d.lane(m.Result)
		if single {
			d.wg.Wait() // it may touch what others are writing
		}
		d.mu.Lock()
		l := d.keys[m.Result.Key]
		d.mu.Unlock()
		if l.count > 0 && l.worker != worker {
			d.wg.Wait()
		}
		d.mu.Lock()
		l = d.keys[m.Result.Key]
		d.keys[m.Result.Key] = lane{worker, l.count + 1}
		d.mu.Unlock()
	}
	d.wg.Add(1)
	select {
	case d.inbox[worker] <- job:
	case <-ctx.Done():
		d.wg.Done()
		return ctx.Err()
	}
	select {
	case d.order <- job:
	case <-ctx.Done():
		return ctx.Err()
	}
	if single {
		d.wg.Wait()
	}
	return nil
}

// alone says that a result may touch what others are writing.
func alone(res *mappings.Result) bool {
	return res.Action == mappings.Expunge || res.Scope != "" || len(res.Merges) > 0
}

// lane picks the worker of a person, or of a record without one.
func (d *dispatcher) lane(res *mappings.Result) int {
	key := res.Key
	for i := range res.Resources {
		if res.Resources[i].Type == "Patient" {
			key = res.Resources[i].ID
			break
		}
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return int(h.Sum32() % uint32(len(d.inbox)))
}

func (d *dispatcher) finished(job *pending) {
	if res := job.m.Result; res != nil {
		d.mu.Lock()
		if l := d.keys[res.Key]; l.count <= 1 {
			delete(d.keys, res.Key)
		} else {
			d.keys[res.Key] = lane{l.worker, l.count - 1}
		}
		d.mu.Unlock()
	}
	close(job.done)
	d.wg.Done()
}

func (d *dispatcher) close() {
	for _, c := range d.inbox {
		close(c)
	}
	close(d.order)
}

// An ItemError says at which item a run stopped.
type ItemError struct {
	Cursor adapters.Cursor // the place after the item
	Err    error
}

func (e *ItemError) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *ItemError) Unwrap() error { return e.Err }

// A committer counts outcomes in the order of the input and keeps the cursor.
type committer struct {
	p      *Pipeline
	source string
	sha    string
	report *flow.Report
	cursor adapters.Cursor
	since  int
	saved  time.Time
}

func (c *committer) run(ctx context.Context, order <-chan *pending) error {
	for {
		var job *pending
		var ok bool
		select {
		case job, ok = <-order:
		case <-ctx.Done():
			return ctx.Err()
		}
		if !ok {
			return nil
		}
		select {
		case <-job.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if job.err != nil {
			return &ItemError{Cursor: job.m.Cursor, Err: job.err}
		}
		if c.p.Each != nil {
			if err := c.p.Each(job.m, job.outcome); err != nil {
				return err
			}
		}
		c.report.Count(job.m, job.outcome)
		c.cursor = job.m.Cursor
		if c.p.Tick != nil {
			c.p.Tick(c.report)
		}
		if c.since++; c.since >= saveEvery || c.p.now().Sub(c.saved) > savePause {
			if err := c.save(ctx); err != nil {
				return err
			}
		}
	}
}

func (c *committer) save(ctx context.Context) error {
	if c.since == 0 {
		return nil
	}
	c.since, c.saved = 0, c.p.now()
	if err := put(ctx, c.p.Facts, c.p.cursorKey(c.source), joinCursor(c.sha, flow.Before{Records: c.report.Before.Records + c.report.Records, Rejects: c.report.Refused()}, c.cursor)); err != nil {
		return fmt.Errorf("ingest %s: keeping the cursor: %w", c.source, err)
	}
	return nil
}
