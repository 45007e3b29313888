package mappings

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/handoff-health/handoff/mappings/tree"
)

// er7 reads segments of an HL7 v2 message: enough of the syntax for these tests.
func er7(kind string, lines ...string) *tree.Record {
	root := &tree.Node{}
	for i, l := range lines {
		parts := strings.Split(l, "|")
		s := &tree.Node{Name: parts[0], Pos: tree.Position{Line: i + 1, Path: parts[0]}}
		for f, text := range parts[1:] {
			for _, rep := range strings.Split(text, "~") {
				n := &tree.Node{Name: fmt.Sprint(f + 1), Pos: tree.Position{Line: i + 1, Path: fmt.Sprintf("%s-%d", parts[0], f+1)}}
				if comps := strings.Split(rep, "^"); len(comps) > 1 {
					for c, t := range comps {
						n.Children = append(n.Children, &tree.Node{Name: fmt.Sprint(c + 1), Text: t})
					}
				} else {
					n.Text = rep
				}
				s.Children = append(s.Children, n)
			}
		}
		root.Children = append(root.Children, s)
	}
	return &tree.Record{Kind: kind, Root: root}
}

func compiled(t *testing.T, raw string) *Map {
	t.Helper()
	m, err := Load(fstest.MapFS{"m.yaml": {Data: []byte(raw)}, "types.yaml": {Data: []byte(personTypes)}}, "m.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// made lists the resources of a result in short: type, key and JSON.
func made(t *testing.T, m *Map, rec *tree.Record) (*Result, map[string]string) {
	t.Helper()
	res, err := m.Apply(rec, Options{Trace: true, IDs: func(_, _, key string) string { return strings.NewReplacer("|", "-", " ", "").Replace(key) }})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, r := range res.Resources {
		out[r.Type+"/"+r.ID] = string(r.Raw)
	}
	return res, out
}

func wantIn(t *testing.T, out map[string]string, name string, parts ...string) {
	t.Helper()
	if out[name] == "" {
		t.Errorf("%s was not made", name)
	}
	for _, p := range parts {
		if !strings.Contains(out[name], p) {
			t.Errorf("%s lacks %s: %s", name, p, out[name])
		}
	}
}

// Two patients in one merge message, each with its own PD1 and MRG; the visit of
// the second only.
const groupMapping = `
mapping: test/groups
version: 1.0.0
kinds: [ADT_A40]
segments: {MSH: 25, PID: 40, PD1: 23, MRG: 7, PV1: 54, NK1: 40, ZPD: 3}
ignore: {MSH: decoder}
key: '"m"'
record-version: '""'
resources:
  - over: PID+PD1+MRG+PV1
    let:
      - {name: who, expr: 'pick("PID-3", "MR")'}
      - {name: gone, expr: 'pick("MRG-1", "MR")'}
    resources:
      - id: survivor
        type: Patient
        system: '"urn:mrn"'
        key: who.Value
        rows:
          - to: identifier
            over: PID-3
            rows: [{to: value, from: .1}]
          - {to: multipleBirthInteger, expr: 'segments("PV1")'}
          - to: link
            rows:
              - {to: other, ref: loser, required: true}
              - {to: type, value: replaces}
          - to: contact
            over: NK1
            rows: [{to: name.family, from: .2.1}]
      - id: loser
        type: Patient
        when: gone.Value != ""
        system: '"urn:mrn"'
        key: gone.Value
        rows: [{to: active, value: "false"}]
      - id: visit
        type: Encounter
        when: 'has("PV1-19")'
        system: '"urn:visit"'
        key: text("PV1-19")
        rows:
          - {to: status, value: finished}
          - {to: class.code, value: AMB}
          - {to: subject, ref: survivor}
`

func TestGroupsOfSegmentsKeepApart(t *testing.T) {
	m := compiled(t, groupMapping)
	_, out := made(t, m, er7("ADT_A40", "MSH|x", "PID|1||A1^^^H^MR~A2^^^H^AN", "ZPD|a", "MRG|B1^^^H^MR",
		"NK1|1|Stray", "PV1|9"+strings.Repeat("|", 18)+"stray", "PID|2||C1^^^H^MR", "PD1|1", "MRG|D1^^^H^MR", "PV1|1"+strings.Repeat("|", 18)+"v7", "PID|3||E1^^^H^MR"))
	wantIn(t, out, "Patient/A1", `"value":"A1"`, `"value":"A2"`, `"other":{"reference":"Patient/B1"}`, `"multipleBirthInteger":0`, `"contact":[{"name":{"family":"Stray"}}]`)
	wantIn(t, out, "Patient/C1", `"other":{"reference":"Patient/D1"}`, `"multipleBirthInteger":1`)
	wantIn(t, out, "Patient/E1")
	if strings.Contains(out["Patient/E1"], "link") {
		t.Errorf("a person without MRG got the loser of another: %s", out["Patient/E1"])
	}
	wantIn(t, out, "Encounter/v7", `"subject":{"reference":"Patient/C1"}`)
	if len(out) != 6 {
		t.Errorf("a PV1 after a segment that is not of the group is nobody's: %v", out)
	}
}

func TestFaultsOfGroupsAreNamed(t *testing.T) {
	for change, want := range map[[2]string]string{
		{"over: PID+PD1+MRG+PV1", "over: PID+PD1+MGR+PV1"}:      `m.yaml:10:11: unknown segment "MGR" in the group "PID+PD1+MGR+PV1"; did you mean "MRG"?`,
		{"over: PID+PD1+MRG+PV1", "over: PID+PD1+PD1"}:          "twice",
		{"from: .2.1", "from: .41.1"}:                           "has no field 41",
		{"ref: survivor", "ref: survivur"}:                      `did you mean "survivor"?`,
		{"gone.Value != \"\"", "gone.Valu != \"\""}:             "in the expression",
		{"{name: gone,", "{name: who,"}:                         `the name "who" is taken`,
		{"    resources:\n      - id", "    rows:\n      - id"}: "has an id",
	} {
		raw := strings.Replace(groupMapping, change[0], change[1], 1)
		if _, err := Load(fstest.MapFS{"m.yaml": {Data: []byte(raw)}}, "m.yaml", nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", change[1], err, want)
		}
	}
}

const personTypes = `
datatypes:
  name:
    type: HumanName
    rows:
      - {to: family, from: ./Surname, required: true}
      - {to: given, from: ./Given}
      - {to: use, when: 'has("./@kind")', from: ./@kind, as: code}
`

// Persons of an incident with visits and names; each visit is its person's.
const nestedMapping = `
mapping: test/nested
version: 1.0.0
kinds: [incident]
elements: [
  Incident/@id, Incident/Person/@id, Incident/Person/Role, Incident/Person/Name/Given, Incident/Person/Name/Surname, Incident/Person/Name/@kind,
  Incident/Person/Alias/Given, Incident/Person/Alias/Surname, Incident/Person/Visit/@id, Incident/Person/Visit/Place, Incident/Beat]
datatypes: [types.yaml]
key: 'text("/Incident/@id")'
record-version: '""'
resources:
  - over: /Incident/Person
    when: 'text("./Role") != "Officer"'
    let:
      - {name: number, expr: 'text("./@id")', field: /Incident/Person/@id}
    resources:
      - id: person
        type: Patient
        system: '"urn:p"'
        key: number
        rows:
          - {to: name, from: [./Name, ./Alias], use: name}
          - to: name
            over: ./Alias
            rows:
              - {to: family, from: ./Surname}
              - {to: text, expr: 'text("../Name/Surname")'}
      - id: visit
        type: Encounter
        over: ./Visit
        when: 'has("./Place")'
        system: '"urn:v"'
        key: 'number + "|" + text("./@id")'
        rows:
          - {to: status, value: finished}
          - {to: class.code, value: AMB}
          - {to: subject, ref: person}
          - {to: partOf, ref: incident}
          - {to: location, rows: [{to: location.display, from: ./Place, required: true}]}
  - id: incident
    type: Encounter
    system: '"urn:i"'
    key: 'text("/Incident/@id")'
    rows:
      - {to: status, value: finished}
      - {to: class.code, value: AMB}
      - {to: subject, ref: person}
      - {to: participant, rows: [{to: individual, ref: person, required: true}]}
      - {to: episodeOfCare, ref: person}
  - id: origin
    type: Provenance
    optional: true
    over: /Incident/Person
    system: '"urn:o"'
    key: text("./@id")
    rows:
      - {to: target, ref: "*", required: true}
      - {to: recorded, value: "2024-01-01T00:00:00Z"}
      - {to: agent, rows: [{to: who, ref: person, required: true}]}
`

func nested() *tree.Record {
	name := func(kind, given, family string) *tree.Node {
		return branch(kind, "", branch("Given", given), branch("Surname", family))
	}
	visit := func(id, place string) *tree.Node {
		return branch("Visit", "", branch("@id", id), branch("Place", place))
	}
	return &tree.Record{Kind: "incident", Root: branch("", "", branch("Incident", "", branch("@id", "i1"),
		branch("Person", "", branch("@id", "p1"), name("Name", "Ana", "Ruiz"), name("Alias", "", "Rue"), visit("1", "North"), visit("2", "")),
		branch("Person", "", branch("@id", "p2"), branch("Role", "Officer"), name("Name", "Bo", "Lee"), visit("3", "East")),
		branch("Person", "", branch("@id", "p3"), name("Alias", "Cy", "Orr"), visit("1", "South")), branch("Beat", "4")))}
}

func TestResourcesOfAGroupReferToTheirOwn(t *testing.T) {
	m := compiled(t, nestedMapping)
	res, out := made(t, m, nested())
	wantIn(t, out, "Patient/p1", `{"text":"Ruiz","family":"Rue"}`, `{"family":"Ruiz","given":["Ana"]}`)
	wantIn(t, out, "Patient/p3", `{"family":"Orr","given":["Cy"]}`)
	wantIn(t, out, "Encounter/p1-1", `"subject":{"reference":"Patient/p1"}`, `"partOf":{"reference":"Encounter/i1"}`, "North")
	wantIn(t, out, "Encounter/p3-1", `"subject":{"reference":"Patient/p3"}`, "South")
	if out["Patient/p2"] != "" || out["Encounter/p2-3"] != "" || out["Encounter/p1-2"] != "" {
		t.Errorf("conditions are judged for each item: %v", out)
	}
	if strings.Contains(out["Encounter/i1"], "subject") || !slices.ContainsFunc(res.Issues, func(i Issue) bool { return i.Code == "reference-ambiguous" }) {
		t.Errorf("one of two persons was made the subject: %s", out["Encounter/i1"])
	}
	wantIn(t, out, "Encounter/i1", `"episodeOfCare":[{"reference":"Patient/p1"},{"reference":"Patient/p3"}]`)
	wantIn(t, out, "Provenance/p3", `"target":[{"reference":"Patient/p3"},{"reference":"Encounter/p3-1"}]`)
	if out["Provenance/p2"] != "" {
		t.Errorf("what was made for others was told of: %s", out["Provenance/p2"])
	}
}

func TestTreePathsOfDatatypesCountAndTellTheirPlace(t *testing.T) {
	m := compiled(t, nestedMapping)
	c := m.Coverage()
	if want := []string{"/Incident/Beat"}; !slices.Equal(c.Unread, want) {
		t.Errorf("unread %v, want %v", c.Unread, want)
	}
	if !slices.Contains(c.Read, "/Incident/Person/Name/@kind") || !slices.Contains(c.Read, "/Incident/Person/Alias/Given") {
		t.Errorf("what a datatype reads where it is used: %v", c.Read)
	}
	res, _ := made(t, m, nested())
	for _, want := range []string{
		"Patient/p1 name[0].given[0] /Incident/Person[1]/Name/Given",
		"Patient/p3 name[0].family /Incident/Person[3]/Alias/Surname",
		"Encounter/p3-1 location[0].location.display /Incident/Person[3]/Visit/Place",
	} {
		if !slices.ContainsFunc(res.Trace, func(tr Trace) bool {
			return len(tr.Inputs) == 1 && tr.Resource+" "+tr.Element+" "+tr.Inputs[0].Path == want
		}) {
			t.Errorf("no trace says %s", want)
		}
	}
	if len(res.Unmapped) != 1 || res.Unmapped[0].Field != "/Incident/Beat" || res.Unmapped[0].Pos.Path != "/Incident/Beat" {
		t.Errorf("unmapped: %+v", res.Unmapped)
	}
}
