package mongo

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
)

// A delayer is a proxy that holds requests back: who sent one finds the connection cut
// and sends it again, and the server gets the first when the test says so, as one that
// has stood in a queue.
type delayer struct {
	address string

	mu    sync.Mutex
	hold  string // "command collection" of the requests that are held; "": none
	most  int    // so many; 0: all
	kept  []withheld
	conns []net.Conn
}

type withheld struct {
	server net.Conn
	answer *bufio.Reader
	raw    []byte
}

func newDelayer(t *testing.T, to string) *delayer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &delayer{address: l.Addr().String()}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = client.Close()
				continue
			}
			d.mu.Lock()
			d.conns = append(d.conns, client, server)
			d.mu.Unlock()
			serving.Go(func() { d.serve(client, server) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		d.mu.Lock()
		for _, c := range d.conns {
			_ = c.Close()
		}
		d.mu.Unlock()
		serving.Wait()
	})
	return d
}

// serve carries one request after the other, each with its answer.
func (d *delayer) serve(client, server net.Conn) {
	defer client.Close()
	requests, answers := bufio.NewReader(client), bufio.NewReader(server)
	for {
		raw, m, err := rawMessage(requests)
		if err != nil {
			_ = server.Close()
			return
		}
		if d.holds(m, withheld{server, answers, raw}) {
			return // the client's end is closed, the server's waits
		}
		if _, err := server.Write(raw); err != nil {
			return
		}
		for more := true; more; {
			answer, _, err := rawMessage(answers)
			if err != nil {
				return
			}
			if _, err := client.Write(answer); err != nil {
				return
			}
			more = binary.LittleEndian.Uint32(answer[12:]) == opMsg && answer[16]&2 != 0 // the server says more by itself
		}
	}
}

func (d *delayer) holds(m bson.D, h withheld) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hold == "" || len(m) == 0 || d.most > 0 && len(d.kept) >= d.most {
		return false
	}
	if of, ok := m[0].Value.(string); !ok || m[0].Key+" "+of != d.hold {
		return false
	}
	d.kept = append(d.kept, h)
	return true
}

func (d *delayer) holdBack(what string, most int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hold, d.most = what, most
}

// release has the server do what was held back, and says how much that was.
func (d *delayer) release(t *testing.T) int {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	n := len(d.kept)
	for _, h := range d.kept {
		if _, err := h.server.Write(h.raw); err != nil {
			t.Fatal(err)
		}
		raw, _, err := rawMessage(h.answer)
		if err != nil {
			t.Fatalf("what was held back is not answered: %v", err)
		}
		var said struct {
			OK     float64 `bson:"ok"`
			Errors bson.A  `bson:"writeErrors"`
		}
		if err := bson.Unmarshal(raw[21:], &said); err != nil || said.OK != 1 {
			t.Errorf("what was held back fails: %+v, %v", said, err)
		}
		_ = h.server.Close()
	}
	d.kept, d.hold = nil, ""
	return n
}

// rawMessage reads a message with what it says, as far as that can be read.
func rawMessage(r io.Reader) (raw []byte, m bson.D, err error) {
	head := make([]byte, 16)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, nil, err
	}
	size := binary.LittleEndian.Uint32(head)
	if size < 16 || size > 48<<20 {
		return nil, nil, errWire
	}
	raw = append(head, make([]byte, size-16)...)
	if _, err := io.ReadFull(r, raw[16:]); err != nil {
		return nil, nil, err
	}
	m, _ = commandOf(binary.LittleEndian.Uint32(head[12:]), raw[16:])
	return raw, m, nil
}

