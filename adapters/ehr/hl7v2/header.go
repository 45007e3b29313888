package hl7v2

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/handoff-health/handoff/adapters/charset"
	"github.com/handoff-health/handoff/mappings"
)

// A Header is what a receiver must know of a message before it is mapped: who
// sent it, how it is named, which acknowledgements it asks for. Texts are as
// written, without blanks at the ends, escapes not undone.
type Header struct {
	SendingApplication, SendingFacility     string // MSH-3, MSH-4
	ReceivingApplication, ReceivingFacility string // MSH-5, MSH-6
	Time                                    string // MSH-7
	Type, Trigger, Structure                string // MSH-9: "ADT", "A01", "ADT_A01"; before 2.3.1 without a structure
	ControlID                               string // MSH-10
	Processing                              string // MSH-11.1: P, T or D
	Version                                 string // MSH-12.1: "2.5.1"
	AcceptAck, ApplicationAck               string // MSH-15, MSH-16: AL, NE, ER, SU; table 0155
	Charsets                                []string
	// EventTime is what puts a sender's messages in order, as sent: EVN-2 if it has
	// a time of day, else MSH-7.
	EventTime string
	// Hash is the hex SHA-256 of the message without framing, each segment ended
	// by CR: a message that was sent again has the same one.
	Hash   string
	Issues []mappings.Issue // what the decoder noticed in MSH

	delims delimiters
	enc    charset.Encoding
	msh    [][]byte // the fields of MSH as sent; 0 is MSH-1's place
}

// ParseHeader reads the header of one message. override is the sender's
// configured charset, the zero value if there is none. The error is a
// *SyntaxError; what could be read stands in the header all the same, so that
// the refusal can be acknowledged.
func ParseHeader(raw []byte, override charset.Encoding) (Header, error) {
	m := message{segs: split(raw), enc: override}
	h := Header{Hash: hash(m.segs), delims: delimiters{field: '|', component: '^', repetition: '~', escape: '\\', sub: '&'}, enc: charset.UTF8}
	if len(m.segs) == 0 || !bytes.HasPrefix(m.segs[0].body, []byte("MSH")) {
		return h, &SyntaxError{Line: 1, Field: "MSH", Code: "no-msh", Reason: "a message begins with an MSH segment"}
	}
	msh := &m.segs[0]
	fault := m.readDelimiters(msh)
	if fault == nil {
		h.delims = m.delims
	} else if len(msh.body) > 3 && isDelimiter(msh.body[3]) {
		h.delims.field = msh.body[3]
	}
	m.delims = h.delims
	h.msh = bytes.Split(msh.body, []byte{h.delims.field})
	if err := m.findCharset(msh); fault == nil {
		fault = err
	}
	if m.enc.Decided() {
		h.enc = m.enc
	}
	h.read()
	h.event(m.segs)
	h.Issues = m.issues
	if fault == nil && h.Type == "" {
		fault = m.fail(msh, "MSH-9", 0, "no-message-type", "MSH-9 is empty")
	}
	if fault == nil && h.ControlID == "" {
		fault = m.fail(msh, "MSH-10", 0, "no-control-id", "MSH-10 is empty: the message cannot be acknowledged by name")
	}
	return h, fault
}

func split(raw []byte) []segment {
	var segs []segment
	for sc := newScanner(bytes.NewReader(raw), len(raw)+1); ; {
		seg, err := sc.next()
		if err != nil {
			return segs
		}
		if len(bytes.TrimSpace(seg.body)) > 0 {
			segs = append(segs, seg)
		}
	}
}

func hash(segs []segment) string {
	h := sha256.New()
	for i := range segs {
		h.Write(segs[i].body)
		h.Write([]byte{'\r'})
	}
	return hex.EncodeToString(h.Sum(nil))
}

// field is MSH-n, "" if it is absent or `""`.
func (h *Header) field(n int) string {
	if n-1 >= len(h.msh) {
		return ""
	}
	text, _ := h.enc.Decode(h.msh[n-1])
	if text = strings.TrimSpace(text); text == `""` {
		return ""
	}
	return text
}

func (h *Header) component(text string, n int) string {
	parts := splitBy(text, h.delims.component)
	if n > len(parts) {
		return ""
	}
	return strings.TrimSpace(parts[n-1])
}

func (h *Header) read() {
	h.SendingApplication, h.SendingFacility = h.field(3), h.field(4)
	h.ReceivingApplication, h.ReceivingFacility = h.field(5), h.field(6)
	h.Time, h.ControlID = h.field(7), h.field(10)
	t := h.field(9)
	h.Type, h.Trigger, h.Structure = h.component(t, 1), h.component(t, 2), h.component(t, 3)
	h.Processing, h.Version = h.component(h.field(11), 1), h.component(h.field(12), 1)
	h.AcceptAck, h.ApplicationAck = strings.ToUpper(h.field(15)), strings.ToUpper(h.field(16))
	if sets := h.field(18); sets != "" {
		h.Charsets = splitBy(sets, h.delims.repetition)
	}
}

// event finds the time that orders messages: when the event was recorded. EVN-6
// is not it: of a cancellation it is the time of what is cancelled. A date alone
// gives way to MSH-7.
func (h *Header) event(segs []segment) {
	h.EventTime = h.component(h.Time, 1)
	for i := range segs {
		if segs[i].name() != "EVN" {
			continue
		}
		fields := bytes.Split(segs[i].body, []byte{h.delims.field})
		if len(fields) <= 2 {
			return
		}
		t := h.component(strings.TrimSpace(string(fields[2])), 1)
		if len(t) >= 12 || t != "" && t != `""` && h.EventTime == "" {
			h.EventTime = t
		}
		return
	}
}

// Key names the message at its sender: MSH-3|MSH-4|MSH-10. Two messages with one
// key and one Hash are the same message.
func (h *Header) Key() string {
	return h.SendingApplication + "|" + h.SendingFacility + "|" + h.ControlID
}

// Kind is the message type as mappings know it: "ADT_A01".
func (h *Header) Kind() string {
	if h.Trigger == "" {
		return h.Type
	}
	return h.Type + "_" + h.Trigger
}

// Enhanced says that the sender asks for the enhanced acknowledgement mode:
// MSH-15 or MSH-16 is valued (2.5.1 section 2.9.2).
func (h *Header) Enhanced() bool { return h.AcceptAck != "" || h.ApplicationAck != "" }

// before says whether the message's version is older than major.minor.
func (h *Header) before(major, minor int) bool {
	parts := strings.Split(h.Version, ".")
	if len(parts) < 2 {
		return false
	}
	a, err := strconv.Atoi(parts[0])
	b, err2 := strconv.Atoi(parts[1])
	return err == nil && err2 == nil && (a < major || a == major && b < minor)
}
