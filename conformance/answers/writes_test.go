package answers

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
)

// strange are values that are easily taken for another: by case, accent, form of a
// character, bytes that are no text, separators of FHIR and of the stores, length.
var strange = []string{
	"", " ", "a", "A", "a ", "ä", "a\u0308", "Ä", "\x00", "a\x00b", "\xff", "\xc3", "\xed\xa0\xbd", "😀", "日本", "|", "a|b", "http://x.org|a,b", `a\,b\|c\\`, "$gt", "a.b", "$", "%", "_", "a%",
	"2026-03-01T08:00:00-05:00", "2026-03-01T13:00:00Z", "2026-03", "5.40|http://unitsofmeasure.org|mg", "Patient/1/_history/2", strings.Repeat("x", 600), strings.Repeat("x", 600) + "y", strings.Repeat("é", 3000),
}

// A caller makes calls as its numbers tell it: with the same ones, the same calls.
type caller struct{ *rand.Rand }

// outcome is what a call gives, without what may differ: the words of errors.
func outcome(v any, err error) string {
	if err == nil {
		return fmt.Sprintf("%v", v)
	}
	for _, is := range []error{store.ErrNotFound, store.ErrConflict, store.ErrExists, store.ErrInvalid, store.ErrCursor} {
		if !errors.Is(err, is) {
			continue
		}
		out := is.Error()
		var (
			we *store.WriteError
			ve *store.VersionError
			ce *store.ClaimError
		)
		if errors.As(err, &we) {
			out += fmt.Sprintf(" write %d %s", we.Index, we.Key)
		}
		if errors.As(err, &ve) {
			out += fmt.Sprintf(" %s expected %d has %d", ve.Key, ve.Expect, ve.Have)
		}
		if errors.As(err, &ce) {
			out += fmt.Sprintf(" %q of %s", ce.Claim, ce.Holder)
		}
		return out
	}
	return "an error of no kind: " + err.Error()
}

func shown(recs ...*store.Record) string {
	var out []string
	for _, r := range recs {
		out = append(out, fmt.Sprintf("%s %d %s %t %q %v %q %q %q", r.Key, r.Version, r.LastUpdated.Format(time.RFC3339Nano), r.Deleted, r.Raw, r.Origin, r.Labels, r.LabelSet, r.Index))
	}
	return strings.Join(out, "\n")
}

func (c *caller) value() string { return strange[c.IntN(len(strange))] }

// param is one that is searched for: the last ones are nobody's.
func (c *caller) param() string {
	return []string{"code", "é", store.ParamID, store.ParamLastUpdated, "code|a", "cod"}[c.IntN(6)]
}

func (c *caller) key() store.Key {
	ids := []string{"a", "A", "a.b", "a-", "a0", "a.", strings.Repeat("z", 64)}
	return store.Key{Type: []string{"Patient", "Patient", "Consent"}[c.IntN(3)], ID: ids[c.IntN(len(ids))]}
}

func (c *caller) write() store.Write {
	w := store.Write{Record: store.Record{Key: c.key()}, Expect: int64(c.IntN(9)) - 1}
	if c.IntN(2) == 0 {
		w.Expect = store.AnyVersion
	}
	if c.IntN(6) == 0 {
		w.Deleted = true
		return w
	}
	w.Raw = append([]byte(c.value()), '.')
	w.Labels, w.LabelSet = []string{c.value()}, c.value()
	w.Origin.System = c.value()
	for range c.IntN(6) {
		w.Index = append(w.Index, []string{"code", "Code", "é", store.ParamID}[c.IntN(4)]+"|"+c.value())
	}
	for range c.IntN(3) {
		w.Claims = append(w.Claims, "c"+c.value())
	}
	return w
}

// call makes one call, chosen by the generator: the same of each store.
func (c *caller) call(t *testing.T, b backend.Backend) string {
	t.Helper()
	ctx := t.Context()
	switch c.IntN(12) {
	case 0, 1, 2:
		rec, err := b.Write(ctx, c.write())
		if err != nil {
			return outcome(nil, err)
		}
		return shown(rec)
	case 3, 4:
		var ws []store.Write
		for range 1 + c.IntN(4) {
			ws = append(ws, c.write())
		}
		recs, err := b.Apply(ctx, ws)
		return outcome(shown(recs...), err)
	case 5:
		rec, err := b.Read(ctx, c.key())
		if err != nil {
			return outcome(nil, err)
		}
		return shown(rec)
	case 6:
		rec, err := b.ReadVersion(ctx, c.key(), []int64{math.MinInt64, -1, 0, 1, 2, 3, 5, 8, math.MaxInt64}[c.IntN(9)])
		if err != nil {
			return outcome(nil, err)
		}
		return shown(rec)
	case 7:
		recs, err := b.History(ctx, c.key(), []int64{-1, 0, 1, 2, 4, math.MaxInt64}[c.IntN(6)], []int{0, 1, 3, math.MaxInt}[c.IntN(4)])
		return outcome(shown(recs...), err)
	case 8:
		return outcome("expunged", b.Expunge(ctx, c.key()))
	case 9:
		return c.search(t, b)
	case 10:
		return c.fact(t, b)
	}
	return c.stream(t, b)
}

