package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/presence"
)

// A Store is one side of a copy.
type Store interface {
	store.Transferer
	store.Facts
	store.Log
	store.Epocher
	store.Timekeeper
}

// A Side is a store with its name for messages, which shows no password.
type Side struct {
	Store
	Name string
}

// Why a copy is refused.
var (
	ErrInUse    = errors.New("in use")
	ErrOccupied = errors.New("not empty")
	ErrChanged  = errors.New("written to meanwhile")
)

// Counts of what was copied.
type Counts struct {
	Resources int64 `json:"resources"`
	Versions  int64 `json:"versions"`
	Facts     int64 `json:"facts"`
	Entries   int64 `json:"entries"`
	Streams   int64 `json:"streams"`
	Bytes     int64 `json:"bytes"` // of content, facts and entries
}

// Progress is how far a run has come.
type Progress struct {
	Verifying   bool
	Done, Total int64 // resources, facts and entries; Total is an estimate
	Bytes       int64
}

// Options of a run.
type Options struct {
	Progress func(Progress) // nil: nobody looks
}

// A Report says what a run has done.
type Report struct {
	Resumed    bool // it went on with a copy that was begun before
	Copied     Counts
	CopyTime   time.Duration
	Comparison *Comparison // nil if it did not come to that
	VerifyTime time.Duration
}

// copier is one run.
type copier struct {
	from, to Side
	tick     func(Progress)
	state    state
	version  int64 // of the state's fact
	counts   Counts
	done     Progress
}

// Run copies and compares. A destination that holds something else is refused; one
// that holds an unfinished copy of this source is completed. On error, and where the
// comparison shows a difference, the destination stays an unfinished copy.
func Run(ctx context.Context, from, to Side, o Options) (Report, error) {
	c := &copier{from: from, to: to, tick: o.Progress}
	if c.tick == nil {
		c.tick = func(Progress) {}
	}
	var r Report
	begun, err := c.begin(ctx)
	if err != nil {
		return r, err
	}
	epoch, err := from.Epoch(ctx)
	if err != nil {
		return r, fmt.Errorf("%s: %w", from.Name, err)
	}
	r.Resumed = !begun
	start := time.Now()
	err = c.copyAll(ctx)
	r.Copied, r.CopyTime = c.counts, time.Since(start)
	if err != nil {
		return r, err
	}
	start = time.Now()
	cmp, err := Compare(ctx, from, to, o)
	r.Comparison, r.VerifyTime = cmp, time.Since(start)
	if err != nil {
		return r, err
	}
	after, err := from.Epoch(ctx)
	if err != nil {
		return r, fmt.Errorf("%s: %w", from.Name, err)
	}
	if after != epoch {
		return r, fmt.Errorf("%s was %w: stop what uses it, and copy again", from.Name, ErrChanged)
	}
	if !cmp.Same() || c.state.Step == stepVerified {
		return r, nil
	}
	c.state.Step = stepVerified
	return r, c.save(ctx)
}

// Verify compares without copying.
func Verify(ctx context.Context, from, to Side, o Options) (r Report, err error) {
	start := time.Now()
	r.Comparison, err = Compare(ctx, from, to, o)
	r.VerifyTime = time.Since(start)
	return r, err
}

// begin looks at both sides. begun is true if the copy is a new one.
func (c *copier) begin(ctx context.Context) (begun bool, err error) {
	source, err := c.from.Identity(ctx)
	if err != nil {
		return false, fmt.Errorf("%s: %w", c.from.Name, err)
	}
	target, err := c.to.Identity(ctx)
	if err != nil {
		return false, fmt.Errorf("%s: %w", c.to.Name, err)
	}
	if source == target {
		return false, fmt.Errorf("%w: %s and %s are one store, or one is a copy of the other's files", store.ErrInvalid, c.from.Name, c.to.Name)
	}
	if err := Ready(ctx, c.from); err != nil {
		return false, fmt.Errorf("%s: %w", c.from.Name, err)
	}
	for _, side := range []Side{c.from, c.to} {
		if err := unused(ctx, side); err != nil {
			return false, err
		}
	}
	st, version, err := readState(ctx, c.to)
	if err != nil {
		return false, fmt.Errorf("%s: %w", c.to.Name, err)
	}
	if st != nil {
		if st.Source != source {
			return false, fmt.Errorf("%s is %w: it holds a copy of another store (%s, begun %s); give an empty destination",
				c.to.Name, ErrOccupied, st.Address, st.Began.Format(time.RFC3339))
		}
		c.state, c.version = *st, version
		return false, nil
	}
	if err := empty(ctx, c.to); err != nil {
		return false, err
	}
	c.state = state{Source: source, Address: c.from.Name, Began: c.to.Now().UTC().Truncate(time.Second), Step: stepResources}
	return true, c.save(ctx)
}

