package inbox

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/lease"
)

// A Report is what is told about one feed. It quotes nothing of a record but
// codes that no vocabulary knows, cut off where they are no codes.
type Report struct {
	System   string         `json:"system"`
	Adapter  string         `json:"adapter"`
	Paused   *Pause         `json:"paused,omitempty"`
	Messages Messages       `json:"messages"`
	Records  Records        `json:"records"`
	Unmapped []UnmappedItem `json:"unmapped"`
	// Running is what the process that processes the feed said last, or where none
	// does the one that was heard of last; nil: none ever did. It runs if At is
	// younger than a few seconds, by the store's clock.
	Running *Running `json:"running,omitempty"`
	// Holder is the gateway that processes the feed, as its lease says; "": none.
	Holder string `json:"holder,omitempty"`
	// Gateways are all that run the feed's receiver, where there are several.
	Gateways []Running `json:"gateways,omitempty"`
}

// Messages counts the messages of an inbox by state.
type Messages struct {
	Received   int64            `json:"received"` // all that were acknowledged
	Parsed     int64            `json:"parsed"`   // of the settled ones
	Mapped     int64            `json:"mapped"`
	Stored     int64            `json:"stored"`
	Rejected   int64            `json:"rejected"`
	Deferred   int64            `json:"deferred"`
	Waiting    int64            `json:"waiting"` // received and not settled
	Duplicates int64            `json:"duplicates"`
	Collisions int64            `json:"collisions"`
	RejectedBy map[string]int64 `json:"rejectedBy,omitempty"`
	Last       time.Time        `json:"last,omitzero"`
}

// Records are the counts of records over all runs and receivers.
type Records struct {
	flow.Report
	Source string `json:"source,omitempty"` // hides Report's: these are of all sources
}

// An UnmappedItem is a field without a row or a code without an entry.
type UnmappedItem struct {
	What string `json:"what"`
	First
}

// Running is how a feed is, as the process that runs it says every few seconds.
type Running struct {
	Gateway      string           `json:"gateway,omitempty"` // its name
	ID           string           `json:"id,omitempty"`      // under which its word is kept
	Holds        bool             `json:"holds,omitempty"`   // it processes the feed
	At           time.Time        `json:"at"`
	Since        time.Time        `json:"since"`
	Way          string           `json:"way"`
	Receiver     string           `json:"receiver"` // running, broken, stopped, mounted, waiting (for a mapping)
	Error        string           `json:"error,omitempty"`
	Restarts     int              `json:"restarts,omitempty"`
	Events       map[string]int64 `json:"events,omitempty"` // what the receiver saw
	Received     int64            `json:"received"`         // messages so far
	Waiting      int64            `json:"waiting"`
	WaitingBytes int64            `json:"waitingBytes"`
	Oldest       time.Time        `json:"oldest,omitzero"` // of what waits
	Deferred     int64            `json:"deferred"`
	Retry        *Retry           `json:"retry,omitempty"`
	PerMinute    map[string]int   `json:"perMinute"` // messages: of the last minute, and on average of 5 and 60
	Mapping      Mapping          `json:"mapping"`
}

// Mapping says with what a feed maps. Without a Name there is none in force: nothing
// of the feed is processed until what Error says is mended.
type Mapping struct {
	Name     string    `json:"name"`
	Version  string    `json:"version"`
	Loaded   time.Time `json:"loaded,omitzero"`
	Error    string    `json:"error,omitempty"` // of files that are not used
	FailedAt time.Time `json:"failedAt,omitzero"`
}

// A Pause says who lets a feed wait, and since when.
type Pause struct {
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
}

// PauseFeed lets a feed's processing wait, in whatever process it runs. What
// comes in is kept and acknowledged until the inbox is full.
func PauseFeed(ctx context.Context, facts store.Facts, system string, p Pause) error {
	return change(ctx, facts, pauseKey(system), func(have *Pause) {
		if have.At.IsZero() {
			*have = p
		}
	})
}

// ResumeFeed ends a pause.
func ResumeFeed(ctx context.Context, facts store.Facts, system string) error {
	return facts.Delete(ctx, pauseKey(system))
}

// Paused says whether a feed waits; nil: it does not.
func Paused(ctx context.Context, facts store.Facts, system string) (*Pause, error) {
	return read[Pause](ctx, facts, pauseKey(system))
}

func pauseKey(system string) string   { return "feeds/" + system + "/paused" }
func runningKey(system string) string { return "feeds/" + system + "/running/" }

