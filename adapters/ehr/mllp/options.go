package mllp

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/handoff-health/handoff/adapters/charset"
	"github.com/handoff-health/handoff/adapters/ehr/hl7v2"
	"github.com/handoff-health/handoff/adapters/inbox"
)

// An Outcome is what became of a message when its processing has ended.
type Outcome struct {
	// Code is AA (stored), AE or AR (rejected).
	Code   hl7v2.AckCode
	Errors []hl7v2.AckError
}

// An AckTime says when AA is sent in the original mode.
type AckTime uint8

// When AA is sent.
const (
	WhenKept      AckTime = iota // the message is durable; what is wrong with it goes to the rejects
	WhenProcessed                // it is stored: the sender waits, and learns of rejects
)

// Limits bound what one listener holds. A zero is the default.
type Limits struct {
	Frame       int           // bytes of a message; 8 MiB
	Connections int           // of all peers together; 64
	PerPeer     int           // of one address; 8
	Idle        time.Duration // between two frames; 30m
	Read        time.Duration // from a frame's first byte to its last; 60s
	Write       time.Duration // of one acknowledgement, and of a TLS handshake; 15s
	Busy        time.Duration // how long a connection is held while the inbox is full; 10s
	Processing  time.Duration // how long an outcome is waited for in the original mode; 30s
}

func (l *Limits) fill() {
	for _, d := range []struct {
		have *int
		want int
	}{{&l.Frame, DefaultMax}, {&l.Connections, 64}, {&l.PerPeer, 8}} {
		if *d.have <= 0 {
			*d.have = d.want
		}
	}
	for _, d := range []struct {
		have *time.Duration
		want time.Duration
	}{{&l.Idle, 30 * time.Minute}, {&l.Read, time.Minute}, {&l.Write, 15 * time.Second}, {&l.Busy, 10 * time.Second}, {&l.Processing, 30 * time.Second}} {
		if *d.have <= 0 {
			*d.have = d.want
		}
	}
}

// Options are the parts of a listener. Inbox and Outcome are required.
type Options struct {
	Listen string // host:port
	TLS    *tls.Config
	// Peers are the addresses that may connect; none: all.
	Peers []netip.Prefix
	// Charset is the sender's, where MSH-18 does not say it.
	Charset charset.Encoding
	Ack     AckTime
	Limits  Limits
	Inbox   inbox.Receiver
	// Outcome waits until the processing of a message has ended, or ctx has.
	Outcome func(ctx context.Context, seq uint64) (Outcome, error)
	// Observe counts: "connection", "refused-peer", "refused-limit",
	// "refused-handshake", "noise", "duplicate", "collision", "busy" and the codes of
	// acknowledgements that were sent.
	Observe func(what string)
	Now     func() time.Time
	NewID   func() string // MSH-10 of acknowledgements, at most 20 characters
	Logger  *slog.Logger
}

func (o *Options) fill() error {
	if o.Inbox == nil || o.Outcome == nil {
		return errors.New("mllp: a listener needs an inbox, and its outcomes")
	}
	if o.TLS != nil && o.TLS.MinVersion < tls.VersionTLS12 {
		return errors.New("mllp: TLS before 1.2 is not spoken")
	}
	o.Limits.fill()
	if o.Observe == nil {
		o.Observe = func(string) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = func() string { return rand.Text()[:20] }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}
