package casefile

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the goldens anew")

func explainCases(t *testing.T) []*Explained {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "explain.json"))
	if err != nil {
		t.Fatal(err)
	}
	cases, errs := Read(raw)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var out []*Explained
	for _, c := range cases {
		out = append(out, NewRunner().Explain(c))
	}
	return out
}

func TestTheExplanationForPeople(t *testing.T) {
	var got bytes.Buffer
	for _, e := range explainCases(t) {
		if err := e.Text(&got); err != nil {
			t.Fatal(err)
		}
	}
	golden := filepath.Join("testdata", "explain.txt")
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("run go test ./gateway/policy/casefile -update if this is right:\n%s", diff)
	}
}

func TestTheExplanationAsJSON(t *testing.T) {
	for _, e := range explainCases(t) {
		line, err := e.JSON()
		if err != nil || bytes.ContainsRune(line, '\n') {
			t.Fatalf("%s: %v", line, err)
		}
		var got struct {
			ID        string
			Resources []struct {
				Reference, Decision string
				Reasons             []struct{ Rule, Effect string }
				Labels              []struct{ Label, Basis string }
				Redacted            []string
				Obligations         []string
				Remedies            []struct {
					Opens   bool
					Effect  string
					Changes []struct{ Code, Detail string }
				}
			}
			Obligations []string
		}
		d := json.NewDecoder(bytes.NewReader(line))
		if err := d.Decode(&got); err != nil {
			t.Fatal(err)
		}
		if got.ID != e.ID || len(got.Resources) != len(e.Case.Resources) || len(got.Obligations) == 0 {
			t.Errorf("%s", line)
		}
		for _, r := range got.Resources {
			if r.Reference == "" || r.Decision == "" || len(r.Reasons) == 0 || len(r.Remedies) == 0 || r.Remedies[0].Changes[0].Detail == "" {
				t.Errorf("%s: %+v", e.ID, r)
			}
			if r.Decision == "redact" && (len(r.Redacted) == 0 || len(r.Labels) == 0) {
				t.Errorf("%s: what is cut is not said: %+v", e.ID, r)
			}
		}
	}
}

// TestExplainingDecidesAlike: an explanation is of the decision that Run gives.
func TestExplainingDecidesAlike(t *testing.T) {
	for _, e := range explainCases(t) {
		plain := NewRunner().Run(e.Case)
		a, _ := plain.JSON()
		b, _ := e.Outcome.JSON()
		if !bytes.Equal(a, b) {
			t.Errorf("%s:\n%s\n%s", e.ID, a, b)
		}
	}
}

func TestWhereNothingOpensItThatIsSaid(t *testing.T) {
	cases, errs := Read([]byte(`{"id":"chri","semantics":"regulation","consents":[],"resources":[{"resourceType":"Observation","id":"o","status":"final",
		"meta":{"source":"Organization/pd","security":[{"system":"http://example.org/pmhc/CodeSystem/cji-label","code":"CHRI"}]},"code":{"text":"x"},"subject":{"reference":"Patient/p"}}],
		"request":{"at":"2026-08-05T12:00:00-05:00","actor":{"organization":"Organization/er","treatingProvider":true},"role":[],"purpose":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActReason","code":"TREAT"}],
		"scopes":["user/*.rs"],"direction":"police-to-bh"}}`))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var got bytes.Buffer
	if err := NewRunner().Explain(cases[0]).Text(&got); err != nil || !strings.Contains(got.String(), "nothing that was tried") {
		t.Errorf("%s", got.String())
	}
}
