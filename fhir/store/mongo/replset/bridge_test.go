//go:build unix

package replset

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// hello is the message that begins a connection: of the member that listens on a port,
// or of a client.
func hello(t *testing.T, port int) []byte {
	t.Helper()
	doc := bson.D{{Key: "hello", Value: 1}}
	if port > 0 {
		doc = append(doc, bson.E{Key: "hostInfo", Value: fmt.Sprintf("here.example:%d", port)})
	}
	body, err := bson.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, 16, 21+len(body))
	raw = append(append(raw, 0, 0, 0, 0, 0), body...)
	binary.LittleEndian.PutUint32(raw, uint32(len(raw)))
	binary.LittleEndian.PutUint32(raw[12:], 2013)
	return raw
}

// echoes is a set of members that say again what they hear, behind their proxies.
func echoes(t *testing.T, n int) *Set {
	t.Helper()
	s := &Set{}
	for i := range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() { _, _ = io.Copy(c, c) }()
			}
		}()
		b, err := newBridge(s, i)
		if err != nil {
			t.Fatal(err)
		}
		s.members = append(s.members, &member{port: l.Addr().(*net.TCPAddr).Port, bridge: b})
		t.Cleanup(func() { _, _ = b.close(), l.Close() })
	}
	return s
}

// dial connects to a member by way of its proxy and says hello there; nil if that was
// cut off.
func dial(t *testing.T, s *Set, to int, hello []byte) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.members[to].address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := c.Write(hello); err != nil || !hears(c, hello) {
		return nil
	}
	return c
}

func hears(c net.Conn, what []byte) bool {
	got := make([]byte, len(what))
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, err := io.ReadFull(c, got)
	return err == nil && bytes.Equal(got, what)
}

// Who is isolated is parted from the other members, in both directions, connections
// that stand and new ones; from itself and from clients it is not.
func TestIsolatedMembersArePartedFromMembersAlone(t *testing.T) {
	s := echoes(t, 3)
	from := func(i int) []byte { return hello(t, s.members[i].port) }
	standing := map[string]net.Conn{
		"out": dial(t, s, 1, from(0)), "in": dial(t, s, 0, from(2)), "others": dial(t, s, 2, from(1)), "client": dial(t, s, 0, hello(t, 0)),
	}
	for name, c := range standing {
		if c == nil {
			t.Fatalf("%s: nothing comes through", name)
		}
	}
	s.Isolate(0, true)
	for name, c := range standing {
		_, _ = c.Write([]byte("more")) // a cut one may fail here or at reading
		if got, want := hears(c, []byte("more")), name == "others" || name == "client"; got != want {
			t.Errorf("a connection that stood, %s: it goes on: %t, want %t", name, got, want)
		}
	}
	for _, tt := range []struct {
		from, to int
		passes   bool
	}{{0, 1, false}, {1, 0, false}, {2, 0, false}, {0, 0, true}, {1, 2, true}} {
		if got := dial(t, s, tt.to, from(tt.from)) != nil; got != tt.passes {
			t.Errorf("from %d to %d: %t, want %t", tt.from, tt.to, got, tt.passes)
		}
	}
	if dial(t, s, 0, hello(t, 0)) == nil {
		t.Error("a client is cut off")
	}
	s.Isolate(0, false)
	if dial(t, s, 0, from(1)) == nil || dial(t, s, 1, from(0)) == nil {
		t.Error("members stay parted")
	}
}

func TestWhatIsNoMessageIsNotPassedOn(t *testing.T) {
	s := echoes(t, 1)
	for name, raw := range map[string]string{"short": "\x05\x00\x00\x00" + strings.Repeat("x", 20), "long": "\xff\xff\xff\x7f" + strings.Repeat("x", 20)} {
		c, err := net.Dial("tcp", s.members[0].address())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte(raw))
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("%s: it is passed on", name)
		}
		_ = c.Close()
	}
	for name, raw := range map[string]string{
		"cut off": "\x02hostInfo\x00\x09", "a length past the end": "\x02hostInfo\x00\xff\xff\xff\x7fx:1\x00", "empty": "\x02hostInfo\x00\x00\x00\x00\x00",
	} {
		if got := s.sender([]byte(raw)); got != -1 {
			t.Errorf("%s: member %d", name, got)
		}
	}
}

func TestWhatCannotBeStartedIsSaid(t *testing.T) {
	for says, c := range map[string]Config{
		"no path of a mongod": {},
		"cannot read TLS":     {Mongod: "x", Secure: true, Breakable: true},
		"no such file":        {Mongod: "/nowhere/mongod"},
		"ended at once":       {Mongod: "/bin/false"},
	} {
		if s, err := Start(t.Context(), c); s != nil || err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q does not say %q", err, says)
		}
	}
}
