package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const patient = `{ "resourceType":"Patient","id":"p.1",
 "birthDate":"1980-01-02","_birthDate":{"extension":[{"url":"http://x","valueString":"a\"b"}]},
 "name":[{"family":"O\u0027Neill","given":["A",null,"C"]},{"family":"Two"}],
 "extension":[{"url":"http://d","valueDecimal":1.00}],
 "contained":[{"resourceType":"Organization","id":"o","na\u006de":"N\u0000"}] , "x-unknown": {"a":[ ]} }`

// plainPatient has no escaped name, so that the scan takes it.
var plainPatient = []byte(strings.ReplaceAll(patient, `na\u006de`, "name"))

func TestViewReadsWhatIsThere(t *testing.T) {
	r, err := Parse([]byte(patient))
	if err != nil {
		t.Fatal(err)
	}
	if r.Type() != "Patient" || r.ID() != "p.1" || r.Reference() != "Patient/p.1" {
		t.Errorf("type %q id %q", r.Type(), r.ID())
	}
	root := r.Root()
	for _, c := range []struct{ name, got, want string }{
		{"escape", first(root, "name").Get("family").Text(), "O'Neill"},
		{"decimal", string(first(root, "extension").Get("valueDecimal").Raw()), "1.00"},
		{"escaped name", first(root, "contained").Get("name").Text(), "N\x00"},
		{"absent chain", root.Path("no", "such", "thing").Text(), ""},
		{"primitive extension", first(root.Get("_birthDate"), "extension").Get("valueString").Text(), `a"b`},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, c.got, c.want)
		}
	}
	if got := first(root, "name").Get("given").Len(); got != 3 {
		t.Errorf("given has %d elements", got)
	}
	if root.Get("STATUS").Exists() || root.Get("birthdate").Exists() {
		t.Error("names must match in exact case")
	}
}

func first(n Node, name string) Node {
	for e := range n.All(name) {
		return e
	}
	return Node{}
}

func TestTheScanTellsWhatItMet(t *testing.T) {
	for raw, want := range map[string][2]bool{
		`{"a":"plain"}`:           {false, false},
		`{"a":"a\"b"}`:            {true, false},
		`{"a":"caf\u00e9"}`:       {true, false},
		`{"a":"café"}`:            {false, true},
		`{"é":"a"}`:               {false, true},
		`{"\u0061":"a"}`:          {true, true}, // by the other reader, which does not say
		`{"a":["a",{"b":"\tü"}]}`: {true, true},
	} {
		d, err := ParseDocument([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]bool{d.Escapes(), d.Wide()}; got != want {
			t.Errorf("%s: %v, want %v", raw, got, want)
		}
		if err := d.Reset([]byte(`{}`)); err != nil || d.Escapes() || d.Wide() {
			t.Errorf("%s stays with the next document", raw)
		}
	}
}

func TestNodesFindEachOther(t *testing.T) {
	r, err := Parse([]byte(patient))
	if err != nil {
		t.Fatal(err)
	}
	root := r.Root()
	var named, strs []string
	for n := range root.Named("extension", root.Get("_birthDate")) {
		named = append(named, string(n.Raw()))
	}
	if got := strings.Join(named, " "); got != `[{"url":"http://d","valueDecimal":1.00}]` {
		t.Errorf("named: %s", got)
	}
	for i := range r.Len() {
		n := r.At(i)
		if n.Kind() == String {
			strs = append(strs, n.View())
		}
		if length, exact := n.NameLen(); exact && length != len(n.Name()) {
			t.Errorf("%q: a name of %d bytes", n.Name(), length)
		}
	}
	if got := strings.Join(strs, "|"); got != "Patient|p.1|1980-01-02|http://x|a\"b|O'Neill|A|C|Two|http://d|Organization|o|N\x00" {
		t.Errorf("strings: %s", got)
	}
	if r.At(0) != root {
		t.Error("the first value is the root")
	}
	if root.Parent().Exists() || (Node{}).Parent().Exists() {
		t.Error("nothing stands above the root")
	}
	root.Descend(func(n Node) bool {
		for m := range n.Members() {
			if m.Parent() != n || !m.Called(m.Name()) || m.Called("x") {
				t.Errorf("%s: parent %q", m.Name(), m.Parent().Raw())
			}
		}
		if n.Kind() == Array {
			for m := range n.Elements() {
				if m.Parent() != n || m.Called("") {
					t.Errorf("an element of %s", n.Raw())
				}
			}
		}
		return true
	})
	if o := first(root, "contained"); !o.Get("name").Called("name") || o.Get("name").View() != "N\x00" {
		t.Error("an escaped name")
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", "empty"},
		{"duplicate", `{"resourceType":"Consent","status":"inactive","status":"active"}`, "duplicate"},
		{"duplicate by escape", `{"resourceType":"Consent","status":"a","st\u0061tus":"b"}`, "duplicate"},
		{"invalid UTF-8", "{\"resourceType\":\"Patient\",\"x\":\"\xff\"}", "UTF-8"},
		{"truncated", `{"resourceType":"Patient","name":[`, "ends in the middle"},
		{"two values", `{"resourceType":"Patient"}{"resourceType":"Patient"}`, "more than one value"},
		{"array", `[]`, "JSON object"},
		{"no type", `{"id":"1"}`, "resourceType"},
		{"type of wrong form", `{"resourceType":"../x"}`, "not the name"},
		{"bad id", `{"resourceType":"Patient","id":"a/b"}`, "FHIR id"},
		{"too deep", `{"resourceType":"Patient","x":` + strings.Repeat("[", 80) + strings.Repeat("]", 80) + `}`, "deeper"},
	} {
		_, err := Parse([]byte(c.in))
		var se *SyntaxError
		if !errors.As(err, &se) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want a SyntaxError with %q", c.name, err, c.want)
		}
	}
}

