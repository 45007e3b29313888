package mappings

import (
	"encoding/csv"
	"errors"
	"fmt"
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
	unused  []Remark
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
	v.unused = append(v.unused, next.unused...)
}

// A Remark tells of a row in a vocabulary file that is not used, and why.
type Remark struct {
	File    string
	Line    int
	Message string
}

// CheckVocabulary reads a vocabulary file by itself. It returns the number of
// source codes that it maps, and the rows that are not used. A file that is no
// vocabulary is an error of *LoadErrors.
func CheckVocabulary(file string, raw []byte) (codes int, unused []Remark, err error) {
	var errs []error
	v := parseVocabulary(file, file, raw, &errs)
	if v == nil || len(errs) > 0 {
		return 0, nil, errors.Join(errs...)
	}
	return len(v.codes), v.unused, nil
}

func parseVocabulary(name, file string, raw []byte, errs *[]error) *vocabulary {
	src, raw := newSource(file, raw, errs)
	if !src.readable(raw) {
		return nil
	}
	skipped, text := 0, string(raw)
	for strings.HasPrefix(text, "#") {
		_, text, _ = strings.Cut(text, "\n")
		skipped++
	}
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = -1
	v := &vocabulary{name: name, file: file, targets: map[string][]Target{}, texts: map[string]string{}}
	var columns *vocabularyColumns
	for {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			line, column := 1, 1
			var pe *csv.ParseError
			if errors.As(err, &pe) {
				line, column = pe.Line, pe.Column
			}
			src.errorAt(skipped+line, src.runeColumn(skipped+line, column), "the vocabulary is not CSV: %v", errors.Unwrap(err))
			return nil
		}
		if columns == nil {
			columns = findColumns(rec)
			continue
		}
		row := &vocabularyRow{columns: columns, cells: rec, at: func(field int) (line, column int) {
			line, column = r.FieldPos(min(field, len(rec)-1))
			return skipped + line, src.runeColumn(skipped+line, column)
		}}
		v.add(row, src)
	}
	if columns == nil {
		src.errorAt(skipped+1, 1, "the vocabulary has no header row with Code, Text, Code System, … Code, Display, Code System, as the v2-to-FHIR guide has it")
		return nil
	}
	return v
}

// vocabularyColumns are the places of a vocabulary's columns.
type vocabularyColumns struct {
	code, text, target, name, display, system int
	conditions                                []int // when a row holds
}

// findColumns finds the columns; nil if rec is not the header that names them.
func findColumns(rec []string) *vocabularyColumns {
	var codes, systems, conditions []int
	display := -1
	for i, h := range rec {
		switch h := fold(h); {
		case h == "CODE":
			codes = append(codes, i)
		case h == "CODE SYSTEM":
			systems = append(systems, i)
		case h == "DISPLAY":
			display = i
		case len(codes) == 1 && (strings.HasPrefix(h, "COMPUTABLE") || h == "NARRATIVE"):
			conditions = append(conditions, i)
		}
	}
	if len(codes) != 2 || len(systems) != 2 || display < 0 || codes[1] > display {
		return nil
	}
	return &vocabularyColumns{codes[0], codes[0] + 1, codes[1], codes[1] + 1, display, systems[1], conditions}
}

type vocabularyRow struct {
	columns *vocabularyColumns
	cells   []string
	at      func(field int) (line, column int)
}

func (r *vocabularyRow) cell(i int) string {
	if i < len(r.cells) {
		return strings.TrimSpace(r.cells[i])
	}
	return ""
}

// add takes a row. Rows that the guide lists without a source code, or with a
// condition that nothing here can judge, are not used: a code that has only such
// rows is not mapped, and counted when it comes.
func (v *vocabulary) add(row *vocabularyRow, src *source) {
	c := row.columns
	line, _ := row.at(0)
	unused := func(format string, args ...any) {
		v.unused = append(v.unused, Remark{v.file, line, fmt.Sprintf(format, args...)})
	}
	code := row.cell(c.code)
	t := Target{Code: row.cell(c.target), Display: row.cell(c.name), System: row.cell(c.system)}
	if d := row.cell(c.display); d != "" {
		t.Display = d
	}
	if code == "" {
		if t.Code != "" {
			unused("the target %q has no source code", t.Code)
		}
		return
	}
	for _, i := range c.conditions {
		if when := row.cell(i); when != "" {
			unused("the code %q has the condition %q, which is not judged", code, when)
			return
		}
	}
	key := fold(code)
	if _, seen := v.targets[key]; !seen {
		v.codes = append(v.codes, code)
		v.targets[key] = nil
		v.texts[key] = row.cell(c.text)
	}
	fail := func(field int, format string, args ...any) {
		line, column := row.at(field)
		src.errorAt(line, column, format, args...)
	}
	switch {
	case t.Code == "":
	case strings.Join(strings.Fields(t.Code), " ") != t.Code:
		fail(c.target, "the code %q has stray white space", t.Code)
	case t.System != "" && (!strings.Contains(t.System, ":") || strings.ContainsAny(t.System, " \t\n")):
		fail(c.system, "the code system %q is not a URI", t.System)
	case !slices.Contains(v.targets[key], t): // "Assault" and "ASSAULT" are one code
		v.targets[key] = append(v.targets[key], t)
	}
}
