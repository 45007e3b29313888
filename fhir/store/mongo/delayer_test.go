package mongo

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
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
	done  int // how many the server got late
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
	d.hold, d.most, d.done = what, most, 0
}

// release has the server do what was held back, and says how much that was until now. A
// document of a key that is taken is no error.
func (d *delayer) release(t *testing.T) int {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done += len(d.kept)
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
	return d.done
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
