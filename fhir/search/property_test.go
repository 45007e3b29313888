package search

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// found evaluates a plan's condition over entries as a store does.
func found(e store.Expr, r *resource.Resource, index []string) bool {
	entries := func() []string {
		switch e.Param {
		case store.ParamID:
			return []string{r.ID()}
		case store.ParamLastUpdated:
			if at, ok := readTime(r.Root().Path("meta", "lastUpdated").Text()); ok {
				return []string{resource.FormatInstant(at.from)}
			}
			return nil
		}
		var out []string
		for _, s := range index {
			if p, v, _ := strings.Cut(s, "|"); p == e.Param {
				out = append(out, v)
			}
		}
		return out
	}
	some := func(ok func(string) bool) bool { return slices.ContainsFunc(entries(), ok) }
	switch e.Op {
	case store.All:
		return true
	case store.And:
		return !slices.ContainsFunc(e.Args, func(a store.Expr) bool { return !found(a, r, index) })
	case store.Or:
		return slices.ContainsFunc(e.Args, func(a store.Expr) bool { return found(a, r, index) })
	case store.Not:
		return !found(e.Args[0], r, index)
	case store.Equal:
		return some(func(v string) bool { return v == e.Value })
	case store.Prefix:
		return some(func(v string) bool { return strings.HasPrefix(v, e.Value) })
	case store.Range:
		return some(func(v string) bool { return v >= e.Low && (e.High == "" || v < e.High) })
	case store.Exists:
		return some(func(string) bool { return true })
	}
	return false
}

// world makes random values of few shapes, so that queries hit often.
type world struct{ *rand.Rand }

func (w world) pick(from ...string) string { return from[w.IntN(len(from))] }

func (w world) code() string {
	return w.pick("a", "A", "b", "a|b", "a,b", `a\b`, "", "é", strings.Repeat("x", 199), strings.Repeat("x", 199)+"é", strings.Repeat("é", 150))
}
func (w world) system() string {
	return w.pick("urn:s", "urn:t", "", "s|t", strings.Repeat("urn:", 60))
}
func (w world) words() string {
	return w.pick("Ann", "ann", "O'Neill", "ONeill", "Ánn Lee", "ann-lee", "Anne", "-", "", strings.Repeat("Lö", 120), strings.Repeat("Lö", 120)+"x")
}
func (w world) date() string {
	s := w.pick("2023", "2024", "2024-01", "2024-02", "2024-02-29", "2024-01-01", "9999-12-31", "0001-01-01", "2024-13")
	if len(s) == 10 && w.IntN(2) == 0 {
		s += w.pick("T00:00:00Z", "T23:59:59.999Z", "T00:00:00.0005Z", "T12:00", "T00:00:00+14:00", "T23:59:60Z", "T05:00:00-05:00")
	}
	return s
}
func (w world) zone() *time.Location {
	return []*time.Location{nil, time.UTC, time.FixedZone("", -12*3600), time.FixedZone("", 14*3600), time.FixedZone("", -6*3600)}[w.IntN(5)]
}
func (w world) ref() string {
	return w.pick("Patient/1", "Patient/2", "Group/1", base+"/Patient/1", "https://o/fhir/Patient/1", "urn:uuid:1", "Patient/1/_history/2", "#c", "")
}
func (w world) num() string {
	return w.pick("5", "5.0", "5.4", "-5", "0", "1e3", "5.49", "100.5", "0.0000001", "4.95")
}

