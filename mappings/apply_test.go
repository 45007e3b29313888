package mappings_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/text/encoding/charmap"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/validate"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

func apply(t testing.TB, m *mappings.Map, rec *tree.Record, opts mappings.Options) *mappings.Result {
	t.Helper()
	res, err := m.Apply(rec, opts)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func of(res *mappings.Result, typ string) []mappings.Resource {
	var out []mappings.Resource
	for _, r := range res.Resources {
		if r.Type == typ {
			out = append(out, r)
		}
	}
	return out
}

func TestTheSameRecordGivesTheSameBytes(t *testing.T) {
	m := load(t, riverton)
	want, _ := json.Marshal(apply(t, m, contact(t, m, full), mappings.Options{}))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			res, err := m.Apply(contact(t, m, full), mappings.Options{})
			got, _ := json.Marshal(res)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("differs: %v", err)
			}
		})
	}
	wg.Wait()
}

func TestDigestLeavesOutWhereTheRecordCameFrom(t *testing.T) {
	m := load(t, riverton)
	a := apply(t, m, contact(t, m, full), mappings.Options{Source: mappings.Source{SHA256: "aa"}})
	b := apply(t, m, contact(t, m, full), mappings.Options{Source: mappings.Source{SHA256: "bb"}, Received: time.Unix(1e9, 0)})
	c := apply(t, m, contact(t, m, full+"\nCity=Elsewhere"), mappings.Options{})
	if a.Digest != b.Digest || a.Digest == c.Digest || a.Key != c.Key {
		t.Errorf("digests %s %s %s", a.Digest, b.Digest, c.Digest)
	}
	if bytes.Equal(of(a, "Provenance")[0].Raw, of(b, "Provenance")[0].Raw) {
		t.Error("Provenance must tell the file")
	}
}

