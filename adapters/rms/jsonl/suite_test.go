package jsonl_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/adapters/adaptertest"
	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/validate"
)

func suite(t testing.TB) adaptertest.Suite {
	return adaptertest.BuiltIn(t, "rms/jsonl", "testdata")
}

func TestSuite(t *testing.T) {
	s := suite(t)
	s.Good = adaptertest.Input(t, "testdata/consents.golden")
	s.Bad = slicesOf("{\"a\":1,\n", "hello\n", string(s.Good), "{\"a\":\"\xff\"}\n{\"b\":\"x\n", "{\"a\":01}\n", string(s.Good))
	s.Run(t)
}

func slicesOf(parts ...string) []byte { return []byte(strings.Join(parts, "")) }

func TestOnSceneConsents(t *testing.T) {
	raw, err := os.ReadFile("../../../../shared/data/police/synthetic/onscene_consents.jsonl")
	if err != nil {
		t.Skip("../shared is absent: the on-scene consents were not tried")
	}
	out, _, _, reports, err := suite(t).Convert(false, false, raw)
	if err != nil {
		t.Fatal(err)
	}
	if r := reports[0]; r.Records != 20 || r.Created != 20 || !r.AddsUp() {
		t.Errorf("%+v", r)
	}
	states := map[string]int{}
	for _, l := range strings.Split(strings.TrimSpace(out), "\n") {
		r, err := resource.Parse([]byte(l))
		if err != nil {
			t.Fatal(err)
		}
		for _, is := range validate.Resource(r) {
			if is.Severity == outcome.Failure || is.Severity == outcome.Fatal {
				t.Errorf("%s: %s %s", l, is.Expression, is.Diagnostics)
			}
		}
		var c struct {
			ResourceType, Status string
			Provision            json.RawMessage
		}
		if err := json.Unmarshal([]byte(l), &c); err != nil {
			t.Fatal(err)
		}
		states[c.ResourceType+" "+c.Status]++
		if strings.Contains(string(c.Provision), `"SUD"`) || strings.Contains(string(c.Provision), `"ETH"`) {
			t.Errorf("substance use is opened: %s", l)
		}
	}
	for state, want := range map[string]int{"Consent active": 6, "Consent proposed": 6, "Consent inactive": 5, "Task requested": 3, "DocumentReference current": 2} {
		if states[state] != want {
			t.Errorf("%s: %d, want %d of %v", state, states[state], want, states)
		}
	}
}