// element makes a random value for a parameter kind, of a random data type.
func (w world) element(k Kind) (suffix string, value any) {
	coding := func() any { return map[string]any{"system": w.system(), "code": w.code(), "display": w.words()} }
	switch k {
	case Token:
		switch w.IntN(5) {
		case 0:
			return "Code", w.code()
		case 1:
			return "Boolean", w.IntN(2) == 0
		case 2:
			return "CodeableConcept", map[string]any{"coding": []any{coding(), coding()}, "text": w.words()}
		case 3:
			return "Identifier", map[string]any{"system": w.system(), "value": w.code()}
		}
		return "Coding", coding()
	case String:
		if w.IntN(3) == 0 {
			return "X", map[string]any{"family": w.words(), "given": []any{w.words(), nil, w.words()}, "city": w.words()}
		}
		return "String", w.words()
	case Date:
		p := map[string]any{}
		if w.IntN(3) > 0 {
			p["start"] = w.date()
		}
		if w.IntN(3) > 0 {
			p["end"] = w.date()
		}
		switch w.IntN(4) {
		case 0:
			return "Period", p
		case 1:
			return "Timing", map[string]any{"event": []any{w.date(), w.date()}}
		}
		return "DateTime", w.date()
	case Reference:
		if w.IntN(5) == 0 {
			return "Canonical", w.pick("http://q/1", "http://q/1|2", "http://q/1|3")
		}
		return "Reference", map[string]any{"reference": w.ref(), "type": w.pick("Patient", "Group"), "identifier": map[string]any{"system": w.system(), "value": w.code()}}
	case URI:
		return "Uri", w.pick("http://q/1", "http://q/1|2", "http://q", "")
	}
	q := func() any {
		return map[string]any{"value": json.Number(w.num()), "code": w.pick("mg", "g"), "system": "urn:u"}
	}
	switch w.IntN(3) {
	case 0:
		return "Range", map[string]any{"low": q(), "high": q()}
	case 1:
		return "", json.Number(w.num())
	}
	return "Quantity", q()
}

// put sets value at a position of the table.
func (w world) put(root map[string]any, p *Parameter, value any, suffix string) {
	at := p.paths[w.IntN(len(p.paths))]
	if at.deceased {
		root[w.pick("deceasedBoolean", "deceasedDateTime")] = w.IntN(2) == 0
		return
	}
	o := root
	for i, s := range at.steps {
		name := s.name
		if i == len(at.steps)-1 {
			if at.choice || w.IntN(8) == 0 {
				name += suffix
			}
			if m, ok := value.(map[string]any); ok && s.key != "" {
				m[s.key] = s.value
			}
			if w.IntN(3) == 0 {
				value = []any{value}
			}
			o[name] = value
			return
		}
		next, ok := o[name].(map[string]any)
		if !ok {
			next = map[string]any{}
			o[name] = next
		}
		if s.key != "" {
			next[s.key] = s.value
		}
		o = next
	}
}

func (w world) resource(t testing.TB, typ string) *resource.Resource {
	root := map[string]any{}
	ps := Parameters(typ)
	for range 2 + w.IntN(10) {
		p := ps[w.IntN(len(ps))]
		if p.Name == store.ParamID || p.Name == store.ParamLastUpdated {
			continue
		}
		suffix, v := w.element(p.Kind)
		w.put(root, p, v, suffix)
	}
	root["resourceType"], root["id"] = typ, w.pick("1", "2")
	if w.IntN(2) == 0 {
		root["meta"] = map[string]any{"lastUpdated": w.pick("2024-01-01T00:00:00.000Z", "2024-02-29T23:59:59.999Z", "2024-01-01T05:00:00.001+05:00")}
	}
	raw, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, string(raw))
}

