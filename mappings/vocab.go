package mappings

import (
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
)

// A Target is what a source code means: one coding.
type Target struct {
	Code, Display, System string
}

// A vocabulary maps a source's codes to codings. Codes are compared without
// case and with white space collapsed; one code may have several targets.
type vocabulary struct {
	name    string
	file    string
	targets map[string][]Target
	texts   map[string]string // the source's own display
	codes   []string          // as written, in file order
}

func fold(s string) string { return strings.ToUpper(strings.Join(strings.Fields(s), " ")) }

// lookup returns the targets of a code; known says whether the code has a row
// at all: a row with an empty target means "deliberately nothing".
func (v *vocabulary) lookup(code string) (targets []Target, known bool) {
	targets, known = v.targets[fold(code)]
	return targets, known
}

// loadVocabulary reads a CSV in the form of the HL7 v2-to-FHIR guide's code
// system maps: one header row of groups ("HL7 v2", …, "HL7 FHIR"), one of
// columns (Code, Text, Code System, three kinds of condition, Code, two of
// Display, Code System, Comments), then rows. Lines that start with # before the
// header say where the codes come from.
//
// Several files can be given: in a later one, which is the sender's, the rows of
// a code take the place of those that an earlier file has for it.
func (c *compiler) loadVocabulary(name string, files *node) *vocabulary {
	var v *vocabulary
	for _, n := range members(files) {
		if n.kind != yamlScalar {
			n.errorf("a vocabulary is named by its file, or a list of files")
			return nil
		}
		file := n.path()
		raw, err := c.read(n.src.fsys, file)
		if err != nil {
			n.errorf("the vocabulary file %q %s", file, unreadable(err))
			return nil
		}
		next := parseVocabulary(name, file, raw, &c.errs)
		if v == nil || next == nil {
			v = next
			continue
		}
		v.overlay(next)
	}
	return v
}

// overlay puts the codes of a sender's file over those of v.
func (v *vocabulary) overlay(next *vocabulary) {
	for _, code := range next.codes {
		key := fold(code)
		if _, had := v.targets[key]; !had {
			v.codes = append(v.codes, code)
		}
		v.targets[key], v.texts[key] = next.targets[key], next.texts[key]
	}
	v.file = next.file
}

func parseVocabulary(name, file string, raw []byte, errs *[]error) *vocabulary {
	src := &source{name: file, lines: strings.Split(string(raw), "\n"), errs: errs}
	skipped, text := 0, strings.TrimPrefix(string(raw), "\ufeff")
	for strings.HasPrefix(text, "#") {
		_, text, _ = strings.Cut(text, "\n")
		skipped++
	}
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = -1
	v := &vocabulary{name: name, file: file, targets: map[string][]Target{}, texts: map[string]string{}}
	var columns []int
	for {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		line, _ := r.FieldPos(0)
		if err != nil {
			var pe *csv.ParseError
			column := 1
			if errors.As(err, &pe) {
				line, column = pe.Line, pe.Column
			}
			src.errorAt(skipped+line, column, "the vocabulary is not CSV: %v", errors.Unwrap(err))
			return nil
		}
		if columns == nil {
			columns = vocabularyColumns(rec)
			continue
		}
		v.add(rec, columns, func(format string, args ...any) { src.errorAt(skipped+line, 1, format, args...) })
	}
	if columns == nil {
		src.errorAt(1, 1, "the vocabulary has no header row with Code, Text, Code System")
		return nil
	}
	return v
}

// vocabularyColumns finds source code, source text, target code, the target's
// two display columns and its system; nil if rec is not the header of columns.
func vocabularyColumns(rec []string) []int {
	var codes, systems []int
	display := -1
	for i, h := range rec {
		switch fold(h) {
		case "CODE":
			codes = append(codes, i)
		case "CODE SYSTEM":
			systems = append(systems, i)
		case "DISPLAY":
			display = i
		}
	}
	if len(codes) != 2 || len(systems) != 2 || display < 0 || codes[1] > display {
		return nil
	}
	return []int{codes[0], codes[0] + 1, codes[1], codes[1] + 1, display, systems[1]}
}

func (v *vocabulary) add(rec []string, columns []int, fail func(string, ...any)) {
	at := func(i int) string {
		if c := columns[i]; c < len(rec) {
			return strings.TrimSpace(rec[c])
		}
		return ""
	}
	code := at(0)
	if code == "" {
		return // a target without a source: the guide lists those too
	}
	key := fold(code)
	t := Target{Code: at(2), Display: at(3), System: at(5)}
	if d := at(4); d != "" {
		t.Display = d
	}
	if _, seen := v.targets[key]; !seen {
		v.codes = append(v.codes, code)
		v.targets[key] = nil
		v.texts[key] = at(1)
	}
	if t.Code == "" {
		return
	}
	if strings.ContainsAny(t.Code, " \t") && strings.Join(strings.Fields(t.Code), " ") != t.Code {
		fail("the code %q has stray white space", t.Code)
		return
	}
	if t.System != "" && !strings.Contains(t.System, ":") {
		fail("the code system %q is not a URI", t.System)
		return
	}
	if !slices.Contains(v.targets[key], t) { // "Assault" and "ASSAULT" are one code
		v.targets[key] = append(v.targets[key], t)
	}
}
