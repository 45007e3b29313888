package audit

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

type place struct {
	dir    string
	anchor *FileAnchor
	key    crypto.Signer
}

func newPlace(t testing.TB) place {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	return place{filepath.Join(tmp, "trail"), &FileAnchor{Path: filepath.Join(tmp, "anchor")}, key}
}

func (p place) options() Options {
	return Options{Dir: p.dir, Anchor: p.anchor, Key: p.key, CheckpointEvery: time.Hour, CheckpointRecords: 10}
}

func (p place) open(t testing.TB, change ...func(*Options)) *Trail {
	t.Helper()
	o := p.options()
	for _, f := range change {
		f(&o)
	}
	trail, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return trail
}

func sample(i int) *Event {
	return &Event{
		ID: fmt.Sprintf("req-%d", i), At: time.Date(2026, 3, 1, 8, 0, i%60, 0, time.UTC), Interaction: "read", Operation: "GET",
		Path: "/fhir/Patient/x-1", Outcome: Success, Status: 200, Client: "rms", Organization: "Organization/riverton-pd",
		Patients: []string{"Patient/x-1"}, TokenID: "t1", Source: "10.0.0.1:99",
	}
}

func record(t testing.TB, trail *Trail, n int) {
	t.Helper()
	for i := range n {
		if err := trail.Record(context.Background(), sample(i)); err != nil {
			t.Fatal(err)
		}
	}
}

func shut(t testing.TB, trail *Trail) {
	t.Helper()
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}
}

// filled makes a trail of n events over several segments, closed, with a checkpoint
// after every ten at the latest: they are anchored beside the writer, which on a busy
// machine is done before the first of them otherwise.
func filled(t testing.TB, n int) place {
	t.Helper()
	p := newPlace(t)
	trail := p.open(t, func(o *Options) { o.MaxSegment = 4000 })
	for n > 0 {
		some := min(n, 10)
		record(t, trail, some)
		n -= some
		if some == 10 {
			eventually(t, func() bool { return trail.Count()-trail.anchoring.count.Load() < 10 })
		}
	}
	shut(t, trail)
	return p
}

func (p place) verify() (Report, error) { return Verify(p.dir, p.anchor, p.key.Public()) }

func TestAClosedTrailVerifies(t *testing.T) {
	p := filled(t, 60)
	r, err := p.verify()
	if err != nil {
		t.Fatal(err)
	}
	if r.Events != 60 || r.Records != 62 || r.Anchored != 62 || r.Segments < 4 || r.Checkpoints < 2 || r.Trail == "" {
		t.Errorf("got %+v", r)
	}
	info, err := os.Stat(filepath.Join(p.dir, segmentName(1)))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("segment: %v, %v", info, err)
	}
}

