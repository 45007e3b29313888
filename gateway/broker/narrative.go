package broker

import "strings"

// narrative changes where links and images of an XHTML narrative lead.
func (w *rewriter) narrative(s string) string {
	var out strings.Builder
	for {
		start, end, ok := linkValue(s)
		if !ok {
			out.WriteString(s)
			return out.String()
		}
		out.WriteString(s[:start])
		out.WriteString(w.link(s[start:end]))
		s = s[end:]
	}
}

// link gives what stands for a link in a narrative. One that leads elsewhere on
// the web, such as to a leaflet, is text that a person wrote, and stays; one
// that leads to the system is followed here or nowhere.
func (w *rewriter) link(target string) string {
	if ref, ok := w.reference(target); ok {
		return ref
	}
	_, own := w.cut(target)
	lower := strings.ToLower(target)
	for _, b := range w.bases {
		own = own || strings.HasPrefix(lower, strings.ToLower(strings.TrimRight(b, "/")))
	}
	if own || !(strings.Contains(target, ":") || strings.HasPrefix(target, "#")) {
		return "#"
	}
	return target
}

// linkValue finds the value of the next href or src attribute.
func linkValue(s string) (start, end int, ok bool) {
	for at := 0; ; {
		h, c := strings.Index(s[at:], "href"), strings.Index(s[at:], "src")
		var after int
		switch {
		case h < 0 && c < 0:
			return 0, 0, false
		case c < 0 || (h >= 0 && h < c):
			after = at + h + len("href")
		default:
			after = at + c + len("src")
		}
		rest := strings.TrimLeft(s[after:], " \t\r\n")
		if strings.HasPrefix(rest, "=") {
			rest = strings.TrimLeft(rest[1:], " \t\r\n")
			if rest != "" && (rest[0] == '"' || rest[0] == '\'') {
				start = len(s) - len(rest) + 1
				if n := strings.IndexByte(s[start:], rest[0]); n >= 0 {
					return start, start + n, true
				}
			}
		}
		at = after
	}
}
