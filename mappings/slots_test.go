package mappings_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/handoff-health/handoff/mappings"
)

// said maps the messages of a file of the tests, separated by blank lines.
func said(t testing.TB) []*mappings.Result {
	t.Helper()
	m, err := mappings.Load(os.DirFS("testdata"), "update.map.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/update.hl7")
	if err != nil {
		t.Fatal(err)
	}
	var out []*mappings.Result
	for _, one := range strings.Split(string(text), "\n\n") {
		res := apply(t, m, message(t, one), mappings.Options{})
		if res.Action != mappings.Upsert || !res.Partial {
			t.Fatalf("%+v from %s", res, one)
		}
		for i := range res.Resources {
			x := &res.Resources[i]
			if alone, err := x.Slots.Assemble(x.Type, x.ID); err != nil || !bytes.Equal(alone, x.Raw) {
				t.Errorf("%v: %s is not %s", err, alone, x.Raw)
			}
		}
		out = append(out, res)
	}
	return out
}

// come merges messages in the order given and returns what they come to.
func come(t testing.TB, results []*mappings.Result) (map[string]mappings.Slots, map[string]string) {
	t.Helper()
	state, raws := map[string]mappings.Slots{}, map[string]string{}
	for _, res := range results {
		for _, x := range res.Resources {
			ref := x.Type + "/" + x.ID
			next, raw, _, err := state[ref].Update(x.Type, x.ID, x.Slots)
			if err != nil {
				t.Fatal(err)
			}
			state[ref], raws[ref] = next, string(raw)
		}
	}
	return state, raws
}

func withoutIDs(raws map[string]string) string {
	var all []string
	for ref, raw := range raws {
		all = append(all, strings.ReplaceAll(raw, ref[strings.IndexByte(ref, '/')+1:], "ID"))
	}
	return strings.Join(all, "\n")
}

func TestMessagesComeToTheSameInEveryOrder(t *testing.T) {
	results := said(t)
	_, want := come(t, results)
	if len(want) != 3 {
		t.Fatalf("%d resources", len(want))
	}
	all := withoutIDs(want)
	for _, s := range []string{
		// the newest of each slot; an older null empties, a newer value fills again
		`"birthDate"`, `555-1`, `555-9`, `deceasedBoolean`, `WARD-A`, `"end"`, `dischargeDisposition`, `"text":"ER"}}}`,
	} {
		if s != `"text":"ER"}}}` && strings.Contains(all, s) {
			t.Errorf("%s is there: %s", s, all)
		}
	}
	for _, s := range []string{
		`"gender":"other"`, `"value":"555-3"`, `"deceasedDateTime":"2025-01-06T08:00:00Z"`,
		`"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"HIV"},{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"PSY"}]`, // R was lifted
		`"contained":[{"resourceType":"Location","id":"location","name":"WARD-C"}]`,
		`"status":"in-progress","class":{"code":"I"}`, `"period":{"start":"2025-01-01T09:55:00Z"}`, `"admitSource":{"text":"ER"}`,
		`"meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]}`,
		`"status":"cancelled","class":{"code":"E"}`, `"period":{"start":"2025-01-02T10:50:00Z"}`, `ROOM-1`,
	} {
		if !strings.Contains(all, s) {
			t.Errorf("%s is missing in %s", s, all)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		order := append([]*mappings.Result(nil), results...)
		for range rng.IntN(6) { // some come again
			order = append(order, results[rng.IntN(len(results))])
		}
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		if _, got := come(t, order); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("got %v\nwant %v", got, want)
		}
	}
}

// Merging is associative: any two heaps of messages can be merged as heaps.
func TestHeapsOfMessagesMerge(t *testing.T) {
	results := said(t)
	whole, _ := come(t, results)
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		var a, b, c []*mappings.Result
		for _, r := range results {
			for heap, list := range []*[]*mappings.Result{&a, &b, &c} {
				if rng.IntN(2) == 0 || heap == 2 && rng.IntN(4) > 0 {
					*list = append(*list, r)
				}
			}
		}
		c = append(c, results...)
		sa, _ := come(t, a)
		sb, _ := come(t, b)
		sc, _ := come(t, c)
		for ref, want := range whole {
			left, right := sa[ref].Merge(sb[ref]).Merge(sc[ref]), sc[ref].Merge(sb[ref].Merge(sa[ref]))
			if !left.Equal(want) || !right.Equal(want) {
				t.Fatalf("%s: %+v\n%+v\nwant %+v", ref, left, right, want)
			}
		}
	}
}

