package field

import (
	"regexp"
	"strings"
)

var (
	keyWords = regexp.MustCompile(`(?i)^(?:pending|new|temp(?:orary)?|unassigned|not\s+assigned|assign|unk(?:nown)?|none|null|n/?a|tbd|to\s+be\s+\w+|doe|test|dummy|default|x+|blank|add|create|no\s*mni|unident\w*|see\s+\w+)\W*\d*$`)
	keyForm  = regexp.MustCompile(`^[A-Za-z]{0,4}[\s._/-]*(\d+)$`)
)

// PlaceholderKey says whether a key that should tell people apart stands for
// "none": a word, zeros, nines; of bare numbers one digit again and again or the
// digits in their order too. Many people share such a key.
func PlaceholderKey(s string) bool {
	s = collapse(s)
	if Blank(s) || keyWords.MatchString(s) {
		return true
	}
	m := keyForm.FindStringSubmatch(s)
	if m == nil {
		return false
	}
	d := m[1]
	switch {
	case strings.Trim(d, "0") == "", len(d) >= 3 && strings.Trim(d, "9") == "":
		return true
	case d != s: // R123456 may well be somebody
		return false
	}
	return len(d) >= 4 && strings.Trim(d, d[:1]) == "" || len(d) >= 6 && strings.HasPrefix("1234567890", d)
}
