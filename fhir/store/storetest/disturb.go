package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// A Disturbance is a store that others reach over a network: two processes' worth
// of writers write to it while the way to it, or the store itself, breaks again and
// again. Each write says in its content which one it is, so that afterwards every
// acknowledged one is counted once, every refused one never, and nothing is half.
type Disturbance struct {
	Open     Opener
	Through  string // address by which the writers reach it
	Straight string // address by which it is read afterwards
	// Break breaks something for the n-th time, from 0, and returns when it has been
	// put right; nil where Through breaks by itself.
	Break  func(ctx context.Context, n int) error
	Breaks int // at least so many times
	Acks   int // at least so many acknowledgements
}

const (
	disturbedWriters = 8
	disturbedFor     = 8 * time.Minute // on a busy machine; it ends when enough has happened
	sharedHeads      = 3               // resources that all writers update
)

// An outcome is what a writer was told.
type outcome uint8

const (
	refused      outcome = iota // and why: it must not be there
	acknowledged                // it must be there, once
	unknown                     // an error that says nothing: it may be there, once and whole
)

// An op is one write with all the places where it must be found.
type op struct {
	name    string
	outcome outcome
	err     error
	keys    []store.Key // of the resources that it writes
	facts   []string    // keys of facts that hold its name
	entries int         // in the stream
	seq     uint64      // of the first one, if acknowledged
	gone    []store.Key // what it deletes
	added   int64       // to the shared fact
}

// A load is what the writers share.
type load struct {
	mu     sync.Mutex
	ops    []op
	acks   atomic.Int64
	newest [sharedHeads]atomic.Int64 // acknowledged version of each shared resource
}

func (l *load) note(o op, err error) {
	switch {
	case err == nil:
		o.outcome = acknowledged
		l.acks.Add(1)
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrExists), errors.Is(err, store.ErrNotFound):
		o.outcome = refused
	default:
		o.outcome = unknown
	}
	o.err = err
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ops = append(l.ops, o)
}

// Run writes, breaks and compares.
func (d Disturbance) Run(t *testing.T) {
	t.Helper()
	l := &load{}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var writers sync.WaitGroup
	for process := range 2 {
		b, err := d.openThrough(ctx)
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		defer func() { _ = b.Store.Close() }()
		for w := range disturbedWriters / 2 {
			name := fmt.Sprintf("%d%c", process, 'a'+w)
			writers.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					l.step(b, fmt.Sprintf("%s-%d", name, n), n)
				}
			})
		}
		writers.Go(func() {
			for ctx.Err() == nil {
				l.look(t, b)
			}
		})
	}
	breaks := d.breakOften(ctx, t, l)
	stop()
	writers.Wait()
	l.report(t, d, breaks)
}

// report compares and says what came of it.
func (l *load) report(t *testing.T, d Disturbance, breaks int) {
	t.Helper()
	b, err := d.Open(context.Background(), d.Straight, time.Now)
	if err != nil {
		t.Fatalf("open afterwards: %v", err)
	}
	defer func() { _ = b.Store.Close() }()
	const most = 20
	faults := l.compare(b)
	for _, f := range faults[:min(most, len(faults))] {
		t.Error(f)
	}
	if len(faults) > most {
		t.Errorf("and %d more", len(faults)-most)
	}
	var told [unknown + 1]int
	for _, o := range l.ops {
		told[o.outcome]++
	}
	t.Logf("%d breaks; %d writes acknowledged, %d refused, %d failed for good", breaks, told[acknowledged], told[refused], told[unknown])
	if breaks < d.Breaks || told[acknowledged] < d.Acks {
		t.Errorf("%d breaks and %d acknowledgements are too few to say anything; want %d and %d", breaks, told[acknowledged], d.Breaks, d.Acks)
	}
}

// openThrough opens by the way that breaks, which may take more than one try.
func (d Disturbance) openThrough(ctx context.Context) (b *Backend, err error) {
	for range 20 {
		if b, err = d.Open(ctx, d.Through, time.Now); err == nil {
			return b, nil
		}
	}
	return nil, err
}

// breakOften breaks until there have been enough breaks and acknowledgements, with
// at least Acks/Breaks acknowledgements before each.
func (d Disturbance) breakOften(ctx context.Context, t *testing.T, l *load) (breaks int) {
	deadline := time.Now().Add(disturbedFor)
	due := func() bool { return l.acks.Load()*int64(max(1, d.Breaks)) >= int64(d.Acks)*int64(breaks+1) }
	for time.Now().Before(deadline) {
		switch {
		case d.Break == nil && l.acks.Load() >= int64(d.Acks), d.Break != nil && breaks >= d.Breaks && l.acks.Load() >= int64(d.Acks):
			return breaks
		case d.Break != nil && breaks < d.Breaks && due():
			if err := d.Break(ctx, breaks); err != nil {
				t.Errorf("break %d: %v", breaks, err)
				return breaks
			}
			breaks++
		default:
			time.Sleep(20 * time.Millisecond)
		}
	}
	return breaks
}

