package audit

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/policy"
)

// fill puts something that is not zero into every field below v.
func fill(t *testing.T, v reflect.Value, n int) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text|%d", n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(n + 1))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(n%100 + 1))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0), n+1)
		fill(t, v.Index(1), n+2)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n+1)
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]any{"a": "x", "b": true, "c": nil, "d": []any{"y", 1.5}}))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(chicago(t)))
			return
		}
		for i := range v.NumField() {
			fill(t, v.Field(i), n+7*i)
		}
	default:
		t.Fatalf("a %s cannot be filled: record it in a form of its own, or teach this test", v.Type())
	}
}

func chicago(t *testing.T) time.Time {
	t.Helper()
	zone, err := time.LoadLocation("America/Chicago")
	if err != nil {
		t.Fatal(err)
	}
	return time.Date(2026, 3, 1, 8, 30, 0, 120_000_000, zone)
}

// full is a request with something in every field but those recorded apart.
func full(t *testing.T) *policy.Request {
	q := new(policy.Request)
	v := reflect.ValueOf(q).Elem()
	for i := range v.NumField() {
		if !slices.Contains(apart, v.Type().Field(i).Name) {
			fill(t, v.Field(i), 100*i)
		}
	}
	q.BreakGlass.Reason = Given // what the record keeps of it
	return q
}

// through takes questions through the record and its JSON.
func through(t *testing.T, qs ...*policy.Request) []*policy.Request {
	t.Helper()
	var f FactsRecorder
	for i, q := range qs {
		if n, err := f.Number(q); err != nil || n != i+1 {
			t.Fatalf("question %d: number %d, %v", i, n, err)
		}
	}
	raw, err := json.Marshal(f.Facts)
	if err != nil {
		t.Fatal(err)
	}
	var facts Facts
	if err := json.Unmarshal(raw, &facts); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	var out []*policy.Request
	for n := range qs {
		q, err := facts.Request(n+1, time.LoadLocation)
		if err != nil {
			t.Fatalf("question %d: %v: %s", n, err, raw)
		}
		out = append(out, q)
	}
	return out
}

func same(t *testing.T, what string, want, got *policy.Request) {
	t.Helper()
	if !reflect.DeepEqual(want, got) {
		t.Errorf("%s: (-want +got):\n%s", what, cmp.Diff(want, got, cmp.AllowUnexported(policy.Request{})))
	}
	if want.At.Location().String() != got.At.Location().String() {
		t.Errorf("%s: zone %s became %s", what, want.At.Location(), got.At.Location())
	}
}

// A field of a request that is neither recorded nor recorded apart, or that
// cannot come back as it was, fails here.
func TestEveryFactOfARequestComesBack(t *testing.T) {
	whole, empty := full(t), &policy.Request{}
	same(t, "the first question", whole, through(t, whole)[0])
	same(t, "an empty one", empty, through(t, empty)[0])
	fields := reflect.TypeFor[policy.Request]()
	for i := range fields.NumField() {
		name := fields.Field(i).Name
		if slices.Contains(apart, name) {
			continue
		}
		without, with := *whole, policy.Request{}
		reflect.ValueOf(&without).Elem().Field(i).SetZero()
		reflect.ValueOf(&with).Elem().Field(i).Set(reflect.ValueOf(whole).Elem().Field(i))
		again := *whole
		got := through(t, whole, &without, &again, empty)
		same(t, "without "+name, &without, got[1])
		same(t, "the same again", whole, got[2])
		same(t, "empty after the full one", empty, got[3])
		got = through(t, empty, &with)
		same(t, "only "+name, &with, got[1])
	}
}

// What a Subject has stands with the resource it belongs to.
func TestEveryFactOfASubjectIsRecorded(t *testing.T) {
	recorded := map[string]string{"Resource": "Reference and Digest", "Labels": "Labels and Labelled", "Origin": "Origin", "Patient": "Patient", "Internal": "Internal"}
	s := reflect.TypeFor[policy.Subject]()
	for i := range s.NumField() {
		if recorded[s.Field(i).Name] == "" {
			t.Errorf("policy.Subject.%s is not recorded: a decision that depends on it cannot be made again", s.Field(i).Name)
		}
	}
}

// Two judgements share a place in the log only if they are alike in everything.
func TestJudgementsThatDifferAreKeptApart(t *testing.T) {
	var base Judged
	fill(t, reflect.ValueOf(&base).Elem(), 0)
	fields := reflect.TypeFor[Judged]()
	vary := func(name string, change func(*Judged)) {
		j := base
		j.Reasons = slices.Clone(base.Reasons)
		change(&j)
		resources, judgements := shared([]Judged{base, j})
		if shares := name == "Reference" || name == "Digest"; shares != (len(judgements) == 1) {
			t.Errorf("%s: %d judgements", name, len(judgements))
		}
		if len(resources) != 2 {
			t.Errorf("%s: %d resources", name, len(resources))
		}
	}
	for i := range fields.NumField() {
		vary(fields.Field(i).Name, func(j *Judged) { reflect.ValueOf(j).Elem().Field(i).SetZero() })
	}
	for i := range reflect.TypeFor[policy.Reason]().NumField() {
		vary("Reasons."+reflect.TypeFor[policy.Reason]().Field(i).Name, func(j *Judged) { reflect.ValueOf(&j.Reasons[0]).Elem().Field(i).SetZero() })
	}
	for i := range reflect.TypeFor[resource.Origin]().NumField() {
		vary("Origin."+reflect.TypeFor[resource.Origin]().Field(i).Name, func(j *Judged) { reflect.ValueOf(&j.Origin).Elem().Field(i).SetZero() })
	}
	e := Event{ID: "x", Resources: []Judged{base, {Reference: "Patient/1", Decision: "deny"}, base}}
	raw, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var back Event
	if err := json.Unmarshal(raw, &back); err != nil || !reflect.DeepEqual(e.Resources, back.Resources) {
		t.Errorf("%v\n%s", err, cmp.Diff(e.Resources, back.Resources))
	}
}

