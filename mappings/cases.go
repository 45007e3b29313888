package mappings

import (
	"errors"
	"slices"
	"strings"
)

// A CaseFile holds the tests of one mapping, as data: a YAML file beside it,
// named *.test.yaml.
//
//	mapping: contact.map.yaml     beside the file, or built in; or
//	profile: our.profile.yaml     which names its mapping and adapter
//	adapter: rms/csv              if the profile does not name one
//	base: {LastName: RIVERA, …}   of tables: what every record has that says nothing else
//	tests:
//	  - name: a birth date of 1900 is none
//	    record: {DOB: 1/1/1900}   or input: the bytes as text, or file: sample.csv
//	    expect: {Patient.name.family: Rivera, Encounter.status: finished}
//	    absent: [Patient.birthDate, Condition]
//	    count: {Patient: 1}
//	    refers: {Encounter.subject: Patient}
//	    issues: [birth-date-sentinel]
//	    rejects: [record-incomplete]
//	    unmapped: [disposition:XYZ, Beat]
type CaseFile struct {
	Name                      string // of the file
	Mapping, Profile, Adapter string
	MappingAt, ProfileAt      string // file:line, for errors about them
	Cases                     []Case
}

// A Case is one input and what must come of it.
type Case struct {
	Name  string
	At    string // file:line
	Input string // the records' bytes
	File  string // or a file beside the case file
	// Record is one record of a table by column, in the order of the file, with
	// the file's base; nil if Input or File is given.
	Record []Cell
	// Expect are FHIRPath expressions that begin with a resource type, each with
	// the values that it must give over all resources of that type, in order.
	Expect []Expectation
	// Absent are resource types of which there must be none, and expressions
	// that must give nothing.
	Absent []Located
	// Count is how many resources of a type there must be.
	Count []Expectation
	// Refers are expressions that give a Reference, each with the type of the
	// resource among the results to which it must lead.
	Refers []Expectation
	// Issues are codes that must be among the findings.
	Issues []Located
	// Rejects are the codes of all rejects, in order: none if it is not given.
	Rejects []Located
	// Unmapped are values without mapping that must be counted:
	// "vocabulary:code", or a field without a row.
	Unmapped []Located
}

// A Cell is one column's value.
type Cell struct{ Column, Value string }

// Located is a text of a case file with its place.
type Located struct{ Text, At string }

// An Expectation is an expression with the values that it must give.
type Expectation struct {
	Located
	Want []string
}

var (
	caseFileKeys = []string{"mapping", "profile", "adapter", "note", "base", "tests"}
	caseKeys     = []string{"name", "note", "input", "file", "record", "expect", "absent", "count", "refers", "issues", "rejects", "unmapped"}
)

