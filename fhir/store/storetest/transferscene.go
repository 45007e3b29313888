package storetest

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

func (e *env) fact(t *testing.T, key, value string, expires time.Time) store.Fact {
	t.Helper()
	f, err := e.Facts.PutIfAbsent(e.ctx, key, []byte(value), expires)
	if err != nil {
		t.Fatalf("fact %q: %v", key, err)
	}
	return f
}

func (e *env) append(t *testing.T, stream string, data ...string) {
	t.Helper()
	var all [][]byte
	for _, d := range data {
		all = append(all, []byte(d))
	}
	if _, err := e.Log.Append(e.ctx, stream, all...); err != nil {
		t.Fatalf("append to %q: %v", stream, err)
	}
}

// furnish fills a store with one of everything that is hard to carry over. gone is
// the version of a fact that is there no longer.
func (e *env) furnish(t *testing.T) (gone int64) {
	t.Helper()
	full := withClaims(put(patient("full"), store.Absent, 1, "name|smith", "v|a\x00b", "v|\xff\xfe", "v|é", "v|", "a-b|x", "a|y"), "c/1", "c/\xff")
	full.Origin, full.Labels, full.LabelSet = origin(), []string{"s|ETH", "s|R"}, "labels 7"
	e.write(t, full)
	for n := 2; n <= 7; n++ {
		e.clock.advance(1234 * time.Millisecond)
		next := full
		next.Expect, next.Raw = store.AnyVersion, body(full.Key, n)
		e.write(t, next)
	}
	e.write(t, withClaims(put(patient("gone"), store.Absent, 1, "name|gone"), "c/2"))
	e.clock.advance(time.Second)
	e.write(t, deletion(patient("gone"), 1))
	e.write(t, withClaims(put(patient("again"), store.Absent, 1, "name|again"), "c/2"))
	e.write(t, deletion(patient("again"), 1))
	e.write(t, put(patient("again"), store.Absent, 3, "name|again"))
	e.write(t, put(patient("expunged"), store.Absent, 1, "name|expunged"))
	if err := e.Store.Expunge(e.ctx, patient("expunged")); err != nil {
		t.Fatal(err)
	}
	last := withClaims(full, "c/1") // gives the other one up
	last.Expect, last.Raw = 7, body(full.Key, 8)
	if _, err := e.Store.Apply(e.ctx, []store.Write{
		withClaims(put(store.Key{Type: "Consent", ID: "A-1.b"}, store.Absent, 1, "status|active"), "c/2", "c/3"), last,
	}); err != nil {
		t.Fatal(err)
	}
	big := put(patient("large"), store.Absent, 1, "name|large")
	for n := range 3 {
		big.Raw, big.Expect = bytes.Repeat([]byte{'a' + byte(n), 0xc3, 0xa9, 0}, 700_000), store.AnyVersion
		e.write(t, big)
	}
	for i := range 30 {
		e.write(t, put(store.Key{Type: "Observation", ID: fmt.Sprintf("o%02d", i)}, store.Absent, i, fmt.Sprintf("n|%02d", i)))
	}
	e.fact(t, "forever", "v", time.Time{})
	e.fact(t, "k\x00\xff", "a\x00b", e.clock.now().Add(time.Hour+123))
	e.fact(t, "empty", "", time.Time{})
	e.fact(t, "short", "x", e.clock.now().Add(time.Second))
	f := e.fact(t, "deleted", "x", time.Time{})
	if err := e.Facts.Delete(e.ctx, "deleted"); err != nil {
		t.Fatal(err)
	}
	e.clock.advance(time.Second) // short has expired
	e.append(t, "raw/a", "one", "two\x00", "")
	e.clock.advance(time.Nanosecond * 77)
	e.append(t, "raw/a", "three")
	e.append(t, "raw/\xff", string(bytes.Repeat([]byte("x"), 3<<20)), "y", string(bytes.Repeat([]byte("z"), 3<<20)))
	for reader, seq := range map[string]uint64{"r": 3, "r\x00\xfe": 1} {
		if err := e.Log.Checkpoint(e.ctx, "raw/a", reader, seq); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Log.Checkpoint(e.ctx, "no entries", "r", 0); err != nil {
		t.Fatal(err)
	}
	return f.Version
}
