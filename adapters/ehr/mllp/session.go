package mllp

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/handoff-health/handoff/adapters/ehr/hl7v2"
	"github.com/handoff-health/handoff/adapters/inbox"
)

const (
	// trailerWait is how long the CR after an end block is waited for.
	trailerWait = 200 * time.Millisecond
	// maxNoise is how often a peer may send what is no frame.
	maxNoise = 16
	// maxPending bounds the messages of a connection whose outcome is not told yet.
	maxPending = 256
	// farewell is how long outcomes are waited for after the peer has sent its last.
	farewell = 10 * time.Second
	// keepTime bounds one Receive after the listener was told to stop.
	keepTime = 20 * time.Second
)

// A session is one connection. One goroutine reads, keeps and acknowledges in
// order; another tells the outcomes, in the same order.
type session struct {
	l     *Listener
	conn  net.Conn
	peer  netip.Addr
	noise int

	writing sync.Mutex
	pending chan waiting
}

// A waiting message was kept; its sender wants to know what becomes of it.
type waiting struct {
	seq   uint64
	heads []hl7v2.Header
}

// errStop ends a session: what follows on this connection cannot be understood.
var errStop = errors.New("the connection is ended")

func (s *session) run(ctx context.Context) {
	defer func() { _ = s.conn.Close() }()
	if tcp, ok := s.conn.(*net.TCPConn); ok {
		_ = tcp.SetKeepAlivePeriod(time.Minute) // a peer that is gone must not hold a place for the idle time
	}
	if err := s.handshake(ctx); err != nil {
		s.l.o.Observe("refused-handshake")
		s.l.o.Logger.Warn("mllp: the TLS handshake failed", "peer", s.peer.String(), "error", err)
		return
	}
	s.pending = make(chan waiting, maxPending)
	telling, quiet := context.WithCancel(ctx)
	defer quiet()
	told := make(chan struct{})
	go func() { defer close(told); s.tell(telling) }()
	err := s.read(ctx)
	close(s.pending)
	if err != nil && ctx.Err() == nil && !errors.Is(err, io.EOF) {
		s.l.o.Logger.Info("mllp: a connection ended", "peer", s.peer.String(), "reason", err)
	}
	if errors.Is(err, io.EOF) { // the peer may only have closed its own side
		t := time.AfterFunc(farewell, quiet)
		defer t.Stop()
	} else {
		quiet()
	}
	<-told
}

func (s *session) handshake(ctx context.Context) error {
	if s.l.o.TLS == nil {
		return nil
	}
	conn := tls.Server(s.conn, s.l.o.TLS)
	ctx, cancel := context.WithTimeout(ctx, s.l.o.Limits.Write)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	s.conn = conn
	return nil
}

// read takes frames until the peer or the context ends.
func (s *session) read(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = s.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	split := &Splitter{Max: s.l.o.Limits.Frame}
	buf := make([]byte, 32<<10)
	var begun time.Time // of the frame under way
	for {
		if err := s.await(ctx, split, begun); err != nil {
			return err
		}
		n, err := s.conn.Read(buf)
		done, ferr := s.frames(ctx, split, buf[:n])
		if ferr != nil {
			return ferr
		}
		if open := split.Open() || split.Ended(); done || !open {
			begun = time.Time{}
		}
		if begun.IsZero() {
			begun = time.Now()
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil && split.Ended():
			if f, ok := split.Flush(); ok {
				if err := s.take(ctx, f); err != nil {
					return err
				}
			}
		default:
			return s.last(ctx, split, err)
		}
	}
}

// await sets how long the next bytes may take.
func (s *session) await(ctx context.Context, split *Splitter, begun time.Time) error {
	until := time.Now().Add(s.l.o.Limits.Idle)
	switch {
	case split.Ended():
		until = time.Now().Add(trailerWait)
	case split.Open():
		until = begun.Add(s.l.o.Limits.Read)
	}
	if err := s.conn.SetReadDeadline(until); err != nil {
		return err
	}
	return ctx.Err() // looked at after the deadline was set: the end of ctx sets it too
}

// last deals with what there is of a frame when nothing follows.
func (s *session) last(ctx context.Context, split *Splitter, err error) error {
	if ctx.Err() != nil {
		return ctx.Err() // not acknowledged: it will be sent again
	}
	f, ok := split.Flush()
	if !ok {
		return err
	}
	if terr := s.take(ctx, f); terr != nil {
		return terr
	}
	return err
}

// frames takes what ended in the bytes that were read; done: there was something.
func (s *session) frames(ctx context.Context, split *Splitter, in []byte) (done bool, err error) {
	for {
		n, f, ok := split.Next(in)
		in = in[n:]
		if !ok {
			break
		}
		done = true
		if err := s.take(ctx, f); err != nil {
			return done, err
		}
		if ctx.Err() != nil {
			return done, ctx.Err() // what follows in the buffer was not acknowledged
		}
	}
	if split.Over() > s.l.o.Limits.Frame { // it has had as much again to come to its end
		f, _ := split.Flush()
		return done, errors.Join(s.take(ctx, f), errStop)
	}
	return done, nil
}

