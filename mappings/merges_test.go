package mappings

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/handoff-health/handoff/mappings/tree"
)

const mergeMapping = `
mapping: test/merges
version: 1.0.0
kinds: [change]
elements: [Change/Time, Change/Undo, Change/Site, Change/Pair/Into, Change/Pair/From, Change/Pair/Site]
let:
  - {name: site, expr: '"urn:mni:" + text("/Change/Site")'}
key: '"change|" + text("/Change/Time")'
record-version: 'text("/Change/Time")'
resources:
  - id: prior
    type: Patient
    stub: true
    over: /Change/Pair
    system: site
    key: 'text("./From")'
    rows: [{to: identifier, rows: [{to: value, from: ./From}]}]
  - id: person
    type: Patient
    over: /Change/Pair
    system: site
    key: 'text("./Into")'
    rows: [{to: identifier, rows: [{to: value, from: ./Into}]}]
merges:
  - {over: /Change/Pair, survivor: person, loser: prior, undo: 'has("/Change/Undo")', when: 'not has("./Site")'}
  - {over: /Change/Pair, survivor: person, loser: {system: '"urn:mni:" + text("./Site")', key: 'text("./From")'}, when: 'has("./Site")'}
`

func change(undo string, pairs ...[3]string) *tree.Record {
	root := branch("Change", "", branch("Time", "2026-01-01"), branch("Site", "r"), branch("Undo", undo))
	for _, p := range pairs {
		root.Children = append(root.Children, branch("Pair", "", branch("Into", p[0]), branch("From", p[1]), branch("Site", p[2])))
	}
	return &tree.Record{Kind: "change", Root: branch("", "", root)}
}

func loadMerges(t *testing.T, replace ...string) (*Map, error) {
	t.Helper()
	raw := strings.NewReplacer(replace...).Replace(mergeMapping)
	return Load(fstest.MapFS{"m.yaml": {Data: []byte(raw)}}, "m.yaml", nil)
}

func TestMergesNameSurvivorAndLoser(t *testing.T) {
	m, err := loadMerges(t)
	if err != nil {
		t.Fatal(err)
	}
	ref := func(key string) string { return "Patient/" + TestIDs("Patient", "urn:mni:r", key) }
	for _, c := range []struct {
		name string
		rec  *tree.Record
		want []Merge // survivor and loser by their keys
		why  string
	}{
		{"one", change("", [3]string{"A", "B"}), []Merge{{Survivor: "A", Loser: "B"}}, ""},
		{"undone", change("yes", [3]string{"A", "B"}), []Merge{{Survivor: "A", Loser: "B", Undo: true}}, ""},
		{"several", change("", [3]string{"A", "B"}, [3]string{"C", "D"}), []Merge{{Survivor: "A", Loser: "B"}, {Survivor: "C", Loser: "D"}}, ""},
		{"chain", change("", [3]string{"B", "A"}, [3]string{"C", "B"}), []Merge{{Survivor: "B", Loser: "A"}, {Survivor: "C", Loser: "B"}}, ""},
		{"itself", change("", [3]string{"A", "A"}), []Merge{{Survivor: "A", Loser: "A"}}, ""},
		{"by key", change("", [3]string{"A", "B", "r"}), []Merge{{Survivor: "A", Loser: "B"}}, ""},
		{"another authority", change("", [3]string{"A", "B"}, [3]string{"A", "B", "x"}), nil, "merge-authority"},
	} {
		res, err := m.Apply(c.rec, Options{})
		if err != nil || res.Reason != c.why || len(res.Merges) != len(c.want) {
			t.Errorf("%s: %v, %+v", c.name, err, res)
			continue
		}
		for i, w := range c.want {
			if got := res.Merges[i]; got.Survivor != ref(w.Survivor) || got.Loser != ref(w.Loser) || got.Undo != w.Undo {
				t.Errorf("%s: pair %d is %+v, want %+v", c.name, i, got, w)
			}
		}
		if c.why != "" && len(res.Resources) > 0 {
			t.Errorf("%s: a refused merge makes resources", c.name)
		}
	}
}

func TestAStubGivesWayToTheWholeForm(t *testing.T) {
	m, err := loadMerges(t)
	if err != nil {
		t.Fatal(err)
	}
	res, err := m.Apply(change("", [3]string{"B", "A"}, [3]string{"C", "B"}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var stubs, whole []string
	for _, x := range res.Resources {
		if key := strings.TrimPrefix(x.Key, "urn:mni:r|"); x.Stub {
			stubs = append(stubs, key)
			if x.SourceVersion != "" {
				t.Errorf("the stub of %s has the version %q", key, x.SourceVersion)
			}
		} else {
			whole = append(whole, key)
		}
	}
	slices.Sort(whole)
	if !slices.Equal(stubs, []string{"A"}) || !slices.Equal(whole, []string{"B", "C"}) {
		t.Errorf("stubs %v, whole %v", stubs, whole)
	}
}

func TestMergesOfOneSurvivorDiffer(t *testing.T) {
	m, err := loadMerges(t, "    rows: [{to: identifier, rows: [{to: value, from: ./From}]}]", "    rows: [{to: active, value: true}]")
	if err != nil {
		t.Fatal(err)
	}
	digests := map[string]bool{}
	for _, rec := range []*tree.Record{change("", [3]string{"A", "B"}), change("yes", [3]string{"A", "B"}), change("", [3]string{"A", "C"})} {
		res, err := m.Apply(rec, Options{})
		if err != nil {
			t.Fatal(err)
		}
		digests[res.Digest] = true
	}
	if len(digests) != 3 {
		t.Errorf("%d digests of three orders", len(digests))
	}
}

func TestMergesAreChecked(t *testing.T) {
	for bad, want := range map[string]string{
		"survivor: nobody, loser: prior":          `unknown resource "nobody"`,
		"survivor: person":                        `the key "loser" is missing`,
		"survivor: person, loser: {key: '\"x\"'}": `the key "system" is missing`,
		"survivor: person, loser: prior, into: x": `unknown key "into"`,
		"survivor: place, loser: prior":           "only Patients are merged",
	} {
		_, err := loadMerges(t, "survivor: person, loser: prior", bad, "\nmerges:", "\n  - {id: place, type: Location, system: site, key: site, rows: []}\nmerges:")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", bad, err, want)
		}
	}
	if _, err := loadMerges(t, "    stub: true", "    stub: true\n    owned: true"); err == nil || !strings.Contains(err.Error(), "cannot be owned") {
		t.Errorf("an owned stub: %v", err)
	}
}
