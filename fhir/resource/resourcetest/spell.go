// Package resourcetest writes resources otherwise than a test has them, without
// changing what they say. Tests call it that must not depend on how a sender's encoder
// writes. JSON: RFC 8259 section 7.
package resourcetest

import "fmt"

// SpellOut is valid JSON with some letters and digits of its names and strings written
// as escapes.
func SpellOut(raw []byte) []byte {
	out, within := make([]byte, 0, len(raw)), false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case within && c == '\\':
			n := 2
			if raw[i+1] == 'u' {
				n = 6
			}
			out = append(out, raw[i:i+n]...)
			i += n - 1
		case within && (c == 'a' || c == 'o' || c == 'e' || c == 'I' || c == '1'):
			out = fmt.Appendf(out, `\u%04x`, c)
		default:
			within = within != (c == '"')
			out = append(out, c)
		}
	}
	return out
}