// HolderKey names the lease of the process that processes a feed.
func HolderKey(system string) string { return "feeds/" + system + "/holder" }

// SaveRunning keeps what a running feed says about itself.
func SaveRunning(ctx context.Context, facts store.Facts, system string, r Running) error {
	return change(ctx, facts, runningKey(system)+r.ID, func(have *Running) { *have = r })
}

// gateways reads what each process says of a feed.
func (r *Report) gateways(ctx context.Context, facts store.Facts, system string) error {
	held, err := lease.Read(ctx, facts, HolderKey(system))
	if err != nil {
		return err
	}
	r.Holder = held.Name
	list, err := facts.Scan(ctx, runningKey(system), "", maxGateways)
	if err != nil {
		return err
	}
	for _, f := range list {
		x := Running{}
		if err := json.Unmarshal(f.Value, &x); err != nil {
			return fmt.Errorf("%w: %s: %w", store.ErrDamaged, f.Key, err)
		}
		x.Holds = held.Holder != "" && x.ID == held.Holder
		r.Gateways = append(r.Gateways, x)
		if r.Running == nil || !r.Running.Holds && (x.Holds || x.At.After(r.Running.At)) {
			r.Running = &r.Gateways[len(r.Gateways)-1]
		}
	}
	if len(r.Gateways) < 2 {
		r.Gateways = nil
	}
	return nil
}

// maxGateways bounds how many are told of.
const maxGateways = 100

// read reads a fact that holds JSON; nil if it is not there.
func read[T any](ctx context.Context, facts store.Facts, key string) (*T, error) {
	fact, err := facts.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	value := new(T)
	if err := json.Unmarshal(fact.Value, value); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", store.ErrDamaged, key, err)
	}
	return value, nil
}

// ReadReport gathers the report of a feed. Any process may ask.
func ReadReport(ctx context.Context, facts store.Facts, system, adapter string) (*Report, error) {
	r := &Report{System: system, Adapter: adapter, Unmapped: []UnmappedItem{}}
	p, err := read[Progress](ctx, facts, Stream(system)+"/progress")
	if err != nil {
		return nil, err
	}
	if err := r.gateways(ctx, facts, system); err != nil {
		return nil, err
	}
	if r.Paused, err = Paused(ctx, facts, system); err != nil {
		return nil, err
	}
	told, err := read[Receipts](ctx, facts, receiptsKey(system))
	if err != nil {
		return nil, err
	}
	t, err := read[tallyData](ctx, facts, tallyKey(system))
	if err != nil {
		return nil, err
	}
	if p != nil {
		r.Messages = Messages{Parsed: p.Parsed, Mapped: p.Mapped, Stored: p.Stored, Rejected: p.Rejected,
			Duplicates: p.Duplicates, Collisions: p.Collisions, RejectedBy: p.Codes, Last: p.Last}
	}
	if told != nil {
		r.Messages.Duplicates += told.Duplicates
		r.Messages.Collisions += told.Collisions
	}
	r.Messages.wait(r.Running)
	if t != nil {
		r.Records.Report = t.Records
		for _, what := range slices.SortedFunc(maps.Keys(t.Unmapped), func(a, b string) int {
			return cmp.Or(cmp.Compare(t.Unmapped[b].Count, t.Unmapped[a].Count), cmp.Compare(a, b))
		}) {
			r.Unmapped = append(r.Unmapped, UnmappedItem{what, t.Unmapped[what]})
		}
	}
	return r, nil
}

// wait adds what waits. What the running process said is a little older than the
// counts: a message that waited then may be stored by now, and is counted once.
func (m *Messages) wait(x *Running) {
	settled := m.Stored + m.Rejected
	m.Received = settled
	if x == nil {
		return
	}
	m.Received = max(settled, x.Received)
	m.Deferred = min(x.Deferred, m.Received-settled)
	m.Waiting = m.Received - settled - m.Deferred
}

// Missing says that there is no mapping in force.
func (m *Mapping) Missing() bool { return m.Name == "" && m.Error != "" }

// Rates are the messages of the last minute, and the average of the last 5 and 60.
func (b *Box) Rates() map[string]int {
	b.counts.mu.Lock()
	defer b.counts.mu.Unlock()
	now := b.clock()
	return map[string]int{"1": b.counts.seen.last(now, 1), "5": b.counts.seen.last(now, 5) / 5, "60": b.counts.seen.last(now, 60) / 60}
}