// ParseCases reads a case file; name is for error messages, which say
// file:line:column. It does not look whether the mapping or a file is there.
func ParseCases(name string, raw []byte) (*CaseFile, error) {
	var errs []error
	root := parseYAML(name, raw, &errs)
	f := &CaseFile{Name: name}
	if root != nil && root.strict("a file of mapping tests", caseFileKeys...) {
		f.read(root)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return f, nil
}

func (f *CaseFile) read(root *node) {
	f.Mapping, f.Profile = root.string("mapping", false), root.string("profile", false)
	f.Adapter = root.string("adapter", false)
	switch m, p := root.get("mapping"), root.get("profile"); {
	case m == nil && p == nil:
		root.errorf("the file names no mapping and no profile that it tests")
	default:
		f.MappingAt, f.ProfileAt = m.where(), p.where()
	}
	base := root.cells("base")
	list := root.list("tests")
	if len(list) == 0 {
		root.errorf("the file has no tests")
	}
	var names []string
	for _, n := range list {
		if !n.strict("a test", caseKeys...) {
			continue
		}
		c := readCase(n)
		if n.get("record") != nil {
			c.Record = over(base, n.cells("record"))
		}
		if slices.Contains(names, c.Name) {
			n.errorf("the test %q is there twice", c.Name)
		}
		names = append(names, c.Name)
		f.Cases = append(f.Cases, c)
	}
}

// where is at, or "" for a node that is not there.
func (n *node) where() string {
	if n == nil {
		return ""
	}
	return n.at()
}

func readCase(n *node) Case {
	c := Case{Name: n.string("name", true), At: n.at(), File: n.string("file", false)}
	if in := n.get("input"); in != nil {
		c.Input = in.text
	}
	given := 0
	for _, k := range []string{"input", "file", "record"} {
		if n.get(k) != nil {
			given++
		}
	}
	if given != 1 {
		n.errorf("a test has one of input, file or record; this one has %d", given)
	}
	c.Expect, c.Count, c.Refers = n.expectations("expect"), n.expectations("count"), n.expectations("refers")
	c.Absent, c.Issues, c.Rejects, c.Unmapped = n.located("absent"), n.located("issues"), n.located("rejects"), n.located("unmapped")
	if len(c.Expect)+len(c.Absent)+len(c.Count)+len(c.Refers)+len(c.Issues)+len(c.Rejects)+len(c.Unmapped) == 0 {
		n.errorf("the test expects nothing: it could not fail")
	}
	for _, list := range [][]Expectation{c.Expect, c.Refers} {
		for _, e := range list {
			n.checkType(e.Located)
		}
	}
	return c
}

// checkType wants an expression that begins with a resource type.
func (n *node) checkType(e Located) {
	typ, _, _ := strings.Cut(e.Text, ".")
	if typ == "" || typ[0] < 'A' || typ[0] > 'Z' {
		n.errorf("the expression %q (%s) must begin with a resource type: Patient.name.family", e.Text, e.At)
	}
}

// expectations reads a map of expression: value or list of values.
func (n *node) expectations(key string) []Expectation {
	m := n.get(key)
	if m == nil {
		return nil
	}
	if m.kind != yamlMap {
		m.errorf("%q must be a map of expression: value", key)
		return nil
	}
	var out []Expectation
	for i, k := range m.keys {
		e := Expectation{Located: Located{k, m.keyNodes[i].at()}}
		switch v := m.values[i]; v.kind {
		case yamlScalar:
			e.Want = []string{v.text}
		case yamlList:
			for _, item := range v.values {
				if item.kind != yamlScalar {
					item.errorf("a value must be text, a number, true or false")
				}
				e.Want = append(e.Want, item.text)
			}
		default:
			v.errorf("a value must be text, a number, true or false, or a list of them; for nothing use absent")
		}
		out = append(out, e)
	}
	return out
}

func (n *node) located(key string) []Located {
	var out []Located
	for _, v := range n.list(key) {
		if v.kind != yamlScalar || strings.TrimSpace(v.text) == "" {
			v.errorf("%q must be a list of texts", key)
			continue
		}
		out = append(out, Located{v.text, v.at()})
	}
	return out
}

// cells reads a map of column: value. A value may be empty.
func (n *node) cells(key string) []Cell {
	m := n.get(key)
	if m == nil {
		return nil
	}
	if m.kind != yamlMap {
		m.errorf("%q must be a map of column: value", key)
		return nil
	}
	out := []Cell{}
	for i, k := range m.keys {
		if v := m.values[i]; v.kind != yamlScalar && v.kind != yamlNull {
			v.errorf("the value of a column must be text")
		} else {
			out = append(out, Cell{k, v.text})
		}
	}
	return out
}

// over puts cells in the place of those of base with the same column.
func over(base, cells []Cell) []Cell {
	out := slices.Clone(base)
	for _, c := range cells {
		if i := slices.IndexFunc(out, func(b Cell) bool { return b.Column == c.Column }); i >= 0 {
			out[i] = c
		} else {
			out = append(out, c)
		}
	}
	return out
}