// take acknowledges one frame.
func (s *session) take(ctx context.Context, f Frame) error {
	if errors.Is(f.Err, ErrNoise) {
		s.l.o.Observe("noise")
		if s.noise++; s.noise > maxNoise {
			return errors.Join(ErrNoise, errStop)
		}
		return nil
	}
	p := s.l.open(f.Body)
	if p.answers() {
		return nil // the answer to one of our acknowledgements
	}
	if f.Err != nil || p.unreadable() {
		v := refusal(f.Err, p.invalid[0])
		s.l.o.Logger.Warn("mllp: a message was refused", "peer", s.peer.String(), "reason", v.errs[0].Own, "field", v.errs[0].Field)
		for i := range p.heads {
			if err := s.acknowledge(&p.heads[i], v); err != nil {
				return err
			}
		}
		return nil
	}
	receipt, err := s.keep(ctx, p)
	if ctx.Err() != nil && errors.Is(err, inbox.ErrBusy) {
		return ctx.Err()
	}
	return s.answer(ctx, p, receipt, judge(err))
}

// keep hands a frame to the inbox. While that is full the connection is held:
// nothing more is read of it.
func (s *session) keep(ctx context.Context, p *parcel) (inbox.Receipt, error) {
	l := s.l
	a := inbox.Arrival{Source: "mllp " + s.peer.String(), Key: p.key, Body: p.body, At: l.o.Now()}
	until := time.Now().Add(l.o.Limits.Busy)
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		// What has begun is brought to its end, so that it can be acknowledged.
		kctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTime)
		receipt, err := l.o.Inbox.Receive(kctx, a)
		cancel()
		switch {
		case err == nil && receipt.Duplicate:
			l.o.Observe("duplicate")
		case errors.Is(err, inbox.ErrCollision):
			l.o.Observe("collision")
		case errors.Is(err, inbox.ErrBusy) && time.Now().Add(wait).Before(until):
			select {
			case <-time.After(wait):
				continue
			case <-ctx.Done():
			}
		case errors.Is(err, inbox.ErrBusy):
			l.o.Observe("busy")
			l.o.Logger.Warn("mllp: the inbox is full", "peer", s.peer.String())
		case err != nil:
			l.o.Logger.Error("mllp: a message could not be kept", "peer", s.peer.String(), "error", err)
		}
		return receipt, err
	}
}

// acknowledge says whether a message was taken.
func (s *session) acknowledge(h *hl7v2.Header, v verdict) error {
	if !h.Enhanced() {
		return s.write(h, v)
	}
	if !wanted(h.AcceptAck, v.code == hl7v2.ApplicationAccept) {
		return nil
	}
	return s.write(h, verdict{commit(v.code), v.errs})
}

// answer says whether the messages were taken, and has it told what becomes of
// them where somebody wants to know.
func (s *session) answer(ctx context.Context, p *parcel, receipt inbox.Receipt, v verdict) error {
	taken := v.code == hl7v2.ApplicationAccept
	if taken && s.l.o.Ack == WhenProcessed && !p.heads[0].Enhanced() {
		v = s.processed(ctx, receipt.Seq)
	}
	w := waiting{seq: receipt.Seq}
	for i := range p.heads {
		h := &p.heads[i]
		said := v
		if p.invalid[i] != nil { // of a batch: its decoder sets it aside
			said = refusal(nil, p.invalid[i])
		}
		if err := s.acknowledge(h, said); err != nil {
			return err
		}
		if taken && p.invalid[i] == nil && h.Enhanced() && h.ApplicationAck != "" && h.ApplicationAck != "NE" {
			w.heads = append(w.heads, *h)
		}
	}
	if len(w.heads) == 0 {
		return nil
	}
	select {
	case s.pending <- w: // full: nothing more is read until the outcomes come
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// processed waits for the outcome, in the original mode.
func (s *session) processed(ctx context.Context, seq uint64) verdict {
	ctx, cancel := context.WithTimeout(ctx, s.l.o.Limits.Processing)
	defer cancel()
	out, err := s.l.o.Outcome(ctx, seq)
	if err != nil {
		return verdict{hl7v2.ApplicationError, []hl7v2.AckError{{Code: hl7v2.ApplicationInternal, Own: "not-processed",
			Text: "the message is kept and not processed yet; send it again to learn what became of it"}}}
	}
	return verdict{out.Code, out.Errors}
}

// tell sends the application acknowledgements, in the order of the messages.
func (s *session) tell(ctx context.Context) {
	for w := range s.pending {
		if ctx.Err() != nil {
			continue // drained, so that the reader never waits for it
		}
		out, err := s.l.o.Outcome(ctx, w.seq)
		if err != nil {
			if ctx.Err() == nil {
				s.l.o.Logger.Error("mllp: the outcome of a message cannot be told", "peer", s.peer.String(), "seq", w.seq, "error", err)
			}
			continue
		}
		for i := range w.heads {
			if !wanted(w.heads[i].ApplicationAck, out.Code == hl7v2.ApplicationAccept) {
				continue
			}
			if err := s.write(&w.heads[i], verdict{out.Code, out.Errors}); err != nil {
				_ = s.conn.Close() // ends the reader too
				break
			}
		}
	}
}

// write sends one acknowledgement.
func (s *session) write(h *hl7v2.Header, v verdict) error {
	ack := Wrap(hl7v2.Ack(*h, v.code, s.l.o.NewID(), s.l.o.Now(), v.errs...))
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.l.o.Limits.Write)); err != nil {
		return err
	}
	if _, err := s.conn.Write(ack); err != nil {
		return err
	}
	s.l.o.Observe(string(v.code))
	return nil
}
