package terminology

import "bytes"

// Version names the content of the value sets and of the rules that read them.
// A test compares it with a hash of the embedded data, so that labels computed
// from other data are recognisable as such.
const Version = "2017c2s+gaps3.e31bfe1f"

// A Set is one value set: codes of one system that imply one sensitivity.
type Set struct {
	Sensitivity string // v3-ActCode: SUD, PSY, HIV, SEX …
	System      System
	ID          string // VSAC OID, or "handoff:…" for a set of the project's own
	Version     string
	Name        string
	Source      string // where the codes come from: repository and commit, or publication
	Licence     string
	Codes       int    // how many, or how many phrases
	Words       bool   // a set of words, not of codes; System is Unknown
	Services    bool   // words that count in the name of a service only
	Hash        string // of the codes as they stand, "sha256:" and 16 hex digits
}

// A Hit says that a code is in a set.
type Hit struct{ Set *Set }

// A Table finds the sets that hold a code. It is immutable after Load and safe
// for concurrent use.
type Table struct {
	sets     []Set
	entries  []entry
	patterns []entry // codes with wildcards: few
	blob     string  // the texts that entries point into
	words    wordIndex
	version  string
	index    []uint16 // open addressing: entry number + 1, 0 is free
}

type entry struct {
	off    uint32
	len    uint8
	system System
	set    uint16
}

// maxCode is the longest code in the sets; a longer one is in none.
const maxCode = 24

const indexSize = 1 << 14 // power of two, over twice the number of codes

func (t *Table) text(e entry) string { return t.blob[e.off : int(e.off)+int(e.len)] }

func (t *Table) insert(e entry) {
	t.entries = append(t.entries, e)
	i := hash(e.system, t.text(e)) & (indexSize - 1)
	for t.index[i] != 0 {
		i = (i + 1) & (indexSize - 1)
	}
	t.index[i] = uint16(len(t.entries))
}

// hash is FNV-1a over the system and the code.
func hash[T string | []byte](s System, code T) uint32 {
	h := (uint32(2166136261) ^ uint32(s)) * 16777619
	for i := range len(code) {
		h = (h ^ uint32(code[i])) * 16777619
	}
	return h ^ h>>15
}

// Lookup appends to dst the sets that hold code of system and returns dst; it
// allocates only if dst is too small (8 is enough). ICD codes may be dotted or
// not and in either case; an ICD-10 code is in the sets of the codes above it.
// A code of another system counts as it is written, but for case and spaces
// around it.
func (t *Table) Lookup(dst []Hit, system System, code []byte) []Hit {
	var buf [maxCode]byte
	switch system {
	case Unknown:
	case ICD10CM, ICD10:
		c := undot(buf[:0], code)
		for n := len(c); n >= 3; n-- {
			dst = t.find(dst, ICD10CM, c[:n])
			if system == ICD10 {
				dst = t.find(dst, ICD10, c[:n])
			}
		}
		return t.match(dst, c)
	case ICD9CM:
		return t.find(dst, ICD9CM, undot(buf[:0], code))
	default:
		if code = bytes.TrimSpace(code); len(code) <= maxCode {
			dst = t.find(dst, system, code)
			if up := upper(buf[:0], code); len(dst) == 0 && !bytes.Equal(up, code) {
				dst = t.find(dst, system, up)
			}
		}
	}
	return dst
}

// match looks through the patterns of ICD-10-CM: "T36??2" is every code that
// has these characters in these places, whatever follows.
func (t *Table) match(dst []Hit, code []byte) []Hit {
	for _, e := range t.patterns {
		if p := t.text(e); len(code) >= len(p) && matches(p, code) {
			dst = append(dst, Hit{&t.sets[e.set]})
		}
	}
	return dst
}

func matches(pattern string, code []byte) bool {
	for i := range len(pattern) {
		if pattern[i] != wildcard && pattern[i] != code[i] {
			return false
		}
	}
	return true
}

const wildcard = '?'

// upper appends the code in upper case.
func upper(dst, code []byte) []byte {
	for _, c := range code {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// LookupString is Lookup with any spelling of the system's URI.
func (t *Table) LookupString(system, code string) []Hit {
	return t.Lookup(nil, SystemOf(system), []byte(code))
}

func (t *Table) find(dst []Hit, system System, code []byte) []Hit {
	for i := hash(system, code) & (indexSize - 1); t.index[i] != 0; i = (i + 1) & (indexSize - 1) {
		e := t.entries[t.index[i]-1]
		if e.system == system && t.text(e) == string(code) {
			dst = append(dst, Hit{&t.sets[e.set]})
		}
	}
	return dst
}

// undot appends the code without dots and spaces in upper case; a code that is
// too long to be one gives nothing. What follows a range's dash or a modifier
// sign (ICD-10 WHO dagger and asterisk) is left out.
func undot(dst, code []byte) []byte {
	for _, c := range code {
		switch {
		case c == '.' || c == ' ':
			continue
		case c >= 'a' && c <= 'z':
			c -= 'a' - 'A'
		case c >= 'A' && c <= 'Z' || c >= '0' && c <= '9':
		default:
			return dst
		}
		if len(dst) == maxCode {
			return dst[:0]
		}
		dst = append(dst, c)
	}
	return dst
}

// Sets returns the value sets, for reports and documentation.
func (t *Table) Sets() []Set { return t.sets }

// Set returns the value set with this id and sensitivity; nil if there is none.
// One id may stand for codes of several systems: the first is returned.
func (t *Table) Set(id string) *Set {
	for i := range t.sets {
		if t.sets[i].ID == id {
			return &t.sets[i]
		}
	}
	return nil
}

// Version names the data and the rules that the table answers by.
func (t *Table) Version() string { return t.version }

// Len returns the number of codes.
func (t *Table) Len() int { return len(t.entries) }