func TestWhatAMessageChanges(t *testing.T) {
	results := said(t)
	of := func(n int, typ string) mappings.Slots {
		for _, x := range results[n-1].Resources {
			if x.Type == typ {
				return x.Slots
			}
		}
		return nil
	}
	for _, c := range []struct {
		known []int
		next  int
		want  mappings.Change
	}{
		{nil, 1, mappings.Different},
		{[]int{1}, 1, mappings.Known},
		{[]int{1}, 2, mappings.Different},
		{[]int{1, 2}, 1, mappings.Known},
		{[]int{4}, 1, mappings.Different}, // older, and fills what the discharge does not tell
		{[]int{1, 5}, 2, mappings.Nothing},
		{[]int{1, 4, 5}, 4, mappings.Nothing},
		{[]int{1, 3}, 3, mappings.Known},
	} {
		var s mappings.Slots
		for _, n := range c.known {
			s = s.Merge(of(n, "Encounter"))
		}
		if _, _, got, err := s.Update("Encounter", "e", of(c.next, "Encounter")); got != c.want || err != nil {
			t.Errorf("%v then %d: got %d (%v), want %d", c.known, c.next, got, err, c.want)
		}
	}
}

// A discharge before its admission, a pre-admission change without one, a
// cancellation before what it cancels.
func TestEncountersOutOfOrder(t *testing.T) {
	results := said(t)
	for _, c := range []struct {
		order []int
		want  []string
	}{
		{[]int{4, 1}, []string{`"status":"finished"`, `"period":{"start":"2025-01-01T09:55:00Z","end":"2025-01-04T09:50:00Z"}`, `"admitSource"`, `"dischargeDisposition"`}},
		{[]int{3}, []string{`"status":"in-progress","class":{"code":"I"}`}},
		{[]int{8, 9}, []string{`"status":"cancelled"`, `ROOM-1`}},
		{[]int{5, 4, 1}, []string{`"status":"in-progress"`, `"period":{"start":"2025-01-01T09:55:00Z"}`}},
	} {
		var order []*mappings.Result
		for _, n := range c.order {
			order = append(order, results[n-1])
		}
		_, raws := come(t, order)
		for _, w := range c.want {
			if !strings.Contains(fmt.Sprint(raws), w) {
				t.Errorf("%v: %s is missing in %v", c.order, w, raws)
			}
		}
	}
}

