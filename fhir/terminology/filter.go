package terminology

import (
	"slices"
	"strings"
)

// A filter says in one pass whether a text can hold anything that the rules for
// texts look for. It looks at windows of five bytes and skips by the three
// bytes at a window's end (Wu and Manber 1994).
type filter struct {
	shift   [classes * classes * classes]uint8
	chains  [1 << 12]uint16 // by hash of the window: number of an anchor + 1
	anchors []anchor
	letters [classes]bool // first letters of the ICD-10 codes of the sets
}

// An anchor is a word that has to stand in a text for a phrase to match.
type anchor struct {
	word  string // lower case
	at    int    // where it starts in the window
	open  bool   // letters may follow
	upper bool   // counts in capitals only
	what  Mention
	next  uint16 // of the same hash: number + 1
}

// A Mention says what bytes may hold.
type Mention uint8

// The kinds of mentions.
const (
	MentionText   Mention = 1 << iota // a word or a code of a set
	MentionNotice                     // a word of the notices of 42 CFR 2.32
)

const (
	window  = 5
	classes = 32
	digit   = 26
	dot     = 27
	hyphen  = 28
	other   = 31
)

// class folds a byte: a letter by itself, digits as one.
var class = func() (c [256]uint8) {
	for i := range c {
		switch b := byte(i); {
		case b >= 'a' && b <= 'z':
			c[i] = b - 'a'
		case b >= 'A' && b <= 'Z':
			c[i] = b - 'A'
		case b >= '0' && b <= '9':
			c[i] = digit
		case b == '.':
			c[i] = dot
		case b == '-':
			c[i] = hyphen
		default:
			c[i] = other
		}
	}
	return c
}()

// frequent are words that stand in ordinary texts as well: poor anchors.
var frequent = strings.Fields("disorder disorders problem related condition diagnosis history induced program health positive " +
	"treatment therapy maintenance symptoms episode admission acute withdrawal related defining type user")

// compile builds the filter of the phrases and codes read so far.
func (x *wordIndex) compile(t *Table) {
	f := &x.filter
	for i := range f.shift {
		f.shift[i] = window - 2
	}
	for _, bucket := range x.byFirst {
		for i := range bucket {
			if p := &bucket[i]; !p.except {
				w := rarest(p.words)
				f.add(anchor{word: strings.TrimSuffix(w, "*"), open: strings.HasSuffix(w, "*"), what: MentionText})
			}
		}
	}
	for _, w := range [...]string{"prohibit", "federal", "redisclos", "protected"} {
		f.add(anchor{word: w, open: true, what: MentionNotice})
	}
	for _, w := range announcements {
		f.add(anchor{word: w, open: true, upper: w == "icd", what: MentionText})
	}
	for _, list := range [...][]entry{t.entries, t.patterns} {
		for _, e := range list {
			if e.system == ICD10CM || e.system == ICD10 {
				f.letters[class[t.text(e)[0]]] = true
			}
		}
	}
	f.codes()
}

// rarest returns the longest word of a phrase that is not frequent.
func rarest(words []string) string {
	best := ""
	for _, w := range words {
		if len(w) > len(best) && !slices.Contains(frequent, w) {
			best = w
		}
	}
	return best
}

// add lets the filter stop at a word. A short one takes what may stand around
// it into its window: a separator, or the letter of an escape such as \n.
func (f *filter) add(a anchor) {
	w := make([]uint8, 0, window)
	for i := range min(len(a.word), window) {
		w = append(w, class[a.word[i]])
	}
	if len(w) == window {
		f.put(a, w)
		return
	}
	a.at = 1
	for _, before := range [...]uint8{other, dot, hyphen, class['n'], class['t'], class['r']} {
		short := append([]uint8{before}, w...)
		if len(short) == window {
			f.put(a, short)
			continue
		}
		for _, after := range [...]uint8{other, dot, hyphen, digit} { // "ICD10"
			f.put(a, append(slices.Clone(short), after))
		}
	}
}

func (f *filter) put(a anchor, w []uint8) {
	f.pass(w)
	h := hashWindow(w[0], w[1], w[2], w[3], w[4])
	a.next = f.chains[h]
	f.anchors = append(f.anchors, a)
	f.chains[h] = uint16(len(f.anchors))
}

// pass shortens the skips so that no window of this form is jumped over.
func (f *filter) pass(w []uint8) {
	for i := range window - 2 {
		k := triple(w[i], w[i+1], w[i+2])
		f.shift[k] = min(f.shift[k], uint8(window-3-i))
	}
}

// codes lets the filter stop at whatever has the form of an ICD-10 code: with
// its dot, or of five characters without.
func (f *filter) codes() {
	a, x := class['a'], class['x']
	for l := range uint8(digit) {
		if !f.letters[l] {
			continue
		}
		for _, third := range [...]uint8{digit, a} {
			for _, fourth := range [...]uint8{dot, digit, a} {
				for _, fifth := range [...]uint8{digit, a, x} {
					f.pass([]uint8{l, digit, third, fourth, fifth})
				}
			}
		}
	}
}

func triple(a, b, c uint8) int { return (int(a&31)*classes+int(b&31))*classes + int(c&31) }

func hashWindow(a, b, c, d, e uint8) uint32 {
	return (uint32(a)<<8 ^ uint32(b)<<6 ^ uint32(c)<<4 ^ uint32(d)<<2 ^ uint32(e)) * 0x9E3779B1 >> 20
}

