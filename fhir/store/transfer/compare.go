package transfer

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"math"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// The kinds of items that are compared.
const (
	KindVersions  = "versions"
	KindResources = "resources" // which version is the newest, its index entries and claims
	KindFacts     = "facts"
	KindEntries   = "entries"
	KindPositions = "positions"
	KindCounter   = "fact-counter"
)

var kinds = []string{KindResources, KindVersions, KindFacts, KindEntries, KindPositions}

// A Tally is what one side holds of a kind.
type Tally struct {
	Count int64  `json:"count"`
	Hash  string `json:"sha256"` // over all items in order
}

// A Difference is one item that is not the same on both sides.
type Difference struct {
	Kind string `json:"kind"`
	What string `json:"what"` // its name, never its content
	How  string `json:"how"`
}

// How items differ.
const (
	OnlySource      = "only in the source"
	OnlyDestination = "only in the destination"
	Other           = "not the same"
)

// A Comparison of two stores. Equal hashes of a kind mean equal items.
type Comparison struct {
	Source      map[string]Tally `json:"source"`
	Destination map[string]Tally `json:"destination"`
	Differences []Difference     `json:"differences"` // the first maxDifferences
	Differing   int64            `json:"differing"`   // of all
	// Spared is how many resources were not read, because a run ahead has found them the
	// same and neither side has changed them since.
	Spared int64 `json:"spared,omitempty"`
}

// maxDifferences is how many are named one by one.
const maxDifferences = 50

// Same says whether both sides hold the same.
func (c *Comparison) Same() bool { return c.Differing == 0 }

// Kinds lists the kinds in the order to show them.
func Kinds() []string { return kinds }

// Compare reads both stores and compares them item by item. A fact that expires
// meanwhile may be missing on either side.
func Compare(ctx context.Context, from, to Side, o Options) (*Comparison, error) {
	return compare(ctx, from, to, o, from.FactVersion, "")
}

