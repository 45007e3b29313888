package search

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// letters that NFKD does not take apart.
var letters = map[rune]string{
	'ß': "ss", 'ẞ': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'đ': "d", 'ð': "d", 'ħ': "h",
	'ı': "i", 'ł': "l", 'ŧ': "t", 'þ': "th",
}

// fold brings a string to the form in which strings are compared: see the
// package's documentation.
func fold(s string) string {
	if ascii(s) {
		return foldASCII(s)
	}
	var b strings.Builder
	b.Grow(len(s))
	space := false
	for _, r := range norm.NFKD.String(s) {
		r = unicode.ToLower(r)
		switch {
		case unicode.IsLetter(r) || unicode.IsNumber(r):
			if space && b.Len() > 0 {
				b.WriteByte(' ')
			}
			space = false
			if l, ok := letters[r]; ok {
				b.WriteString(l)
			} else {
				b.WriteRune(r)
			}
		case unicode.Is(unicode.M, r) || dropped(r):
		default:
			space = true
		}
	}
	return b.String()
}

// dropped are marks inside a word.
func dropped(r rune) bool {
	switch r {
	case '\'', '.', '`', '´', '’', '‘', 'ʼ', 'ʻ', '′':
		return true
	}
	return false
}

func foldASCII(s string) string {
	b := make([]byte, 0, len(s))
	space := false
	for i := range len(s) {
		c := s[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case c == '\'', c == '.', c == '`':
			continue
		default:
			space = true
			continue
		}
		if space && len(b) > 0 {
			b = append(b, ' ')
		}
		space = false
		b = append(b, c)
	}
	return string(b)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// contact brings a ContactPoint's value to the form in which it is compared.
func contact(s string) string {
	if strings.Contains(s, "@") {
		return strings.ToLower(strings.TrimSpace(s))
	}
	b := make([]byte, 0, len(s))
	letter := false
	for _, r := range strings.ToLower(s) {
		if unicode.IsLetter(r) || unicode.IsNumber(r) {
			letter = letter || unicode.IsLetter(r)
			b = utf8.AppendRune(b, r)
		}
	}
	if !letter && len(b) == 11 && b[0] == '1' {
		b = b[1:]
	}
	return string(b)
}

// maxEntry is the length in bytes from which an entry's value is cut.
const maxEntry = 200

// cut returns the place at or before n where s can be cut between runes.
func cut(s string, n int) int {
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return n
}
