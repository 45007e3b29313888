package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
)

func openEmbedded(ctx context.Context, path string, now func() time.Time) (*Backend, error) {
	db, err := backend.Open(ctx, path, backend.Options{Now: now})
	if err != nil {
		return nil, err
	}
	return &Backend{Store: db, Facts: db, Log: db}, nil
}

// A liar is a store that does something else than it says, once in a while.
type liar struct {
	store.Store
	store.Facts
	store.Log
	lie   string
	calls *atomic.Int64
}

var errLost = errors.New("the connection was cut")

func (l *liar) Write(ctx context.Context, w store.Write) (*store.Record, error) {
	own := strings.HasPrefix(w.ID, "0a-") && !w.Deleted && len(w.Claims) > 0
	switch {
	case own && l.lie == "a lost write":
		return &w.Record, nil
	case own && l.lie == "a write that is there but was told to have failed":
		_, _ = l.Store.Write(ctx, w)
		return nil, errLost
	case own && l.lie == "a write that was told to have lost":
		_, _ = l.Store.Write(ctx, w)
		return nil, store.ErrConflict
	case l.lie == "a write done twice" && strings.HasPrefix(w.ID, "shared-"):
		if _, err := l.Store.Write(ctx, w); err != nil {
			return nil, err
		}
		w.Expect = store.AnyVersion
	case l.lie == "a lost deletion" && w.Deleted:
		return &w.Record, nil
	case l.lie == "a claim with two holders" && len(w.Claims) > 0 && strings.HasPrefix(w.Claims[0], "contest/"):
		w.Claims = nil
	}
	return l.Store.Write(ctx, w)
}

func (l *liar) Apply(ctx context.Context, ws []store.Write) ([]*store.Record, error) {
	switch {
	case l.lie == "half a unit" && l.calls.Add(1)%5 == 0:
		if _, err := l.Store.Write(ctx, ws[0]); err != nil {
			return nil, err
		}
		return nil, errLost
	case l.lie == "a lost unit" && l.calls.Add(1)%5 == 0:
		return []*store.Record{{}, {}, {}}, nil
	}
	return l.Store.Apply(ctx, ws)
}

func (l *liar) PutIfAbsent(ctx context.Context, key string, value []byte, expires time.Time) (store.Fact, error) {
	if l.lie == "a lost fact" && strings.HasPrefix(key, "own/") {
		return store.Fact{}, nil
	}
	return l.Facts.PutIfAbsent(ctx, key, value, expires)
}

func (l *liar) CompareAndSet(ctx context.Context, key string, version int64, value []byte, expires time.Time) (store.Fact, error) {
	if l.lie == "a lost update of a fact" && l.calls.Add(1)%5 == 0 {
		return store.Fact{}, nil
	}
	return l.Facts.CompareAndSet(ctx, key, version, value, expires)
}

func (l *liar) Append(ctx context.Context, stream string, data ...[]byte) (uint64, error) {
	switch n := l.calls.Add(1); {
	case l.lie == "entries appended twice" && n%5 == 0:
		if _, err := l.Log.Append(ctx, stream, data...); err != nil {
			return 0, err
		}
	case l.lie == "lost entries" && n%5 == 0:
		return 1, nil
	}
	return l.Log.Append(ctx, stream, data...)
}

// The comparison finds nothing in a good store, and each lie in one that lies.
func TestDisturbanceFindsWhatIsWrong(t *testing.T) {
	for lie, finding := range map[string]string{
		"":             "",
		"a lost write": "acknowledged, but lost",
		"a write that is there but was told to have failed": "was told to its writer, but it is there",
		"a write that was told to have lost":                "was told to its writer, but it is there",
		"a write done twice":                                "is there 2 times",
		"a lost deletion":                                   "acknowledged, but lost",
		"a claim with two holders":                          "has 2 holders",
		"half a unit":                                       "half: ",
		"a lost unit":                                       "acknowledged, but lost",
		"a lost fact":                                       "acknowledged, but lost",
		"a lost update of a fact":                           "the shared number is",
		"entries appended twice":                            "half: ",
		"lost entries":                                      "acknowledged, but lost",
	} {
		t.Run(lie, func(t *testing.T) {
			b, err := openEmbedded(t.Context(), filepath.Join(t.TempDir(), "x.db"), time.Now)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Store.Close()
			l := &liar{Store: b.Store, Facts: b.Facts, Log: b.Log, lie: lie, calls: new(atomic.Int64)}
			load := &load{}
			together(2, func(w int) {
				for n := range 18 * 6 {
					load.step(&Backend{Store: l, Facts: l, Log: l}, fmt.Sprintf("0%c-%d", 'a'+w, n), n)
				}
			})
			faults := strings.Join(load.compare(b), "\n")
			if (finding == "" && faults != "") || !strings.Contains(faults, finding) {
				t.Errorf("want %q among the findings:\n%s", finding, faults)
			}
		})
	}
}

func TestCutterCutsBothWays(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // echoes
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				conn.Close()
			}()
		}
	}()
	c := NewCutter(t, l.Addr().String(), 100, 10000)
	data := bytes.Repeat([]byte("0123456789"), 5000)
	for range 100 {
		conn, err := net.Dial("tcp", c.Address)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = conn.Write(data) }()
		got, _ := io.ReadAll(conn)
		conn.Close()
		if len(got) >= len(data) || !bytes.HasPrefix(data, got) {
			t.Fatalf("%d bytes came back through a connection that lives for 10000 at most", len(got))
		}
	}
	if c.Requests.Load() < 20 || c.Answers.Load() < 20 {
		t.Errorf("%d cuts in requests, %d in answers", c.Requests.Load(), c.Answers.Load())
	}
}
