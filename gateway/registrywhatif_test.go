package gateway_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// cells reads a $what-if answer: requester kind + "/" + as + "/" + class → with.
func cells(t *testing.T, a answer) (with map[string]string, changed int) {
	t.Helper()
	type param struct {
		Name                   string
		ValueCode, ValueString string
		ValueBoolean           bool
		Part                   []param
	}
	var p struct{ Parameter []param }
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.status != http.StatusOK {
		t.Fatalf("%s", a)
	}
	with = map[string]string{}
	for _, r := range p.Parameter {
		if r.Name != "requester" {
			continue
		}
		kind, as := "", ""
		for _, q := range r.Part {
			switch q.Name {
			case "kind":
				kind = q.ValueCode
			case "as":
				as = q.ValueString
			case "data":
				class, to := "", ""
				for _, c := range q.Part {
					switch c.Name {
					case "class":
						class = c.ValueCode
					case "with":
						to = c.ValueCode
					case "changed":
						if c.ValueBoolean {
							changed++
						}
					}
				}
				with[kind+" "+as+" "+class] = to
			}
		}
	}
	return with, changed
}

func TestWhatIfSaysWhatAConsentWouldOpen(t *testing.T) {
	c := newCounty(t)
	c.populate()
	before := len(c.stored("Consent"))
	a := c.do("clinician", http.MethodPost, "Consent/$what-if", release, asFHIR)
	with, changed := cells(t, a)
	for key, want := range map[string]string{
		"officer-crisis Organization/pd crisis-plan":      "permit",
		"officer-crisis Organization/pd mental-health":    "deny",
		"officer-crisis  crisis-plan":                     "deny",
		"officer-enforcement Organization/pd crisis-plan": "deny",
		"treating-provider  mental-health":                "permit",
		"treating-provider  substance-use-part2":          "deny",
	} {
		if with[key] != want {
			t.Errorf("%s: %q, want %s", key, with[key], want)
		}
	}
	if changed != 1 {
		t.Errorf("%d cells are changed: %s", changed, a.body)
	}
	if strings.Contains(a.body, "Quintana") || strings.Contains(a.body, "F31.81 ") || len(c.ehr.requests()) > 0 {
		t.Error("something of the person is in the answer")
	}
	if len(c.stored("Consent")) != before || plans(t, c) != 0 {
		t.Error("it was stored")
	}
	// As whom: nobody may record for a program that it does not record for.
	elsewhere := strings.Replace(release, `"actor":[`, `"actor":[{"role":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ParticipationType","code":"CST"}]},"reference":{"reference":"Organization/program"}},`, 1)
	if _, changed := cells(t, c.do("clinician", http.MethodPost, "Consent/$what-if", elsewhere, asFHIR)); changed != 0 {
		t.Errorf("it would open another custodian's data")
	}
}

// The answer tells nothing of whom the Consent names: known, hidden or absent.
func TestWhatIfIsTheSameForEverybody(t *testing.T) {
	c := newCounty(t)
	c.populate()
	known := c.do("clinician", http.MethodPost, "Consent/$what-if", release, asFHIR)
	absent := c.do("clinician", http.MethodPost, "Consent/$what-if", strings.ReplaceAll(release, "Patient/p1", "Patient/nobody"), asFHIR)
	if known.body != absent.body {
		t.Errorf("known %s\nabsent %s", known, absent)
	}
	for name, b := range map[string]struct {
		who, body string
		want      int
	}{
		"no scope":       {"officer", release, 403},
		"another type":   {"clinician", person, 400},
		"not JSON":       {"clinician", "{", 400},
		"empty":          {"clinician", "", 400},
		"very large":     {"clinician", strings.Replace(release, `"signed"`, `"`+strings.Repeat("a", 40<<10)+`"`, 1), 413},
		"not even valid": {"clinician", `{"resourceType":"Consent"}`, 200},
	} {
		if a := c.do(b.who, http.MethodPost, "Consent/$what-if", b.body, asFHIR); a.status != b.want {
			t.Errorf("%s: %s, want %d", name, a, b.want)
		}
	}
}

func TestAWriteTellsWhatIsWrongIfAsked(t *testing.T) {
	c := newCounty(t)
	c.populate()
	a := c.do("clinician", http.MethodPost, "Consent", release, with("Prefer", "return=OperationOutcome"))
	if a.status != http.StatusCreated || a.header.Get("Location") == "" {
		t.Fatalf("%s", a)
	}
	for _, want := range []string{`"resourceType":"OperationOutcome"`, `"code":"expiry-missing"`, `"code":"discloser-missing"`, "42 CFR 2.31(a)(7)", `"expression":["Consent"]`, "opens crisis plan", `"severity":"error"`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("%s is missing: %s", want, a.body)
		}
	}
	id := created(t, a)
	own := strings.Replace(release, `"Consent"`, `"Consent","id":"`+id+`"`, 1)
	if u := c.do("clinician", http.MethodPut, "Consent/"+id, own, with("If-Match", `W/"1"`, "Prefer", "return=OperationOutcome")); u.status != http.StatusOK || !strings.Contains(u.body, "expiry-missing") {
		t.Errorf("update: %s", u)
	}
	if m := c.do("clinician", http.MethodPut, "Consent/"+id, own, with("If-Match", `W/"2"`, "Prefer", "return=minimal")); m.status != http.StatusOK || m.body != "" {
		t.Errorf("minimal: %s", m)
	}
}
