package hl7v2

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// An AckCode is what an acknowledgement says: HL7 table 0008.
type AckCode string

// The codes of the original mode (A…), which are those of the application in
// the enhanced mode, and of the commit acknowledgement (C…).
const (
	ApplicationAccept AckCode = "AA"
	ApplicationError  AckCode = "AE"
	ApplicationReject AckCode = "AR"
	CommitAccept      AckCode = "CA"
	CommitError       AckCode = "CE"
	CommitReject      AckCode = "CR"
)

// An ErrorCode says what is wrong: HL7 table 0357.
type ErrorCode string

// The error codes.
const (
	SegmentSequence     ErrorCode = "100"
	RequiredField       ErrorCode = "101"
	DataType            ErrorCode = "102"
	TableValue          ErrorCode = "103"
	UnsupportedType     ErrorCode = "200"
	UnsupportedEvent    ErrorCode = "201"
	UnsupportedID       ErrorCode = "202" // processing id
	UnsupportedVersion  ErrorCode = "203"
	UnknownKey          ErrorCode = "204"
	DuplicateKey        ErrorCode = "205"
	ApplicationLocked   ErrorCode = "206"
	ApplicationInternal ErrorCode = "207"
)

var errorTexts = map[ErrorCode]string{
	"0": "Message accepted", SegmentSequence: "Segment sequence error", RequiredField: "Required field missing", DataType: "Data type error",
	TableValue: "Table value not found", UnsupportedType: "Unsupported message type", UnsupportedEvent: "Unsupported event code",
	UnsupportedID: "Unsupported processing id", UnsupportedVersion: "Unsupported version id", UnknownKey: "Unknown key identifier",
	DuplicateKey: "Duplicate key identifier", ApplicationLocked: "Application record locked", ApplicationInternal: "Application internal error",
}

// An AckError is one ERR segment.
type AckError struct {
	Code  ErrorCode
	Field string // "PID-3", "MSH-9.2"; "" if no field is meant
	// Text is for people at the sender; it never quotes the message.
	Text string
	Own  string // the project's own code, e.g. "no-message-type"
}

// ErrorOf is the ERR entry of what [ParseHeader] and [Decode] return.
func ErrorOf(err error) AckError {
	se, ok := err.(*SyntaxError) //nolint:errorlint // both return it bare
	if !ok {
		return AckError{Code: ApplicationInternal, Text: "the message could not be processed"}
	}
	e := AckError{Code: DataType, Field: se.Field, Own: se.Code, Text: se.Reason}
	switch se.Code {
	case "no-msh", "bad-segment":
		e.Code = SegmentSequence
	case "no-message-type", "no-control-id":
		e.Code = RequiredField
	}
	return e
}

// Ack writes the acknowledgement of a message, with the separators and in the
// charset of its sender, from the receiver that the message names: MSH, MSA, and
// an ERR segment for each error. id is the acknowledgement's own MSH-10, now its
// MSH-7. The bytes are those of a message, without MLLP framing.
//
// Spec: HL7 v2.5.1 sections 2.9, 2.15.5 (ERR), 2.15.8 (MSA).
func Ack(h Header, code AckCode, id string, now time.Time, errs ...AckError) []byte {
	var b bytes.Buffer
	w := ackWriter{b: &b, h: &h}
	d := &h.delims
	b.WriteString("MSH")
	b.WriteByte(d.field)
	b.Write(h.characters())
	for _, n := range []int{5, 6, 3, 4} { // the receiver answers the sender
		b.WriteByte(d.field)
		b.Write(w.echo(n))
	}
	kind := "ACK"
	if h.Trigger != "" && !h.before(2, 2) {
		kind += string(rune(d.component)) + h.Trigger
		if !h.before(2, 4) {
			kind += string(rune(d.component)) + "ACK"
		}
	}
	version := h.Version
	if version == "" {
		version = "2.5.1"
	}
	processing := h.Processing
	if processing == "" {
		processing = "P"
	}
	w.fields(now.Format("20060102150405-0700"), "", kind, w.text(id), processing, version)
	if len(h.Charsets) > 0 {
		w.fields("", "", "", "", "")
		b.WriteByte(d.field)
		b.Write(w.echo(18))
	}
	b.WriteByte('\r')
	b.WriteString("MSA")
	w.fields(string(code))
	b.WriteByte(d.field)
	b.Write(w.echo(10))
	if len(errs) > 0 {
		w.fields(w.text(errs[0].Text))
	}
	b.WriteByte('\r')
	for _, e := range errs {
		w.error(e)
	}
	return b.Bytes()
}

