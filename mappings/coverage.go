package mappings

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// A Coverage says what a mapping does with a source's fields.
type Coverage struct {
	Read    []string          // columns or HL7 fields that rows or conditions read, sorted
	Ignored map[string]string // left out on purpose → why
	Unread  []string          // columns, HL7 fields or elements that nothing reads and nobody left out
	// Segments says the same of HL7 v2 by segment; nil for other formats.
	Segments []SegmentCoverage
	// Resources lists the types made, with the number of rules for each.
	Resources    map[string]int
	Rows         int            // target elements set
	Vocabularies map[string]int // name → number of source codes
}

// Coverage returns what the mapping reads and makes.
func (m *Map) Coverage() Coverage {
	c := Coverage{Ignored: m.ignored, Resources: map[string]int{}, Vocabularies: map[string]int{}}
	for f := range m.read {
		c.Read = append(c.Read, f)
	}
	slices.Sort(c.Read)
	for _, col := range m.shape.columns {
		if _, ignored := m.ignored[col]; !ignored && !m.read[col] {
			c.Unread = append(c.Unread, col)
		}
	}
	for _, e := range m.shape.elements {
		if !m.read["/"+e] && !m.leaves("/"+e) {
			c.Unread = append(c.Unread, "/"+e)
		}
	}
	c.Segments = m.segmentCoverage()
	for _, s := range c.Segments {
		for _, i := range s.Unread {
			c.Unread = append(c.Unread, fmt.Sprintf("%s-%d", s.Name, i))
		}
	}
	for _, r := range m.rules {
		c.Resources[r.typ.Name]++
		c.Rows += countRows(r.rows)
	}
	for name, v := range m.vocabularies {
		c.Vocabularies[name] = len(v.codes)
	}
	return c
}

// leaves says that an element, or one above it, is left out on purpose.
func (m *Map) leaves(element string) bool {
	for name := range m.ignored {
		if element == name || strings.HasPrefix(element, name+"/") {
			return true
		}
	}
	return false
}

func countRows(rows []*row) int {
	n := 0
	for _, r := range rows {
		if r.source == fromRows {
			n += countRows(r.rows)
			continue
		}
		n++
	}
	return n
}

// A FunctionDoc describes a function that expressions can call.
type FunctionDoc struct {
	Name, Signature, Doc string
}

// Functions lists the functions of mapping expressions, sorted by name: those
// that are pure and those that look at the record at hand.
func Functions() []FunctionDoc {
	out := []FunctionDoc{
		{"text", "text(path string) string", "the first text at an HL7 path; the path must be quoted"},
		{"texts", "texts(path string) []string", "the texts at a path, of all repetitions"},
		{"has", "has(path string) bool", "whether there is text at a path"},
		{"count", "count(path string) int", "the number of repetitions at a path"},
		{"segments", "segments(name string) int", "the number of segments of a name"},
		{"pick", "pick(path, type string) Picked", "of an identifier field the repetition of a type, else the first that is no SSN"},
		{"places", "places(path ...string) []Place", "the levels of HL7 v2 locations (PL), from the innermost out, each once"},
		{"innermost", "innermost(path string) []Place", "the innermost level of an HL7 v2 location (PL), as a list of one or none"},
		{"clinicians", "clinicians(path ...string) []Clinician", "the repetitions of HL7 v2 names with numbers (XCN) that state either"},
		{"restrictions", "restrictions(scope string) []Access", "the access restrictions (ARV) of the \"patient\", the \"visit\" or \"all\", by their place in the message"},
		{"code", "code(vocabulary, value string) string", "the first code that a vocabulary gives; an unknown value is counted"},
		{"mapped", "mapped(vocabulary, value string) bool", "whether a vocabulary knows a value"},
		{"targets", "targets(vocabulary string, values) []Target", "the codings of the values; unknown ones are counted"},
		{"known", "known(vocabulary string, values) []string", "the values that a vocabulary knows"},
		{"token", "token(system, value string) string", "a keyed token of a value: comparable, not readable"},
		{"reference", "reference(type, system, key string) string", "the reference of the resource with this source key"},
	}
	for _, f := range functions(&Profile{}) {
		t := reflect.TypeOf(f.types[0]).Elem()
		signature := strings.Replace(t.String(), "func", f.name, 1)
		out = append(out, FunctionDoc{f.name, signature, f.doc})
	}
	slices.SortFunc(out, func(a, b FunctionDoc) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// String is one line for people.
func (c Coverage) String() string {
	codes := 0
	for _, n := range c.Vocabularies {
		codes += n
	}
	rules := 0
	for _, n := range c.Resources {
		rules += n
	}
	return fmt.Sprintf("%d fields read, %d left out on purpose, %d unread; %d rows in %d resource rules; %d codes in %d vocabularies",
		len(c.Read), len(c.Ignored), len(c.Unread), c.Rows, rules, codes, len(c.Vocabularies))
}

// A RowPlace is a row that sets a value, with its place.
type RowPlace struct{ At, Element string }

// Rows lists the rows that set values, those of datatypes too, in the order of
// the file, each place once.
func (m *Map) Rows() []RowPlace {
	var out []RowPlace
	seen := map[string]bool{}
	var visit func(rows []*row, prefix string)
	visit = func(rows []*row, prefix string) {
		for _, r := range rows {
			if r.source == fromRows || r.source == fromDatatype {
				visit(r.rows, prefix+r.to+".")
				continue
			}
			if !seen[r.at] {
				seen[r.at] = true
				out = append(out, RowPlace{r.at, prefix + r.to})
			}
		}
	}
	for _, r := range m.rules {
		visit(r.rows, r.typ.Name+".")
	}
	return out
}