// Mentions says what a text, as it stands in JSON, may hold; it is quick and
// does not allocate. What it does not name is not there, unless it is spelled
// with escapes, entities or markup: the caller looks for those.
func (t *Table) Mentions(raw []byte) (found Mention) {
	f := &t.words.filter
	// Of the three blocks of a window one ends at a multiple of three: a block
	// that is in no window clears three places at once, and no step waits for
	// the one before it.
	const step = window - 2
	for i := 2; i < len(raw); i += step {
		s := f.shift[triple(class[raw[i-2]], class[raw[i-1]], class[raw[i]])]
		if s >= step {
			continue
		}
		for at := max(i+int(s), window-1); at < min(i+step, len(raw)); at++ {
			if f.shift[triple(class[raw[at-2]], class[raw[at-1]], class[raw[at]])] == 0 {
				found |= t.mentionedAt(raw, at, found)
			}
		}
	}
	return found
}

// mentionedAt says what the window that ends at i holds, beyond what was found.
func (t *Table) mentionedAt(raw []byte, i int, found Mention) Mention {
	f, start := &t.words.filter, i-window+1
	c0, c1 := class[raw[start]], class[raw[start+1]]
	if c1 == digit {
		if c0 < digit && f.letters[c0] && t.namesCode(raw, start) {
			return MentionText
		}
		return 0
	}
	var more Mention
	h := hashWindow(c0, c1, class[raw[start+2]], class[raw[start+3]], class[raw[i]])
	for n := f.chains[h]; n > 0; n = f.anchors[n-1].next {
		if a := &f.anchors[n-1]; (found|more)&a.what == 0 && a.stands(raw, start) {
			more |= a.what
		}
	}
	return more
}

// stands says whether the anchor stands in raw in the window at start.
func (a *anchor) stands(raw []byte, start int) bool {
	p := start + a.at
	end := p + len(a.word)
	if end > len(raw) || !foldEqualBytes(raw[p:end], a.word) || !a.open && end < len(raw) && isWord(raw[end]) {
		return false
	}
	if a.upper && raw[p] >= 'a' {
		return false
	}
	return wordStart(raw, p)
}

// wordStart says whether a word may start at i: what stands before is no letter
// or digit, or is an escape of JSON such as \n or \u2022.
func wordStart(raw []byte, i int) bool {
	return i == 0 || !isWord(raw[i-1]) || i >= 2 && raw[i-2] == '\\' || i >= 6 && raw[i-6] == '\\' && raw[i-5] == 'u'
}

// namesCode says whether a code of a set stands in raw at i.
func (t *Table) namesCode(raw []byte, i int) bool {
	end, long := codeEnd(raw, i)
	if !long || !wordStart(raw, i) {
		return false
	}
	var buf [8]Hit
	return len(t.Lookup(buf[:0], ICD10CM, raw[i:end])) > 0
}

// codeEnd returns where the ICD-10 code at i ends, and whether it is long
// enough to be told from a part number: with its dot, or five characters. end is
// i if no code stands there.
func codeEnd(b []byte, i int) (end int, long bool) {
	if i+3 > len(b) || !isLetter(b[i]) || !isDigit(b[i+1]) || !digitOr(b[i+2], 'a') {
		return i, false
	}
	end = i + 3
	dotted := end+1 < len(b) && b[end] == '.' && digitOr(b[end+1], 'a')
	if dotted {
		end++
	}
	from := end
	for end < len(b) && isWord(b[end]) {
		end++
	}
	switch n := end - from; {
	case n > 4, dotted && n > 1 && !isDigit(b[from]) && !isDigit(b[from+1]):
		return i, false
	case !dotted && n > 0 && !digitOr(b[from], 'a'), !dotted && n > 1 && !digitOr(b[from+1], 'a') && !digitOr(b[from+1], 'x'):
		return i, false
	default:
		return end, dotted || n >= 2
	}
}

// digitOr says whether c is a digit or the letter, which ICD-10-CM has in some
// places: F32.A, O9A.3, T74.A1, X71.0XXA.
func digitOr(c, letter byte) bool { return isDigit(c) || c|0x20 == letter }

func isLetter(c byte) bool { c |= 0x20; return c >= 'a' && c <= 'z' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// TextCodes calls found for every ICD-10 code that stands in text as a word and
// is in a set: dotted, or undotted if it has five characters or is announced
// ("ICD-10 F20", "Dx: F20", "Diagnosis: F20"). It does not allocate.
func (t *Table) TextCodes(text []byte, found func(code []byte, set *Set)) {
	for i := 0; i < len(text); {
		if !isWord(text[i]) {
			i++
			continue
		}
		end, long := codeEnd(text, i)
		if end > i && (long || announced(text[:i])) {
			var buf [8]Hit
			for _, h := range t.Lookup(buf[:0], ICD10CM, text[i:end]) {
				found(text[i:end], h.Set)
			}
			i = end
			continue
		}
		for i < len(text) && isWord(text[i]) {
			i++
		}
	}
}

// announcements say that a code comes: it then counts whatever its length.
// "icd" counts in capitals only: in small letters it stands in every URI.
var announcements = [...]string{"icd", "dx: ", "diagnosis:", "diagnoses:"}

// announced says whether the last bytes before a code say that one comes.
func announced(before []byte) bool {
	before = before[max(0, len(before)-24):]
	for i := range before {
		if i > 0 && isWord(before[i-1]) {
			continue
		}
		for _, w := range announcements {
			if len(before)-i < len(w) || !foldEqualBytes(before[i:i+len(w)], w) {
				continue
			}
			after := before[i+len(w):]
			if w != "icd" || before[i] == 'I' && (len(after) == 0 || !isLetter(after[0])) { // "ICDA" is another word
				return true
			}
		}
	}
	return false
}