func (c *caller) search(t *testing.T, b backend.Backend) string {
	t.Helper()
	value := c.value()
	p := store.Plan{Type: c.key().Type, Limit: 1 + c.IntN(3), Where: store.Expr{Op: store.Equal, Param: "code", Value: value}}
	switch c.IntN(4) {
	case 0:
		p.Where = store.Expr{Op: store.Prefix, Param: "code", Value: value[:c.IntN(len(value)+1)]}
	case 1:
		p.Where = store.Expr{Op: store.Range, Param: c.param(), Low: value, High: c.value()}
	case 2:
		p.Where = store.Expr{Op: store.Not, Args: []store.Expr{p.Where}}
	}
	if c.IntN(2) == 0 {
		p.Sort = []store.SortKey{{Param: c.param(), Descending: c.IntN(2) == 0}}
	}
	var out []string
	for {
		page, err := b.Search(t.Context(), p)
		out = append(out, outcome(shown(page.Records...)+" "+page.Next, err))
		if p.After = page.Next; p.After == "" {
			break
		}
	}
	n, err := b.Count(t.Context(), p)
	return strings.Join(append(out, outcome(n, err)), "\n")
}

func (c *caller) fact(t *testing.T, b backend.Backend) string {
	t.Helper()
	key, value, ctx := "f"+c.value(), []byte(c.value()), t.Context()
	show := func(f store.Fact, err error) string { // of versions it is only said that they differ
		return outcome(fmt.Sprintf("%q %q %s", f.Key, f.Value, f.Expires.Format(time.RFC3339Nano)), err)
	}
	switch c.IntN(5) {
	case 0:
		return show(b.PutIfAbsent(ctx, key, value, time.Time{}))
	case 1:
		return show(b.Get(ctx, key))
	case 2:
		f, _ := b.Get(ctx, key) // an absent one has version 0
		return show(b.CompareAndSet(ctx, key, f.Version, value, time.Time{}))
	case 3:
		return outcome("deleted", b.Delete(ctx, key))
	}
	fs, err := b.Scan(ctx, key[:c.IntN(len(key)+1)], []string{"", c.value()}[c.IntN(2)], 1+c.IntN(20))
	var out []string
	for _, f := range fs {
		out = append(out, fmt.Sprintf("%q %q", f.Key, f.Value))
	}
	return outcome(strings.Join(out, "\n"), err)
}

func (c *caller) stream(t *testing.T, b backend.Backend) string {
	t.Helper()
	name, ctx := "s"+c.value(), t.Context()
	switch c.IntN(4) {
	case 0:
		data := [][]byte{[]byte(c.value()), nil, []byte(c.value())}
		seq, err := b.Append(ctx, name, data[:c.IntN(4)]...)
		return outcome(seq, err)
	case 1:
		es, err := b.ReadFrom(ctx, name, uint64(c.IntN(5)), 1+c.IntN(5))
		var out []string
		for _, e := range es {
			out = append(out, fmt.Sprintf("%d %s %q", e.Seq, e.At.Format(time.RFC3339Nano), e.Data))
		}
		return outcome(strings.Join(out, "\n"), err)
	case 2:
		return outcome("noted", b.Checkpoint(ctx, name, c.value(), uint64(c.IntN(9))))
	}
	seq, err := b.Position(ctx, name, c.value())
	return outcome(seq, err)
}

// Calls of every kind, with strange values, have the same outcome in each store: what
// is written, what is refused and why, and what is read.
func TestStoresTakeTheSameCalls(t *testing.T) {
	w := newWorld(t)
	if len(w.stores) == 1 {
		t.Skip("NOT COMPARED: there is one store")
	}
	refusals := map[error]int{store.ErrNotFound: 0, store.ErrConflict: 0, store.ErrExists: 0, store.ErrInvalid: 0}
	steps := *plans * 3 / 10
	for i := range steps {
		w.now = w.now.Add(time.Duration(i%3) * time.Millisecond)
		outcomes := map[string]string{}
		for _, name := range w.names() {
			c := &caller{rand.New(rand.NewPCG(*seed, uint64(i)))} //nolint:gosec // test data
			outcomes[name] = c.call(t, w.stores[name])
		}
		first := outcomes[w.names()[0]]
		for name, got := range outcomes {
			if diff := cmp.Diff(first, got); diff != "" {
				t.Fatalf("call %d: %s and %s (-%s +%s):\n%s", i, w.names()[0], name, w.names()[0], name, diff)
			}
		}
		for kind := range refusals {
			if strings.HasPrefix(first, kind.Error()) {
				refusals[kind]++
			}
		}
	}
	t.Logf("%d calls, of which these were refused: %v", steps, refusals)
	for kind, n := range refusals {
		if n == 0 {
			t.Errorf("no call ended in %q", kind)
		}
	}
}
