package terminology

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed data/c2s.txt
var c2sData string

//go:embed data/gaps.txt
var gapsData string

// Version names the content of the value sets and of the rules that read them.
// A test compares it with a hash of the embedded data, so that labels computed
// from other data are recognisable as such.
const Version = "2017c2s+gaps1.bdd57620"

// A Set is one value set: codes of one system that imply one sensitivity.
type Set struct {
	Sensitivity string // v3-ActCode: SUD, PSY, HIV, SEX
	System      System
	ID          string // VSAC OID, or "handoff:…" for a set of the project's own
	Version     string
	Name        string
}

// A Hit says that a code is in a set.
type Hit struct{ Set *Set }

// A Table finds the sets that hold a code. It is immutable after Load and safe
// for concurrent use.
type Table struct {
	sets    []Set
	entries []entry
	blob    string   // the embedded text that entries point into
	gaps    string   // the second text; offsets from len(blob) on
	index   []uint16 // open addressing: entry number + 1, 0 is free
}

type entry struct {
	off    uint32
	len    uint8
	system System
	set    uint16
}

// maxCode is the longest code in the sets; a longer one is in none.
const maxCode = 18

const indexSize = 1 << 14 // power of two, over twice the number of codes

// Load builds the table from the embedded value sets. It takes well under a
// millisecond; callers keep the result. An error means that the embedded data
// are damaged.
func Load() (*Table, error) {
	t := &Table{blob: c2sData, gaps: gapsData, index: make([]uint16, indexSize), entries: make([]entry, 0, 6144), sets: make([]Set, 0, 80)}
	for _, f := range []struct {
		name, text string
		base       int
	}{{"data/c2s.txt", c2sData, 0}, {"data/gaps.txt", gapsData, len(c2sData)}} {
		if err := t.read(f.name, f.text, f.base); err != nil {
			return nil, err
		}
	}
	return t, nil
}

var shortNames = map[string]System{
	"icd-10-cm": ICD10CM, "icd-9-cm": ICD9CM, "snomed": SNOMEDCT, "loinc": LOINC, "rxnorm": RxNorm, "hcpcs": HCPCS,
}

func (t *Table) read(name, text string, base int) error {
	line, off := 0, 0
	for off < len(text) {
		line++
		end := strings.IndexByte(text[off:], '\n')
		if end < 0 {
			end = len(text) - off
		}
		row := text[off : off+end]
		var err error
		switch {
		case row == "" || row[0] == '#':
		case row[0] == '@':
			err = t.open(row)
		default:
			err = t.codes(row, base+off)
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", name, line, err)
		}
		off += end + 1
	}
	return nil
}

// open starts a set from its heading line.
func (t *Table) open(row string) error {
	f := strings.SplitN(row, " ", 6)
	if len(f) != 6 || shortNames[f[2]] == Unknown {
		return fmt.Errorf("heading %q: want @ sensitivity system set-id version name", row)
	}
	t.sets = append(t.sets, Set{Sensitivity: f[1], System: shortNames[f[2]], ID: f[3], Version: f[4], Name: f[5]})
	return nil
}

// codes adds a line of codes to the set opened last.
func (t *Table) codes(row string, off int) error {
	if len(t.sets) == 0 {
		return fmt.Errorf("codes before the first heading")
	}
	set := len(t.sets) - 1
	for i := 0; i < len(row); {
		j := i
		for j < len(row) && row[j] != ' ' {
			j++
		}
		if j-i > maxCode || len(t.entries) >= indexSize/2 {
			return fmt.Errorf("code %q is longer than %d, or there are more than %d codes", row[i:j], maxCode, indexSize/2)
		}
		if j > i {
			t.insert(entry{off: uint32(off + i), len: uint8(j - i), system: t.sets[set].System, set: uint16(set)})
		}
		i = j + 1
	}
	return nil
}

func (t *Table) text(e entry) string {
	if int(e.off) >= len(t.blob) {
		off := int(e.off) - len(t.blob)
		return t.gaps[off : off+int(e.len)]
	}
	return t.blob[e.off : int(e.off)+int(e.len)]
}

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
func (t *Table) Lookup(dst []Hit, system System, code []byte) []Hit {
	switch system {
	case ICD10CM, ICD10:
		var buf [maxCode]byte
		c := undot(buf[:0], code)
		for n := len(c); n >= 3; n-- {
			dst = t.find(dst, ICD10CM, c[:n])
		}
		return dst
	case ICD9CM:
		var buf [maxCode]byte
		return t.find(dst, ICD9CM, undot(buf[:0], code))
	case SNOMEDCT, LOINC, RxNorm, HCPCS:
		if len(code) <= maxCode {
			return t.find(dst, system, code)
		}
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

// Len returns the number of codes.
func (t *Table) Len() int { return len(t.entries) }
