package answers

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
)

// Odd resources have what real ones seldom have, but may: texts that are alike but for
// case, accents or the form of a character, dates of every precision at the ends of
// time, numbers with exponents, references of every form, nothing at all. They and the
// searches for them go through the real extractor and the real reader of searches.

// base is the server that absolute references may name.
const base = "https://gateway.example/fhir"

var (
	texts = func() (out []string) {
		for _, s := range strange {
			out = append(out, strings.ToValidUTF8(s, "\uFFFD"))
		}
		return append(out, "Straße", "STRASSE", "strasse", "ﬁ", "fi", "İ", "i", "ı", "Σς", "σσ", "Å", "A\u030a", "\u212b", "O'Brien", "O’Brien", "obrien", "Smith-Jones", "smith jones",
			"\u200b", "a\u200bb", "\ufeff", "$where", "a.$b", "null", "true", "0", `\`, ",", "\t", "\r\n", "\x7f", "\u0085", "\u2028", "\U0010ffff", "ﷺ", strings.Repeat("ﷺ", 40), strings.Repeat("w", 199)+"é", strings.Repeat("w", 200))
	}()
	systems = []string{"", "urn:s", "urn:S", "http://x.org|a,b", "http://x.org/$a.b", strings.Repeat("urn:", 60), "é"}
	dates   = []string{
		"0001", "0001-01-01", "9999", "9999-12", "9999-12-31", "9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59.999Z", "1970-01-01",
		"2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z", "2017-01-01T00:00:00Z", "2016-12-31T18:59:60-05:00", "2016", "2017", "2016-02-29", "2015-02-29", "2016-12", "2026-03-08T02:30:00", "2026-11-01T01:30:00",
		"2026-03-01T08:00:00.0000001Z", "2026-03-01T08:00:00.999999999Z", "2026-03-01T08:00:00+14:00", "2026-03-01T08:00:00-12:00", "2026-03-01T08:00Z", "2026-03-01", "2026-02-30", "",
	}
	numbers = []string{
		"0", "-0", "0.0", "1", "1.0", "1.00", "-1", "1e0", "1E2", "100", "1e-7", "0.0000001", "1e100", "-1e100", "1e101", "1e400", "9007199254740993", "9007199254740992", "0.1", "0.10",
		"5.4", "5.39999999999999999", "123456789012345678901234567890", "-0.5", "4.95", "5.05", "179769313486231580000000000000000000000000000000000000000",
	}
	references = []string{
		"Patient/odd-1", "Patient/odd-2", "Patient/odd-1/_history/2", base + "/Patient/odd-1", base + "/Patient/odd-1/_history/9", "https://other.example/fhir/Patient/odd-1", "https://other.example/fhir/Patient/odd-1/_history/3",
		"urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "urn:oid:1.2.3", "#contained", "#", "", "odd-1", "Group/odd-1", "Encounter/odd-1", "Organization/odd-1", "Practitioner/odd-1", "http://q.example/1|2", "mailto:a@b",
	}
	units = []map[string]any{{}, {"unit": "mg"}, {"code": "mg"}, {"system": "http://unitsofmeasure.org", "code": "mg"}, {"system": "http://unitsofmeasure.org", "code": "mg", "unit": "milligram"}, {"system": "urn:s", "code": "MG"}, {"unit": "m|g"}, {"unit": "é"}}
)

// An odd makes such resources, and searches.
type odd struct{ *rand.Rand }

func (o odd) of(from []string) string { return from[o.IntN(len(from))] }

// some are up to four, or the property is not there; now and then one stands twice.
func (o odd) some(m map[string]any, name string, one func() any) {
	var out []any
	for range o.IntN(5) {
		out = append(out, one())
	}
	if len(out) > 0 && o.IntN(4) == 0 {
		out = append(out, out[0])
	}
	if len(out) > 0 {
		m[name] = out
	}
}

// maybe sets the first of the properties, or another, or none.
func (o odd) maybe(m map[string]any, value any, names ...string) {
	if i := o.IntN(len(names) + 1); i < len(names) {
		m[names[i]] = value
	}
}

func (o odd) coding() any {
	return map[string]any{"system": o.of(systems), "code": o.of(texts), "display": o.of(texts)}
}

func (o odd) concept() any {
	out := map[string]any{}
	o.some(out, "coding", o.coding)
	o.maybe(out, o.of(texts), "text")
	return out
}

func (o odd) identifier() any {
	out := map[string]any{}
	o.maybe(out, o.of(systems), "system")
	o.maybe(out, o.of(texts), "value")
	return out
}

func (o odd) reference() any {
	out := map[string]any{}
	o.maybe(out, o.of(references), "reference", "reference", "reference")
	o.maybe(out, o.identifier(), "identifier")
	return out
}

func (o odd) quantity() any {
	out := map[string]any{}
	for k, v := range units[o.IntN(len(units))] {
		out[k] = v
	}
	o.maybe(out, json.Number(o.of(numbers)), "value", "value", "value")
	return out
}

func (o odd) date() any { return o.of(dates) }

func (o odd) period() any {
	out := map[string]any{}
	o.maybe(out, o.of(dates), "start", "start")
	o.maybe(out, o.of(dates), "end", "end")
	return out
}

func (o odd) human() any {
	out := map[string]any{}
	o.maybe(out, o.of(texts), "family", "family", "text")
	o.some(out, "given", func() any { return o.of(texts) })
	return out
}

// oddTypes are the types with what is different in each.
var oddTypes = map[string]func(o odd, m map[string]any){
	"Patient": func(o odd, m map[string]any) {
		o.some(m, "name", o.human)
		o.some(m, "telecom", func() any {
			return map[string]any{"system": o.of([]string{"phone", "email", "x"}), "value": o.of([]string{"+1 (217) 555-0100", "12175550100", "217.555.0100", "A@B.example", "a@b.EXAMPLE", "", "ext"})}
		})
		o.some(m, "address", func() any { return map[string]any{"city": o.of(texts), "line": []any{o.of(texts)}} })
		o.maybe(m, o.of(dates), "birthDate", "birthDate", "deceasedDateTime")
		o.maybe(m, o.of([]string{"male", "female", "Male", ""}), "gender", "gender")
		o.maybe(m, o.IntN(2) == 0, "active", "deceasedBoolean")
		o.maybe(m, o.reference(), "managingOrganization")
		o.some(m, "generalPractitioner", o.reference)
	},
	"Observation": func(o odd, m map[string]any) {
		o.maybe(m, o.concept(), "code", "code")
		o.maybe(m, o.reference(), "subject", "subject")
		o.maybe(m, o.period(), "effectivePeriod")
		o.maybe(m, o.date(), "effectiveDateTime", "valueDateTime", "effectiveInstant")
		o.maybe(m, o.quantity(), "valueQuantity", "valueQuantity")
		o.maybe(m, o.of(texts), "valueString", "status")
		o.maybe(m, o.concept(), "valueCodeableConcept")
		o.some(m, "component", func() any { return map[string]any{"code": o.concept(), "valueQuantity": o.quantity()} })
		o.some(m, "performer", o.reference)
	},
	"Encounter": func(o odd, m map[string]any) {
		o.maybe(m, o.period(), "period", "period")
		o.maybe(m, o.quantity(), "length")
		o.maybe(m, o.coding(), "class")
		o.maybe(m, o.reference(), "subject", "partOf")
		o.some(m, "location", func() any { return map[string]any{"location": o.reference(), "period": o.period()} })
	},
	"RiskAssessment": func(o odd, m map[string]any) {
		o.maybe(m, o.reference(), "subject", "encounter")
		o.maybe(m, o.period(), "occurrencePeriod", "occurrenceDateTime")
		o.some(m, "prediction", func() any {
			if o.IntN(3) == 0 {
				return map[string]any{"probabilityRange": map[string]any{"low": o.quantity(), "high": o.quantity()}}
			}
			return map[string]any{"outcome": o.concept(), "probabilityDecimal": json.Number(o.of(numbers))}
		})
	},
}

func oddTypeNames() []string {
	return []string{"Encounter", "Observation", "Patient", "RiskAssessment"}
}

// oddCorpus are records of odd resources, as many of each type.
func oddCorpus(t *testing.T, o odd, of int) (out []store.Record) {
	t.Helper()
	for _, typ := range oddTypeNames() {
		for i := range of {
			m := map[string]any{"resourceType": typ, "id": fmt.Sprintf("odd-%d", i), "$set": map[string]any{"a.b": o.of(texts)}}
			o.some(m, "identifier", o.identifier)
			o.some(m, "extension", func() any { return map[string]any{"url": o.of(systems), "valueString": o.of(texts)} })
			oddTypes[typ](o, m)
			raw, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			r, err := resource.Parse(raw)
			if err != nil {
				t.Fatalf("%s: %v", raw, err)
			}
			out = append(out, store.Record{Key: store.Key{Type: typ, ID: r.ID()}, Raw: raw, Index: search.Index(r)})
		}
	}
	return out
}

// params is a search of a type as it comes in. Most are answered.
func (o odd) params(typ string) (out []search.Param) {
	all := search.Parameters(typ)
	for range 1 + o.IntN(3) {
		p := all[o.IntN(len(all))]
		out = append(out, o.param(p))
	}
	if o.IntN(2) == 0 {
		var keys []string
		for range 1 + o.IntN(store.MaxSort) {
			keys = append(keys, o.of([]string{"", "-"})+all[o.IntN(len(all))].Name)
		}
		out = append(out, search.Param{Name: "_sort", Value: strings.Join(keys, ",")})
	}
	return out
}

func (o odd) param(p *search.Parameter) search.Param {
	modifiers := []string{""}
	value := func() string { return search.Escape(o.of(texts)) }
	prefixed := func(v string) string {
		return o.of([]string{"", "", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"}) + v
	}
	switch p.Kind {
	case search.Token:
		modifiers = append(modifiers, "", "", "not", "text")
		value = func() string {
			v, system := search.Escape(o.of(texts)), search.Escape(o.of(systems))
			return o.of([]string{v, "|" + v, system + "|" + v, system + "|"})
		}
	case search.String:
		modifiers = append(modifiers, "", "exact", "contains")
	case search.Reference:
		modifiers = append(modifiers, "", "identifier", "Patient")
		value = func() string { return search.Escape(o.of(references)) }
	case search.Date:
		value = func() string { return prefixed(o.of(dates)) }
	case search.Number:
		value = func() string { return prefixed(o.of(numbers)) }
	case search.Quantity:
		value = func() string {
			return prefixed(o.of(numbers)) + o.of([]string{"", "||mg", "|http://unitsofmeasure.org|mg", "||m\\|g", "|urn:s|MG"})
		}
	case search.URI, search.NotSupported:
	}
	out := search.Param{Name: p.Name, Value: value()}
	switch m := o.of(append(modifiers, "missing")); {
	case m == "missing":
		return search.Param{Name: p.Name + ":missing", Value: o.of([]string{"true", "false"})}
	case m == "identifier":
		out.Value = search.Escape(o.of(systems)) + "|" + search.Escape(o.of(texts))
		fallthrough
	case m != "":
		out.Name += ":" + m
	}
	for range max(0, o.IntN(6)-3) {
		out.Value += "," + value()
	}
	return out
}

// Searches as callers write them, over odd resources, have the same answers.
func TestOddSearchesHaveTheSameAnswers(t *testing.T) {
	const of = 150
	n, w, o := *plans/8, newWorld(t), odd{random(60)}
	records := oddCorpus(t, o, of)
	g := newGenerator(*seed, records)
	w.fill(t, g, records)
	options := search.Options{Base: base, Location: time.FixedZone("", -6*3600), Now: func() time.Time { return w.now }}
	var total tally
	refused := 0
	for done := 0; done < n && !t.Failed(); {
		w.write(t, g, g.change())
		var batch []store.Plan
		for len(batch) < between {
			typ := o.of(oddTypeNames())
			q, err := search.Parse(typ, o.params(typ), options)
			if err != nil {
				refused++
				continue
			}
			p := q.Plan()
			p.Limit = 1 + o.IntN(3)
			batch = append(batch, p)
		}
		w.compare(t, batch, &total)
		done += len(batch)
	}
	t.Logf("%d searches with %d answers in %d pages; %d find nothing; %d others are refused", total.plans, total.rows, total.pages, total.empty, refused)
	if total.empty > total.plans*3/4 || refused > 2*total.plans {
		t.Errorf("most searches find nothing: that proves little")
	}
}

// random numbers are the same for the same seed.
func random(of uint64) *rand.Rand { return rand.New(rand.NewPCG(*seed, of)) } //nolint:gosec // test data
