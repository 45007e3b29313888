package mask

import (
	"regexp"
	"strings"
)

var name = regexp.MustCompile(`^[\pL_$@][\pL\pN_.:$@-]{0,63}$`)

// last is the last step of a path: the element or attribute at fault.
func last(at string) string {
	at = strings.TrimSuffix(at, "/text()")
	if i := strings.LastIndexAny(at, "/."); i >= 0 {
		at = at[i+1:]
	}
	at, _, _ = strings.Cut(at, "[")
	return strings.TrimPrefix(at, "@")
}

// json masks JSON, also if it is cut off: a text with a colon behind it is a
// name, all else is a value.
func json(t, at string) string {
	var b strings.Builder
	fault, current := last(at), ""
	for i := 0; i < len(t); {
		switch c := t[i]; {
		case c == '"':
			end := closing(t, i+1)
			text := t[i+1 : min(end, len(t))]
			i = min(end+1, len(t))
			if rest := strings.TrimLeft(t[i:], " \t\r\n"); strings.HasPrefix(rest, ":") && name.MatchString(text) {
				current = text
				b.WriteString(`"` + text + `"`)
			} else {
				b.WriteString(`"` + value(text, fault != "" && current == fault) + `"`)
			}
		case strings.IndexByte("{}[]:, \t\r\n", c) >= 0:
			b.WriteByte(c)
			i++
		default:
			n := strings.IndexAny(t[i:], "{}[]:, \t\r\n\"")
			if n < 0 {
				n = len(t) - i
			}
			switch word := t[i : i+n]; word {
			case "null": // says that there is no value
				b.WriteString(word)
			default:
				b.WriteString(value(word, fault != "" && current == fault))
			}
			i += n
		}
	}
	return b.String()
}

// closing finds the quote that ends a string; the text's end if there is none.
func closing(t string, from int) int {
	for i := from; i < len(t); i++ {
		switch t[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(t)
}

var (
	tag       = regexp.MustCompile(`^</?([\pL_][\pL\pN_.:-]*)((?:\s+[\pL_][\pL\pN_.:-]*\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*/?>`)
	uri       = regexp.MustCompile(`^["'](urn:|https?://)\S*["']$`)
	attribute = regexp.MustCompile(`([\pL_][\pL\pN_.:-]*)(\s*=\s*)("[^"<]*"|'[^'<]*')`)
)

func local(n string) string {
	_, after, found := strings.Cut(n, ":")
	if found {
		return after
	}
	return n
}

// xml masks XML, also if it is cut off or not well formed: what is no tag is text.
func xml(t, at string) string {
	var b strings.Builder
	fault, current := local(last(at)), ""
	for t != "" {
		if strings.HasPrefix(t, "<!--") || strings.HasPrefix(t, "<![CDATA[") {
			end := "-->"
			if strings.HasPrefix(t, "<![") {
				end = "]]>"
			}
			_, rest, _ := strings.Cut(t, end)
			b.WriteString(hidden)
			t = rest
			continue
		}
		if strings.HasPrefix(t, "<?xml") {
			if n := strings.Index(t, "?>"); n >= 0 && n < 200 {
				b.WriteString("<?xml …?>")
				t = t[n+2:]
				continue
			}
		}
		if m := tag.FindStringSubmatch(t); m != nil {
			current = local(m[1])
			b.WriteString(strings.Replace(m[0], m[2], attributes(m[2], fault), 1))
			t = t[len(m[0]):]
			continue
		}
		n := strings.IndexByte(t[1:], '<') + 1
		if n == 0 {
			n = len(t)
		}
		text := t[:n]
		if v := strings.TrimSpace(text); v == "" {
			b.WriteString(text)
		} else {
			b.WriteString(value(v, fault != "" && current == fault))
		}
		t = t[n:]
	}
	return b.String()
}

func attributes(t, fault string) string {
	return attribute.ReplaceAllStringFunc(t, func(a string) string {
		m := attribute.FindStringSubmatch(a)
		if (m[1] == "xmlns" || strings.HasPrefix(m[1], "xmlns:")) && uri.MatchString(m[3]) {
			return a
		}
		return m[1] + m[2] + `"` + value(m[3][1:len(m[3])-1], fault != "" && local(m[1]) == fault) + `"`
	})
}