// step is one write of a writer. It ends whatever happens, so it has no context of
// the test's.
func (l *load) step(b *Backend, name string, n int) {
	ctx := context.Background()
	shared := func(i int) store.Key { return patient(fmt.Sprint("shared-", i%sharedHeads)) }
	marked := func(k store.Key, expect int64, index ...string) store.Write {
		return store.Write{Record: store.Record{Key: k, Raw: []byte(name), Index: index}, Expect: expect}
	}
	switch n % 9 {
	case 0:
		w := marked(patient(name), store.Absent, "own|"+name)
		w.Claims = []string{"own/" + name}
		_, err := b.Store.Write(ctx, w)
		l.note(op{name: name, keys: []store.Key{w.Key}}, err)
	case 1:
		k := shared(n)
		head, err := b.Store.Read(ctx, k)
		if err == nil {
			head, err = b.Store.Write(ctx, marked(k, head.Version))
		} else if errors.Is(err, store.ErrNotFound) {
			head, err = b.Store.Write(ctx, marked(k, store.Absent))
		} else {
			return // nothing was written
		}
		if err == nil {
			l.raise(n%sharedHeads, head.Version)
		}
		l.note(op{name: name, keys: []store.Key{k}}, err)
	case 2:
		keys := []store.Key{patient(name + "-a"), patient(name + "-b")}
		_, err := b.Store.Apply(ctx, []store.Write{marked(keys[0], store.Absent, "pair|"+name), marked(keys[1], store.Absent, "pair|"+name)})
		l.note(op{name: name, keys: keys}, err)
	case 3:
		keys := []store.Key{patient(name + "-c"), shared(n), shared(n + 1)}
		recs, err := b.Store.Apply(ctx, []store.Write{marked(keys[0], store.Absent), marked(keys[1], store.AnyVersion), marked(keys[2], store.AnyVersion)})
		if err == nil {
			l.raise(n%sharedHeads, recs[1].Version)
			l.raise((n+1)%sharedHeads, recs[2].Version)
		}
		l.note(op{name: name, keys: keys}, err)
	case 4:
		_, err := b.Facts.PutIfAbsent(ctx, "own/"+name, []byte(name), time.Time{})
		l.note(op{name: name, facts: []string{"own/" + name}}, err)
	case 5:
		l.addToFact(ctx, b, name)
	case 6:
		data := make([][]byte, 1+rand.IntN(3))
		for i := range data {
			data[i] = []byte(name)
		}
		seq, err := b.Log.Append(ctx, "disturbed", data...)
		l.note(op{name: name, entries: len(data), seq: seq}, err)
	case 7: // all writers want the same: one gets it
		w := marked(patient(name), store.Absent, fmt.Sprint("contest|", n/9))
		w.Claims = []string{fmt.Sprint("contest/", n/9)}
		_, err := b.Store.Write(ctx, w)
		l.note(op{name: name, keys: []store.Key{w.Key}}, err)
	case 8:
		k := patient(fmt.Sprintf("%s-%d", name[:2], n-8)) // what this writer made in case 0
		_, err := b.Store.Write(ctx, deletion(k, 1))
		l.note(op{name: name, gone: []store.Key{k}}, err)
	}
}

// addToFact adds one to the number that all writers share.
func (l *load) addToFact(ctx context.Context, b *Backend, name string) {
	const key = "disturbed"
	var err error
	f, got := b.Facts.Get(ctx, key)
	switch {
	case got == nil:
		var n int64
		if _, err := fmt.Sscan(string(f.Value), &n); err != nil {
			panic(err) // this suite wrote it
		}
		_, err = b.Facts.CompareAndSet(ctx, key, f.Version, fmt.Append(nil, n+1), time.Time{})
	case errors.Is(got, store.ErrNotFound):
		_, err = b.Facts.PutIfAbsent(ctx, key, []byte("1"), time.Time{})
	default:
		return
	}
	l.note(op{name: name, added: 1}, err)
}

func (l *load) raise(i int, version int64) {
	for {
		have := l.newest[i].Load()
		if have >= version || l.newest[i].CompareAndSwap(have, version) {
			return
		}
	}
}

// look reads what somebody's write was acknowledged for before the reading began:
// no reader may find less.
func (l *load) look(t *testing.T, b *Backend) {
	time.Sleep(5 * time.Millisecond)
	i := rand.IntN(sharedHeads)
	least := l.newest[i].Load()
	if least == 0 {
		return
	}
	rec, err := b.Store.Read(context.Background(), patient(fmt.Sprint("shared-", i)))
	switch {
	case err == nil && rec.Version < least:
		t.Errorf("version %d was acknowledged, and then version %d was read", least, rec.Version)
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrDamaged):
		t.Errorf("version %d was acknowledged, and then: %v", least, err)
	}
}
