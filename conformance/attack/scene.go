package attack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
)

// Target is the county's gateway, which must be listening, with all that the
// suite can hold: every client's key and the gateway's own. It files two
// Consents and looks up how the records are called here.
func (c *County) Target(ctx context.Context) (*Target, error) {
	t, err := NewTarget(ctx, c.Base)
	if err != nil {
		return nil, err
	}
	t.Keys["issuer"] = c.keys["issuer"]
	raw, err := os.ReadFile(c.Config)
	if err != nil {
		return nil, err
	}
	var registered struct {
		Clients []struct{ ID, Organization, Scopes, Users string }
	}
	if err := yaml.Unmarshal(raw, &registered); err != nil {
		return nil, err
	}
	for _, cl := range registered.Clients {
		p := &Party{ID: cl.ID, Key: c.keys[cl.ID], Scope: cl.Scopes}
		if cl.Users == "asserted" {
			p.Organization, p.Purpose = "Organization/"+cl.Organization, "http://terminology.hl7.org/CodeSystem/v3-ActReason#HOPERAT"
		}
		t.Parties[cl.ID] = p
	}
	return t, t.lookUp()
}

const ori = "https://handoff-health.github.io/fhir/sid/ZZ0030000/mni|"

// lookUp fills Records in: over HTTP, by those who may see them.
func (t *Target) lookUp() error {
	for _, q := range []struct{ name, party, query string }{
		{"ada", "officer", "Patient?identifier=" + ori + "M300001"},
		{"ben", "officer", "Patient?identifier=" + ori + "M300002"},
	} {
		if err := t.find(q.name, q.party, q.query, 0); err != nil {
			return err
		}
	}
	for _, q := range []struct{ name, party, query string }{
		{"contact", "officer", "Encounter?patient={ada}&_sort=date"},
		{"ben's contact", "officer", "Encounter?patient={ben}"},
		{"asthma", "clinician", "Condition?patient={ada}&code=J45.20"},
		{"sprain", "clinician", "Condition?patient={ada}&code=S93.401A"},
		{"weight", "clinician", "Observation?patient={ada}&category=vital-signs"},
		{"glucose", "clinician", "Observation?patient={ada}&category=laboratory"},
	} {
		if err := t.find(q.name, q.party, q.query, 0); err != nil {
			return err
		}
	}
	if err := t.file("consent", "clinician", strings.ReplaceAll(planConsent, "PATIENT", t.Records["ada"])); err != nil {
		return err
	}
	if err := t.find("plan", "officer", "CarePlan?patient={ada}", 0); err != nil {
		return err
	}
	plans, err := t.as("clinician", t.fill("CarePlan?patient={ada}"))
	if err != nil {
		return err
	}
	for _, ref := range plans.entries() {
		if ref != t.Records["plan"] {
			t.Records["therapy"] = ref
		}
	}
	return nil
}

// fill puts references in place of {names}, ids in place of {#names}.
func (t *Target) fill(path string) string {
	for name, ref := range t.Records {
		path = strings.ReplaceAll(path, "{"+name+"}", ref)
		_, id, _ := strings.Cut(ref, "/")
		path = strings.ReplaceAll(path, "{#"+name+"}", id)
	}
	return path
}

// find remembers one of what a search finds under a name.
func (t *Target) find(name, party, query string, i int) error {
	a, err := t.as(party, t.fill(query))
	if err != nil {
		return err
	}
	found := a.entries()
	if len(found) <= i {
		return fmt.Errorf("%s: %s finds nothing: %s", name, query, a)
	}
	t.Records[name] = found[i]
	return nil
}

// file creates a Consent and remembers it under a name.
func (t *Target) file(name, party, body string) error {
	token, err := t.tokenOf(party, "")
	if err != nil {
		return err
	}
	a, err := t.ask(token, http.MethodPost, "Consent", []byte(body))
	if err != nil {
		return err
	}
	_, at, ok := strings.Cut(a.header.Get("Location"), "/Consent/")
	if a.status != http.StatusCreated || !ok {
		return errors.New("filing " + name + ": " + a.String())
	}
	id, _, _ := strings.Cut(at, "/")
	t.Records[name] = "Consent/" + id
	return nil
}

// planConsent lets the police have the crisis plan.
const planConsent = `{
  "resourceType": "Consent", "status": "active",
  "identifier": [{"system": "https://handoff-health.github.io/fhir/sid/clinic/consent", "value": "C-1"}],
  "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
  "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
  "patient": {"reference": "PATIENT"}, "dateTime": "2026-03-30T10:30:00-05:00",
  "performer": [{"reference": "PATIENT"}], "organization": [{"reference": "Organization/clinic"}],
  "sourceAttachment": {"contentType": "application/pdf", "title": "signed on the clinic's tablet"},
  "policyRule": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIPAAAuthCD"}]},
  "provision": {
    "type": "permit", "period": {"start": "2026-03-30", "end": "2099-12-31"},
    "actor": [
      {"role": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "CST"}]}, "reference": {"reference": "Organization/clinic"}},
      {"role": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]}, "reference": {"reference": "Organization/pd"}}
    ],
    "securityLabel": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N"}],
    "purpose": [{"system": "https://handoff-health.github.io/fhir/CodeSystem/purpose-of-use", "code": "CRISIS"}],
    "class": [{"system": "http://hl7.org/fhir/resource-types", "code": "CarePlan"}]
  }
}`

// ReadTarget is a gateway elsewhere: base is its FHIR base URL, file says which
// of its clients and records play which part (README.md), keys is the folder of
// private keys that the file names.
func ReadTarget(ctx context.Context, base, file, keys string) (*Target, error) {
	t, err := NewTarget(ctx, base)
	if err != nil || file == "" {
		return t, err
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var given struct {
		Clients map[string]struct{ ID, Key, Scope, Secret, Redirect, Organization, Purpose string }
		Keys    map[string]string
		Issuers map[string]string
		Records map[string]string
		Lookups []struct{ Name, Client, Query string }
	}
	if err := yaml.UnmarshalWithOptions(raw, &given, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for name, cl := range given.Clients {
		p := &Party{ID: cl.ID, Scope: cl.Scope, Secret: cl.Secret, Redirect: cl.Redirect, Organization: cl.Organization, Purpose: cl.Purpose}
		if cl.Key != "" {
			if p.Key, err = ReadKey(filepath.Join(keys, cl.Key)); err != nil {
				return nil, err
			}
		}
		t.Parties[name] = p
	}
	for name, path := range given.Keys {
		if t.Keys[name], err = ReadKey(filepath.Join(keys, path)); err != nil {
			return nil, err
		}
	}
	for name, iss := range given.Issuers {
		t.Issuers[name] = iss
	}
	for name, ref := range given.Records {
		t.Records[name] = ref
	}
	for _, l := range given.Lookups {
		if err := t.find(l.Name, l.Client, l.Query, 0); err != nil {
			return nil, err
		}
	}
	return t, nil
}
