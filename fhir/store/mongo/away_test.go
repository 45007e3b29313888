package mongo

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// A gate stands before a server and can be shut: then nobody listens there.
type gate struct {
	to, address string

	mu    sync.Mutex
	l     net.Listener
	conns []net.Conn
}

func newGate(t *testing.T, to string) *gate {
	t.Helper()
	g := &gate{to: to, address: "127.0.0.1:0"}
	g.open(t)
	t.Cleanup(g.shut)
	return g
}

func (g *gate) open(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.l, g.address = l, l.Addr().String()
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", g.to)
			if err != nil {
				_ = in.Close()
				continue
			}
			g.mu.Lock()
			g.conns = append(g.conns, in, out)
			g.mu.Unlock()
			go pipe(in, out)
			go pipe(out, in)
		}
	}()
}

func pipe(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = g.l.Close()
	for _, c := range g.conns {
		_ = c.Close()
	}
	g.conns = nil
}

// While the server is away every call ends in bounded time and says why; when it is
// back, everything goes on.
func TestAServerThatIsAwayAndComesBack(t *testing.T) {
	straight := freshURI(t)
	g := newGate(t, primaryOf(t, straight))
	uri := through(t, straight, g.address) + "&serverSelectionTimeoutMS=500&connectTimeoutMS=500"
	db := openAt(t, uri, Options{SweepEvery: 20 * time.Millisecond})
	hasty := openAt(t, uri, Options{SweepEvery: -1}) // while there is a server a slow one is waited for
	hasty.trying = time.Second
	plan := store.Plan{Type: "Patient", Where: store.Expr{Op: store.All}, Limit: 1}
	calls := map[string]func(db *DB) error{
		"Ping": func(db *DB) error { return db.Ping(t.Context()) },
		"Read": func(db *DB) error { _, err := db.Read(t.Context(), store.Key{Type: "Patient", ID: "a"}); return err },
		"Write": func(db *DB) error {
			_, err := db.Write(t.Context(), store.Write{Record: store.Record{Key: store.Key{Type: "Patient", ID: "a"}, Raw: []byte("{}")}, Expect: store.AnyVersion})
			return err
		},
		"Search": func(db *DB) error { _, err := db.Search(t.Context(), plan); return err },
		"Epoch":  func(db *DB) error { _, err := db.Epoch(t.Context()); return err },
		"PutIfAbsent": func(db *DB) error {
			_, err := db.PutIfAbsent(t.Context(), time.Now().String(), nil, time.Time{})
			return err
		},
		"Get":      func(db *DB) error { _, err := db.Get(t.Context(), "there"); return err },
		"Append":   func(db *DB) error { _, err := db.Append(t.Context(), "s", []byte("x")); return err },
		"ReadFrom": func(db *DB) error { _, err := db.ReadFrom(t.Context(), "s", 1, 1); return err },
		"Sweep":    func(db *DB) error { _, err := db.Sweep(t.Context()); return err },
	}
	if _, err := db.PutIfAbsent(t.Context(), "there", nil, time.Time{}); err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		for _, name := range []string{"Write", "Read"} { // there is something then
			if err := calls[name](db); err != nil {
				t.Fatalf("round %d: %s: %v", round, name, err)
			}
		}
		for name, call := range calls {
			if err := call(db); err != nil {
				t.Errorf("round %d, %s with a server: %v", round, name, err)
			}
		}
		g.shut()
		var wg sync.WaitGroup
		for name, call := range calls {
			wg.Go(func() {
				begun := time.Now()
				err := call(hasty)
				if err == nil || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict) {
					t.Errorf("%s without a server: %v", name, err)
					return
				}
				if took := time.Since(begun); took > 25*time.Second {
					t.Errorf("%s took %v to fail", name, took)
				}
				if !strings.Contains(err.Error(), g.address) {
					t.Errorf("%s does not say which server: %v", name, err)
				}
				if name == "Ping" || name == "Write" {
					t.Log(name, time.Since(begun).Round(time.Millisecond), err)
				}
			})
		}
		wg.Wait()
		g.open(t)
		back := time.Now()
		for errors.Join(db.Ping(t.Context()), hasty.Ping(t.Context())) != nil {
			if time.Since(back) > time.Minute {
				t.Fatal("it does not come back")
			}
		}
		t.Logf("back after %v", time.Since(back).Round(time.Millisecond))
	}
	if es, err := db.ReadFrom(t.Context(), "s", 1, 100); err != nil || len(es) < 2 {
		t.Errorf("%d entries, %v", len(es), err)
	}
}

// A caller who gives up is let go at once.
func TestWhoGivesUpDoesNotWaitForTheServer(t *testing.T) {
	straight := freshURI(t)
	g := newGate(t, primaryOf(t, straight))
	db := openAt(t, through(t, straight, g.address), Options{SweepEvery: -1})
	g.shut()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, err := db.Get(ctx, "k")
	if took := time.Since(begun); !errors.Is(err, context.DeadlineExceeded) || took > readFor-time.Second {
		t.Errorf("%v after %v", err, took)
	}
	if _, err := db.PutIfAbsent(ctx, "k", nil, time.Time{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a write that begins when its context is done: %v", err)
	}
}

// Nothing of a store runs on after Close, whether the server is there or away.
func TestCloseLeavesNothingRunning(t *testing.T) {
	straight := freshURI(t)
	g := newGate(t, primaryOf(t, straight))
	first, err := Open(t.Context(), straight, Options{SweepEvery: -1}) // what the driver begins later would count
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	for _, away := range []bool{false, true} {
		db, err := Open(t.Context(), through(t, straight, g.address), Options{SweepEvery: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Append(t.Context(), "s", []byte("x")); err != nil {
			t.Fatal(err)
		}
		if away {
			g.shut()
			time.Sleep(50 * time.Millisecond)
		}
		begun := time.Now()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("Close took %v", took)
		}
		if err := db.Close(); err != nil {
			t.Errorf("a second Close: %v", err)
		}
		if _, err := db.Get(t.Context(), "k"); err == nil || !strings.Contains(err.Error(), "the store is closed") {
			t.Errorf("Get of a closed store: %v", err)
		}
		if _, err := db.Append(t.Context(), "s", []byte("x")); err == nil || !strings.Contains(err.Error(), "the store is closed") {
			t.Errorf("Append to a closed store: %v", err)
		}
	}
	for range 1500 { // half a minute
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	buf := make([]byte, 1<<20)
	t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
}
