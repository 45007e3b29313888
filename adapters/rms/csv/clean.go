package csv

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A finding is a fault inside one field.
type finding struct{ code, message string }

// clean takes out of a field what text must not have, and says so: NULs at its
// ends go, a vertical tab or form feed becomes a line break, any other control
// character U+FFFD. Bytes that Windows-1252 does not define stay as the control
// character of their number: the record's raw bytes have them anyway.
func clean(text string, windows bool) (string, []finding) {
	if plain(text) {
		return text, nil
	}
	var found []finding
	note := func(code, format string, args ...any) {
		for _, f := range found {
			if f.code == code {
				return
			}
		}
		found = append(found, finding{code, fmt.Sprintf(format, args...)})
	}
	trimmed := strings.Trim(text, "\x00")
	if len(trimmed) != len(text) {
		note("control-character", "NUL characters around the text were removed")
	}
	var b strings.Builder
	for _, r := range trimmed {
		switch {
		case r == '\v' || r == '\f':
			note("control-character", "U+%04X was read as a line break", r)
			r = '\n'
		case r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0x7F:
			note("control-character", "U+%04X was replaced by U+FFFD", r)
			r = utf8.RuneError
		case r >= 0x80 && r < 0xA0 && windows:
			note("undefined-byte", "byte 0x%02X means nothing in Windows-1252; it was kept as U+%04X", r, r)
		case r >= 0x80 && r < 0xA0:
			note("control-character", "U+%04X is a control character; it was kept", r)
		case r == utf8.RuneError:
			note("undecodable", "some bytes mean nothing in the file's encoding")
		}
		b.WriteRune(r)
	}
	return b.String(), found
}

// plain says that there is nothing to clean: no control character in ASCII and
// none of U+0080 to U+009F or U+FFFD.
func plain(text string) bool {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c < ' ' && c != '\n' && c != '\t' || c == 0x7F {
			return false
		}
		if c == 0xC2 && i+1 < len(text) && text[i+1] < 0xA0 || c == 0xEF {
			return false
		}
	}
	return true
}