func TestIdsDependOnKeyTypeAndSource(t *testing.T) {
	m := load(t, riverton)
	other, err := mappings.NewIDs(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	a := apply(t, m, contact(t, m, full), mappings.Options{})
	b := apply(t, m, contact(t, m, full), mappings.Options{IDs: other})
	supplement := apply(t, m, contact(t, m, full+"\nSuppNo=2\nLastModified=2025-02-01 10:00:00"), mappings.Options{})
	seen := map[string]bool{}
	for i, r := range a.Resources {
		if r.ID == b.Resources[i].ID || seen[r.ID] || !resource.ValidID(r.ID) || len(r.ID) < 26 {
			t.Errorf("id %s of %s", r.ID, r.Type)
		}
		seen[r.ID] = true
	}
	if of(a, "Encounter")[0].ID != of(supplement, "Encounter")[0].ID {
		t.Error("a supplement must update the same Encounter")
	}
	if supplement.Version <= a.Version {
		t.Errorf("versions do not sort: %s, %s", a.Version, supplement.Version)
	}
	if bytes.Contains(of(a, "Patient")[0].Raw, []byte("6653")) {
		t.Error("the last four digits of the SSN leave")
	}
	if _, err := mappings.NewIDs([]byte("short")); err == nil {
		t.Error("a short key must be refused")
	}
}

func TestSupersedingIsIndependentOfOrder(t *testing.T) {
	old := mappings.Resource{SourceVersion: "2025-01-01T00:00:00Z/000000", Digest: "b"}
	cur := mappings.Resource{SourceVersion: "2025-01-02T00:00:00Z/000000", Digest: "a"}
	tie := mappings.Resource{SourceVersion: cur.SourceVersion, Digest: "c"}
	for _, c := range []struct {
		a, b mappings.Resource
		want bool
	}{{cur, old, true}, {old, cur, false}, {cur, cur, false}, {tie, cur, true}, {cur, tie, false}} {
		if got := c.a.Supersedes(c.b.SourceVersion, c.b.Digest); got != c.want {
			t.Errorf("%+v over %+v: %v", c.a, c.b, got)
		}
	}
}

func TestTraceTellsRowAndInput(t *testing.T) {
	m := load(t, riverton)
	res := apply(t, m, contact(t, m, full), mappings.Options{Trace: true})
	found := false
	for _, tr := range res.Trace {
		if tr.Element == "period.start" && strings.HasPrefix(tr.Resource, "Encounter/") {
			found = strings.HasPrefix(tr.Row, "rms/riverton/contact.map.yaml:") &&
				slices.ContainsFunc(tr.Inputs, func(p tree.Position) bool { return p.Path == "ContactDT" && p.Column == 25 })
		}
	}
	if !found {
		t.Error("period.start is not traced to its row and column")
	}
	if len(apply(t, m, contact(t, m, full), mappings.Options{}).Trace) != 0 {
		t.Error("nothing is traced unasked")
	}
}

func TestLimitsBreakOff(t *testing.T) {
	text := small
	text = strings.Replace(text, "        when: a != \"\"\n", "        foreach: items(B, \",\")\n", 1)
	text = strings.Replace(text, "from: A, required", "expr: item, required", 1)
	m, err := mappings.Load(files(text), "m.map.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	rec := &tree.Record{Kind: "row", Root: &tree.Node{Children: []*tree.Node{{Name: "A", Text: "k"}, {Name: "B", Text: strings.Repeat("ab,", 120_000)}}}}
	if _, err := m.Apply(rec, mappings.Options{}); !errors.Is(err, mappings.ErrLimit) {
		t.Errorf("got %v", err)
	}
	if _, err := m.Apply(nil, mappings.Options{}); err == nil {
		t.Error("no record must be an error")
	}
}

// sound checks what holds for every result, whatever the record says.
func sound(t testing.TB, res *mappings.Result) {
	t.Helper()
	if res.Action == mappings.Reject && !slices.ContainsFunc(res.Issues, func(i mappings.Issue) bool { return i.Severity == mappings.Error && i.Code == res.Reason }) {
		t.Errorf("a reject must say why: %+v", res)
	}
	if res.Action != mappings.Upsert && res.Action != mappings.Seal && len(res.Resources) > 0 {
		t.Errorf("%s with resources", res.Action)
	}
	ids := map[string]bool{}
	for _, r := range res.Resources {
		ids[r.Type+"/"+r.ID] = true
	}
	for _, r := range res.Resources {
		if r.Type == "Condition" {
			t.Error("a Condition from a police record")
		}
		parsed, err := resource.Parse(r.Raw)
		if err != nil {
			t.Fatalf("%v in %s", err, r.Raw)
		}
		for _, is := range validate.Resource(parsed) {
			t.Errorf("%s: %+v in %s", r.Type, is, r.Raw)
		}
		parsed.Root().Descend(func(n resource.Node) bool {
			if ref := n.Get("reference"); ref.Kind() == resource.String && !strings.HasPrefix(ref.Text(), "#") && !ids[ref.Text()] {
				t.Errorf("%s refers to %s, which is not there", r.Type, ref.Text())
			}
			return true
		})
	}
}

func TestTheSyntheticExportIsMappedWhole(t *testing.T) {
	raw, err := os.ReadFile("../../shared/data/police/synthetic/rms_contacts_cit_riverton_cp1252.csv")
	if err != nil {
		t.Skip("../shared is absent: the synthetic export was not mapped")
	}
	text, err := charmap.Windows1252.NewDecoder().Bytes(raw)
	if err != nil {
		t.Fatal(err)
	}
	r := csv.NewReader(bytes.NewReader(text))
	r.FieldsPerRecord, r.LazyQuotes = -1, true
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	m := load(t, riverton)
	count := map[string]int{}
	for i, row := range rows[1:] {
		rec := &tree.Record{Kind: "contact", Root: &tree.Node{}, Pos: tree.Position{Source: "export", Line: i + 2}}
		for j, v := range row {
			if j < len(rows[0]) {
				rec.Root.Children = append(rec.Root.Children, &tree.Node{Name: rows[0][j], Text: v})
			}
		}
		res := apply(t, m, rec, mappings.Options{})
		sound(t, res)
		count[strings.TrimSpace(res.Action.String()+" "+res.Reason)]++
		for _, u := range res.Unmapped {
			if u.Vocabulary == "" {
				t.Errorf("line %d: no row reads %s", i+2, u.Field)
			}
		}
		for _, x := range res.Resources {
			if bytes.Contains(bytes.ToLower(x.Raw), []byte("schizophrenia")) || bytes.Contains(x.Raw, []byte("HYPERLINK")) {
				t.Errorf("line %d: %s holds what must stay out", i+2, x.Type)
			}
		}
	}
	got := fmt.Sprint(count)
	const want = "map[reject person-key-damaged:1 reject record-status-missing:2 reject record-status-unknown:1 seal record-juvenile:1 test record-test:1 upsert:114]"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Whatever stands in the columns, what comes out is valid R4 and hangs together.
func FuzzApply(f *testing.F) {
	m := load(f, riverton)
	f.Add("RIVERA", "03/17/1980", "Paranoid; Mania", "72 HRS", "A")
	f.Add("=HYPERLINK(\"x\")", "00/00/1979", "SID 1234567", "", "S")
	f.Add("!", "0000\x10\x00\x00\x0079", "23\x00\x00\xffS\x004567", "", "S") // a facility whose name has no letter
	f.Add("DOE, JOHN", "\x00", "{\\rtf1 x}", "until case closed", "X")
	columns := []string{"LastName", "FirstName", "AKA", "HomeAddr", "City", "Zip", "Phone", "IncLocation", "FinalCallType", "CoResponder", "SuicideRisk", "SuicideMethod", "SubstanceObs", "WeaponType", "InjurySubj", "Housing", "MedsReported", "HoldStatute", "TransportMode", "DestFacility", "ReferralTo", "ConsentScope", "ConsentMethod", "OfficerName", "OfficerBadge", "Narrative", "OLN", "CallNo", "AgeEst", "Race", "Ethnicity", "Sex", "Disposition"}
	f.Fuzz(func(t *testing.T, a, date, list, expiry, status string) {
		rec := contact(t, m, full)
		set := func(name, v string) { rec.Root.First(name).Text = v }
		for i, c := range columns {
			switch (i + len(a)) % 3 {
			case 0:
				set(c, a)
			case 1:
				set(c, list)
			}
		}
		set("DOB", date)
		set("Behaviors", list)
		set("ConsentExpires", expiry)
		if len(a)%4 == 0 {
			set("ContactDT", date)
			set("MNI", a)
		}
		if len(status) > 0 {
			set("RecStatus", status)
		}
		res, err := m.Apply(rec, mappings.Options{})
		if errors.Is(err, mappings.ErrLimit) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		sound(t, res)
	})
}

func TestARecordCanBeKeptUnread(t *testing.T) {
	text := strings.NewReplacer("kinds: [row]", "kinds: [row, \"*\"]", "outcomes:\n", "outcomes:\n  - {when: 'kind != \"row\"', action: keep, code: kept, message: it is kept}\n").Replace(small)
	m, err := mappings.Load(files(text), "m.map.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	rec := func(kind, text string) *tree.Record {
		return &tree.Record{Kind: kind, Raw: []byte(text), Root: &tree.Node{Children: []*tree.Node{{Name: "A", Text: text}, {Name: "Q", Text: "not read"}}}}
	}
	a, b, row := apply(t, m, rec("other", "k"), mappings.Options{}), apply(t, m, rec("other", "l"), mappings.Options{}), apply(t, m, rec("row", "k"), mappings.Options{})
	if a.Action != mappings.Keep || a.Reason != "kept" || len(a.Resources) > 0 || len(a.Unmapped) > 0 || a.Digest == "" || a.Digest == b.Digest {
		t.Errorf("kept: got %+v", a)
	}
	if row.Action != mappings.Upsert || len(row.Resources) != 1 || len(row.Unmapped) != 1 {
		t.Errorf("mapped: got %+v", row)
	}
}