func (w world) criterion(p *Parameter) string {
	one := func() string {
		switch p.Kind {
		case Token:
			return w.pick(escape(w.code()), escape(w.system())+"|"+escape(w.code()), escape(w.system())+"|", "|"+escape(w.code()), "true", "false", "1")
		case String:
			return escape(w.words())
		case Date:
			return w.pick("", "", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap") + w.date()
		case Reference:
			return escape(w.pick("1", "2", w.ref(), "http://q/1", "http://q/1|2"))
		case URI:
			return w.pick("http://q/1", "http://q/1|2", "http://q")
		}
		v := w.pick("", "", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap") + w.num()
		return v + w.pick("", "||mg", "|urn:u|mg")
	}
	modifier := ""
	if w.IntN(3) == 0 {
		modifier = w.pick(":missing", ":not", ":text", ":exact", ":contains", ":identifier", ":Patient")
	}
	value := one()
	switch {
	case modifier == ":missing":
		value = w.pick("true", "false")
	case modifier == ":identifier":
		value = escape(w.system()) + "|" + escape(w.code())
	case w.IntN(4) == 0:
		value += "," + one()
	}
	return url.QueryEscape(p.Name+modifier) + "=" + url.QueryEscape(value)
}

// cutSome removes random whole elements, as redaction does.
func (w world) cutSome(t testing.TB, r *resource.Resource) *resource.Resource {
	e := r.Edit()
	for m := range r.Root().Members() {
		if n := m.Name(); n != "resourceType" && n != "id" && n != "meta" && w.IntN(3) == 0 {
			e.Remove(m)
		}
	}
	return read(t, string(e.Bytes()))
}

func TestThePlanFindsWhateverMatches(t *testing.T) {
	w := world{rand.New(rand.NewPCG(1, 2))}
	all := []string{"Patient", "Encounter", "Consent", "Observation", "Condition", "Provenance", "Task", "QuestionnaireResponse", "MedicationRequest", "RiskAssessment", "AuditEvent"}
	matched, queries, rounds := 0, 0, 20000
	if testing.Short() {
		rounds = 2000
	}
	for range rounds {
		typ := all[w.IntN(len(all))]
		r := w.resource(t, typ)
		index := Index(r)
		form := w.cutSome(t, r)
		ps := Parameters(typ)
		for range 8 {
			p := ps[w.IntN(len(ps))]
			raw := w.criterion(p)
			params, err := ParseQuery(raw)
			if err != nil {
				t.Fatal(err)
			}
			q, err := Parse(typ, params, Options{Base: base, Location: w.zone()})
			if err != nil {
				continue
			}
			queries++
			for _, f := range []*resource.Resource{r, form} {
				if !q.Match(f) {
					continue
				}
				matched++
				if !found(q.Plan().Where, r, index) {
					t.Fatalf("%s?%s matches %.900s\nof %.900s\nplan %.900v\nindex %.900q", typ, raw, f.Raw(), r.Raw(), q.Plan().Where, index)
				}
			}
		}
	}
	if matched < queries/50 {
		t.Errorf("only %d of %d queries matched: the property was hardly tried", matched, queries)
	}
	t.Logf("%d queries, %d matches", queries, matched)
}

// The link to the next page is the canonical form of the query. The store knows
// its place by the plan: so whatever order a caller writes parameters and
// alternatives in, and however it writes values, one form has one plan.
func TestEqualSelfIsEqualPlan(t *testing.T) {
	w := world{rand.New(rand.NewPCG(3, 4))}
	for range 5000 {
		typ := w.pick("Patient", "Encounter", "Observation", "Consent", "RiskAssessment")
		ps := Parameters(typ)
		var params []Param
		for range 1 + w.IntN(5) {
			p, err := ParseQuery(w.criterion(ps[w.IntN(len(ps))]))
			if err != nil {
				t.Fatal(err)
			}
			o := Options{Base: base}
			if _, err := Parse(typ, p, o); err == nil {
				params = append(params, p...)
			}
		}
		if w.IntN(3) == 0 && len(params) > 0 {
			params = append(params, params[w.IntN(len(params))])
		}
		o := Options{Base: base, Location: w.zone(), CursorParam: "_cursor"}
		q, err := Parse(typ, params, o)
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			again, err := Parse(typ, w.shuffled(params), o)
			if err != nil {
				t.Fatal(err)
			}
			linked, err := ParseQuery(again.Self() + "&_cursor=x")
			if err != nil {
				t.Fatal(err)
			}
			next, err := Parse(typ, linked, o)
			if err != nil {
				t.Fatalf("%s: %v", again.Self(), err)
			}
			for _, other := range []*Query{again, next} {
				if other.Self() != q.Self() {
					t.Fatalf("%q and %q ask the same", q.Self(), other.Self())
				}
				if a, b := q.Plan(), other.Plan(); !reflect.DeepEqual(a, b) {
					t.Fatalf("%s: two plans\n%v\n%v", q.Self(), a, b)
				}
			}
		}
	}
}

// shuffled puts parameters and the alternatives in them in another order.
func (w world) shuffled(params []Param) []Param {
	out := slices.Clone(params)
	for i, p := range out {
		values := alternatives(p.Value)
		if w.IntN(3) == 0 {
			values = append(values, values[0])
		}
		w.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
		if !strings.HasSuffix(p.Name, ":missing") {
			out[i].Value = strings.Join(values, ",")
		}
	}
	w.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// Each entry of an official example, asked as a query, finds the example.
func TestOfficialExamplesAreFoundByTheirOwnValues(t *testing.T) {
	files, _ := filepath.Glob("../../../shared/data/fhir/r4-examples/*.json")
	if len(files) == 0 {
		t.Skip("../shared is absent: searching the official R4 examples was not tried")
	}
	tried := 0
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		r := read(t, string(raw))
		index := Index(r)
		for _, e := range index {
			param, v, _ := strings.Cut(e, "|")
			p := Lookup(r.Type(), param)
			if p == nil || len(v) > maxEntry {
				continue
			}
			switch p.Kind {
			case Token:
				i := strings.LastIndexByte(v, '|')
				code, system := v[:i], v[i+1:]
				if strings.ContainsAny(v[:i], "|") || code == "" && system == "" {
					continue
				}
				v = escape(system) + "|" + escape(code)
			case Date:
				if v == openStart {
					continue
				}
				v = "ge" + v
			case Reference:
				if id, typ, ok := strings.Cut(v, "/"); ok && !strings.Contains(v, ":") {
					v = typ + "/" + id
				}
			case Number, Quantity:
				continue
			}
			q, err := Parse(r.Type(), []Param{{param, v}}, Options{})
			if err != nil { // a target R4 does not list for the parameter, e.g. in old examples
				if !strings.Contains(err.Error(), "does not refer") && !strings.Contains(err.Error(), "letter or digit") {
					t.Errorf("%s: %v", filepath.Base(f), err)
				}
				continue
			}
			tried++
			if !q.Match(r) || !found(q.Plan().Where, r, index) {
				t.Errorf("%s: %s=%s does not find it", filepath.Base(f), param, v)
			}
		}
	}
	t.Logf("%d queries on %d files", tried, len(files))
}

func BenchmarkParsePlan(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		params, err := ParseQuery("patient=Patient/p1&date=ge2024-01-01&date=lt2024-12-31&status=finished,in-progress&class=http://terminology.hl7.org/CodeSystem/v3-ActCode|EMER&_count=20")
		if err != nil {
			b.Fatal(err)
		}
		q, err := Parse("Encounter", params, Options{Base: base})
		if err != nil {
			b.Fatal(err)
		}
		if p := q.Plan(); len(p.Where.Args) != 5 {
			b.Fatal(fmt.Sprint(p))
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	r := read(b, encounter)
	q := parse(b, "Encounter", "patient=Patient/p1&date=ge2024-01-01&date=lt2024-12-31&status=finished,in-progress&class=http://terminology.hl7.org/CodeSystem/v3-ActCode|EMER")
	b.ReportAllocs()
	for b.Loop() {
		if !q.Match(r) {
			b.Fatal("no match")
		}
	}
}

func BenchmarkIndex(b *testing.B) {
	r := read(b, patient)
	b.ReportAllocs()
	for b.Loop() {
		if len(Index(r)) < 20 {
			b.Fatal("too few entries")
		}
	}
}
