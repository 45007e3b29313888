package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// onScene converts the demo's export and returns what it says of the person who
// consented: the active Consent, the reference of its contact, the resources.
func onScene(t *testing.T) (consent map[string]any, contact string, resources []map[string]any) {
	t.Helper()
	stdout, stderr, _ := runLine("", "convert", "--adapter", "rms/csv", "--profile", "demodata/riverton/profile.yaml", "demodata/riverton/contacts.csv")
	var all []map[string]any
	lines := bufio.NewScanner(strings.NewReader(stdout))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r map[string]any
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
		if r["resourceType"] == "Consent" && r["status"] == "active" {
			consent = r
		}
	}
	if consent == nil {
		t.Fatalf("no active Consent\n%s", stderr)
	}
	person := consent["patient"].(map[string]any)["reference"].(string)
	contact = consent["provision"].(map[string]any)["data"].([]any)[0].(map[string]any)["reference"].(map[string]any)["reference"].(string)
	for _, r := range all {
		raw, _ := json.Marshal(r)
		if r["resourceType"] == "Consent" || !bytes.Contains(raw, []byte(person)) && name(r) != person {
			continue
		}
		meta, _ := r["meta"].(map[string]any)
		if meta == nil {
			meta = map[string]any{}
			r["meta"] = meta
		}
		meta["source"] = "Organization/riverton-pd"
		resources = append(resources, r)
	}
	return consent, contact, resources
}

func name(r map[string]any) string { return r["resourceType"].(string) + "/" + r["id"].(string) }

// decisions decides one request of a clinician for all resources.
func decisions(t *testing.T, consents, resources []map[string]any, organization, at string, agreement bool) map[string]string {
	t.Helper()
	request := map[string]any{
		"at": at, "direction": "police-to-bh", "scopes": []string{"user/*.rs"},
		"actor":   map[string]any{"reference": "Practitioner/c", "organization": organization, "treatingProvider": true},
		"role":    []any{map[string]any{"system": "https://handoff-health.github.io/fhir/CodeSystem/actor-role", "code": "clinician"}},
		"purpose": []any{map[string]any{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}},
	}
	if agreement {
		request["agreements"] = []string{"moa"}
	}
	if consents == nil {
		consents = []map[string]any{}
	}
	raw, err := json.Marshal(map[string]any{"id": "x", "consents": consents, "resources": resources, "request": request})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "case.json")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := runLine("", "decide", file)
	var answer struct {
		Resources map[string]struct{ Decision string }
	}
	if err := json.Unmarshal([]byte(stdout), &answer); err != nil || code != 0 {
		t.Fatalf("code %d: %v\n%s", code, err, stderr)
	}
	out := map[string]string{}
	for ref, r := range answer.Resources {
		out[ref] = r.Decision
	}
	return out
}

func TestConsentOnSceneOpensItsContactAndClosesNothing(t *testing.T) {
	consent, contact, resources := onScene(t)
	const during, after = "2026-03-28T12:00:00-05:00", "2026-05-01T12:00:00-05:00"
	granted := []map[string]any{consent}
	opened := decisions(t, granted, resources, "Organization/lakeside", during, false)
	types := map[string]bool{}
	for _, r := range resources {
		raw, _ := json.Marshal(r)
		about := name(r) == contact || r["resourceType"] == "Patient" || bytes.Contains(raw, []byte(contact))
		if want := map[bool]string{true: "permit", false: "deny"}[about]; opened[name(r)] != want {
			t.Errorf("%s: %q for the recipient, want %q", name(r), opened[name(r)], want)
		}
		types[r["resourceType"].(string)] = types[r["resourceType"].(string)] || about
	}
	for _, typ := range []string{"Patient", "Encounter", "Observation", "Provenance"} {
		if !types[typ] {
			t.Errorf("no %s of the contact", typ)
		}
	}
	for _, who := range []string{"Organization/lakeside", "Organization/harbor"} {
		without, with := decisions(t, nil, resources, who, during, true), decisions(t, granted, resources, who, during, true)
		for ref, d := range without {
			if d == "permit" && with[ref] != "permit" {
				t.Errorf("%s: the Consent closes it to %s", ref, who)
			}
		}
	}
	for ref, d := range decisions(t, granted, resources, "Organization/harbor", during, false) {
		if d != "deny" {
			t.Errorf("%s: %s for somebody who is not named", ref, d)
		}
	}
	for ref, d := range decisions(t, granted, resources, "Organization/lakeside", after, false) {
		if d != "deny" {
			t.Errorf("%s: %s after the Consent ended", ref, d)
		}
	}
}
