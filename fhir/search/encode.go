package search

import (
	"net/url"
	"strings"
)

// A Param is one name and value of a query string, decoded.
type Param struct{ Name, Value string }

// ParseQuery takes a URL's query string, or the body of a POST _search, apart.
// It keeps the order and is strict about percent signs and semicolons.
func ParseQuery(raw string) ([]Param, error) {
	var out []Param
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		if len(out) == MaxParams {
			return nil, refuse("", TooMany, "more than %d parameters", MaxParams)
		}
		n, v, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(n)
		if err != nil || strings.Contains(pair, ";") {
			return nil, refuse(n, Malformed, "the query string is not well-formed")
		}
		value, err := url.QueryUnescape(v)
		if err != nil {
			return nil, refuse(name, Malformed, "the value is not well-formed: %s", err)
		}
		out = append(out, Param{name, value})
	}
	return out, nil
}

// FromValues orders url.Values by name, and the values of one name as they are.
func FromValues(v url.Values) []Param {
	var out []Param
	for pair := range strings.SplitSeq(v.Encode(), "&") {
		if n, val, ok := strings.Cut(pair, "="); ok {
			name, _ := url.QueryUnescape(n)
			value, _ := url.QueryUnescape(val)
			out = append(out, Param{name, value})
		}
	}
	return out
}

// split takes s apart at each sep without a backslash before it, and undoes
// the escapes \, \| \$ \\ in the parts. The reason is "" if all is well.
func split(s string, sep byte) (parts []string, reason string) {
	if strings.IndexByte(s, '\\') < 0 {
		return strings.Split(s, string(sep)), ""
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
			if i == len(s) || strings.IndexByte(`,|$\`, s[i]) < 0 {
				return nil, `a backslash stands before none of , | $ \`
			}
			b.WriteByte(s[i])
		case sep:
			parts = append(parts, b.String())
			b.Reset()
		default:
			b.WriteByte(s[i])
		}
	}
	return append(parts, b.String()), ""
}

// alternatives takes a value apart at its commas; escapes stay.
func alternatives(s string) []string {
	var parts []string
	from := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case ',':
			parts = append(parts, s[from:i])
			from = i + 1
		}
	}
	return append(parts, s[from:])
}

var escaper = strings.NewReplacer(`\`, `\\`, ",", `\,`, "|", `\|`, "$", `\$`)

func escape(s string) string { return escaper.Replace(s) }

// Escape makes a text stand for itself inside a parameter value: it puts a
// backslash before , | $ and \.
func Escape(s string) string { return escape(s) }

// escapeURL encodes for a query string, leaving readable what may stay.
func escapeURL(s string) string {
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+8)
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~:/,|$@!*()'", c) >= 0 {
			b = append(b, c)
			continue
		}
		b = append(b, '%', hex[c>>4], hex[c&15])
	}
	return string(b)
}
