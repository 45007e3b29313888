package match

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// letters are those that Unicode does not take apart but people write plain.
var letters = strings.NewReplacer(
	"ø", "o", "đ", "d", "ð", "d", "ł", "l", "ı", "i", "æ", "ae", "œ", "oe", "þ", "th", "ħ", "h", "ŋ", "n",
)

// fold writes text the way names are compared: accents and case gone, and with
// keep false everything but letters and digits too; with keep true runs of
// other characters become one space.
func fold(s string, keep bool) string {
	s = norm.NFKD.String(letters.Replace(cases.Fold().String(s)))
	var b strings.Builder
	space := false
	for _, r := range s {
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			if space && b.Len() > 0 {
				b.WriteByte(' ')
			}
			space = false
			b.WriteRune(r)
		case unicode.Is(unicode.M, r), r == '\'', r == '’', r == '`', r == 'ʼ':
		case keep:
			space = true
		}
	}
	return b.String()
}

// words splits folded text.
func words(s string) []string { return strings.Fields(fold(s, true)) }

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}

// suffixes maps how generations are written to one form.
var suffixes = map[string]string{
	"jr": "jr", "junior": "jr", "ii": "2", "2nd": "2", "sr": "sr", "senior": "sr",
	"iii": "3", "3rd": "3", "iv": "4", "4th": "4", "v": "5",
}

// placeholders are words that stand for a name or value that nobody knows.
var placeholders = map[string]bool{
	"doe": true, "unknown": true, "unk": true, "unidentified": true, "none": true, "noname": true, "refused": true,
	"na": true, "baby": true, "babyboy": true, "babygirl": true, "infant": true, "anonymous": true, "test": true,
	"xx": true, "xxx": true, "xxxx": true, "nfn": true, "nln": true, "fnu": true, "lnu": true, "nolastname": true, "nofirstname": true,
	"temp": true, "null": true, "nil": true, "notprovided": true, "notknown": true, "notgiven": true,
}

// monotone says whether all characters are the same: 0000000, 999-99-9999.
func monotone(s string) bool { return s == "" || strings.Trim(s, s[:1]) == "" }

// counting says whether s counts up or down by one: 123…, 987… and the like.
func counting(s string) bool {
	return len(s) > 3 && (strings.HasPrefix("12345678901234567890", s) || strings.HasPrefix("98765432109876543210", s))
}
