package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// A Store is one side of a copy.
type Store interface {
	store.Transferer
	store.Facts
	store.Log
	store.Epocher
	store.Timekeeper
	Expunge(ctx context.Context, k store.Key) error // as in store.Store
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
	ErrFinished = errors.New("a finished copy already")
)

// Counts of what a run has put into the destination, and taken out of it because the
// source has it no more.
type Counts struct {
	Resources    int64 `json:"resources"`
	Versions     int64 `json:"versions"`
	Facts        int64 `json:"facts"`
	Entries      int64 `json:"entries"`
	Streams      int64 `json:"streams"`
	Bytes        int64 `json:"bytes"`   // of content, facts and entries
	Removed      int64 `json:"removed"` // resources
	FactsRemoved int64 `json:"factsRemoved"`
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
	// Live copies from a source that may be in use. What comes of it is not compared
	// and no finished copy: a run without Live brings over what changed since.
	Live bool
	// Ahead has a run with Live verify what it can ahead, and one without read only
	// those resources whole that have changed on either side since. What has become of
	// the bytes of others meanwhile by themselves it does not see.
	Ahead bool
}

// A Report says what a run has done.
type Report struct {
	Resumed    bool // it went on with a copy that was begun before
	Copied     Counts
	CopyTime   time.Duration
	Comparison *Comparison // nil if it did not come to that
	VerifyTime time.Duration
	Proven     int64 // resources that were verified ahead
	Spared     int64 // of these, how many an earlier run had proven
}

// copier is one run.
type copier struct {
	from, to Side
	tick     func(Progress)
	state    state
	version  int64 // of the state's fact
	watch    watch // over the source
	given    int64 // the source's versions of facts, before this run's own word
	counts   Counts
	done     Progress
}

// Run copies and compares. A destination that holds something else is refused; one
// that holds an unfinished copy of this source is brought to what the source is now.
// On error, and where the comparison shows a difference, the destination stays an
// unfinished copy. One that is finished is compared only: it may be in use by now.
func Run(ctx context.Context, from, to Side, o Options) (r Report, err error) {
	c := &copier{from: from, to: to, tick: o.Progress, watch: watch{side: from}}
	if c.tick == nil {
		c.tick = func(Progress) {}
	}
	source, err := c.distinct(ctx)
	if err != nil {
		return r, err
	}
	if c.given, err = from.FactVersion(ctx); err != nil {
		return r, named(from, err)
	}
	leave, err := c.announce(ctx, o.Live)
	if err != nil {
		return r, err
	}
	defer leave()
	// A list would leave it out, here and in the comparison.
	if err := from.Unlisted(ctx); err != nil {
		return r, named(from, err)
	}
	begun, err := c.begin(ctx, source, o.Live)
	if err != nil {
		return r, err
	}
	if err := c.watch.begin(ctx); err != nil {
		return r, err
	}
	r.Resumed = !begun
	start := time.Now()
	if c.state.Step != stepVerified {
		err = c.pass(ctx, o.Live)
	}
	r.Copied, r.CopyTime = c.counts, time.Since(start)
	switch {
	case err != nil:
		return r, err
	case o.Live && o.Ahead:
		start := time.Now()
		r.Proven, r.Spared, err = c.proveAhead(ctx)
		r.VerifyTime = time.Since(start)
		return r, err
	case o.Live:
		return r, nil
	}
	return c.verify(ctx, r, o)
}

// verify compares both sides, and marks the copy as finished if nobody wrote to the
// source meanwhile.
func (c *copier) verify(ctx context.Context, r Report, o Options) (Report, error) {
	start, ledger := time.Now(), ""
	if o.Ahead {
		ledger = c.state.Ledger
	}
	cmp, err := compare(ctx, c.from, c.to, o, func(context.Context) (int64, error) { return c.given, nil }, ledger)
	r.Comparison, r.VerifyTime = cmp, time.Since(start)
	if err == nil {
		err = c.watch.unchanged(ctx)
	}
	if err != nil {
		return r, err
	}
	if !cmp.Same() || c.state.Step == stepVerified {
		return r, nil
	}
	c.state.Step, c.state.Ledger = stepVerified, ""
	if err := c.save(ctx); err != nil {
		return r, err
	}
	return r, c.dropLedgers(ctx)
}

