package mllp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// A Listener takes messages until its context ends.
type Listener struct {
	o Options

	mu    sync.Mutex
	all   int
	peers map[netip.Addr]int
}

// New makes a listener.
func New(o Options) (*Listener, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	return &Listener{o: o, peers: map[netip.Addr]int{}}, nil
}

// Run listens on the configured address until ctx ends. Then it reads nothing
// more, says of the messages under way what became of them, and returns nil.
func (l *Listener) Run(ctx context.Context) error {
	in, err := net.Listen("tcp", l.o.Listen)
	if err != nil {
		return fmt.Errorf("mllp %s: %w", l.o.Listen, err)
	}
	return l.Serve(ctx, in)
}

// Serve is Run on a listener that is open already.
func (l *Listener) Serve(ctx context.Context, in net.Listener) error {
	l.o.Logger.Info("mllp listens", "address", in.Addr().String(), "tls", l.o.TLS != nil)
	stop := context.AfterFunc(ctx, func() { _ = in.Close() })
	defer stop()
	var sessions sync.WaitGroup
	defer sessions.Wait()
	defer func() { _ = in.Close() }() // closed already when ctx ended
	for wait := time.Duration(0); ; {
		conn, err := in.Accept()
		switch {
		case err == nil:
			wait = 0
			l.admit(ctx, conn, &sessions)
			continue
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("mllp %s: %w", l.o.Listen, err)
		}
		// Out of files, or a connection that was gone: try again, ever slower.
		wait = min(max(2*wait, 5*time.Millisecond), time.Second)
		l.o.Logger.Warn("mllp cannot accept a connection", "address", in.Addr().String(), "error", err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

// admit starts a session, or closes the connection without a word.
func (l *Listener) admit(ctx context.Context, conn net.Conn, sessions *sync.WaitGroup) {
	peer := address(conn.RemoteAddr())
	if !l.allowed(peer) {
		l.o.Observe("refused-peer")
		l.o.Logger.Warn("mllp: this peer may not connect", "peer", peer.String())
		_ = conn.Close()
		return
	}
	if !l.enter(peer) {
		l.o.Observe("refused-limit")
		l.o.Logger.Warn("mllp: there are too many connections", "peer", peer.String())
		_ = conn.Close()
		return
	}
	l.o.Observe("connection")
	sessions.Add(1)
	go func() {
		defer sessions.Done()
		defer l.leave(peer)
		s := &session{l: l, conn: conn, peer: peer}
		s.run(ctx)
	}()
}

func (l *Listener) allowed(peer netip.Addr) bool {
	if len(l.o.Peers) == 0 {
		return true
	}
	for _, p := range l.o.Peers {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}

func (l *Listener) enter(peer netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all >= l.o.Limits.Connections || l.peers[peer] >= l.o.Limits.PerPeer {
		return false
	}
	l.all++
	l.peers[peer]++
	return true
}

func (l *Listener) leave(peer netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.peers[peer]--; l.peers[peer] <= 0 {
		delete(l.peers, peer)
	}
}

// address is the peer's, IPv4 as such and without a zone.
func address(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
