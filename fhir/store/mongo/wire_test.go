package mongo

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A wireServer speaks enough of MongoDB's wire protocol to be met by the driver, and
// answers as a test tells it: for members that no test can have for real.
// https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
type wireServer struct {
	hello   bson.D                             // what hello answers, but for ok
	onHello func() bson.D                      // instead of hello
	answer  func(command string, m bson.D) any // a bson.D; nil: the connection is closed

	mu    sync.Mutex
	heard []string // names of commands, but for hello
	conns []net.Conn
}

// standalone is the hello of a server that can serve.
func standalone(more ...bson.E) bson.D {
	return append(more, bson.E{Key: "maxWireVersion", Value: 21}, bson.E{Key: "minWireVersion", Value: 0}, bson.E{Key: "helloOk", Value: true},
		bson.E{Key: "maxBsonObjectSize", Value: 16 << 20}, bson.E{Key: "maxMessageSizeBytes", Value: 48_000_000}, bson.E{Key: "maxWriteBatchSize", Value: 100_000})
}

func failed(code int, name, message string) bson.D {
	return bson.D{{Key: "ok", Value: 0}, {Key: "code", Value: code}, {Key: "codeName", Value: name}, {Key: "errmsg", Value: message}}
}

// start serves until the test ends and gives the address.
func (s *wireServer) start(t *testing.T, config *tls.Config) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if config != nil {
		l = tls.NewListener(l, config)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			serving.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		for _, c := range s.conns {
			_ = c.Close()
		}
		s.mu.Unlock()
		serving.Wait()
	})
	return address
}

func (s *wireServer) commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.heard...)
}

const (
	opReply = 1
	opQuery = 2004
	opMsg   = 2013
)

func (s *wireServer) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	for {
		id, op, body, err := readMessage(r)
		if err != nil {
			return
		}
		m, err := commandOf(op, body)
		if err != nil || len(m) == 0 {
			return
		}
		answer := s.respond(m)
		if answer == nil {
			return
		}
		raw, err := bson.Marshal(answer)
		if err != nil {
			return
		}
		if _, err := conn.Write(message(id, op, raw)); err != nil {
			return
		}
	}
}

func (s *wireServer) respond(m bson.D) any {
	switch name := m[0].Key; name {
	case "hello", "isMaster", "ismaster":
		says := s.hello
		if s.onHello != nil {
			says = s.onHello()
		}
		return append(append(bson.D{}, says...), bson.E{Key: "ok", Value: 1})
	case "endSessions":
		return bson.D{{Key: "ok", Value: 1}}
	default:
		s.mu.Lock()
		s.heard = append(s.heard, name)
		s.mu.Unlock()
		if s.answer == nil {
			return failed(59, "CommandNotFound", "no such command: "+name)
		}
		return s.answer(name, m)
	}
}

func readMessage(r io.Reader) (id, op uint32, body []byte, err error) {
	var head [16]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, 0, nil, err
	}
	size := binary.LittleEndian.Uint32(head[:])
	if size < 16 || size > 48<<20 {
		return 0, 0, nil, fmt.Errorf("a message of %d bytes", size)
	}
	body = make([]byte, size-16)
	_, err = io.ReadFull(r, body)
	return binary.LittleEndian.Uint32(head[4:]), binary.LittleEndian.Uint32(head[12:]), body, err
}

var errWire = errors.New("not a message that is known here")

// commandOf gives the command of an OP_QUERY, with which drivers begin, or of an
// OP_MSG, with its document sequences as arrays.
func commandOf(op uint32, body []byte) (m bson.D, err error) {
	switch op {
	case opQuery:
		for i := 4; i < len(body); i++ {
			if body[i] == 0 && len(body) > i+9 {
				return m, bson.Unmarshal(body[i+9:], &m)
			}
		}
	case opMsg:
		for at := 4; at+5 < len(body); {
			kind, rest := body[at], body[at+1:]
			size := int(binary.LittleEndian.Uint32(rest))
			if size < 5 || size > len(rest) {
				return nil, errWire
			}
			if kind == 0 {
				var own bson.D
				if err := bson.Unmarshal(rest[:size], &own); err != nil {
					return nil, err
				}
				m = append(own, m...)
			} else if m, err = withSequence(m, rest[4:size]); err != nil {
				return nil, err
			}
			at += 1 + size
		}
		return m, nil
	}
	return nil, errWire
}

// withSequence adds a document sequence, its name first, to a command.
func withSequence(m bson.D, sequence []byte) (bson.D, error) {
	name, docs, ok := bytes.Cut(sequence, []byte{0})
	if !ok {
		return nil, errWire
	}
	var all bson.A
	for len(docs) > 4 {
		size := int(binary.LittleEndian.Uint32(docs))
		if size < 5 || size > len(docs) {
			return nil, errWire
		}
		var d bson.D
		if err := bson.Unmarshal(docs[:size], &d); err != nil {
			return nil, err
		}
		all, docs = append(all, d), docs[size:]
	}
	return append(m, bson.E{Key: string(name), Value: all}), nil
}

// message frames an answer to a message of the kind op.
func message(to, op uint32, raw []byte) []byte {
	var body []byte
	if op == opQuery {
		op = opReply
		body = append(make([]byte, 16), 1, 0, 0, 0) // flags, cursor, starting from; one document
	} else {
		body = make([]byte, 5) // flags, kind 0
	}
	out := binary.LittleEndian.AppendUint32(nil, uint32(16+len(body)+len(raw)))
	for _, n := range []uint32{0, to, op} {
		out = binary.LittleEndian.AppendUint32(out, n)
	}
	return append(append(out, body...), raw...)
}

func lookup(d bson.D, key string) any {
	for _, e := range d {
		if e.Key == key {
			return e.Value
		}
	}
	return nil
}

// found is the answer to a find.
func found(docs ...any) bson.D {
	return bson.D{{Key: "ok", Value: 1}, {Key: "cursor", Value: bson.D{{Key: "id", Value: int64(0)}, {Key: "ns", Value: "db.x"}, {Key: "firstBatch", Value: append(bson.A{}, docs...)}}}}
}

// onPaper opens a store on a server made of paper, with nothing of its database.
func onPaper(t *testing.T, s *wireServer) *DB {
	t.Helper()
	db, err := dial("mongodb://"+s.start(t, nil)+"/db?directConnection=true"+ample, Options{Now: time.Now}, thisLayout)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.checkServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}
