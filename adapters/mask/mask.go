package mask

import (
	"bytes"
	"regexp"
	"strings"
	"unicode"
)

const hidden = "***"

// Text masks a record's text. head is the header by which a delimited row is
// read, else nil. at is the place of the fault as a reject says it: "PID-7",
// "PID-5.1", a column's name, "/Incident/Person/@id"; "" if it is not known.
func Text(head, raw []byte, at string) string {
	t := strings.ToValidUTF8(string(raw), "?")
	switch trimmed := strings.TrimLeft(t, "\ufeff \t\r\n\x0b"); {
	case len(trimmed) > 3 && isSegment(trimmed[:3]) && !isWord(trimmed[3]):
		return segments(trimmed, at)
	case strings.HasPrefix(trimmed, "<"):
		return xml(trimmed, at)
	case strings.HasPrefix(trimmed, "{"), strings.HasPrefix(trimmed, "["):
		return json(trimmed, at)
	}
	return delimited(string(bytes.TrimRight(head, "\r\n")), t, at)
}

// shape keeps the form of a value: its length up to 24 and its kinds of
// characters.
func shape(v string) string {
	var b strings.Builder
	for i, r := range []rune(v) {
		switch {
		case i >= 24:
			b.WriteString("…")
			return b.String()
		case unicode.IsDigit(r):
			b.WriteByte('9')
		case unicode.IsUpper(r):
			b.WriteByte('A')
		case unicode.IsLetter(r):
			b.WriteByte('a')
		case r < 128 && (unicode.IsPunct(r) || unicode.IsSymbol(r) || r == ' '):
			b.WriteRune(r)
		default:
			b.WriteByte('?')
		}
	}
	return b.String()
}

// value masks one value.
func value(v string, fault bool) string {
	switch {
	case strings.TrimSpace(v) == "":
		return v
	case fault:
		return shape(v)
	}
	return hidden
}

func isSegment(s string) bool {
	return s[0] >= 'A' && s[0] <= 'Z' && isWord(s[1]) && isWord(s[2])
}

func isWord(c byte) bool { return c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' }

// kept are fields of MSH that say nothing about a person.
var kept = map[int]bool{3: true, 4: true, 5: true, 6: true, 9: true, 10: true, 11: true, 12: true, 15: true, 16: true, 17: true, 18: true, 21: true}

// segments masks HL7 v2.
func segments(t, at string) string {
	seps := "|^~\\&"
	var b strings.Builder
	for len(t) > 0 {
		n := strings.IndexAny(t, "\r\n")
		line, rest := t, ""
		if n >= 0 {
			line, rest = t[:n], t[n+1:]
		}
		if len(line) > 3 && (line[:3] == "MSH" || line[:3] == "FHS" || line[:3] == "BHS") {
			field := line[3:4]
			encoding, _, _ := strings.Cut(line[4:], field)
			if len(encoding) <= 5 && !strings.ContainsFunc(encoding, unicode.IsLetter) {
				seps = field + encoding
			}
		}
		if line != "" {
			b.WriteString(segment(line, seps, at))
			b.WriteByte('\n')
		}
		t = rest
	}
	return b.String()
}

func segment(line, seps, at string) string {
	if len(line) < 3 || !isSegment(line[:3]) {
		return words(line)
	}
	name, faultName := line[:3], at
	if i := strings.IndexAny(at, ".["); i > 0 {
		faultName = at[:i]
	}
	fields := strings.Split(line, seps[:1])
	shift := 0
	if name == "MSH" || name == "FHS" || name == "BHS" {
		shift = 1 // the separator itself is field 1
	}
	for i := 1; i < len(fields); i++ {
		n := i + shift
		if shift == 1 && (n == 2 || name == "MSH" && kept[n]) {
			continue
		}
		fault := faultName == name+"-"+itoa(n)
		fields[i] = parts(fields[i], seps[1:], fault)
	}
	return strings.Join(fields, seps[:1])
}

// parts masks the components of a field and leaves its separators.
func parts(field, seps string, fault bool) string {
	var b strings.Builder
	for field != "" {
		n := strings.IndexAny(field, seps)
		if n < 0 {
			n = len(field)
		}
		if v := field[:n]; v == `""` {
			b.WriteString(v)
		} else if v != "" {
			b.WriteString(value(v, fault))
		}
		if n < len(field) {
			b.WriteByte(field[n])
			n++
		}
		field = field[n:]
	}
	return b.String()
}

// words masks every word.
func words(t string) string {
	var b strings.Builder
	for i, w := range strings.Fields(t) {
		if i > 0 {
			b.WriteByte(' ')
		}
		_ = w
		b.WriteString(hidden)
	}
	return b.String()
}

var columnName = regexp.MustCompile(`^[\pL_][\pL\pN _./#()-]{0,63}$`)

// delimited masks a row, and shows it column by column if its header is known.
func delimited(head, t, at string) string {
	by := delimiter(head, t)
	names := split(head, by)
	var b strings.Builder
	for _, line := range rows(strings.TrimRight(t, "\r\n")) {
		cells := split(line, by)
		for i, c := range cells {
			name := "column " + itoa(i+1)
			if head != "" && i < len(names) && columnName.MatchString(names[i]) {
				name = names[i]
			}
			b.WriteString(name + ": " + value(c, name == at || at == "column "+itoa(i+1)) + "\n")
		}
	}
	return b.String()
}

// delimiter guesses: the header tells best.
func delimiter(head, t string) rune {
	if head == "" {
		head = t
	}
	best, most := ',', 0
	for _, d := range "|\t;," {
		if n := strings.Count(head, string(d)); n > most {
			best, most = d, n
		}
	}
	return best
}

// rows cuts text at line ends that are not quoted.
func rows(t string) []string {
	var out []string
	quoted, start := false, 0
	for i := range len(t) {
		switch {
		case t[i] == '"':
			quoted = !quoted
		case t[i] == '\n' && !quoted:
			out, start = append(out, strings.TrimSuffix(t[start:i], "\r")), i+1
		}
	}
	return append(out, t[start:])
}

// split cuts a row at a delimiter that is not quoted.
func split(line string, by rune) []string {
	var out []string
	var b strings.Builder
	quoted := false
	for _, r := range line {
		switch {
		case r == '"':
			quoted = !quoted
		case r == by && !quoted:
			out = append(out, b.String())
			b.Reset()
		default:
			b.WriteRune(r)
		}
	}
	return append(out, b.String())
}

func itoa(n int) string {
	if n >= 10 {
		return itoa(n/10) + string(rune('0'+n%10))
	}
	return string(rune('0' + n))
}