type ackWriter struct {
	b *bytes.Buffer
	h *Header
}

func (w *ackWriter) fields(texts ...string) {
	for _, t := range texts {
		w.b.WriteByte(w.h.delims.field)
		w.b.Write(w.h.enc.Encode(t))
	}
}

// echo is a field of the sender's MSH as it was sent. One of separators alone
// ("^^"), which some receivers choke on, is empty.
func (w *ackWriter) echo(n int) []byte {
	if n-1 >= len(w.h.msh) {
		return nil
	}
	f := bytes.TrimSpace(w.h.msh[n-1])
	d := &w.h.delims
	return bytes.TrimRight(f, string([]byte{d.component, d.sub, d.repetition}))
}

// text escapes the sender's separators and writes line ends as .br.
func (w *ackWriter) text(s string) string {
	d := &w.h.delims
	var b strings.Builder
	for _, r := range s {
		var name string
		switch {
		case r == rune(d.field):
			name = "F"
		case d.component != 0 && r == rune(d.component):
			name = "S"
		case d.sub != 0 && r == rune(d.sub):
			name = "T"
		case d.repetition != 0 && r == rune(d.repetition):
			name = "R"
		case d.escape != 0 && r == rune(d.escape):
			name = "E"
		case r == '\n':
			name = ".br"
		case r < ' ':
			continue
		default:
			b.WriteRune(r)
			continue
		}
		if d.escape == 0 {
			b.WriteByte(' ')
			continue
		}
		b.WriteString(string(rune(d.escape)) + name + string(rune(d.escape)))
	}
	return b.String()
}

// error writes an ERR segment: since 2.5 place, code, severity and text have
// fields of their own, before that ERR-1 holds place and code.
func (w *ackWriter) error(e AckError) {
	d := &w.h.delims
	sep, sub := string(rune(d.component)), string(rune(d.sub))
	if d.component == 0 {
		sep = "^"
	}
	if d.sub == 0 {
		sub = "&"
	}
	code := string(e.Code)
	if code == "" {
		code = string(ApplicationInternal)
	}
	text := errorTexts[ErrorCode(code)]
	segment, field, parts := place(e.Field)
	w.b.WriteString("ERR")
	if w.h.before(2, 5) {
		w.fields(segment + sep + "1" + sep + field + sep + code + sub + text + sub + "HL70357")
		w.b.WriteByte('\r')
		return
	}
	at := ""
	if segment != "" {
		at = segment + sep + "1"
		if field != "" {
			at += sep + field + sep + "1"
		}
		for _, p := range parts {
			at += sep + p
		}
	}
	own := ""
	if e.Own != "" {
		own = w.text(e.Own)
	}
	w.fields("", at, code+sep+text+sep+"HL70357", "E", own, "", "", w.text(e.Text))
	w.b.WriteByte('\r')
}

// place reads "PID-3.1" into segment, field and components.
func place(s string) (segment, field string, parts []string) {
	segment, rest, _ := strings.Cut(s, "-")
	if len(segment) != 3 {
		return "", "", nil
	}
	rest, _, _ = strings.Cut(rest, "[")
	all := strings.Split(rest, ".")
	for _, p := range all {
		if _, err := strconv.Atoi(p); err != nil {
			return segment, "", nil
		}
	}
	return segment, all[0], all[1:]
}

// characters are the encoding characters of MSH-2 as sent; the standard ones
// where they could not be read.
func (h *Header) characters() []byte {
	if len(h.msh) > 1 && len(h.msh[1]) > 0 && len(h.msh[1]) <= 5 && !bytes.Contains(h.msh[1], []byte(`\\`)) {
		return h.msh[1]
	}
	d := &h.delims
	var out []byte
	for _, c := range []byte{d.component, d.repetition, d.escape, d.sub, d.truncation} {
		if c != 0 {
			out = append(out, c)
		}
	}
	return out
}
