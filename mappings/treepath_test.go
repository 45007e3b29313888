package mappings

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/handoff-health/handoff/mappings/tree"
)

const treeMapping = `
mapping: test/tree
version: 1.0.0
kinds: [incident]
elements: [Incident/@id, Incident/Person/Role, Incident/Person/Name/Given, Incident/Person/Name/Surname, Incident/Person/Phone, Incident/Beat]
ignore: {/Incident/Beat: not needed}
key: 'text("/Incident/@id")'
record-version: '""'
resources:
  - id: person
    type: Patient
    over: "/Incident/Person[Role='Subject']"
    system: '"urn:test"'
    key: 'text("/Incident/@id") + "|" + text("./Name/Surname")'
    rows:
      - to: name
        over: ./Name
        rows:
          - {to: family, from: ./Surname}
          - {to: given, from: ./Given}
`

func branch(name, text string, children ...*tree.Node) *tree.Node {
	return &tree.Node{Name: name, Text: text, Children: children}
}

func TestTreePathsReadRepetitionsAndPredicates(t *testing.T) {
	m, err := Load(fstest.MapFS{"m.yaml": {Data: []byte(treeMapping)}}, "m.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	person := func(role, given, family string) *tree.Node {
		return branch("Person", "", branch("Role", role), branch("Name", "", branch("Given", given), branch("Surname", family)))
	}
	rec := &tree.Record{Kind: "incident", Root: branch("", "", branch("Incident", "", branch("@id", "i1"),
		person("Subject", "Ana", "Ruiz"), person("Caller", "Bo", "Lee"), person("Subject", "Cy", "Orr"), branch("Beat", "4"), branch("Colour", "red")))}
	res, err := m.Apply(rec, Options{})
	if err != nil || len(res.Resources) != 2 {
		t.Fatalf("%v: %+v", err, res)
	}
	for i, want := range []string{`"family":"Ruiz","given":["Ana"]`, `"family":"Orr","given":["Cy"]`} {
		if !strings.Contains(string(res.Resources[i].Raw), want) {
			t.Errorf("got %s, want %s", res.Resources[i].Raw, want)
		}
	}
	if len(res.Unmapped) != 1 || res.Unmapped[0].Field != "/Incident/Colour" {
		t.Errorf("unmapped: %+v", res.Unmapped)
	}
	if c := m.Coverage(); len(c.Unread) != 1 || c.Unread[0] != "/Incident/Person/Phone" {
		t.Errorf("unread: %v", c.Unread)
	}
}

func TestTreePathsAreCheckedAgainstTheElements(t *testing.T) {
	for bad, want := range map[string]string{
		"from: ./Surnam":            `m.yaml:19:32: unknown element "Incident/Person/Name/Surnam"`,
		"from: /Incident/Nobody":    `unknown element "Incident/Nobody"`,
		"from: Surname":             "starts neither with /",
		`from: "./Surname[X='y']"`:  `unknown element "Incident/Person/Name/Surname/X"`,
		`expr: 'text("./Surnme")'`:  `unknown element "Incident/Person/Name/Surnme"`,
		`from: "./Surname[X=['y']"`: "not of the form",
	} {
		raw := strings.Replace(treeMapping, "from: ./Surname", bad, 1)
		if _, err := Load(fstest.MapFS{"m.yaml": {Data: []byte(raw)}}, "m.yaml", nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", bad, err, want)
		}
	}
}
