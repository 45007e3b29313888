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
	// probation, parole, felon, sex offender). CJIS Security Policy 4.2;
	// police.md 2.1. A word too many costs a text, a word too few a leak.
	criminal = regexp.MustCompile(`(?i)(?:` + strings.Join([]string{
		`\bS[\s.]{0,2}I[\s.]{0,2}D\b[^;\n]{0,25}?\d{4}`, `\bSID[A-Z]{0,3}-?\d{4}`, `\d{4}[A-Z]?\W{0,3}\bS\.?I\.?D\b`, `\b[A-Z]{2}[\s-]?SID\b`,
		`\bstate\s+(?:id\b|ident\w*)`, `\bCII\b\W{0,3}(?:` + numbered + `)?[A-Z]?\d{4}`,
		`\bF[\s.]{0,2}B[\s.]{0,2}I\b[\s.]*(?:` + numbered + `)?[A-Z0-9-]*\d`, `\bFBI\d`, `\bF\.?B\.?I\.?\s*(?:no\b|num|nbr|#)`, `\d[A-Z0-9]{4,}\W{0,3}\bF\.?B\.?I\b`,
		`\b(?:UCN|PCN|ATN|OTN|TCN|OBTS|OCA|NIC|DOC|inmate|booking|bkg|arrest)\s*(?:` + numbered + `)?\W{0,3}[A-Z]{0,3}-?\d{3}`,
		`\b(?:PCN|OCA|NIC|DOC|inmate|booking|bkg)\s*(?:[:#]|no\b|num|nbr|id\b)`, `\bNIC\s*/`,
		`\bN\.?C\.?I\.?C\b`, `\bNLETS\b`, `\bIII\s+(?:hit|check|record|query|shows)`, `\btriple\s+i\b`, `\brap\s*sheets?`, `\bCHRI\b`,
		`\bcrim(?:inal|\.)?\s+(?:hx|hist\w*|rec\w*|background|past)`, `\b(?:arrest|offen[cs]e|conviction)\s+(?:hx|history|record)`, `\b(?:hx|history)\s+of\s+(?:\w+\s+)?(?:arrest|convict|incarcerat|felon)\w*`,
		`\b(?:prior|previous|past)\s+(?:arrests?|convict\w*|felon\w*|bookings?|incarcerat\w*|offen[cs]es?)`, `\b(?:has|no|with|multiple|several|\d+)\s+priors\b`, `\bpriors\s+for\b`,
		`\bconvict(?:s|ed|ions?)?\b`, `\bfelon(?:s|y|ies|ious)?\b`, `\bwarrants?\b`, `\bprobation\w*`, `\bparol\w*`, `\bex-?(?:con|offender|inmate|prisoner)\b`,
		`\bsex(?:ual)?\s+offen\w*`, `\bregistered\s+offender`, `\bRSO\b`, `\breleased\s+from\s+(?:prison|jail|DOC)`, `\bwanted\s+person`,
	}, "|") + `)`)
)

// numbered is what may stand between the name of a number and the number.
const numbered = `(?:no\.?|num(?:ber)?\.?|nbr\.?|id|#)?\s*[:#=-]?\s*`

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

var rso = regexp.MustCompile(`(?i)\brso\b`)

// hints are parts of words, without spaces and marks, without which criminal
// cannot match: most texts have none, and looking for them is much cheaper than
// the pattern.
var hints = [...]string{"sid", "stateid", "cii", "fbi", "ucn", "ncic", "nlet", "iii", "triple", "rap", "chri", "crim", "arrest", "convict", "felon", "booking", "bkg", "warrant", "probation", "parol", "offen", "pcn", "oca", "nic", "atn", "otn", "tcn", "obts", "doc", "inmate", "priors", "prisoner", "excon", "releasedfrom", "wanted", "incarcerat"}

func hinted(s string) bool {
	var buf [128]byte
	lower := buf[:0]
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'A' && c <= 'Z':
			lower = append(lower, c+'a'-'A')
		case c >= 'a' && c <= 'z', c >= utf8.RuneSelf:
			lower = append(lower, c)
		}
	}
	if strings.Contains(s, "RSO") || bytes.Contains(lower, []byte("rso")) && rso.MatchString(s) { // mostly it is a part of "person"
		return true
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
	switch strings.ToUpper(strings.Trim(collapse(s), " .,-*/_")) {
	case "", "N/A", "NA", "NONE", "UNK", "UNKNOWN", "NULL", "NIL", "REFUSED", "NOT GIVEN", "NOT PROVIDED", "TBD", "X", "XX", "XXX", "XXXX", "?":
		return true
	}
	return strings.Trim(s, "?. -") == ""
}