// A restriction goes only by a newer message that takes it back.
func TestLabelsFailClosed(t *testing.T) {
	m, err := mappings.Load(os.DirFS("testdata"), "update.map.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	person := func(at, flag, arv string) *mappings.Result {
		text := "MSH|^~\\&|A|HOSP|||||ADT^A31|1|P|2.5\nEVN||" + at + "\nPID|1||P1||Doe^Jane\nPD1||||||||||||" + flag
		if arv != "" {
			text += "\nARV|||" + arv
		}
		return apply(t, m, message(t, text), mappings.Options{})
	}
	const monday, tuesday = "20250106100000+0000", "20250107100000+0000"
	for name, c := range map[string]struct {
		said []*mappings.Result
		want string
	}{
		"said":                      {[]*mappings.Result{person(monday, "Y", "")}, "R"},
		"not mentioned later":       {[]*mappings.Result{person(monday, "Y", "PSY"), person(tuesday, "", "")}, "PSY R"},
		"taken back":                {[]*mappings.Result{person(monday, "Y", ""), person(tuesday, "N", "")}, ""},
		"taken back by null":        {[]*mappings.Result{person(monday, "Y", "PSY"), person(tuesday, `""`, "")}, "PSY"},
		"taken back before":         {[]*mappings.Result{person(monday, "N", ""), person(tuesday, "Y", "")}, "R"},
		"taken back at once":        {[]*mappings.Result{person(monday, "N", ""), person(monday, "Y", "")}, "R"},
		"taken back without a time": {[]*mappings.Result{person("", "N", ""), person(monday, "Y", "")}, "R"},
		"said without a time":       {[]*mappings.Result{person("", "Y", ""), person(monday, "N", ""), person(tuesday, "N", "")}, "R"},
		"another label":             {[]*mappings.Result{person(monday, "", "PSY"), person(tuesday, "", "HIV")}, "HIV PSY"},
		"all labels by null":        {[]*mappings.Result{person(monday, "", "PSY~HIV"), person(tuesday, "", `""`)}, ""},
	} {
		for range 4 {
			rand.Shuffle(len(c.said), func(i, k int) { c.said[i], c.said[k] = c.said[k], c.said[i] })
			_, raws := come(t, append(c.said, c.said...))
			var got []string
			for _, code := range []string{"HIV", "PSY", "R"} {
				if strings.Contains(withoutIDs(raws), `"code":"`+code+`"`) {
					got = append(got, code)
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%s: got %q, want %q", name, got, c.want)
			}
		}
	}
}

// A kind that is not listed is a snapshot: what it leaves out is gone, but no
// label.
func TestKindsThatAreSnapshots(t *testing.T) {
	text, err := os.ReadFile("testdata/update.map.yaml")
	if err != nil {
		t.Fatal(err)
	}
	fsys := fstest.MapFS{"m.yaml": {Data: bytes.Replace(text, []byte("update: merge"), []byte("update: {merge: [ADT_A02, ADT_A08]}"), 1)}}
	m, err := mappings.Load(fsys, "m.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	said := func(trigger, at, rest string) *mappings.Result {
		return apply(t, m, message(t, "MSH|^~\\&|A|HOSP|||||ADT^"+trigger+"|1|P|2.5\nEVN||2025010"+at+"100000+0000\n"+rest), mappings.Options{})
	}
	order := []*mappings.Result{
		said("A08", "1", "PID|1||P1||Doe^Jane||19800101\nARV|||PSY"),
		said("A31", "2", "PID|1||P1||Doe^Janet"),
		said("A08", "3", "PID|1||P1|||||F"),
	}
	for range 6 {
		rand.Shuffle(len(order), func(i, k int) { order[i], order[k] = order[k], order[i] })
		_, raws := come(t, order)
		got := withoutIDs(raws)
		for _, s := range []string{`"code":"PSY"`, `"Janet"`, `"female"`} {
			if !strings.Contains(got, s) {
				t.Errorf("%s is missing in %s", s, got)
			}
		}
		if strings.Contains(got, "birthDate") {
			t.Errorf("what the snapshot left out is there: %s", got)
		}
	}
}

func TestWhatLoadRefusesOfUpdates(t *testing.T) {
	text, err := os.ReadFile("testdata/update.map.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ from, to, want string }{
		{"update: merge", "update: patch", "update is merge, or merge: with a list of kinds"},
		{"update: merge", "update: {merge: [ADT_A09]}", `unknown kind "ADT_A09"`},
		{"update: merge\n", "", "name, delete and default are for the rows of a resource itself"},
		{"{to: period.start, expr", "{to: period, rows: [{to: start, from: PV1-44}]}\n      - {to: period.start, expr", "a slot cannot lie in another"},
		{"rows: [{to: value, expr: visit, required: true}]", "rows: [{to: value, expr: visit, default: true}]", "name, delete and default are for the rows of a resource itself"},
		{`delete: 'trigger == "A13"'`, `delete: 'trigger'`, "bool"},
	} {
		fsys := fstest.MapFS{"m.yaml": {Data: bytes.Replace(text, []byte(c.from), []byte(c.to), 1)}}
		if _, err := mappings.Load(fsys, "m.yaml", nil); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "m.yaml:") {
			t.Errorf("%s: got %v", c.want, err)
		}
	}
}