// Verify compares without copying.
func Verify(ctx context.Context, from, to Side, o Options) (r Report, err error) {
	start := time.Now()
	for _, side := range []Side{from, to} {
		if err := side.Unlisted(ctx); err != nil {
			return r, named(side, err)
		}
	}
	r.Comparison, err = Compare(ctx, from, to, o)
	r.VerifyTime = time.Since(start)
	return r, err
}

// distinct gives the source's identity. One that is the destination's, or an unfinished
// copy, is refused.
func (c *copier) distinct(ctx context.Context) (source string, err error) {
	if source, err = c.from.Identity(ctx); err != nil {
		return "", named(c.from, err)
	}
	target, err := c.to.Identity(ctx)
	if err != nil {
		return "", named(c.to, err)
	}
	if source == target {
		return "", fmt.Errorf("%w: %s and %s are one store, or one is a copy of the other's files", store.ErrInvalid, c.from.Name, c.to.Name)
	}
	return source, named(c.from, Ready(ctx, c.from))
}

// begin makes the destination an unfinished copy of the source, or takes up one that is
// there. begun is true if the copy is a new one.
func (c *copier) begin(ctx context.Context, source string, live bool) (begun bool, err error) {
	st, version, err := readState(ctx, c.to)
	if err != nil {
		return false, named(c.to, err)
	}
	if st != nil {
		if st.Source != source {
			return false, fmt.Errorf("%s is %w: it holds a copy of another store (%s, begun %s); give an empty destination",
				c.to.Name, ErrOccupied, st.Address, st.Began.Format(time.RFC3339))
		}
		return false, c.goOn(ctx, st, version, live)
	}
	if err := empty(ctx, c.to); err != nil {
		return false, err
	}
	c.state = state{Source: source, Address: c.from.Name, Began: c.to.Now().UTC().Truncate(time.Second), Step: stepResources}
	return true, c.save(ctx)
}

// goOn takes up a copy that was begun before. Another run that is still at it loses it.
func (c *copier) goOn(ctx context.Context, st *state, version int64, live bool) error {
	c.state, c.version = *st, version
	switch {
	case st.Step != stepVerified:
		c.state.Address, c.state.Step = c.from.Name, stepResources
		return c.save(ctx)
	case live:
		return fmt.Errorf("%s is %w of %s, and may have been used since: give an empty destination", c.to.Name, ErrFinished, c.from.Name)
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
		err = eachFact(ctx, to, func(store.Fact) error { what = "facts"; return errEnough })
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
		return named(to, err)
	}
	if what != "" {
		return fmt.Errorf("%s is %w: it holds %s that are no copy of %s; give an empty destination", to.Name, ErrOccupied, what, "this source")
	}
	return nil
}

var errEnough = errors.New("enough")

// save keeps how far the copy has come. It is called before anything is written to the
// destination: a run that stood still while another took the copy up ends here.
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
		return named(c.to, err)
	}
	c.version = f.Version
	return nil
}

// pass has the destination become what the source is, step by step. Each compares both
// sides by what is read quickly and brings over what differs: so it does not matter what
// an earlier run has done, where that ended, and what has changed since.
func (c *copier) pass(ctx context.Context, live bool) error {
	z, err := c.from.Sizes(ctx)
	if err != nil {
		return named(c.from, err)
	}
	c.done = Progress{Total: z.Resources + z.Facts + z.Entries}
	last := stepCopied
	if live {
		last = stepLive
	}
	for _, step := range []struct {
		do   func(context.Context) error
		next string
	}{{c.resources, stepFacts}, {c.facts, stepStreams}, {c.streams, last}} {
		if err := step.do(ctx); err != nil {
			return err
		}
		c.state.Step = step.next
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