func TestATrailGoesOnAfterReopening(t *testing.T) {
	p := newPlace(t)
	for range 3 {
		trail := p.open(t)
		record(t, trail, 5)
		shut(t, trail)
		shut(t, trail)
	}
	if r, err := p.verify(); err != nil || r.Events != 15 || r.Anchored != 21 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestBothKindsOfKeySign(t *testing.T) {
	p := newPlace(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p.key = key
	trail := p.open(t)
	record(t, trail, 3)
	shut(t, trail)
	if _, err := p.verify(); err != nil {
		t.Error(err)
	}
	if p.key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(p.options()); err == nil {
		t.Error("a key on another curve is taken")
	}
}

func TestKeysAreMadeOnceForTheOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.pem")
	a, err := LoadOrCreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := LoadOrCreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	idA, _ := KeyID(a.Public())
	for _, file := range []string{path, path + ".pub"} {
		pub, err := LoadPublicKey(file)
		if err != nil {
			t.Fatal(err)
		}
		if id, _ := KeyID(pub); id != idA {
			t.Errorf("%s holds another key", file)
		}
	}
	if idB, _ := KeyID(b.Public()); idA != idB {
		t.Error("a second key was made")
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if _, err := LoadKey(path + ".pub"); err == nil {
		t.Error("a public key signs")
	}
}

func TestOneWriterOnly(t *testing.T) {
	p := newPlace(t)
	trail := p.open(t)
	defer shut(t, trail)
	if _, err := Open(p.options()); err == nil || !strings.Contains(err.Error(), p.dir) {
		t.Errorf("a second writer: %v", err)
	}
}

func TestConcurrentRecordsAreAllKept(t *testing.T) {
	p := newPlace(t)
	trail := p.open(t, func(o *Options) { o.MaxSegment = 20000 })
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() { record(t, trail, 50) })
	}
	for range 3 { // the log can be verified while it grows
		if _, err := p.verify(); err != nil {
			t.Errorf("while it grows: %v", err)
		}
	}
	wg.Wait()
	shut(t, trail)
	if r, err := p.verify(); err != nil || r.Events != 800 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestRecordAfterCloseOrWithoutTimeIsRefused(t *testing.T) {
	trail := newPlace(t).open(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := trail.Record(ctx, sample(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	big := sample(1)
	big.Query = strings.Repeat("x", maxLine)
	if err := trail.Record(context.Background(), big); err == nil {
		t.Error("an event larger than any reader takes is kept")
	}
	shut(t, trail)
	if err := trail.Record(context.Background(), sample(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// A crash may leave any prefix of what was not acknowledged yet.
func TestATornEndIsMovedAsideAndNoted(t *testing.T) {
	for _, torn := range []string{`{"seq":8,"prev":"ab`, "\x00\x00\x00\x00", "{}\n\x00\n{\"seq\"", "x\n"} {
		p := newPlace(t)
		trail := p.open(t)
		record(t, trail, 5)
		crash(t, trail)
		path := filepath.Join(p.dir, segmentName(1))
		appendTo(t, path, torn)
		if _, err := p.verify(); !errors.Is(err, ErrTampered) {
			t.Errorf("%q: a torn end verifies: %v", torn, err)
		}
		trail = p.open(t)
		record(t, trail, 1)
		shut(t, trail)
		r, err := p.verify()
		if err != nil || r.Events != 6 || r.Cuts != 1 {
			t.Errorf("%q: got %+v, %v", torn, r, err)
		}
		aside, _ := filepath.Glob(path + ".torn-*")
		if len(aside) != 1 {
			t.Fatalf("%q: kept aside: %v", torn, aside)
		}
		if kept, _ := os.ReadFile(aside[0]); string(kept) != torn {
			t.Errorf("%q: %q is kept aside", torn, kept)
		}
	}
}

// crash ends a trail as a killed process does: nothing more is written.
func crash(t testing.TB, trail *Trail) {
	t.Helper()
	trail.gate.Lock()
	trail.closed = true
	close(trail.queue)
	trail.gate.Unlock()
	trail.writing.Wait()
	close(trail.anchoring.stop)
	trail.anchoring.done.Wait()
	if err := errors.Join(trail.out.Close(), trail.lock.Close()); err != nil {
		t.Fatal(err)
	}
}

func appendTo(t testing.TB, path, text string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(raw, text...), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestACrashWithoutTornEndIsNoted(t *testing.T) {
	p := newPlace(t)
	trail := p.open(t)
	record(t, trail, 25)
	crash(t, trail)
	shut(t, p.open(t))
	s, err := Summarize(context.Background(), time.Time{}, time.Time{}, p.dir)
	if err != nil || s.Crashes != 1 || s.Cuts != 0 || s.Events != 25 {
		t.Errorf("got %+v, %v", s, err)
	}
}

// A limited file takes n bytes, then the disk is full.
type limited struct {
	file
	left *int
}

func (l limited) Write(b []byte) (int, error) {
	if len(b) > *l.left {
		n, _ := l.file.Write(b[:*l.left])
		*l.left -= n
		return n, syscall.ENOSPC
	}
	*l.left -= len(b)
	return l.file.Write(b)
}

func TestAFullDiskFailsEveryRecordUntilReopened(t *testing.T) {
	p := newPlace(t)
	left, alerts := 3000, 0
	trail := p.open(t, func(o *Options) {
		o.Alert = func(error) { alerts++ }
		o.openFile = func(path string, flag int) (file, error) {
			f, err := openSegment(path, flag)
			return limited{f, &left}, err
		}
	})
	acked := 0
	var err error
	for i := 0; err == nil; i++ {
		if err = trail.Record(context.Background(), sample(i)); err == nil {
			acked++
		}
	}
	if !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.ENOSPC) || acked < 3 {
		t.Fatalf("%d acknowledged, then %v", acked, err)
	}
	left = 1 << 20 // space comes back, but what was lost is not known
	if err := trail.Record(context.Background(), sample(1)); !errors.Is(err, ErrFailed) {
		t.Errorf("a later record: %v", err)
	}
	if trail.Healthy() == nil || alerts != 1 {
		t.Errorf("healthy %v, %d alerts", trail.Healthy(), alerts)
	}
	_ = trail.Close()
	again := p.open(t)
	record(t, again, 1)
	shut(t, again)
	if r, err := p.verify(); err != nil || r.Events != uint64(acked+1) {
		t.Errorf("got %+v, %v, want %d events", r, err, acked+1)
	}
}

// A broken anchor stops answering.
type broken struct {
	FileAnchor
	mu   sync.Mutex
	err  error
	kept bool
}

func (b *broken) set(err error) { b.mu.Lock(); b.err = err; b.mu.Unlock() }

func (b *broken) Append(ctx context.Context, c Checkpoint) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		if !b.kept { // it may have kept what it did not confirm
			b.kept = true
			_ = b.FileAnchor.Append(ctx, c)
		}
		return b.err
	}
	return b.FileAnchor.Append(ctx, c)
}

func TestAnAnchorThatFailsForTooLongStopsTheTrail(t *testing.T) {
	p := newPlace(t)
	a := &broken{FileAnchor: FileAnchor{Path: p.anchor.Path}}
	var mu sync.Mutex
	now, alerts := time.Now(), 0
	trail := p.open(t, func(o *Options) {
		o.Anchor, o.CheckpointEvery, o.AnchorGrace = a, 2*time.Millisecond, time.Minute
		o.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
		o.Alert = func(error) { mu.Lock(); alerts++; mu.Unlock() }
	})
	record(t, trail, 1)
	a.set(errors.New("no route"))
	for until := 0; until < 3; { // within the grace
		record(t, trail, 1)
		time.Sleep(time.Millisecond)
		mu.Lock()
		until = alerts
		mu.Unlock()
	}
	mu.Lock()
	now = now.Add(2 * time.Minute)
	mu.Unlock()
	if err := trail.Record(context.Background(), sample(0)); !errors.Is(err, ErrUnanchored) {
		t.Errorf("after the grace: %v", err)
	}
	a.set(nil)
	eventually(t, func() bool { return trail.Healthy() == nil })
	record(t, trail, 1)
	shut(t, trail)
	if r, err := p.verify(); err != nil || r.Anchored != r.Records {
		t.Errorf("got %+v, %v", r, err)
	}
}

func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	for range 60_000 { // a minute
		if ok() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("it does not come about")
}

func TestTimesHaveTheirHundredths(t *testing.T) {
	p := filled(t, 1) // the sample's time is a whole second
	raw, err := os.ReadFile(filepath.Join(p.dir, segmentName(1)))
	if err != nil || !bytes.Contains(raw, []byte(`"at":"2026-03-01T08:00:00.000000Z"`)) {
		t.Errorf("%s, %v", raw, err)
	}
}

func TestFollowSeesWhatComes(t *testing.T) {
	p := newPlace(t)
	trail := p.open(t, func(o *Options) { o.MaxSegment = 2000 })
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	seen := make(chan uint64, 100)
	go func() {
		_ = Follow(ctx, p.dir, 3, time.Millisecond, func(r Record) error { seen <- r.Seq; return nil })
		close(seen)
	}()
	record(t, trail, 30)
	for want := uint64(3); want <= 31; want++ {
		if got := <-seen; got != want {
			t.Fatalf("record %d comes, want %d", got, want)
		}
	}
	if n, err := LastSeq(p.dir); err != nil || n != 31 {
		t.Errorf("last is %d, %v", n, err)
	}
	shut(t, trail)
}

func BenchmarkRecord(b *testing.B) {
	for _, writers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			p := newPlace(b)
			trail := p.open(b, func(o *Options) { o.CheckpointRecords, o.CheckpointEvery = 1024, 10*time.Second })
			defer shut(b, trail)
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					for i := w; i < b.N; i += writers {
						if err := trail.Record(context.Background(), sample(i)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}
