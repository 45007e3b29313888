package field

import (
	"bytes"
	"html"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/unicode/norm"
)

// A Text is a field's text, made fit for output.
type Text struct {
	Value    string
	Findings []Finding
}

// MaxText is the longest text in bytes that Clean lets through; free text is cut.
const MaxText = 64 << 10

// Clean trims and repairs text that is to be shown or coded: control characters
// go, HTML entities and doubly encoded UTF-8 are undone, white space collapses,
// Unicode is composed. Spreadsheet formulas, RTF and text about somebody's
// criminal history give no value at all.
func Clean(s string) Text {
	var t Text
	s = strings.TrimSpace(s)
	if s == "" {
		return t
	}
	if len(s) > MaxText {
		s = strings.ToValidUTF8(s[:MaxText], "")
		t.note(Warning, "text-too-long", "the text was cut at 64 KiB")
	}
	if plain(s) {
		t.Value = s
		t.guard()
		return t
	}
	s = t.unwrap(s)
	if strings.HasPrefix(s, `{\rtf`) {
		t.note(Warning, "text-rtf", "the text is RTF and was not used")
		return t
	}
	s = t.repair(s)
	t.Value = collapse(s)
	t.guard()
	return t
}

// plain says that s needs no repair: printable ASCII, no markup, no doubles.
func plain(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c >= 0x7f || c == '&' || c == '{' || c == '=' || (c == '?' && i > 0 && s[i-1] == '?') || (c == ' ' && s[i-1] == ' ') {
			return false
		}
	}
	return true
}

func (t *Text) note(level Level, code, message string) {
	t.Findings = append(t.Findings, Finding{code, message, level})
}

// unwrap undoes ="00501", a spreadsheet's way to keep leading zeros.
func (t *Text) unwrap(s string) string {
	if inner, ok := strings.CutPrefix(s, `="`); ok {
		if inner, ok = strings.CutSuffix(inner, `"`); ok && !strings.ContainsAny(inner, `"(`) {
			return strings.TrimSpace(inner)
		}
	}
	return s
}

func (t *Text) repair(s string) string {
	if strings.ContainsRune(s, '&') {
		if u := html.UnescapeString(s); u != s {
			s = u
			t.note(Note, "text-html-entities", "HTML entities were decoded")
		}
	}
	if u, ok := undouble(s); ok {
		s = u
		t.note(Warning, "text-mojibake", "text that had been encoded twice was decoded")
	} else if strings.Contains(s, "Ã") || strings.Contains(s, "â€") {
		t.note(Warning, "text-mojibake", "the text looks as if it had been encoded twice and could not be decoded")
	}
	if strings.ContainsRune(s, utf8.RuneError) || strings.Contains(s, "??") {
		t.note(Warning, "text-characters-lost", "characters had been lost before the text reached us")
	}
	clean := strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t' || unicode.Is(unicode.Zs, r):
			return ' '
		case unicode.IsControl(r), unicode.In(r, unicode.Cf, unicode.Co, unicode.Cs):
			return -1 // control, format (bidi overrides, zero width) and private use
		}
		return r
	}, s)
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' }) {
		t.note(Note, "text-control-characters", "control characters were removed")
	}
	return norm.NFC.String(clean)
}

func collapse(s string) string { return strings.Join(strings.Fields(s), " ") }

// undouble undoes UTF-8 read as Windows-1252 and encoded again ("MuÃ±oz"). ok
// only if every character fits and the result is valid and shorter.
func undouble(s string) (string, bool) {
	if !strings.ContainsAny(s, "ÃÂâÅÄ") {
		return s, false
	}
	b := make([]byte, 0, len(s))
	for _, r := range s {
		c, ok := charmap.Windows1252.EncodeRune(r)
		if !ok {
			if r >= 0x80 && r <= 0x9f { // undefined bytes come through as C1
				c = byte(r)
			} else {
				return s, false
			}
		}
		b = append(b, c)
	}
	if !utf8.Valid(b) || len(b) >= len(s) {
		return s, false
	}
	return string(b), true
}