func unused(ctx context.Context, side Side) error {
	hs, err := presence.Present(ctx, side)
	if err != nil {
		return fmt.Errorf("%s: %w", side.Name, err)
	}
	if len(hs) > 0 {
		return fmt.Errorf("%s is %w by %s: stop it first; a process that was killed counts for a minute more", side.Name, ErrInUse, presence.Names(hs))
	}
	return nil
}

// empty refuses a destination that holds anything.
func empty(ctx context.Context, to Side) error {
	what := ""
	keys, err := to.Keys(ctx, store.Key{}, 1)
	if err == nil && len(keys) > 0 {
		what = "resources"
	}
	if err == nil && what == "" {
		err = eachFact(ctx, to, "", func(store.Fact) error { what = "facts"; return errEnough })
		if errors.Is(err, errEnough) {
			err = nil
		}
	}
	if err == nil && what == "" {
		var ss []store.Stream
		if ss, err = to.Streams(ctx, "", 1); len(ss) > 0 {
			what = "streams"
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", to.Name, err)
	}
	if what != "" {
		return fmt.Errorf("%s is %w: it holds %s that are no copy of %s; give an empty destination", to.Name, ErrOccupied, what, "this source")
	}
	return nil
}

var errEnough = errors.New("enough")

// save keeps how far the copy has come.
func (c *copier) save(ctx context.Context) error {
	value, err := json.Marshal(c.state)
	if err != nil {
		return err
	}
	var f store.Fact
	if c.version == 0 {
		f, err = c.to.PutIfAbsent(ctx, stateKey, value, time.Time{})
	} else {
		f, err = c.to.CompareAndSet(ctx, stateKey, c.version, value, time.Time{})
	}
	switch {
	case errors.Is(err, store.ErrExists), errors.Is(err, store.ErrConflict):
		return fmt.Errorf("%s is %w: another copy writes to it", c.to.Name, ErrInUse)
	case err != nil:
		return fmt.Errorf("%s: %w", c.to.Name, err)
	}
	c.version = f.Version
	return nil
}

// copyAll does the steps that are not done yet.
func (c *copier) copyAll(ctx context.Context) error {
	z, err := c.from.Sizes(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", c.from.Name, err)
	}
	c.done = Progress{Total: z.Resources + z.Facts + z.Entries}
	if c.state.Step != stepResources && c.state.Step != stepVerified && c.state.Step != stepCopied {
		c.done.Done = z.Resources // of an earlier run
	}
	for _, step := range []struct {
		name, next string
		do         func(context.Context) error
	}{
		{stepResources, stepFacts, c.resources},
		{stepFacts, stepStreams, c.facts},
		{stepStreams, stepCopied, c.streams},
	} {
		if c.state.Step != step.name {
			continue
		}
		if err := step.do(ctx); err != nil {
			return err
		}
		c.state = state{Source: c.state.Source, Address: c.state.Address, Began: c.state.Began, Step: step.next}
		if err := c.save(ctx); err != nil {
			return err
		}
	}
	return nil
}

// progress tells of n more items with so many bytes.
func (c *copier) progress(n, bytes int64) {
	c.done.Done += n
	c.counts.Bytes += bytes
	c.done.Bytes = c.counts.Bytes
	c.done.Total = max(c.done.Total, c.done.Done)
	c.tick(c.done)
}
