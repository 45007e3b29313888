package mllp

import (
	"bytes"
	"strings"

	"github.com/handoff-health/handoff/adapters/ehr/hl7v2"
)

// An Answer is an acknowledgement as a sender reads it.
type Answer struct {
	Code      hl7v2.AckCode
	ControlID string   // MSA-2: of the message that it is about
	Text      string   // MSA-3
	Errors    []string // of each ERR segment what is in its fields, as it stands
}

// ReadAnswer reads an acknowledgement; ok is false if there is no MSA segment.
func ReadAnswer(body []byte) (a Answer, ok bool) {
	sep := byte('|')
	for line := range bytes.FieldsFuncSeq(body, func(r rune) bool { return r == '\r' || r == '\n' }) {
		if isSegment(line, "MSH") {
			sep = line[3]
		}
		fields := strings.Split(string(line), string(rune(sep)))
		field := func(n int) string {
			if n < len(fields) {
				return strings.TrimSpace(fields[n])
			}
			return ""
		}
		switch {
		case isSegment(line, "MSA"):
			a.Code, a.ControlID, a.Text, ok = hl7v2.AckCode(strings.ToUpper(field(1))), field(2), field(3), true
		case isSegment(line, "ERR"):
			var parts []string
			for _, f := range fields[1:] {
				if f = strings.TrimSpace(f); f != "" {
					parts = append(parts, f)
				}
			}
			a.Errors = append(a.Errors, strings.Join(parts, " "))
		}
	}
	return a, ok
}

// Messages takes the messages out of a file: framed or not, in a batch or not.
// Segments end in CR, as on the wire; block bytes, envelopes and empty lines are
// left out, and nothing else is changed. rest says whether there is text before
// the first message.
func Messages(raw []byte) (messages [][]byte, rest bool) {
	lines := bytes.FieldsFuncSeq(raw, func(r rune) bool { return r == '\r' || r == '\n' || r == startBlock || r == endBlock })
	for line := range lines {
		switch {
		case len(bytes.TrimSpace(line)) == 0:
			continue
		case isSegment(line, "FHS"), isSegment(line, "BHS"), isSegment(line, "BTS"), isSegment(line, "FTS"):
			continue
		case isSegment(line, "MSH"):
			messages = append(messages, nil)
		case len(messages) == 0:
			rest = true
			continue
		}
		last := len(messages) - 1
		messages[last] = append(append(messages[last], line...), carriage)
	}
	return messages, rest
}
