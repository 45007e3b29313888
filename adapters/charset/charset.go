package charset

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/ianaindex"
)

// An Encoding is a way to write text as bytes. The zero value is undecided:
// ASCII so far.
type Encoding struct {
	name  string
	table *charmap.Charmap
	other encoding.Encoding
}

// The encodings that exports use.
var (
	UTF8        = Encoding{name: "utf-8"}
	UTF16LE     = Encoding{name: "utf-16le"}
	UTF16BE     = Encoding{name: "utf-16be"}
	Windows1252 = Encoding{name: "windows-1252", table: charmap.Windows1252}
	Latin1      = Encoding{name: "iso-8859-1"}
)

// String is the encoding's lower-case name; "" if undecided.
func (e Encoding) String() string { return e.name }

// Decided says whether the encoding is known.
func (e Encoding) Decided() bool { return e.name != "" }

// Wide says that a code unit has two bytes.
func (e Encoding) Wide() bool { return e.name == UTF16LE.name || e.name == UTF16BE.name }

// SingleByte says that every character is one byte.
func (e Encoding) SingleByte() bool { return e.table != nil || e.name == Latin1.name }

// hl7Names are the values of HL7 table 0211 that IANA does not know.
var hl7Names = map[string]string{
	"ascii": "utf-8", "us-ascii": "utf-8", "unicode": "utf-8", "unicode utf-8": "utf-8", "utf8": "utf-8",
	"unicode utf-16": "utf-16be", "utf-16": "utf-16le", "utf16": "utf-16le", "utf-16 le": "utf-16le", "utf-16 be": "utf-16be",
	"cp1252": "windows-1252", "windows1252": "windows-1252", "1252": "windows-1252", "ansi": "windows-1252",
	"latin1": "iso-8859-1", "latin-1": "iso-8859-1",
	"iso ir6": "utf-8", "iso ir14": "iso-2022-jp", "iso ir87": "iso-2022-jp", "iso ir159": "iso-2022-jp-1",
	"gb 18030-2000": "gb18030", "ks x 1001": "euc-kr", "big-5": "big5",
}

// Lookup finds an encoding by the name that configuration or MSH-18 gives it:
// "windows-1252", "UNICODE UTF-8", "8859/1".
func Lookup(name string) (Encoding, error) {
	n := strings.ToLower(strings.TrimSpace(name))
	if k, ok := hl7Names[n]; ok {
		n = k
	}
	if part, ok := strings.CutPrefix(n, "8859/"); ok {
		n = "iso-8859-" + part
	}
	for _, e := range []Encoding{UTF8, UTF16LE, UTF16BE, Windows1252, Latin1} {
		if e.name == n {
			return e, nil
		}
	}
	enc, err := ianaindex.IANA.Encoding(n)
	if err != nil || enc == nil {
		return Encoding{}, fmt.Errorf("unknown character encoding %q", name)
	}
	if cm, ok := enc.(*charmap.Charmap); ok {
		return Encoding{name: n, table: cm}, nil
	}
	return Encoding{name: n, other: enc}, nil
}

// Decode turns raw into text. ok is false if some bytes mean nothing in this
// encoding: undefined ones become the control character of their number (U+0081
// for 0x81), invalid sequences of UTF-8 and UTF-16 become U+FFFD.
func (e Encoding) Decode(raw []byte) (text string, ok bool) {
	switch {
	case e.Wide():
		return e.decodeWide(raw)
	case e.other != nil:
		b, err := e.other.NewDecoder().Bytes(raw)
		return string(b), err == nil && !strings.ContainsRune(string(b), utf8.RuneError)
	case ascii(raw):
		return string(raw), true
	case e.table != nil:
		return decodeTable(e.table, raw)
	case e.name == Latin1.name:
		var b strings.Builder
		b.Grow(len(raw) + 16)
		for _, c := range raw {
			b.WriteRune(rune(c))
		}
		return b.String(), true
	}
	if utf8.Valid(raw) {
		return string(raw), true
	}
	return strings.ToValidUTF8(string(raw), "\uFFFD"), false
}

func decodeTable(table *charmap.Charmap, raw []byte) (string, bool) {
	var b strings.Builder
	b.Grow(len(raw) + 16)
	ok := true
	for _, c := range raw {
		r := table.DecodeByte(c)
		if r == utf8.RuneError || (c >= 0x80 && r >= 0x80 && r < 0xA0) {
			r, ok = rune(c), false
		}
		b.WriteRune(r)
	}
	return b.String(), ok
}

func (e Encoding) decodeWide(raw []byte) (string, bool) {
	ok := len(raw)%2 == 0
	units := make([]uint16, 0, len(raw)/2)
	for ; len(raw) >= 2; raw = raw[2:] {
		if e.name == UTF16LE.name {
			units = append(units, binary.LittleEndian.Uint16(raw))
		} else {
			units = append(units, binary.BigEndian.Uint16(raw))
		}
	}
	runes := utf16.Decode(units)
	for _, r := range runes {
		if r == utf8.RuneError {
			ok = false
		}
	}
	text := string(runes)
	if len(raw) == 1 { // half a unit at the end of a cut file
		text += "\uFFFD"
	}
	return text, ok
}

func ascii(raw []byte) bool {
	for _, c := range raw {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Encode writes text in this encoding. What it cannot write becomes "?".
func (e Encoding) Encode(text string) []byte {
	switch {
	case ascii([]byte(text)) && !e.Wide():
		return []byte(text)
	case e.other != nil:
		return encodeBy(e.other, text)
	case e.table != nil:
		return encodeBy(e.table, text)
	case e.name == Latin1.name:
		return encodeBy(charmap.ISO8859_1, text)
	case e.Wide():
		var out []byte
		for _, u := range utf16.Encode([]rune(text)) {
			if e.name == UTF16LE.name {
				out = binary.LittleEndian.AppendUint16(out, u)
			} else {
				out = binary.BigEndian.AppendUint16(out, u)
			}
		}
		return out
	}
	return []byte(text)
}

func encodeBy(enc encoding.Encoding, text string) []byte {
	if b, err := enc.NewEncoder().Bytes([]byte(text)); err == nil {
		return b
	}
	var out []byte
	for _, r := range text {
		b, err := enc.NewEncoder().Bytes([]byte(string(r)))
		if err != nil {
			b = []byte{'?'}
		}
		out = append(out, b...)
	}
	return out
}
