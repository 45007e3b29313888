package storetest

import (
	"io"
	"math"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Cutter is a TCP proxy that cuts each connection without warning after a random
// number of bytes in a random direction: in the middle of a request, or after it was
// carried out and before its answer has come.
type Cutter struct {
	Address string // host:port where it listens
	// Cuts counts the connections cut: those in the middle of what went to the
	// server, and of what came back.
	Requests, Answers atomic.Int64

	to    string
	least float64 // bytes
	most  float64
	done  chan struct{}
	open  sync.WaitGroup
}

// NewCutter starts a proxy to a server's host:port, which ends with the test. A
// connection lives for between least and most bytes, spread evenly over the
// magnitudes between them.
func NewCutter(t *testing.T, to string, least, most int) *Cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &Cutter{Address: l.Addr().String(), to: to, least: float64(least), most: float64(most), done: make(chan struct{})}
	c.open.Go(func() { c.accept(l) })
	t.Cleanup(func() {
		close(c.done)
		_ = l.Close()
		c.open.Wait()
	})
	return c
}

func (c *Cutter) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		c.open.Go(func() { c.serve(client) })
	}
}

// serve carries bytes both ways until one direction's are used up, or a side ends.
func (c *Cutter) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.DialTimeout("tcp", c.to, 5*time.Second)
	if err != nil {
		return // as if the connection had been cut at once
	}
	defer func() { _ = server.Close() }()
	life := int64(c.least * math.Pow(c.most/c.least, rand.Float64()))
	up, down := int64(math.MaxInt64), life
	if rand.IntN(2) == 0 {
		up, down = life, math.MaxInt64
	}
	ended := make(chan struct{}, 2)
	carry := func(to, from net.Conn, bytes int64, cuts *atomic.Int64) {
		if n, _ := io.CopyN(to, from, bytes); n == bytes { // else a side has ended
			cuts.Add(1)
		}
		ended <- struct{}{}
	}
	go carry(server, client, up, &c.Requests)
	go carry(client, server, down, &c.Answers)
	select {
	case <-ended:
	case <-c.done:
	}
	for _, conn := range []net.Conn{client, server} {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, as from a network that broke
		}
		_ = conn.Close()
	}
}
