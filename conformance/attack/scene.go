package attack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
)

// A Scene says which clients and records of a gateway play which part. It is a
// YAML file: demo.yaml, county/scene.yaml.
type Scene struct {
	Clients map[string]Actor  `yaml:"clients"`
	Keys    map[string]string `yaml:"keys"`    // files of others' signing keys, "issuer" the gateway's own
	Issuers map[string]string `yaml:"issuers"` // iss of outside issuers, by the name of their key
	Records map[string]string `yaml:"records"` // references by what they are to the suite
	Lookups []Lookup          `yaml:"lookups"` // records that are found, or made, one after the other
}

// An Actor is a client of the gateway.
type Actor struct {
	ID       string `yaml:"id"`
	Key      string `yaml:"key"`   // file of its private key
	Scope    string `yaml:"scope"` // all that it is registered for
	Secret   string `yaml:"secret"`
	Redirect string `yaml:"redirect"`
	// Organization and Purpose, of a client that names users.
	Organization string `yaml:"organization"`
	Purpose      string `yaml:"purpose"`
}

// A Lookup finds a record by a search of a client's, the first match, or has the
// client file a Consent.
type Lookup struct {
	Name   string `yaml:"name"`
	Client string `yaml:"client"`
	Query  string `yaml:"query"` // {name} and {#name} stand for a record and its id
	File   string `yaml:"file"`  // "plan": a Consent that lets {pd} have care plans of {clinic}
}

func readScene(raw []byte) (*Scene, error) {
	s := &Scene{}
	return s, yaml.UnmarshalWithOptions(raw, s, yaml.Strict())
}

// ReadTarget is a gateway elsewhere: base is its FHIR base URL, file a Scene (none
// if ""), keys the folder in which the files of keys lie.
func ReadTarget(ctx context.Context, base, file, keys string) (*Target, error) {
	t, err := NewTarget(ctx, base)
	if err != nil || file == "" {
		return t, err
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s, err := readScene(raw)
	if err == nil {
		err = t.set(s, keys)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return t, nil
}

// Target is the county's gateway, which must be listening, with all that the
// suite can hold: every client's key and the gateway's own.
func (c *County) Target(ctx context.Context) (*Target, error) {
	t, err := NewTarget(ctx, c.Base)
	if err != nil {
		return nil, err
	}
	t.Hook = &Hook{Path: "/adapters/pd-hook", Secret: c.secret}
	raw, err := countyFiles.ReadFile("county/scene.yaml")
	if err != nil {
		return nil, err
	}
	s, err := readScene(raw)
	if err != nil {
		return nil, err
	}
	if raw, err = os.ReadFile(c.Config); err != nil {
		return nil, err
	}
	var registered struct {
		Clients []struct {
			ID, Organization, Scopes, Users string
			Purposes                        []string
			RedirectURIs                    []string `yaml:"redirectUris"`
			SecretHashes                    []string `yaml:"secretHashes"`
		}
	}
	if err := yaml.Unmarshal(raw, &registered); err != nil {
		return nil, err
	}
	s.Clients = map[string]Actor{}
	for _, cl := range registered.Clients {
		a := Actor{ID: cl.ID, Scope: cl.Scopes}
		if c.keys[cl.ID] != nil {
			a.Key = cl.ID + ".jwk"
		}
		if cl.Users == "asserted" && len(cl.Purposes) > 0 {
			a.Organization, a.Purpose = "Organization/"+cl.Organization, "http://terminology.hl7.org/CodeSystem/v3-ActReason#"+cl.Purposes[0]
		}
		if len(cl.RedirectURIs) > 0 {
			a.Redirect = cl.RedirectURIs[0]
		}
		if len(cl.SecretHashes) > 0 {
			a.Secret = c.secret
		}
		s.Clients[strings.ReplaceAll(cl.ID, "-", " ")] = a
	}
	t.Provider, t.Police = c.clinic, c.police
	c.shares.Store(true)
	return t, t.set(s, filepath.Join(c.Dir, "keys"))
}

// set gives the target what a scene says.
func (t *Target) set(s *Scene, keys string) (err error) {
	for name, a := range s.Clients {
		p := &Party{ID: a.ID, Scope: a.Scope, Secret: a.Secret, Redirect: a.Redirect, Organization: a.Organization, Purpose: a.Purpose}
		if a.Key != "" {
			if p.Key, err = ReadKey(filepath.Join(keys, a.Key)); err != nil {
				return err
			}
		}
		t.Parties[name] = p
	}
	for name, path := range s.Keys {
		if t.Keys[name], err = ReadKey(filepath.Join(keys, path)); err != nil {
			return err
		}
	}
	maps.Copy(t.Issuers, s.Issuers)
	maps.Copy(t.Records, s.Records)
	for _, l := range s.Lookups {
		if l.File != "" {
			err = t.file(l.Name, l.Client, planConsent)
		} else {
			err = t.find(l.Name, l.Client, l.Query)
		}
		if err != nil {
			return err
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

// find remembers the first of what a search finds under a name.
func (t *Target) find(name, party, query string) error {
	a, err := t.as(party, t.fill(query))
	if err != nil {
		return err
	}
	found := a.entries()
	if len(found) == 0 {
		return fmt.Errorf("%s: %s finds nothing: %s", name, query, a)
	}
	t.Records[name] = found[0]
	return nil
}

// file creates a Consent and remembers it under a name.
func (t *Target) file(name, party, body string) error {
	token, err := t.tokenOf(party, "")
	if err != nil {
		return err
	}
	a, err := t.ask(token, http.MethodPost, "Consent", []byte(t.fill(body)))
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

// planConsent lets the police have the crisis plan, by the words that fill puts in.
const planConsent = `{
  "resourceType": "Consent", "status": "active",
  "identifier": [{"system": "https://handoff-health.github.io/fhir/sid/clinic/consent", "value": "{mark}"}],
  "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
  "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
  "patient": {"reference": "{ada}"}, "dateTime": "2026-03-30T10:30:00-05:00",
  "performer": [{"reference": "{ada}"}], "organization": [{"reference": "{clinic}"}],
  "sourceAttachment": {"contentType": "application/pdf", "title": "signed on the clinic's tablet"},
  "policyRule": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIPAAAuthCD"}]},
  "provision": {
    "type": "permit", "period": {"start": "2026-03-30", "end": "2099-12-31"},
    "actor": [
      {"role": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "CST"}]}, "reference": {"reference": "{clinic}"}},
      {"role": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]}, "reference": {"reference": "{pd}"}}
    ],
    "securityLabel": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N"}],
    "purpose": [{"system": "https://handoff-health.github.io/fhir/CodeSystem/purpose-of-use", "code": "CRISIS"}],
    "class": [{"system": "http://hl7.org/fhir/resource-types", "code": "CarePlan"}]
  }
}`
