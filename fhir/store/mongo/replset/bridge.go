//go:build unix

package replset

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
)

// cuts are what holds the connections through all proxies of a set, and which members
// are kept apart.
type cuts struct {
	mu       sync.Mutex
	isolated map[int]bool
	spans    map[*span]bool
}

// A span is one connection through a proxy.
type span struct {
	from, to int // members; from is -1 for a client
	ends     [2]net.Conn
}

func (s *span) close() {
	for _, c := range s.ends {
		_ = c.Close() // it is given up
	}
}

// parted says that a connection is between two members of which one is isolated.
func (c *cuts) parted(s *span) bool {
	return s.from >= 0 && s.from != s.to && (c.isolated[s.from] || c.isolated[s.to])
}

// Isolate cuts a member off from the others in both directions, or, with on false, no
// longer. Clients reach it as before. It needs Breakable.
func (s *Set) Isolate(i int, on bool) {
	s.cut.mu.Lock()
	defer s.cut.mu.Unlock()
	if s.cut.isolated == nil {
		s.cut.isolated = map[int]bool{}
	}
	s.cut.isolated[i] = on
	for span := range s.cut.spans {
		if s.cut.parted(span) {
			span.close()
		}
	}
}

func (c *cuts) add(s *span) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parted(s) {
		return false
	}
	if c.spans == nil {
		c.spans = map[*span]bool{}
	}
	c.spans[s] = true
	return true
}

func (c *cuts) remove(s *span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.spans, s)
}

// A bridge is the proxy before a member.
type bridge struct {
	set *Set
	to  int
	l   net.Listener
}

func newBridge(s *Set, to int) (*bridge, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &bridge{set: s, to: to, l: l}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go b.serve(conn)
		}
	}()
	return b, nil
}

func (b *bridge) close() error {
	err := b.l.Close()
	b.set.cut.mu.Lock()
	defer b.set.cut.mu.Unlock()
	for s := range b.set.cut.spans {
		if s.to == b.to {
			s.close()
		}
	}
	return err
}

// serve passes a connection on, unless it comes from a member that is kept apart.
func (b *bridge) serve(in net.Conn) {
	first, err := firstMessage(in)
	if err != nil {
		_ = in.Close()
		return
	}
	out, err := net.Dial("tcp", b.set.members[b.to].server())
	if err != nil {
		_ = in.Close()
		return
	}
	s := &span{from: b.set.sender(first), to: b.to, ends: [2]net.Conn{in, out}}
	defer s.close()
	if !b.set.cut.add(s) {
		return
	}
	defer b.set.cut.remove(s)
	if _, err := out.Write(first); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(in, out)
		s.close()
	}()
	_, _ = io.Copy(out, in)
}

// firstMessage reads the message that begins a connection: a hello.
func firstMessage(r io.Reader) ([]byte, error) {
	const header, most = 16, 1 << 20
	raw := make([]byte, header)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(raw)
	if n < header || n > most {
		return nil, errors.New("that is no message of the protocol")
	}
	raw = append(raw, make([]byte, n-header)...)
	_, err := io.ReadFull(r, raw[header:])
	return raw, err
}

// sender finds in the hello of a connection which member made it: where test commands
// are enabled, members tell there where they listen themselves. -1 is a client.
func (s *Set) sender(hello []byte) int {
	_, rest, found := bytes.Cut(hello, []byte("\x02hostInfo\x00"))
	if !found || len(rest) < 4 {
		return -1
	}
	n := binary.LittleEndian.Uint32(rest)
	if rest = rest[4:]; n == 0 || uint64(n) > uint64(len(rest)) {
		return -1
	}
	where := string(rest[:n-1])
	for i, m := range s.members {
		if strings.HasSuffix(where, fmt.Sprintf(":%d", m.port)) {
			return i
		}
	}
	return -1
}
