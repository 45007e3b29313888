package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"

	"github.com/handoff-health/handoff/adapters/charset"
	"github.com/handoff-health/handoff/adapters/ehr/hl7v2"
	"github.com/handoff-health/handoff/adapters/ehr/mllp"
	"github.com/handoff-health/handoff/adapters/inbox"
	"github.com/handoff-health/handoff/gateway/rest"
)

// newMLLP is the way in for HL7 v2 messages.
func newMLLP(in *intake) (receiver, error) {
	c := in.system.Receive.MLLP
	o := mllp.Options{
		Listen: c.Listen, Peers: c.Allowed(), Inbox: in.inbox, Now: in.now, Observe: in.count, Logger: in.log,
		Outcome: func(ctx context.Context, seq uint64) (mllp.Outcome, error) {
			status, err := in.await(ctx, seq)
			return applicationAck(status), err
		},
		Limits: mllp.Limits{Frame: c.MaxMessage, Connections: c.Connections, PerPeer: c.PerPeer, Idle: c.Idle, Read: c.Read, Busy: c.Busy, Processing: c.Processing},
	}
	if c.Ack == "processed" {
		o.Ack = mllp.WhenProcessed
	}
	name, err := in.charset()
	if err != nil {
		return nil, err
	}
	if name != "" {
		enc, err := charset.Lookup(name)
		if err != nil {
			return nil, err
		}
		o.Charset = enc
	}
	if c.TLSCert != "" {
		cert, err := newCertificate(in.config.Path(c.TLSCert), in.config.Path(c.TLSKey), in.log)
		if err != nil {
			return nil, fmt.Errorf("receive.mllp.tlsCert: %w", err)
		}
		o.TLS = rest.TLS()
		o.TLS.GetCertificate = cert.get
		if err := requireClients(in, o.TLS); err != nil {
			return nil, err
		}
	}
	return mllp.New(o)
}

func requireClients(in *intake, t *tls.Config) error {
	c := in.system.Receive.MLLP
	if c.ClientCA == "" {
		return nil
	}
	pool, err := c.Authorities(in.config.Path(c.ClientCA))
	if err != nil {
		return fmt.Errorf("receive.mllp.clientCA: %w", err)
	}
	mllp.RequireClients(t, pool, c.Clients)
	return nil
}

// applicationAck says what a message's application acknowledgement says: AR if what is
// wrong is the message, which will not be taken however often it comes, AE if it
// may be taken later.
func applicationAck(s inbox.Status) mllp.Outcome {
	switch s.State {
	case inbox.Stored:
		return mllp.Outcome{Code: hl7v2.ApplicationAccept}
	case inbox.Rejected:
		return mllp.Outcome{Code: hl7v2.ApplicationReject, Errors: []hl7v2.AckError{{Code: errorCode(s.Code), Own: s.Code,
			Text: "the message was rejected; its text is kept, and the receiving site can look at it"}}}
	case inbox.Deferred:
		return mllp.Outcome{Code: hl7v2.ApplicationError, Errors: []hl7v2.AckError{{Code: hl7v2.ApplicationInternal, Own: s.Code,
			Text: "the message is kept and could not be stored yet; it will be tried again"}}}
	}
	if s.Forgotten { // settled so long ago that nothing is known of it but that
		return mllp.Outcome{Code: hl7v2.ApplicationAccept}
	}
	return mllp.Outcome{Code: hl7v2.ApplicationError, Errors: []hl7v2.AckError{{Code: hl7v2.ApplicationInternal, Text: "the message is kept and not processed yet"}}}
}

// errorCode finds the code of table 0357 that is nearest to a reject's.
func errorCode(code string) hl7v2.ErrorCode {
	switch {
	case code == "unsupported":
		return hl7v2.UnsupportedType
	case code == "collision":
		return hl7v2.DuplicateKey
	case code == "no-msh", code == "bad-segment":
		return hl7v2.SegmentSequence
	case code == "required", strings.HasSuffix(code, "-missing"):
		return hl7v2.RequiredField
	case strings.HasSuffix(code, "unmapped"):
		return hl7v2.TableValue
	case code == "bad-delimiters", code == "encoding", code == "too-long", strings.HasSuffix(code, "invalid"):
		return hl7v2.DataType
	}
	return hl7v2.ApplicationInternal
}
