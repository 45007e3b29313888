package csv

import (
	"regexp"
	"strconv"
	"strings"
)

// trailers are the ways in which exports end, as the first filled cell says it.
var trailers = regexp.MustCompile(`(?i)^\W*(` +
	`end\s+of\s+(report|file|data|export|extract|list|listing|results?|records?)\b.*` +
	`|(grand\s+|sub)?total(s)?(\s+(records?|rows?|contacts?|incidents?|count))?\W*\d*` +
	`|(total\s+)?(number\s+of\s+)?(records?|rows?|contacts?)\s*(count|exported|returned|written|listed)?\s*[:=]\s*\d+` +
	`|(records?|rows?)\s+count` +
	`|count\s*[:=]\s*\d+` +
	`|\d+\s+(records?|rows?|contacts?|lines?|row\(s\)|record\(s\))(\s+(affected|exported|returned|selected|written|found|listed|total|in\s+\w+))*` +
	`|(report|export|query)\s+(complete|completed|finished|generated|run)\b.*` +
	`|page\s+\d+(\s+of\s+\d+)?` +
	`|confidential\b.*|eof|trailer|\*+\s*end\b.*` +
	`)\W*$`)

// rules are lines made of ruling characters only.
var rules = regexp.MustCompile(`^[\s\-=_*#+~.]{3,}$`)

// isTrailer says whether a row is a trailer: at most three filled cells, the
// first of which says so. A row with more cells is a record, whatever it says.
func isTrailer(cells []cell, columns int) bool {
	filled, first := 0, ""
	for _, c := range cells {
		if t := strings.TrimSpace(c.text); t != "" {
			if filled == 0 {
				first = t
			}
			filled++
		}
	}
	if filled == 0 || filled > 3 || columns > 0 && columns <= 3 && filled == columns && filled > 1 {
		return false
	}
	return trailers.MatchString(first) || filled == 1 && rules.MatchString(first)
}

// declared finds the number of records that a trailer states.
var declared = regexp.MustCompile(`(?i)(\d[\d,]*)\s*(records?|rows?|contacts?)|(records?|rows?|contacts?)\W*(count|exported|returned|written)?\s*[:=,]\s*(\d[\d,]*)`)

func declaredCount(text string) (int, bool) {
	m := declared.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	digits := m[1]
	if digits == "" {
		digits = m[5]
	}
	n, err := strconv.Atoi(strings.ReplaceAll(digits, ",", ""))
	return n, err == nil
}

// isBlank says that no cell holds anything but blanks.
func isBlank(cells []cell) bool {
	for _, c := range cells {
		if strings.TrimSpace(c.text) != "" {
			return false
		}
	}
	return true
}

// shape is the form of a key: runs of letters as A, of digits as 9, all else as
// it stands. "25-100000" has the shape 9-9.
func shape(s string) string {
	var b strings.Builder
	var last rune
	for _, r := range strings.TrimSpace(s) {
		switch {
		case r >= '0' && r <= '9':
			r = '9'
		case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 0x7F:
			r = 'A'
		}
		if r != last || r != '9' && r != 'A' {
			b.WriteRune(r)
		}
		last = r
		if b.Len() > 40 {
			break
		}
	}
	return b.String()
}

// keys remembers the shapes of the first two columns of good records, by which
// the beginning of a record is told from a line of text.
type keys struct{ seen [2]map[string]bool }

const maxShapes = 64

func (k *keys) learn(cells []cell) {
	for i := range k.seen {
		if i >= len(cells) {
			return
		}
		if k.seen[i] == nil {
			k.seen[i] = map[string]bool{}
		}
		if len(k.seen[i]) < maxShapes {
			k.seen[i][shape(cells[i].text)] = true
		}
	}
}

// begins says whether a line, parsed by itself, looks like the beginning of a
// record of n columns.
func (k *keys) begins(p *parser, n int) bool {
	c := p.cells
	if len(c) < 2 {
		return false
	}
	first, second := shape(c[0].text), shape(c[1].text)
	if k.seen[0] == nil { // nothing learned yet: the number of columns must do
		return first != "" && n >= 4 && (len(c) == n || p.open() && 2*len(c) >= n)
	}
	if !k.seen[0][first] || first == "" {
		return false
	}
	if len(c) == n && n >= 3 {
		return true
	}
	if !k.seen[1][second] || second == "" || len(c) > 2*n {
		return false
	}
	// A record that goes on over the next line, one that is cut, or one with a
	// column too many.
	return p.open() && 2*len(c) >= n || strings.Contains(first+second, "9")
}
