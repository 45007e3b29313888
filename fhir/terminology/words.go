package terminology

import (
	"fmt"
	"strings"
)

// A phrase is a line of a set of words, taken apart.
type phrase struct {
	words  []string // lower case; the last may end in "*"
	text   string
	set    uint16
	except bool // what it matches is not what it seems
}

// A wordIndex finds phrases in texts and, quickly, whether a text can hold any.
type wordIndex struct {
	byFirst [26][]phrase // by the first letter of the first word; exceptions and longer ones first
	filter  filter
}

// add takes one line of a set of words.
func (x *wordIndex) add(row string, set int) error {
	p := phrase{text: row, set: uint16(set)}
	if rest, ok := strings.CutPrefix(row, "! "); ok {
		p.except, p.text = true, rest
	}
	p.words = strings.Fields(p.text)
	for i, w := range p.words {
		stem := strings.TrimSuffix(w, "*")
		if stem != w && i+1 < len(p.words) || strings.ToLower(w) != w || stem == "" || stem[0] < 'a' || stem[0] > 'z' || strings.ContainsFunc(stem, func(c rune) bool { return c > 'z' || !isWord(byte(c)) }) {
			return fmt.Errorf("phrase %q: want lower-case words of letters and digits, * only at the end", row)
		}
	}
	if len(p.words) == 0 || !p.except && len(rarest(p.words)) < 3 {
		return fmt.Errorf("phrase %q has no word of three letters that is not frequent", row)
	}
	bucket := &x.byFirst[p.words[0][0]-'a']
	at := 0
	for at < len(*bucket) && before((*bucket)[at], p) {
		at++
	}
	*bucket = append((*bucket)[:at], append([]phrase{p}, (*bucket)[at:]...)...)
	return nil
}

// before says whether a has to be tried before b.
func before(a, b phrase) bool {
	if a.except != b.except {
		return a.except
	}
	return len(a.words) >= len(b.words)
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// Words calls found for every phrase that text names, with the set that holds
// it and the phrase as the set has it; services says whether text names who
// gives a service. It does not allocate.
func (t *Table) Words(text []byte, services bool, found func(set *Set, phrase string)) {
	for i := 0; i < len(text); {
		if !isWord(text[i]) {
			i++
			continue
		}
		end := 0
		if c := text[i] | 0x20; c >= 'a' && c <= 'z' {
			bucket := t.words.byFirst[c-'a']
			for k := range bucket {
				p := &bucket[k]
				if s := &t.sets[p.set]; s.Services && !services {
					continue
				} else if n := p.match(text[i:]); n > 0 {
					if p.except {
						end = i + n
						break
					}
					found(s, p.text)
				}
			}
		}
		if end > 0 {
			i = end
			continue
		}
		for i < len(text) && isWord(text[i]) {
			i++
		}
	}
}

// match returns how many bytes of text, which starts at a word, the phrase
// takes; 0: it does not match.
func (p *phrase) match(text []byte) int {
	i := 0
	for k, w := range p.words {
		if k > 0 {
			n := gap(text[i:])
			if n == 0 {
				return 0
			}
			i += n
		}
		stem := strings.TrimSuffix(w, "*")
		if len(text)-i < len(stem) || !foldEqualBytes(text[i:i+len(stem)], stem) {
			return 0
		}
		i += len(stem)
		if stem != w {
			for i < len(text) && isWord(text[i]) {
				i++
			}
		} else if i < len(text) && isWord(text[i]) {
			return 0
		}
	}
	return i
}

// gap returns the length of what may stand between two words of a phrase.
func gap(text []byte) int {
	n := 0
	for n < len(text) && n < 12 {
		switch c := text[n]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '-' || c == '/' || c == '_':
			n++
		case c == 0xC2 && n+1 < len(text) && text[n+1] == 0xA0: // no-break space
			n += 2
		case c == 0xE2 && n+2 < len(text) && text[n+1] == 0x80 && text[n+2] >= 0x90 && text[n+2] <= 0x95: // dashes
			n += 3
		default:
			return n
		}
	}
	return n
}

// foldEqualBytes compares with a lower-case word of letters and digits.
func foldEqualBytes(b []byte, lower string) bool {
	for i := range b {
		c := b[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