// What a server does late, after it was asked again and somebody else has gone on,
// undoes nothing that is newer.
func TestWhatTheServerDoesLateUndoesNothing(t *testing.T) {
	straight := freshURI(t)
	d := newDelayer(t, primaryOf(t, straight))
	clock := &ticker{at: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)}
	o := Options{Now: clock.now, SweepEvery: -1}
	s := &scene{T: t, dbs: []*DB{openAt(t, straight, o), openAt(t, through(t, straight, d.address), o)}, clock: clock, stands: map[string]bool{}}
	for _, tt := range []struct {
		name string
		held string
		most int
		do   func(l late) // by the process behind the proxy; then what another does
		want func(l late)
	}{
		{"a removal of a fact, and the fact is put anew", "update fact", 1, func(l late) {
			l.put("old")
			l.ok(l.slow.Delete(l.ctx, l.name))
			l.put("newer")
		}, func(l late) { l.fact("newer") }},
		{"a removal that is given up, and the fact is replaced", "update fact", 0, func(l late) {
			f := l.put("old")
			l.slow.trying = 50 * time.Millisecond
			if err := l.slow.Delete(l.ctx, l.name); !errors.Is(err, store.ErrAway) {
				l.Errorf("a removal of which nobody knows what became of it: %v", err)
			}
			l.slow.trying = 0
			_, err := l.quick.CompareAndSet(l.ctx, l.name, f.Version, []byte("newer"), time.Time{})
			l.ok(err)
		}, func(l late) { l.fact("newer") }},
		{"a put of a fact, and the fact is removed", "insert fact", 1, func(l late) {
			_, err := l.slow.PutIfAbsent(l.ctx, l.name, []byte("old"), time.Time{})
			l.ok(err)
			l.ok(l.quick.Delete(l.ctx, l.name))
		}, func(l late) { l.fact("") }},
		{"a sweep of expired facts, and one is put anew", "delete fact", 1, func(l late) {
			_, err := l.quick.PutIfAbsent(l.ctx, l.name, []byte("old"), clock.now().Add(time.Second))
			l.ok(err)
			clock.advance(time.Hour)
			_, err = l.slow.Sweep(l.ctx)
			l.ok(err)
			_, err = l.quick.PutIfAbsent(l.ctx, l.name, []byte("newer"), clock.now().Add(time.Second))
			l.ok(err)
		}, func(l late) { l.fact("newer") }},
		{"a claim is given up, and taken again by the same", "delete claim", 1, func(l late) {
			l.apply(l.quick, l.change(l.name, "1", l.name))
			l.apply(l.slow, l.change(l.name, "2"))
			l.apply(l.quick, l.change(l.name, "3", l.name))
		}, func(l late) { l.versions(l.quick, map[string]int64{l.name: 3}) }},
		{"a version of a writer that is halted, and that goes on", "delete version", 1, func(l late) {
			l.apply(l.quick, l.change(l.name, "1"))
			l.quick.late = orphanAge
			finish := l.halt("version", []store.Write{l.change(l.name, "2")})
			clock.advance(2 * orphanAge)
			_, err := l.slow.Sweep(l.ctx)
			l.ok(err)
			l.ok(finish())
			l.quick.late = 0
		}, func(l late) { l.versions(l.quick, map[string]int64{l.name: 2}) }},
		{"an expunge, and the resource is made anew", "delete head", 1, func(l late) {
			l.apply(l.quick, l.change(l.name, "1", l.name))
			l.ok(l.slow.Expunge(l.ctx, l.key(l.name)))
			l.apply(l.quick, l.change(l.name, "2", l.name))
		}, func(l late) { l.versions(l.quick, map[string]int64{l.name: 1}) }},
		{"versions of an expunge, and the resource is made anew", "delete version", 1, func(l late) {
			l.apply(l.quick, l.change(l.name, "1"))
			l.ok(l.slow.Expunge(l.ctx, l.key(l.name)))
			l.apply(l.quick, l.change(l.name, "2"))
		}, func(l late) { l.versions(l.quick, map[string]int64{l.name: 1}) }},
	} {
		s.run(tt.name, func(s *scene) {
			l := late{scene: s, ctx: context.Background(), quick: s.dbs[0], slow: s.dbs[1], name: newNonce()[:8]}
			d.holdBack(tt.held, tt.most)
			tt.do(l)
			if n := d.release(s.T); n == 0 {
				s.Fatal("nothing was held back")
			}
			tt.want(l)
			s.whole()
		})
	}
}

// late is one case: quick goes straight to the server, slow through the proxy.
type late struct {
	*scene
	ctx         context.Context
	quick, slow *DB
	name        string // of a fact, a resource and a claim that nobody else has
}

func (l late) ok(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

func (l late) put(value string) store.Fact {
	l.Helper()
	f, err := l.quick.PutIfAbsent(l.ctx, l.name, []byte(value), time.Time{})
	l.ok(err)
	return f
}

// fact wants the fact to be there with a value, "" for not at all.
func (l late) fact(value string) {
	l.Helper()
	f, err := l.quick.Get(l.ctx, l.name)
	if value == "" && !errors.Is(err, store.ErrNotFound) || value != "" && (err != nil || string(f.Value) != value) {
		l.Errorf("there is %q, %v, want %q", f.Value, err, value)
	}
}

// A removal whose answer is lost is asked for again in the same words, which name the
// version that was seen, and never by the key alone.
func TestARemovalNamesTheVersionThatItSaw(t *testing.T) {
	var mu sync.Mutex
	var asked []bson.D
	doc := newFact("k", []byte("v"), 7, time.Time{})
	server := &wireServer{hello: standalone(is("isWritablePrimary"))}
	server.answer = func(command string, m bson.D) any {
		mu.Lock()
		defer mu.Unlock()
		switch command {
		case "find":
			return found(doc)
		case "update":
			asked = append(asked, m)
			if len(asked) < 3 {
				return nil // the connection is cut
			}
			return bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 1}, {Key: "nModified", Value: 1}}
		case "findAndModify":
			return bson.D{{Key: "ok", Value: 1}, {Key: "value", Value: numberDoc{ID: epochs.name, Last: 9}}}
		}
		return failed(59, "CommandNotFound", "no such command: "+command)
	}
	db := onPaper(t, server)
	if err := db.Delete(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(server.commands(), "delete") {
		t.Errorf("it deletes: %v", server.commands())
	}
	for _, m := range asked {
		updates, _ := lookup(m, "updates").(bson.A)
		if len(updates) != 1 {
			t.Fatalf("%d updates in %v", len(updates), m)
		}
		q, _ := lookup(updates[0].(bson.D), "q").(bson.D)
		if lookup(q, "_id") != "k" || lookup(q, "v") != int64(7) {
			t.Errorf("it asks for %v", q)
		}
	}
	if len(asked) < 3 {
		t.Errorf("it was asked %d times", len(asked))
	}
}