var (
	formula = regexp.MustCompile(`^[=@][\s+\-]*[A-Za-z(+\-@"']|^[+\-][\s]*[A-Za-z][\w.]*\s*[(|!]|^[=+\-@].*(?i:cmd\||HYPERLINK|DDE|IMPORT|WEBSERVICE)`)
	// criminal history, by the words that introduce it: identifiers (SID, FBI
	// number, booking, PCN), files (NCIC, III, rap sheet), status (warrant,
	// probation, parole, sex offender). CJIS Security Policy 4.2; police.md 2.1.
	criminal = regexp.MustCompile(`(?i)\b(?:S\.?I\.?D\.?\s*(?:no\.?|num(?:ber)?|nbr|id)?\s*[:#=]?\s*[A-Z]{0,3}[-\s]?\d{4,}|(?:FBI|UCN)\s*(?:no\.?|num(?:ber)?|nbr|id)?\s*[:#=]?\s*[A-Z0-9-]*\d[A-Z0-9-]*|FBI\s*(?:no\b|num|nbr|#)|NCIC|NLETS|III\s+(?:hit|check|record|query)|triple\s+i\b|rap\s*sheets?|CHRI|criminal\s+(?:history|record)|(?:prior|previous|past)\s+(?:arrests?|convictions?|felon(?:y|ies)|bookings?)|convicted|conviction|(?:active|outstanding|open|arrest|bench|felony|misdemeanou?r|no)?\s*warrants?\b|on\s+(?:probation|parole)|parolee|probationer|(?:violent\s+)?sex(?:ual)?\s+offender|registered\s+offender|booking\s*(?:no\.?|num(?:ber)?|#|id)|PCN\s*[:#]|OCA\s*[:#]|NIC\s*[:#/])`)
)

// guard drops what may not go on.
func (t *Text) guard() {
	switch {
	case t.Value == "":
	case Formula(t.Value):
		t.Value = ""
		t.note(Warning, "spreadsheet-formula", "the text is a spreadsheet formula and was quarantined")
	case CriminalHistory(t.Value):
		t.Value = ""
		t.note(Warning, "criminal-history-in-text", "the text speaks of criminal history and was withheld")
	}
}

// CriminalHistory says whether text names a criminal-history identifier, file
// or status.
func CriminalHistory(s string) bool {
	if !isASCII(s) {
		s = norm.NFKC.String(s) // full-width and other compatibility letters
	}
	return hinted(s) && criminal.MatchString(s)
}

// Formula says whether text is a spreadsheet formula.
func Formula(s string) bool {
	return s != "" && strings.IndexByte("=@+-", s[0]) >= 0 && formula.MatchString(s)
}

// hints are parts of words without which criminal cannot match: most texts have
// none, and looking for them is much cheaper than the pattern.
var hints = [...]string{"sid", "s.i", "fbi", "ucn", "ncic", "nlet", "iii", "triple", "rap", "chri", "crim", "arrest", "convict", "felon", "booking", "warrant", "probation", "parole", "offender", "pcn", "oca", "nic"}

func hinted(s string) bool {
	var buf [128]byte
	lower := buf[:0]
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower = append(lower, c)
	}
	for _, h := range hints {
		if bytes.Contains(lower, []byte(h)) {
			return true
		}
	}
	return false
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Blank says that a field was filled in with nothing: "N/A", "UNK", "-".
func Blank(s string) bool {
	switch strings.ToUpper(strings.Trim(collapse(s), " .-*/_")) {
	case "", "N/A", "NA", "NONE", "UNK", "UNKNOWN", "NULL", "NIL", "REFUSED", "NOT GIVEN", "NOT PROVIDED", "TBD", "X", "XX", "XXX", "XXXX", "?":
		return true
	}
	return strings.Trim(s, "?. -") == ""
}