func TestConsentsThatWereHeardComeBack(t *testing.T) {
	r, err := resource.Parse([]byte(`{"resourceType":"Consent","id":"c","meta":{"versionId":"4"}}`))
	if err != nil {
		t.Fatal(err)
	}
	var from consent.Source
	fill(t, reflect.ValueOf(&from).Elem(), 0)
	from.Ceiling.Until = from.Ceiling.Until.UTC()
	a, b := consent.Parse(r, from), consent.Parse(r, consent.Source{Foreign: true, Digest: "d"})
	qs := []*policy.Request{{Consents: []*consent.Consent{a, b}}, {Consents: []*consent.Consent{a, b}}, {}, {Consents: []*consent.Consent{b}}}
	var f FactsRecorder
	for _, q := range qs {
		if _, err := f.Number(q); err != nil {
			t.Fatal(err)
		}
	}
	raw, _ := json.Marshal(f.Facts)
	var facts Facts
	if err := json.Unmarshal(raw, &facts); err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]string{{from.Reference, "Consent/c/_history/4"}, {from.Reference, "Consent/c/_history/4"}, nil, {"Consent/c/_history/4"}} {
		heard, err := facts.Heard(i + 1)
		var got []string
		for _, h := range heard {
			got = append(got, h.Reference)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("question %d: %v, %v; want %v", i+1, got, err, want)
		}
	}
	if heard, _ := facts.Heard(1); !reflect.DeepEqual(heard[0].Source, from) {
		t.Errorf("(-want +got):\n%s", cmp.Diff(from, heard[0].Source))
	}
}

// The nature of an emergency and long texts of a basis stay out of the trail.
func TestTheTrailTakesNoTexts(t *testing.T) {
	long := strings.Repeat("found unconscious ", 20)
	q := &policy.Request{
		BreakGlass: &policy.BreakGlass{Declared: true, Reason: "overdose"},
		LegalBases: []*policy.LegalBasis{{Type: "warrant", Attributes: map[string]any{"note": long, "issuedBy": "Hon. M. Reyes"}}},
	}
	var f FactsRecorder
	if _, err := f.Number(q); err != nil {
		t.Fatal(err)
	}
	raw, _ := json.Marshal(f.Facts)
	if strings.Contains(string(raw), "overdose") || strings.Contains(string(raw), "unconscious") || !strings.Contains(string(raw), "Hon. M. Reyes") {
		t.Errorf("got %s", raw)
	}
	if q.BreakGlass.Reason != "overdose" || q.LegalBases[0].Attributes["note"] != long {
		t.Error("recording has changed the question")
	}
	back := through(t, q)[0]
	if back.BreakGlass.Reason == "" || back.LegalBases[0].Attributes["note"] == "" {
		t.Error("a text that was there is not any more")
	}
}

type silent struct{}

func (silent) Refers(string, string) (bool, bool) { return false, false }

func TestAFactThatCannotBeRecordedIsAnError(t *testing.T) {
	var f FactsRecorder
	if _, err := f.Number(&policy.Request{Graph: silent{}}); err == nil {
		t.Error("a graph that does not say what it knows was recorded")
	}
	if _, err := f.Number(&policy.Request{LegalBases: []*policy.LegalBasis{{Attributes: map[string]any{"x": func() {}}}}}); err == nil {
		t.Error("a function was recorded")
	}
	for _, facts := range []string{`{"Unheard":true}`, `{"At":"yesterday"}`, `{"At":"2026-03-01T08:00:00Z Mars/Base"}`, `{"At":"2026-03-01T08:00:00Z America/Chicago"}`, `[]`} {
		f := Facts{Questions: []Question{{Facts: []byte(facts)}}}
		if q, err := f.Request(1, time.LoadLocation); err == nil {
			t.Errorf("%s became %+v", facts, q)
		}
	}
	if _, err := (&Facts{}).Request(1, time.LoadLocation); err == nil {
		t.Error("a question that is not there")
	}
}

// Events of the release before have a judgement with each resource and no facts.
func TestOlderEventsAreRead(t *testing.T) {
	var e Event
	err := json.Unmarshal([]byte(`{"id":"r","at":"2026-03-01T08:00:00.000000Z","interaction":"read","resources":[
		{"reference":"Patient/1/_history/2","decision":"permit","labels":["SUD"],"reasons":[{"rule":"baseline/treatment","effect":"permit"}]}]}`), &e)
	if err != nil || len(e.Resources) != 1 || e.Facts != nil {
		t.Fatalf("%+v, %v", e, err)
	}
	if j := e.Resources[0]; j.Reference != "Patient/1/_history/2" || j.Decision != "permit" || j.Labels[0] != "SUD" || j.Reasons[0].Rule != "baseline/treatment" {
		t.Errorf("got %+v", j)
	}
	if err := json.Unmarshal([]byte(`{"resources":[{"reference":"Patient/1","as":1}],"judgements":[{"decision":"permit"}]}`), &e); err == nil {
		t.Error("a judgement that is not there was read")
	}
}