// compare has the destination's versions of facts stand above what given says. What a
// ledger proves, if one is named, is not read again.
func compare(ctx context.Context, from, to Side, o Options, given func(context.Context) (int64, error), ledger string) (*Comparison, error) {
	z, err := from.Sizes(ctx)
	if err != nil {
		return nil, named(from, err)
	}
	m := &merger{
		out:  &Comparison{Source: map[string]Tally{}, Destination: map[string]Tally{}, Differences: []Difference{}},
		sums: [2]map[string]*sum{{}, {}},
		now:  func() time.Time { return latest(from.Now(), to.Now()) },
		tick: o.Progress, done: Progress{Verifying: true, Total: z.Resources + z.Facts + z.Entries},
	}
	if ledger != "" {
		p := &prover{from: from, to: to, found: func(k store.Key, src, dst *whole) error { return m.pairAll(src.items(k), dst.items(k)) }}
		if err := p.run(ctx, ledgerOf(to, ledger)); err != nil {
			return nil, err
		}
		m.out.Spared = p.spared
	} else if err := merge(ctx, itemsOf(from, walkResources), itemsOf(to, walkResources), place, m.pair); err != nil {
		return nil, err
	}
	if err := merge(ctx, itemsOf(from, walkRest), itemsOf(to, walkRest), place, m.pair); err != nil {
		return nil, err
	}
	return m.finish(ctx, from, to, given)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// An item is one thing to compare. Its place is by stage, then a, b, n.
type item struct {
	stage   uint8
	a, b    string
	n       uint64
	kind    string
	sum     [sha256.Size]byte
	expires time.Time
}

func place(x, y *item) int {
	return cmp.Or(cmp.Compare(x.stage, y.stage), cmp.Compare(x.a, y.a), cmp.Compare(x.b, y.b), cmp.Compare(x.n, y.n))
}

func (x *item) String() string {
	switch x.kind {
	case KindVersions:
		return fmt.Sprintf("%s/%s/_history/%d", x.a, x.b, x.n)
	case KindResources:
		return x.a + "/" + x.b
	case KindEntries:
		return fmt.Sprintf("%q entry %d", x.a, x.n)
	}
	return fmt.Sprintf("%q", x.a)
}

func itemsOf(s Side, walk func(context.Context, Side, func(item) error) error) reader[item] {
	return func(ctx context.Context, emit func(item) error) error { return named(s, walk(ctx, s, emit)) }
}

// walkResources gives the items of a store's resources in order of their place.
func walkResources(ctx context.Context, s Side, emit func(item) error) error {
	return eachArchived(ctx, s, func(a *store.Archived) error {
		for _, rec := range a.Versions {
			if err := emit(item{stage: 1, a: a.Key.Type, b: a.Key.ID, n: uint64(rec.Version), kind: KindVersions, sum: versionHash(rec)}); err != nil {
				return err
			}
		}
		if !a.Complete {
			return nil
		}
		return emit(item{stage: 1, a: a.Key.Type, b: a.Key.ID, n: math.MaxUint64, kind: KindResources, sum: headHash(a)})
	})
}

// walkRest gives those of its facts and streams.
func walkRest(ctx context.Context, s Side, emit func(item) error) error {
	err := eachFact(ctx, s, func(f store.Fact) error {
		return emit(item{stage: 2, a: f.Key, kind: KindFacts, sum: factHash(f), expires: f.Expires})
	})
	if err != nil {
		return err
	}
	return eachStream(ctx, s, func(x store.Stream) error {
		err := eachEntry(ctx, s, x, 1, func(e store.Entry) error {
			return emit(item{stage: 3, a: x.Name, n: e.Seq, kind: KindEntries, sum: entryHash(x.Name, e)})
		})
		if err != nil {
			return err
		}
		if len(x.Positions) == 0 {
			return nil
		}
		return emit(item{stage: 3, a: x.Name, n: math.MaxUint64, kind: KindPositions, sum: positionsHash(x)})
	})
}

// A sum is a side's tally of a kind, in the making.
type sum struct {
	count int64
	hash  hash.Hash
}

// merger judges what two sides have at each place.
type merger struct {
	out  *Comparison
	sums [2]map[string]*sum
	now  func() time.Time
	tick func(Progress)
	done Progress
}

func (m *merger) pair(x, y *item) error {
	switch {
	case y == nil:
		m.lone(0, x, OnlySource)
	case x == nil:
		m.lone(1, y, OnlyDestination)
	default:
		m.add(0, x)
		m.add(1, y)
		if !bytes.Equal(x.sum[:], y.sum[:]) {
			m.differ(x, Other)
		}
		m.progress(x)
	}
	return nil
}

// pairAll is pair for lists of items, each in order of place.
func (m *merger) pairAll(xs, ys []*item) error {
	for len(xs)+len(ys) > 0 {
		var x, y *item
		if len(ys) == 0 || len(xs) > 0 && place(xs[0], ys[0]) <= 0 {
			x = xs[0]
		}
		if len(xs) == 0 || len(ys) > 0 && place(ys[0], xs[0]) <= 0 {
			y = ys[0]
		}
		if err := m.pair(x, y); err != nil {
			return err
		}
		if x != nil {
			xs = xs[1:]
		}
		if y != nil {
			ys = ys[1:]
		}
	}
	return nil
}

// lone is an item that only one side has.
func (m *merger) lone(side int, x *item, how string) {
	if !x.expires.IsZero() && !x.expires.After(m.now()) {
		return // it has expired since it was read
	}
	m.add(side, x)
	m.differ(x, how)
	if side == 0 {
		m.progress(x)
	}
}

func (m *merger) progress(x *item) {
	if m.tick == nil || x.kind == KindVersions || x.kind == KindPositions {
		return
	}
	m.done.Done++
	m.done.Total = max(m.done.Total, m.done.Done)
	m.tick(m.done)
}

func (m *merger) add(side int, x *item) {
	s := m.sums[side][x.kind]
	if s == nil {
		s = &sum{hash: sha256.New()}
		m.sums[side][x.kind] = s
	}
	s.count++
	s.hash.Write(x.sum[:])
}

func (m *merger) differ(x *item, how string) {
	m.report(Difference{Kind: x.kind, What: x.String(), How: how})
}

func (m *merger) report(d Difference) {
	m.out.Differing++
	if len(m.out.Differences) < maxDifferences {
		m.out.Differences = append(m.out.Differences, d)
	}
}

// finish compares the counters and closes the tallies.
func (m *merger) finish(ctx context.Context, from, to Side, given func(context.Context) (int64, error)) (*Comparison, error) {
	a, err := given(ctx)
	if err != nil {
		return nil, named(from, err)
	}
	b, err := to.FactVersion(ctx)
	if err != nil {
		return nil, named(to, err)
	}
	if b < a {
		m.report(Difference{Kind: KindCounter, What: fmt.Sprintf("versions of facts were given up to %d, %d in the destination", a, b), How: Other})
	}
	for _, kind := range kinds {
		m.out.Source[kind], m.out.Destination[kind] = m.sums[0][kind].tally(), m.sums[1][kind].tally()
	}
	return m.out, nil
}

func (s *sum) tally() Tally {
	if s == nil {
		s = &sum{hash: sha256.New()}
	}
	return Tally{Count: s.count, Hash: hex.EncodeToString(s.hash.Sum(nil))}
}
