package label

import (
	"bytes"
	"html"

	"github.com/handoff-health/handoff/fhir/resource"
)

// A code or a word may be spelled so that its bytes do not stand in a row: with
// escapes of JSON, entities, markup or characters without width. Raw bytes that
// hold any such spelling are read text by text.

// spelledOut says whether a document holds an escape or an entity of a letter, a
// digit, a dot or a markup sign, markup inside a word, or a character without
// width.
func spelledOut(d *resource.Document) bool {
	raw := d.Raw()
	return d.Escapes() && hidesByEscape(raw) || hidesByEntity(raw) || splitByMarkup(raw) || d.Wide() && hasNoWidth(raw)
}

func hidesByEscape(raw []byte) bool {
	for i := 0; ; {
		k := bytes.IndexByte(raw[i:], '\\')
		if k < 0 {
			return false
		}
		if i += k + 2; i > len(raw) || raw[i-1] != 'u' {
			continue
		}
		if i+4 <= len(raw) && hides(hexDigit(raw[i])<<4|hexDigit(raw[i+1]), hexDigit(raw[i+2])<<4|hexDigit(raw[i+3])) {
			return true
		}
	}
}

func hidesByEntity(raw []byte) bool {
	for i := 0; ; {
		k := bytes.IndexByte(raw[i:], '&')
		if k < 0 {
			return false
		}
		i += k + 1
		for _, name := range [...]string{"#", "period;", "shy;", "zwnj;", "zwj;", "NoBreak;", "ZeroWidthSpace;"} {
			if bytes.HasPrefix(raw[i:], []byte(name)) {
				return true
			}
		}
	}
}

// hides says whether the escaped character of these two bytes may be part of a
// code, of a tag or of nothing visible.
func hides(high, low byte) bool {
	if high == 0 {
		return isWordByte(low) || low == '.' || low == '<' || low == '&' || low == 0xAD
	}
	return high == 0x20 && low >= 0x0B && low <= 0x0D || high == 0x20 && low == 0x60 || high == 0xFE && low == 0xFF
}

// splitByMarkup says whether a tag that makes no space stands inside a word.
func splitByMarkup(raw []byte) bool {
	for i := 0; ; {
		k := bytes.IndexByte(raw[i:], '<')
		if k < 0 {
			return false
		}
		i += k
		end := tagEnd(raw, i)
		if i > 0 && joins(raw[i-1]) && inline(raw[i:end]) {
			for end < len(raw) && raw[end] == '<' {
				end = tagEnd(raw, end)
			}
			if end < len(raw) && joins(raw[end]) {
				return true
			}
		}
		i = max(end, i+1)
	}
}

func joins(c byte) bool { return isWordByte(c) || c == '.' }

// tagEnd returns where the tag or the comment at i ends.
func tagEnd(b []byte, i int) int {
	close := ">"
	if bytes.HasPrefix(b[i:], []byte("<!--")) {
		close = "-->"
	}
	k := bytes.Index(b[i:], []byte(close))
	if k < 0 {
		return len(b)
	}
	return i + k + len(close)
}

// blocks are the elements of a narrative that stand on their own: what is left
// and right of their tags are different words.
var blocks = [...]string{
	"p", "div", "td", "th", "tr", "li", "ul", "ol", "table", "tbody", "thead", "tfoot", "caption", "br", "hr", "dl", "dt", "dd",
	"h1", "h2", "h3", "h4", "h5", "h6", "pre", "blockquote", "img", "col", "colgroup",
}

// inline says whether a tag leaves what stands around it one word.
func inline(tag []byte) bool {
	name := bytes.TrimLeft(tag, "</")
	end := 0
	for end < len(name) && isWordByte(name[end]) {
		end++
	}
	for _, b := range blocks {
		if len(b) == end && bytes.EqualFold(name[:end], []byte(b)) {
			return false
		}
	}
	return true
}

// hasNoWidth says whether b holds a character without width in UTF-8.
func hasNoWidth(b []byte) bool {
	for _, lead := range [...]byte{0xC2, 0xE2, 0xEF} {
		for i := 0; ; {
			k := bytes.IndexByte(b[i:], lead)
			if k < 0 {
				break
			}
			if i += k; noWidth(b[i:]) > 0 {
				return true
			}
			i++
		}
	}
	return false
}

// noWidth returns how many bytes the character without width at the start of b
// takes, 0 if there is none: soft hyphen, zero-width space and joiners, word
// joiner, byte order mark.
func noWidth(b []byte) int {
	switch {
	case len(b) >= 2 && b[0] == 0xC2 && b[1] == 0xAD:
		return 2
	case len(b) >= 3 && b[0] == 0xE2 && (b[1] == 0x80 && b[2] >= 0x8B && b[2] <= 0x8D || b[1] == 0x81 && b[2] == 0xA0):
		return 3
	case len(b) >= 3 && b[0] == 0xEF && b[1] == 0xBB && b[2] == 0xBF:
		return 3
	}
	return 0
}

// plain returns a text as a reader sees it: without tags, entities and
// characters without width. It allocates only if there are any.
func plain(text []byte) []byte {
	if bytes.IndexByte(text, '<') < 0 && bytes.IndexByte(text, '&') < 0 && !hasNoWidth(text) {
		return text
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		if text[i] != '<' || i+1 < len(text) && !isLetter(text[i+1]) && text[i+1] != '/' && text[i+1] != '!' {
			out = append(out, text[i])
			i++
			continue
		}
		end := tagEnd(text, i)
		if !inline(text[i:end]) {
			out = append(out, ' ')
		}
		i = end
	}
	out = []byte(html.UnescapeString(string(out)))
	w := 0
	for i := 0; i < len(out); {
		if n := noWidth(out[i:]); n > 0 {
			i += n
			continue
		}
		out[w] = out[i]
		i, w = i+1, w+1
	}
	return out[:w]
}

func hexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case isLetter(c) && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 0
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool { c |= 0x20; return c >= 'a' && c <= 'z' }

func isWordByte(c byte) bool { return isDigit(c) || isLetter(c) }
