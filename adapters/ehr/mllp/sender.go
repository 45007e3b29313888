package mllp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/handoff-health/handoff/adapters/charset"
	"github.com/handoff-health/handoff/adapters/ehr/hl7v2"
)

// A Sender sends messages over one connection, one after the other, and waits
// for what is said of each. It is used by one goroutine.
type Sender struct {
	Address string
	TLS     *tls.Config   // nil: plain
	Timeout time.Duration // for each acknowledgement, and to connect; default 30s
	// Tries is how often a message is sent at most; default 3. It is sent again if
	// nothing was heard of it, or one of the codes in RetryOn.
	Tries   int
	RetryOn []hl7v2.AckCode
	Pause   time.Duration // before the second try, then twice as long each; default 1s, at most 30s
	// Linger is how long an acknowledgement is waited for that comes on a condition
	// alone (ER, SU); default 1s.
	Linger time.Duration

	conn  net.Conn
	split *Splitter
	heard []Answer // and not asked for yet
}

// A Result is what became of one message.
type Result struct {
	ControlID   string
	Enhanced    bool
	Commit      hl7v2.AckCode // CA, CE, CR; "" if none came
	Application hl7v2.AckCode // AA, AE, AR; "" if none came
	Text        string
	Errors      []string // of ERR segments
	Strays      int      // acknowledgements of other messages that came meanwhile
	Tries       int
	Took        time.Duration
	Err         error // nothing was heard, or too little; nil otherwise
}

// Accepted says that the message was taken, as far as its sender asked to know.
func (r *Result) Accepted() bool {
	return r.Err == nil && r.Commit != hl7v2.CommitError && r.Commit != hl7v2.CommitReject &&
		r.Application != hl7v2.ApplicationError && r.Application != hl7v2.ApplicationReject
}

func (s *Sender) fill() {
	for _, d := range []struct {
		at   *time.Duration
		want time.Duration
	}{{&s.Timeout, 30 * time.Second}, {&s.Pause, time.Second}, {&s.Linger, time.Second}} {
		if *d.at <= 0 {
			*d.at = d.want
		}
	}
	if s.Tries <= 0 {
		s.Tries = 3
	}
}

const maxPause = 30 * time.Second

// Send sends one message. A repeated one has the same bytes, so that a receiver
// knows it again.
func (s *Sender) Send(ctx context.Context, message []byte) Result {
	s.fill()
	h, _ := hl7v2.ParseHeader(message, charset.Encoding{}) // the receiver says what is wrong with it
	began := time.Now()
	pause := s.Pause
	for try := 1; ; try++ {
		r := s.once(ctx, &h, message)
		r.ControlID, r.Enhanced, r.Tries, r.Took = h.ControlID, h.Enhanced(), try, time.Since(began)
		if r.Err != nil {
			_ = s.Close() // a late acknowledgement shall not be taken for the next one's
		}
		if ctx.Err() != nil || try >= s.Tries || r.Err == nil && !slices.Contains(s.RetryOn, r.Commit) && !slices.Contains(s.RetryOn, r.Application) {
			return r
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, maxPause)
		case <-ctx.Done():
			return r
		}
	}
}

// Close ends the connection; Send opens another one.
func (s *Sender) Close() error {
	if s.conn == nil {
		return nil
	}
	conn := s.conn
	s.conn, s.heard = nil, nil
	return conn.Close()
}

func (s *Sender) dial(ctx context.Context) error {
	if s.conn != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.Address)
	if err != nil {
		return err
	}
	if s.TLS != nil {
		secure := tls.Client(conn, s.TLS)
		if err := secure.HandshakeContext(ctx); err != nil {
			return errors.Join(err, conn.Close())
		}
		conn = secure
	}
	s.conn, s.split = conn, &Splitter{Max: 1 << 20}
	return nil
}

// a need is how much an acknowledgement is waited for.
type need uint8

const (
	never need = iota
	maybe      // on a condition
	must
)

func needOf(condition string) need {
	switch condition {
	case "", "NE":
		return never
	case "ER", "SU":
		return maybe
	}
	return must
}

// once sends a message and waits for what it asks for.
func (s *Sender) once(ctx context.Context, h *hl7v2.Header, message []byte) (r Result) {
	if r.Err = s.dial(ctx); r.Err != nil {
		return r
	}
	stop := context.AfterFunc(ctx, func() { _ = s.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_ = s.conn.SetWriteDeadline(time.Now().Add(s.Timeout)) // its error comes with the write
	if _, r.Err = s.conn.Write(Wrap(message)); r.Err != nil {
		return r
	}
	commit, application := never, must // the original mode has one acknowledgement
	switch {
	case answersOnly(h):
		application = never // nobody answers an answer
	case h.Enhanced():
		commit, application = needOf(h.AcceptAck), needOf(h.ApplicationAck)
	}
	for until := time.Now().Add(s.Timeout); ; {
		open := max(pending(commit, r.Commit), pending(application, r.Application))
		if r.Commit == hl7v2.CommitError || r.Commit == hl7v2.CommitReject || open == never {
			return r
		}
		if open == maybe {
			until = time.Now().Add(s.Linger)
		}
		a, err := s.hear(ctx, until)
		switch {
		case err != nil && open == maybe && errors.As(err, new(net.Error)):
			return r // it did not come to the condition
		case err != nil:
			r.Err = fmt.Errorf("no acknowledgement: %w", err)
			return r
		case a.ControlID != h.ControlID:
			r.Strays++
			continue
		}
		r.Text, r.Errors = a.Text, a.Errors
		switch a.Code {
		case hl7v2.CommitAccept, hl7v2.CommitError, hl7v2.CommitReject:
			r.Commit = a.Code
			if !h.Enhanced() { // some answer so whatever they are asked
				application = never
			}
		default:
			r.Application = a.Code
			commit = never // it was taken, or it would not have been processed
		}
	}
}

// pending is how much is waited for something that came or not.
func pending(n need, got hl7v2.AckCode) need {
	if got != "" {
		return never
	}
	return n
}

// hear reads the next acknowledgement.
func (s *Sender) hear(ctx context.Context, until time.Time) (Answer, error) {
	buf := make([]byte, 8<<10)
	for len(s.heard) == 0 {
		if err := s.conn.SetReadDeadline(until); err != nil {
			return Answer{}, err
		}
		if err := ctx.Err(); err != nil {
			return Answer{}, err
		}
		n, err := s.conn.Read(buf)
		s.listen(buf[:n])
		if err == nil || len(s.heard) > 0 {
			continue
		}
		if f, ok := s.split.Flush(); ok && f.Err == nil {
			s.note(f)
			continue
		}
		return Answer{}, err
	}
	a := s.heard[0]
	s.heard = s.heard[1:]
	return a, nil
}

func (s *Sender) listen(in []byte) {
	for {
		n, f, ok := s.split.Next(in)
		in = in[n:]
		if !ok {
			return
		}
		s.note(f)
	}
}

func (s *Sender) note(f Frame) {
	if a, ok := ReadAnswer(f.Body); ok && f.Err == nil {
		s.heard = append(s.heard, a)
	}
}
