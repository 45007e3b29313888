package mllp

import (
	"bytes"
	"errors"
	"slices"

	"github.com/handoff-health/handoff/adapters/ehr/hl7v2"
	"github.com/handoff-health/handoff/adapters/inbox"
)

// A verdict is what is said of a message when it was kept or refused.
type verdict struct {
	code hl7v2.AckCode // of the original mode: AA, AE or AR
	errs []hl7v2.AckError
}

var accepted = verdict{code: hl7v2.ApplicationAccept}

// commit is the code of the enhanced mode that says the same.
func commit(c hl7v2.AckCode) hl7v2.AckCode {
	switch c {
	case hl7v2.ApplicationAccept:
		return hl7v2.CommitAccept
	case hl7v2.ApplicationError:
		return hl7v2.CommitError
	}
	return hl7v2.CommitReject
}

// wanted says whether an acknowledgement is sent on a condition of table 0155.
// Empty means never, since the other field chose the enhanced mode. A condition
// that is none means always: a sender that waits in vain is worse off.
func wanted(condition string, good bool) bool {
	switch condition {
	case "", "NE":
		return false
	case "ER":
		return !good
	case "SU":
		return good
	}
	return true
}

// judge says what is answered to what Receive returned.
func judge(err error) verdict {
	switch {
	case err == nil:
		return accepted
	case errors.Is(err, inbox.ErrCollision):
		return verdict{hl7v2.ApplicationError, []hl7v2.AckError{{Code: hl7v2.DuplicateKey, Field: "MSH-10", Own: "collision",
			Text: "another message came under this control id; this one was set aside"}}}
	case errors.Is(err, inbox.ErrBusy):
		return verdict{hl7v2.ApplicationError, []hl7v2.AckError{{Code: hl7v2.ApplicationInternal, Own: "busy", Text: "application busy; send the message again"}}}
	}
	return verdict{hl7v2.ApplicationError, []hl7v2.AckError{{Code: hl7v2.ApplicationInternal, Own: "not-kept", Text: "the message could not be kept; send it again"}}}
}

// refusal is the verdict on a frame that cannot be taken as a message.
func refusal(err error, headerErr error) verdict {
	e := hl7v2.ErrorOf(headerErr)
	switch {
	case errors.Is(err, ErrTooLong):
		e = hl7v2.AckError{Code: hl7v2.ApplicationInternal, Own: "too-long", Text: ErrTooLong.Error()}
	case errors.Is(err, ErrUnended):
		e = hl7v2.AckError{Code: hl7v2.SegmentSequence, Own: "unended", Text: ErrUnended.Error()}
	case errors.Is(err, ErrInner):
		e = hl7v2.AckError{Code: hl7v2.DataType, Own: "end-block-inside", Text: ErrInner.Error()}
	}
	return verdict{hl7v2.ApplicationReject, []hl7v2.AckError{e}}
}

// A parcel is the content of a frame: one message, or the messages of a batch.
type parcel struct {
	body    []byte
	heads   []hl7v2.Header
	invalid []error // by message; nil: its header can be read
	key     string
}

// unreadable says that no message of it can be read. Of a batch the others are
// taken all the same.
func (p *parcel) unreadable() bool {
	return !slices.Contains(p.invalid, nil)
}

// answers says that the message answers one of ours, and so is not answered.
func (p *parcel) answers() bool {
	return len(p.heads) == 1 && answersOnly(&p.heads[0])
}

// answersOnly says that a message is an acknowledgement, which is not
// acknowledged itself.
func answersOnly(h *hl7v2.Header) bool { return h.Type == "ACK" || h.Type == "MCF" }

// open reads the headers of a frame's messages.
func (l *Listener) open(body []byte) *parcel {
	p := &parcel{body: body}
	parts, envelope := messages(body)
	if len(parts) == 0 {
		parts = [][]byte{body}
	}
	for _, m := range parts {
		h, err := hl7v2.ParseHeader(m, l.o.Charset)
		p.heads, p.invalid = append(p.heads, h), append(p.invalid, err)
	}
	switch {
	case len(parts) == 1 && envelope == nil:
		p.key = p.heads[0].Key()
	case envelope != nil:
		p.key = "batch " + string(envelope)
	default:
		p.key = "messages from " + p.heads[0].Key()
	}
	return p
}

// messages cuts a body before each MSH segment. envelope is the first FHS or BHS
// segment in front of them, nil where there is none: it names a batch, by its
// control id among others, well enough to know it again.
func messages(body []byte) (parts [][]byte, envelope []byte) {
	starts := []int{}
	for at := 0; at < len(body); {
		line := body[at:]
		if end := bytes.IndexAny(line, "\r\n"); end >= 0 {
			line = line[:end]
		}
		switch {
		case isSegment(line, "MSH"):
			starts = append(starts, at)
		case envelope == nil && len(starts) == 0 && (isSegment(line, "FHS") || isSegment(line, "BHS")):
			envelope = line
		}
		at += len(line) + 1
	}
	for i, from := range starts {
		to := len(body)
		if i+1 < len(starts) {
			to = starts[i+1]
		}
		if i == 0 && envelope == nil {
			from = 0 // what stands before is the header parser's to refuse
		}
		parts = append(parts, body[from:to])
	}
	return parts, envelope
}

// isSegment says that a line is a segment of this name: a separator follows it.
func isSegment(line []byte, name string) bool {
	if !bytes.HasPrefix(line, []byte(name)) || len(line) == len(name) {
		return false
	}
	c := line[len(name)]
	return c < '0' || c > '9' && c < 'A' || c > 'Z' && c < 'a' || c > 'z'
}
