package mappings_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/validate"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const divider = "----------\n"

// base is a plain record of the Riverton export; a test names what differs.
var base = map[string]string{
	"AgencyORI": "ZZ0010100", "IncidentNo": "25-100000", "SuppNo": "0", "CallNo": "C2501041113", "MNI": "R100001",
	"LastName": "RIVERA", "FirstName": "ANA", "DOB": "03/17/1980", "Sex": "F", "Race": "W", "Ethnicity": "N",
	"HomeAddr": "12 Mill Rd", "City": "Riverton", "State": "ZZ", "Zip": "00501", "Phone": "555-0101",
	"ContactDT": "01/04/2025 05:13", "ClearedDT": "01/04/2025 07:37", "IncLocation": "100 BLK 2ND AVE",
	"InitialCallType": "WELF", "FinalCallType": "Welfare Check", "CallSource": "911", "CrisisFlag": "Y",
	"Disposition": "RESOLVED ON SCENE", "OfficerBadge": "4125", "OfficerName": "Cpl J. Osei",
	"LastModified": "2025-01-05 21:13:00", "RecStatus": "A",
}

// contact makes a record of the contact export from lines "Column=value".
func contact(t testing.TB, m *mappings.Map, lines string) *tree.Record {
	t.Helper()
	values := map[string]string{}
	for k, v := range base {
		values[k] = v
	}
	extra := []string{}
	for _, line := range strings.Split(lines, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		k, v, ok := strings.Cut(line, "=")
		if !ok {
			t.Fatalf("the line %q is not Column=value", line)
		}
		if _, known := values[k]; !known && !contains(m.Columns(), k) {
			extra = append(extra, k)
		}
		values[k] = strings.NewReplacer(`\n`, "\n", `\t`, "\t").Replace(v)
	}
	rec := &tree.Record{Kind: "contact", Root: &tree.Node{}, Pos: tree.Position{Source: "contacts.csv", Line: 7}}
	for i, c := range append(m.Columns(), extra...) {
		pos := tree.Position{Source: "contacts.csv", Line: 7, Column: i + 1, Path: c}
		rec.Root.Children = append(rec.Root.Children, &tree.Node{Name: c, Text: values[c], Pos: pos})
	}
	return rec
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// message makes a record from an HL7 v2 message, one segment a line. It knows
// the usual delimiters only and no escapes: the decoder has tests of its own.
func message(t testing.TB, text string) *tree.Record {
	t.Helper()
	rec := &tree.Record{Root: &tree.Node{}, Pos: tree.Position{Source: "adt.hl7", Line: 1}}
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		fields := strings.Split(line, "|")
		name := fields[0]
		if name == "MSH" {
			fields = append([]string{"MSH", "|"}, fields[1:]...)
		}
		seg := &tree.Node{Name: name, Pos: tree.Position{Source: "adt.hl7", Line: i + 1, Path: name}}
		for n, f := range fields[1:] {
			if f == "" {
				continue
			}
			repetitions := []string{f}
			if name != "MSH" || n > 1 {
				repetitions = strings.Split(f, "~")
			}
			for _, r := range repetitions {
				at := tree.Position{Source: "adt.hl7", Line: i + 1, Path: fmt.Sprintf("%s-%d", name, n+1)}
				seg.Children = append(seg.Children, split(fmt.Sprint(n+1), r, at, name == "MSH" && n < 2, "^", "&"))
			}
		}
		rec.Root.Children = append(rec.Root.Children, seg)
		if name == "MSH" {
			event := strings.Split(fields[9], "^")
			rec.Kind = event[0] + "_" + event[1]
		}
	}
	return rec
}

func split(name, text string, pos tree.Position, literal bool, separators ...string) *tree.Node {
	n := &tree.Node{Name: name, Pos: pos}
	if text == `""` {
		n.Null = true
		return n
	}
	if literal || len(separators) == 0 || !strings.Contains(text, separators[0]) {
		if !literal && len(separators) > 1 {
			return split(name, text, pos, false, separators[1:]...)
		}
		n.Text = text
		return n
	}
	for i, part := range strings.Split(text, separators[0]) {
		if part == "" {
			continue
		}
		at := pos
		at.Path = fmt.Sprintf("%s.%d", pos.Path, i+1)
		n.Children = append(n.Children, split(fmt.Sprint(i+1), part, at, false, separators[1:]...))
	}
	return n
}

func load(t testing.TB, name string) *mappings.Map {
	t.Helper()
	m, err := mappings.Load(mappings.Files(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const (
	riverton = "rms/riverton/contact.map.yaml"
	adt      = "ehr/hl7v2/adt.map.yaml"
)

// Each golden file is a record, what became of it, and what was found.
func TestMappingsGiveTheirGoldens(t *testing.T) {
	police, health := load(t, riverton), load(t, adt)
	for dir, parse := range map[string]func(t *testing.T, in string) (*mappings.Map, *tree.Record){
		"riverton": func(t *testing.T, in string) (*mappings.Map, *tree.Record) { return police, contact(t, police, in) },
		"adt":      func(t *testing.T, in string) (*mappings.Map, *tree.Record) { return health, message(t, in) },
	} {
		files, err := filepath.Glob("testdata/" + dir + "/*.golden")
		if err != nil || len(files) == 0 {
			t.Fatalf("no golden files in %s: %v", dir, err)
		}
		for _, file := range files {
			t.Run(dir+"/"+filepath.Base(file), func(t *testing.T) {
				raw, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				in, want, _ := strings.Cut(string(raw), divider)
				m, rec := parse(t, in)
				got := render(t, m, rec)
				if *update {
					if err := os.WriteFile(file, []byte(in+divider+got), 0o644); err != nil {
						t.Fatal(err)
					}
					return
				}
				if got != want {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
			})
		}
	}
}

// render applies the map and writes the result for reading; every resource
// must be valid R4.
func render(t *testing.T, m *mappings.Map, rec *tree.Record) string {
	t.Helper()
	res, err := m.Apply(rec, mappings.Options{Source: mappings.Source{Adapter: "test", Name: "records", SHA256: "00"}})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s key=%s version=%s\n", res.Action, res.Reason, res.Key, res.Version)
	for _, r := range res.Resources {
		for _, is := range validate.Bytes(r.Raw) {
			t.Errorf("%s/%s is not valid: %+v", r.Type, r.ID, is)
		}
		if err := json.Indent(&b, r.Raw, "", " "); err != nil {
			t.Fatal(err)
		}
		b.WriteByte('\n')
	}
	b = *bytes.NewBufferString(strings.ReplaceAll(b.String(), m.Content(), "CONTENT")) // it changes with every file
	b.WriteString(divider)
	for _, is := range res.Issues {
		fmt.Fprintf(&b, "%s %s %s (%s): %s\n", is.Severity, is.Code, is.Field, is.Pos, is.Message)
	}
	for _, u := range res.Unmapped {
		fmt.Fprintf(&b, "unmapped %s %s %q\n", u.Field, u.Vocabulary, u.Code)
	}
	return b.String()
}