func TestEditorKeepsOtherBytes(t *testing.T) {
	parse := func() *Resource {
		r, err := Parse([]byte(patient))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, c := range []struct {
		name   string
		edit   func(*Editor, Node)
		gone   []string
		stays  []string
		equals string
	}{
		{"nothing", func(*Editor, Node) {}, nil, nil, patient},
		{"member with extension", func(e *Editor, n Node) { e.RemoveMember(n, "birthDate") }, []string{"birthDate"}, []string{"1.00", `O\u0027Neill`, `N\u0000`}, ""},
		{"array element", func(e *Editor, n Node) { e.Remove(first(n, "name")) }, []string{"Neill"}, []string{"Two", "1.00"}, ""},
		{"all elements prune the array", func(e *Editor, n Node) {
			for x := range n.All("name") {
				e.Remove(x)
			}
		}, []string{`"name"`}, []string{"1.00"}, ""},
		{"set new and old", func(e *Editor, n Node) {
			e.Set(n, "id", []byte(`"p2"`))
			e.Set(n, "meta", []byte(`{"a":1}`))
			e.Set(n, "meta", []byte(`{"b":2}`))
		}, []string{"p.1", `{"a":1}`}, []string{`"id":"p2"`, `"meta":{"b":2}`, "1.00"}, ""},
	} {
		r := parse()
		e := r.Edit()
		c.edit(e, r.Root())
		got := string(e.Bytes())
		if !json.Valid([]byte(got)) {
			t.Errorf("%s: not JSON: %s", c.name, got)
		}
		for _, s := range c.gone {
			if strings.Contains(got, s) {
				t.Errorf("%s: %q is still in %s", c.name, s, got)
			}
		}
		for _, s := range c.stays {
			if !strings.Contains(got, s) {
				t.Errorf("%s: %q is missing in %s", c.name, s, got)
			}
		}
		if c.equals != "" && got != c.equals {
			t.Errorf("%s: got %s", c.name, got)
		}
	}
}

func TestSplitReference(t *testing.T) {
	for in, want := range map[string][3]string{
		"Patient/1":            {"", "Patient", "1"},
		"Patient/1/_history/2": {"", "Patient", "1"},
		"https://ehr.example/fhir/Encounter/a-b.c": {"https://ehr.example/fhir", "Encounter", "a-b.c"},
		"#o":                {},
		"urn:uuid:12":       {},
		"nonsense":          {},
		"a/Patient/1":       {},
		"Patient/with sp":   {},
		"patient/1":         {},
		"https://h/Patient": {},
	} {
		base, typ, id, ok := SplitReference(in)
		if got := [3]string{base, typ, id}; got != want || ok != (want[1] != "") {
			t.Errorf("%q: got %v %v, want %v", in, got, ok, want)
		}
	}
}

// Official examples, where the checkout has them beside it, survive a set and
// the removal of what was set.
func TestOfficialExamplesRoundTrip(t *testing.T) {
	files, _ := filepath.Glob("../../../shared/data/fhir/r4-examples/*.json")
	if len(files) == 0 {
		t.Skip("../shared is absent: the official R4 examples were not tried")
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Parse(raw)
		if err != nil {
			t.Errorf("%s: %v", f, err)
			continue
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, raw); err != nil {
			t.Fatal(err)
		}
		e := r.Edit()
		e.Set(r.Root(), "x-probe", []byte("1"))
		s, err := Parse(e.Bytes())
		if err != nil {
			t.Errorf("%s: after an edit: %v", f, err)
			continue
		}
		e = s.Edit()
		e.Remove(s.Root().Get("x-probe"))
		var back bytes.Buffer
		if err := json.Compact(&back, e.Bytes()); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(compact.Bytes(), back.Bytes()) {
			t.Errorf("%s: changed by an edit that undid itself", f)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(patient))
	f.Add([]byte(`{"resourceType":"Patient","a":[{},[],"",1e9,true,null]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := Parse(raw)
		if err != nil {
			return
		}
		if !json.Valid(raw) {
			t.Fatalf("accepted what encoding/json refuses: %q", raw)
		}
		var nodes []Node
		r.Root().Descend(func(n Node) bool { nodes = append(nodes, n); return true })
		for i, n := range nodes {
			if !json.Valid(n.Raw()) {
				t.Fatalf("node %d is not a value: %q", i, n.Raw())
			}
			e := r.Edit()
			e.Remove(n)
			if !json.Valid(e.Bytes()) {
				t.Fatalf("removing node %d of %q gives %q", i, raw, e.Bytes())
			}
			if i > 40 {
				break
			}
		}
	})
}

// The scan must not take what jsontext refuses, and what both take they index
// alike.
func FuzzScan(f *testing.F) {
	for _, s := range []string{
		patient, string(plainPatient), "", "null", " [ ] ", `{}`, `{"a":{}}`, `{"a":[{},[],""]}`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"":0,"":1}`,
		`[0,-0,1.5e+10,-1E-2,01]`, `[1.]`, `[.5]`, `[-]`, `[1e]`, `[tru]`, `[true,false,null]`, `["\ud83d\ude00"]`, `["\ud83d"]`, `["\ude00"]`, `["\ud83d\u0041"]`,
		`["\x"]`, "[\"\x1f\"]", "[\"é\xff\"]", "[\"\xed\xa0\x80\"]", `{"a":1,}`, `[1,]`, `[1 2]`, `{"a" : 1 , "b":2}`, `{"a"}`, `{1:2}`, `[}`, `{"a":1]`, `{"a":1}x`, "\ufeff{}", `["12345678\"9"]`,
		strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth), strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		quick, slow := Document{raw: raw}, Document{raw: raw}
		took, err := quick.scan(), slow.decode()
		switch {
		case took && err != nil:
			t.Fatalf("took what jsontext refuses: %v\n%q", err, raw)
		case took && !slices.Equal(quick.nodes, slow.nodes):
			t.Fatalf("%q\nscan     %+v\njsontext %+v", raw, quick.nodes, slow.nodes)
		case !took && len(quick.nodes) > 0:
			t.Fatalf("nodes are left of what was not taken: %q", raw)
		}
		if err != nil || took || bytes.IndexByte(raw, '\\') >= 0 {
			return
		}
		for i := range slow.nodes { // only large objects and names with escapes are left to jsontext
			if slow.nodes[i].kind == Object && (Node{&slow, uint32(i)}).Len() > maxMembers || slow.nodes[i].escapedKey {
				return
			}
		}
		t.Fatalf("did not take %q", raw)
	})
}

// What is wrong at random places of real documents is refused alike.
func TestScanOfDamagedDocuments(t *testing.T) {
	rnd := rand.New(rand.NewPCG(11, 12))
	for range 30_000 {
		raw := slices.Clone(plainPatient)
		for range 1 + rnd.IntN(2) {
			i := rnd.IntN(len(raw))
			switch rnd.IntN(4) {
			case 0:
				raw[i] = byte(rnd.IntN(256))
			case 1:
				raw = slices.Delete(raw, i, min(len(raw), i+1+rnd.IntN(3)))
			case 2:
				raw = slices.Insert(raw, i, `{}[]",:0\u-e.t `[rnd.IntN(15)])
			default:
				raw = raw[:i+1]
			}
		}
		quick, slow := Document{raw: raw}, Document{raw: raw}
		if took, err := quick.scan(), slow.decode(); took && (err != nil || !slices.Equal(quick.nodes, slow.nodes)) {
			t.Fatalf("%v\n%q", err, raw)
		}
	}
}

func TestResetDoesNotAllocate(t *testing.T) {
	var r Resource
	other := []byte(`{"resourceType":"Observation","id":"o","status":"final"}`)
	reset := func() {
		for _, raw := range [][]byte{plainPatient, other} {
			if err := r.Reset(raw); err != nil || r.Is("Observation/x") {
				t.Fatal(err)
			}
		}
		if !r.Is("Observation/o") || r.Is("Observation/") || r.Is("Observation") {
			t.Fatal("it is not itself")
		}
	}
	reset()
	if n := testing.AllocsPerRun(100, reset); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if r.ID() != "o" || r.Reference() != "Observation/o" || r.Type() != "Observation" {
		t.Errorf("got %s", r.Reference())
	}
	if err := r.Reset([]byte(`{`)); err == nil || r.ID() != "" || r.Type() != "" || r.Is("/") || r.Root().Exists() {
		t.Errorf("after a failure: %v, %q", err, r.Reference())
	}
}

func BenchmarkParse(b *testing.B) {
	raw := plainPatient
	var r Resource
	b.Run("resource", func(b *testing.B) {
		b.SetBytes(int64(len(raw)))
		b.ReportAllocs()
		for b.Loop() {
			if err := r.Reset(raw); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("json.Valid", func(b *testing.B) {
		b.SetBytes(int64(len(raw)))
		for b.Loop() {
			if !json.Valid(raw) {
				b.Fatal("not valid")
			}
		}
	})
}
