package terminology

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"strings"
)

//go:embed data/c2s.txt
var c2sData string

//go:embed data/gaps.txt
var gapsData string

//go:embed data/local.txt
var localData string

//go:embed data/words.txt
var wordsData string

// The data files are texts of lines:
//
//	# a comment
//	= source where the codes of the sets that follow come from
//	= licence under which terms
//	@ sensitivity system set-id version name: opens a set
//	codes of the set, separated by blanks
//
// In a set of system "words" or "services" a line is one phrase.
//
// A set without a source or a licence is an error. ICD codes stand undotted, an
// ICD-10 code stands for the codes below it too; "?" in one is any character.

// files are the data files, in the order in which they are read.
func files() []file {
	return []file{{"data/c2s.txt", c2sData}, {"data/gaps.txt", gapsData}, {"data/local.txt", localData}, {"data/words.txt", wordsData}}
}

type file struct{ name, text string }

// Load builds the table from the embedded value sets. It takes about a
// millisecond; callers keep the result. An error means that the embedded data
// are damaged.
func Load() (*Table, error) {
	t, err := read(files())
	if t != nil {
		t.version = Version
	}
	return t, err
}

// A reader reads data files into a table.
type reader struct {
	t               *Table
	source, licence string
	sum             interface { // of the open set's codes
		Write([]byte) (int, error)
		Sum([]byte) []byte
		Reset()
	}
}

func read(fs []file) (*Table, error) {
	var blob strings.Builder
	for _, f := range fs {
		blob.WriteString(f.text)
	}
	t := &Table{blob: blob.String(), index: make([]uint16, indexSize), entries: make([]entry, 0, indexSize/2), sets: make([]Set, 0, 128)}
	base := 0
	for _, f := range fs {
		r := reader{t: t, sum: sha256.New()}
		if line, err := r.read(f.text, base); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", f.name, line, err)
		}
		base += len(f.text)
	}
	t.words.compile(t)
	sum := sha256.Sum256([]byte(t.blob))
	t.version = "sha256:" + hex.EncodeToString(sum[:8])
	return t, nil
}

// read takes one file, whose text starts at base in the table's blob; it
// returns the number of the line it came to.
func (r *reader) read(text string, base int) (line int, err error) {
	defer r.close()
	for off := 0; off < len(text); {
		line++
		end := strings.IndexByte(text[off:], '\n')
		if end < 0 {
			end = len(text) - off
		}
		row := text[off : off+end]
		switch {
		case row == "" || row[0] == '#':
		case row[0] == '=':
			err = r.about(row)
		case row[0] == '@':
			err = r.open(row)
		default:
			err = r.codes(row, base+off)
		}
		if err != nil {
			return line, err
		}
		off += end + 1
	}
	return line, nil
}

// about notes what holds for the sets that follow.
func (r *reader) about(row string) error {
	key, value, _ := strings.Cut(strings.TrimSpace(row[1:]), " ")
	switch key {
	case "source":
		r.source = value
	case "licence":
		r.licence = value
	default:
		return fmt.Errorf("%q: want = source or = licence", row)
	}
	return nil
}

var shortNames = map[string]System{
	"icd-10-cm": ICD10CM, "icd-10": ICD10, "icd-9-cm": ICD9CM, "snomed": SNOMEDCT, "loinc": LOINC, "rxnorm": RxNorm, "hcpcs": HCPCS,
}

// open starts a set from its heading line.
func (r *reader) open(row string) error {
	r.close()
	f := strings.SplitN(row, " ", 6)
	if len(f) != 6 {
		return fmt.Errorf("heading %q: want @ sensitivity system set-id version name", row)
	}
	system, ok := shortNames[f[2]]
	if !ok {
		system = SystemOf(f[2])
	}
	words := f[2] == "words" || f[2] == "services"
	if s, ok := Sensitivity(f[1]); !ok || s != f[1] {
		return fmt.Errorf("heading %q: %q is no sensitivity of v3-ActCode", row, f[1])
	}
	if system == Unknown && !words {
		return fmt.Errorf("heading %q: the system %q is not known", row, f[2])
	}
	if r.source == "" || r.licence == "" {
		return fmt.Errorf("heading %q: name a source and a licence first", row)
	}
	r.t.sets = append(r.t.sets, Set{Sensitivity: f[1], System: system, ID: f[3], Version: f[4], Name: f[5], Source: r.source, Licence: r.licence, Words: words, Services: f[2] == "services"})
	return nil
}

// close finishes the set opened last.
func (r *reader) close() {
	if n := len(r.t.sets); n > 0 && r.t.sets[n-1].Hash == "" {
		r.t.sets[n-1].Hash = "sha256:" + hex.EncodeToString(r.sum.Sum(nil)[:8])
	}
	r.sum.Reset()
}

// codes adds a line of codes to the set opened last.
func (r *reader) codes(row string, off int) error {
	t := r.t
	if len(t.sets) == 0 {
		return fmt.Errorf("codes before the first heading")
	}
	set := len(t.sets) - 1
	_, _ = r.sum.Write([]byte(row + "\n"))
	if t.sets[set].Words {
		t.sets[set].Codes++
		return t.words.add(row, set)
	}
	for i := 0; i < len(row); {
		j := i
		for j < len(row) && row[j] != ' ' {
			j++
		}
		if j-i > maxCode || len(t.entries) >= indexSize/2 {
			return fmt.Errorf("code %q is longer than %d, or there are more than %d codes", row[i:j], maxCode, indexSize/2)
		}
		if j > i {
			t.sets[set].Codes++
			e := entry{off: uint32(off + i), len: uint8(j - i), system: t.sets[set].System, set: uint16(set)}
			if strings.IndexByte(row[i:j], wildcard) >= 0 {
				t.patterns = append(t.patterns, e)
			} else {
				t.insert(e)
			}
		}
		i = j + 1
	}
	return nil
}
