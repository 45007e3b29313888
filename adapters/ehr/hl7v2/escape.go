package hl7v2

import (
	"encoding/hex"
	"strings"

	"github.com/handoff-health/handoff/adapters/charset"
)

// delimiters are what MSH-1 and MSH-2 say.
type delimiters struct {
	field, component, repetition, escape, sub byte
	truncation                                byte // 0: none (before 2.7)
}

// unescape undoes the escapes of one value (2.5.1 section 2.7). What it does not
// know stays as it stands; ok is then false. switched says that the value switches
// to another character set, which is not followed.
func (d *delimiters) unescape(s string, enc charset.Encoding) (text string, ok, switched bool) {
	if d.escape == 0 || strings.IndexByte(s, d.escape) < 0 {
		return s, true, false
	}
	var b strings.Builder
	ok = true
	for {
		i := strings.IndexByte(s, d.escape)
		if i < 0 {
			b.WriteString(s)
			return b.String(), ok, switched
		}
		j := strings.IndexByte(s[i+1:], d.escape)
		if j < 0 {
			b.WriteString(s)
			return b.String(), false, switched
		}
		b.WriteString(s[:i])
		seq := s[i+1 : i+1+j]
		switched = switched || switches(seq)
		if r, known := d.sequence(seq, enc); known {
			b.WriteString(r)
			s = s[i+j+2:]
			continue
		}
		// Unknown: keep it, but let the second escape character begin another
		// sequence if this one has a blank and so was none.
		ok = false
		if strings.ContainsAny(seq, " \n") || seq == "" {
			b.WriteByte(d.escape)
			s = s[i+1:]
			continue
		}
		b.WriteString(s[i : i+j+2])
		s = s[i+j+2:]
	}
}

// sequence is the text that an escape sequence stands for.
func (d *delimiters) sequence(seq string, enc charset.Encoding) (string, bool) {
	switch seq {
	case "F":
		return string(rune(d.field)), true
	case "S":
		return string(rune(d.component)), true
	case "T":
		return string(rune(d.sub)), true
	case "R":
		return string(rune(d.repetition)), true
	case "E":
		return string(rune(d.escape)), true
	case "P":
		if d.truncation != 0 {
			return string(rune(d.truncation)), true
		}
		return "", false
	case "H", "N", ".fi", ".nf", ".ce":
		return "", true // emphasis and layout
	case ".br", ".sp":
		return "\n", true
	case "":
		return "", false
	}
	switch seq[0] {
	case 'X':
		return hexText(seq[1:], enc)
	case 'C', 'M':
		return "", switches(seq)
	case '.':
		for _, layout := range []string{".sp", ".in", ".ti", ".sk"} {
			if n, is := strings.CutPrefix(seq, layout); is && strings.Trim(n, "+-0123456789") == "" {
				if layout == ".sp" {
					return "\n", true
				}
				return " ", true
			}
		}
	}
	return "", false
}

// switches says whether a sequence switches the character set: \Cxxyy\ to one of
// single bytes, \Mxxyy\ or \Mxxyyzz\ to one of several (2.5.1 section 2.7.4). The
// digits are those of the ISO 2022 escape sequence after ESC.
func switches(seq string) bool {
	if seq == "" || seq[0] != 'C' && seq[0] != 'M' {
		return false
	}
	raw, err := hex.DecodeString(seq[1:])
	return err == nil && (len(raw) == 2 || seq[0] == 'M' && len(raw) == 3)
}

// hexText decodes \Xdd…\ in the message's character set. Senders also write
// UTF-16 units into 8-bit messages (\X00E0\): a leading zero byte says so.
func hexText(digits string, enc charset.Encoding) (string, bool) {
	raw, err := hex.DecodeString(digits)
	if err != nil || len(raw) == 0 {
		return "", false
	}
	if len(raw)%2 == 0 && raw[0] == 0 && !enc.Wide() {
		enc = charset.UTF16BE
	}
	text, ok := enc.Decode(raw)
	if !ok && enc == charset.UTF8 {
		text, ok = charset.Windows1252.Decode(raw)
	}
	return text, ok
}
