package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
)

// The tour: each step prints commands, does what they do over HTTP, and shows
// what came back. It checks its own story: an answer that is not as told ends
// the demo with an error.

// A visitor is a client of the gateway with its token.
type visitor struct {
	d        *demo
	variable string // that holds the token in the printed lines
	token    string
}

func (d *demo) tour(ctx context.Context) error {
	d.say("Handoff demo: two police agencies, two health systems, one person. All data are synthetic.\nFiles: %s", d.dir)
	d.store.tell(d)
	d.say("")
	if err := d.bringIn(ctx); err != nil {
		return err
	}
	t := &tour{demo: d}
	for _, step := range []func(context.Context) error{t.logIn, t.find, t.denied, t.permitted, t.consent, t.filtered, t.revoked, t.legalBasis, t.breakGlass, t.launch, t.audited} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("demo: %w", err)
		}
	}
	return nil
}

// A tour carries what one step finds to the next.
type tour struct {
	*demo
	officer, clinic visitor
	patient         string // reference of the person at Riverton
	consentID       string
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

// quoted writes a path for a shell.
func quoted(path string) string {
	if strings.Trim(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// command prints a line that works as printed.
func (d *demo) command(format string, args ...any) { fmt.Fprintf(d.out, "$ "+format+"\n", args...) }

func (t *tour) logIn(ctx context.Context) error {
	t.say("\n1. Two systems log in (SMART Backend Services; tokens live five minutes)")
	for _, c := range []struct {
		variable, client, scope string
		to                      *visitor
	}{
		{"OFFICER", "riverton-mdt", "system/*.rs system/Task.c", &t.officer},
		{"CLINIC", "lakeside-clinic", "system/*.rs system/Consent.cu", &t.clinic},
	} {
		t.command("%s=$(go run ./cmd/handoff token get --base '%s' --client %s --key %s --scope '%s')", c.variable, t.base, c.client, quoted(t.path("keys", c.client+".jwk")), c.scope)
		token, err := t.token(ctx, c.client, c.scope)
		if err != nil {
			return err
		}
		*c.to = visitor{t.demo, c.variable, token}
	}
	return nil
}

func (t *tour) find(ctx context.Context) error {
	t.say("\n2. An officer's terminal finds its agency's own record of the person on the scene")
	b, err := t.ask(ctx, &t.officer, "Patient?identifier=https://handoff-health.github.io/fhir/sid/ZZ0010100/mni|R100001", 1)
	if err != nil {
		return err
	}
	t.patient = "Patient/" + b.ids[0]
	return nil
}

func (t *tour) denied(ctx context.Context) error {
	t.say("\n3. Denied: police get nothing of a health system without a rule that permits it, and cannot tell nothing from withheld")
	b, err := t.ask(ctx, &t.officer, "Condition?patient="+t.patient, 0)
	if err != nil {
		return err
	}
	stranger, err := t.officer.search(ctx, "Condition?patient=Patient/nobody")
	if err != nil {
		return err
	}
	if strings.ReplaceAll(string(stranger.raw), "Patient/nobody", t.patient) != string(b.raw) {
		return errors.New("the answer differs from the one for a person of whom nothing is known")
	}
	if err := t.noPlan(ctx); err != nil {
		return err
	}
	t.say("  both the same bytes as for somebody of whom nothing is known")
	return nil
}

func (t *tour) permitted(ctx context.Context) error {
	t.say("\n4. Permitted: the treating clinic sees the police contacts of both agencies (sharing agreements) beside its own stay.\n   The Part 2 program has no consent that names the clinic, so it is not even asked")
	_, err := t.ask(ctx, &t.clinic, "Encounter?patient="+t.patient, 5)
	return err
}

func (t *tour) consent(ctx context.Context) error {
	t.say("\n5. In the clinic the person signs a consent: Riverton's officers may have the crisis plan, for crisis response, until 2030")
	body := strings.ReplaceAll(demoConsent, "PATIENT", t.patient)
	if err := t.file("consent.json", body); err != nil {
		return err
	}
	revoked := strings.ReplaceAll(strings.Replace(body, `"status": "active"`, `"status": "inactive"`, 1), `"resourceType": "Consent"`, `"resourceType": "Consent", "id": "CONSENT"`)
	if err := t.file("revoked.json", revoked); err != nil {
		return err
	}
	t.command(`CONSENT=$(curl -s -o /dev/null -D - -H "Authorization: Bearer $CLINIC" -H 'Content-Type: application/fhir+json' -d @%s '%s/Consent' | sed -n 's|.*/Consent/\([^/]*\)/_history.*|\1|p')`, quoted(t.path("consent.json")), t.base)
	got, err := t.clinic.do(ctx, http.MethodPost, "Consent", []byte(body), "")
	if err != nil {
		return err
	}
	_, rest, ok := strings.Cut(got.header.Get("Location"), "/Consent/")
	if got.code != http.StatusCreated || !ok {
		return fmt.Errorf("recording the consent: %s", got.status)
	}
	t.consentID, _, _ = strings.Cut(rest, "/")
	t.say("  %s, Consent/%s", got.status, t.consentID)
	return nil
}

func (t *tour) filtered(ctx context.Context) error {
	t.say("\n6. Filtered: the officer now gets the crisis plan; the therapy plan beside it is restricted and stays out")
	b, err := t.ask(ctx, &t.officer, "CarePlan?patient="+t.patient, 1)
	if err != nil {
		return err
	}
	t.say("  %q", b.first.Get("description").Text())
	t.say("  The one question on the scene, in one call:")
	_, err = t.summary(ctx, true)
	return err
}

func (t *tour) revoked(ctx context.Context) error {
	t.say("\n7. Revoked: the person takes it back, and the same query finds nothing")
	t.command(`sed "s|CONSENT|$CONSENT|" %s | curl -s -o /dev/null -w '%%{http_code}\n' -X PUT -H "Authorization: Bearer $CLINIC" -H 'Content-Type: application/fhir+json' -H 'If-Match: W/"1"' -d @- "%s/Consent/$CONSENT"`, quoted(t.path("revoked.json")), t.base)
	body, err := os.ReadFile(t.path("revoked.json"))
	if err != nil {
		return err
	}
	got, err := t.clinic.do(ctx, http.MethodPut, "Consent/"+t.consentID, bytes.ReplaceAll(body, []byte(`"CONSENT"`), resource.Quote(t.consentID)), `W/"1"`)
	if err != nil {
		return err
	}
	if got.code != http.StatusOK {
		return fmt.Errorf("revoking the consent: %s", got.status)
	}
	t.say("  %s", got.status)
	_, err = t.ask(ctx, &t.officer, "CarePlan?patient="+t.patient, 0)
	return err
}

func (t *tour) audited(context.Context) error {
	t.say("\n11. Every one of these requests is in the audit trail, the refused ones too")
	c := t.gateway.config.Audit
	t.command("go run ./cmd/handoff audit verify %s --anchor %s --key %s", quoted(t.path(c.Dir)), quoted(t.path(c.Anchor)), quoted(t.path(c.KeyFile)))
	key, err := audit.LoadPublicKey(t.path(c.KeyFile) + ".pub")
	if err != nil {
		return err
	}
	report, err := audit.Verify(t.path(c.Dir), &audit.FileAnchor{Path: t.path(c.Anchor)}, key)
	if err != nil {
		return err
	}
	t.say("  %d events, the chain is whole", report.Events)
	return nil
}

// demoConsent permits Riverton's police normal-level care plans and care teams
// of Lakeside for crisis response.
const demoConsent = `{
  "resourceType": "Consent",
  "status": "active",
  "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
  "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
  "patient": {"reference": "PATIENT"},
  "dateTime": "2026-03-30T10:30:00-05:00",
  "performer": [{"reference": "PATIENT"}],
  "organization": [{"reference": "Organization/lakeside"}],
  "sourceAttachment": {"contentType": "application/pdf", "title": "signed on the clinic's tablet"},
  "policyRule": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIPAAAuthCD"}]},
  "provision": {
    "type": "permit",
    "period": {"start": "2026-03-30", "end": "2029-12-31"},
    "actor": [
      {"role": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "CST"}]}, "reference": {"reference": "Organization/lakeside"}},
      {"role": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]}, "reference": {"reference": "Organization/riverton-pd"}}
    ],
    "securityLabel": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N"}],
    "purpose": [{"system": "https://handoff-health.github.io/fhir/CodeSystem/purpose-of-use", "code": "CRISIS"}],
    "class": [
      {"system": "http://hl7.org/fhir/resource-types", "code": "CarePlan"},
      {"system": "http://hl7.org/fhir/resource-types", "code": "CareTeam"}
    ]
  }
}
`

// A found is a searchset in short.
type found struct {
	raw      []byte
	ids      []string
	first    resource.Node
	outcomes int
}

// ask prints a search as a command, does it, shows what came back and holds it
// against the story: n entries and no outcome.
func (d *demo) ask(ctx context.Context, v *visitor, query string, n int) (*found, error) {
	d.command(`curl -s -H "Authorization: Bearer $%s" '%s/%s'`, v.variable, d.base, query)
	b, err := v.search(ctx, query)
	if err != nil {
		return nil, err
	}
	if len(b.ids) != n || b.outcomes > 0 {
		return nil, fmt.Errorf("%d entries and %d outcomes came back, %d entries were expected: %s", len(b.ids), b.outcomes, n, b.raw)
	}
	if n == 0 {
		d.say("  200 OK, no entry")
		return b, nil
	}
	what, _, _ := strings.Cut(query, "?")
	d.say("  200 OK, %d x %s: %s", n, what, strings.Join(b.ids, " "))
	return b, nil
}

func (v visitor) search(ctx context.Context, query string) (*found, error) {
	got, err := v.do(ctx, http.MethodGet, query, nil, "")
	if err != nil {
		return nil, err
	}
	if got.code != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s: %s", query, got.status, got.body)
	}
	doc, err := resource.Parse(got.body)
	if err != nil {
		return nil, err
	}
	b := &found{raw: got.body}
	for e := range doc.Root().All("entry") {
		r := e.Get("resource")
		if r.Get("resourceType").Is("OperationOutcome") {
			b.outcomes++
			continue
		}
		if len(b.ids) == 0 {
			b.first = r
		}
		b.ids = append(b.ids, r.Get("id").Text())
	}
	return b, nil
}

func (v visitor) do(ctx context.Context, method, path string, body []byte, ifMatch string) (*reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, v.d.base+"/"+strings.ReplaceAll(path, "|", "%7C"), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+v.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/fhir+json")
	}
	if ifMatch != "" {
		req.Header.Set("If-Match", ifMatch)
	}
	return send(req)
}

// A reply is an HTTP answer, read to its end.
type reply struct {
	code   int
	status string
	header http.Header
	body   []byte
}

func send(req *http.Request) (*reply, error) {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	return &reply{resp.StatusCode, resp.Status, resp.Header, body}, err
}

// token asks the token endpoint as `handoff token get` does.
func (d *demo) token(ctx context.Context, client, scope string) (string, error) {
	return d.tokenFor(ctx, client, scope, nil)
}

// tokenFor asks for a token that also says for whom and for what.
func (d *demo) tokenFor(ctx context.Context, client, scope string, asserted *auth.Asserted) (string, error) {
	endpoint := strings.TrimSuffix(d.base, "/fhir") + tokenPath
	signer, err := auth.NewSigner(client, d.keys[client], 0, time.Now)
	if err != nil {
		return "", err
	}
	assertion, err := signer.AssertionFor(endpoint, asserted)
	if err != nil {
		return "", err
	}
	form := url.Values{
		"grant_type": {"client_credentials"}, "scope": {scope}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	got, err := send(req)
	if err != nil {
		return "", err
	}
	doc, err := resource.ParseDocument(got.body)
	if err != nil || got.code != http.StatusOK {
		return "", fmt.Errorf("token for %s: %s", client, got.status)
	}
	return doc.Root().Get("access_token").Text(), nil
}

// bringIn ingests the agencies' exports and reads the roster that links the
// person to the health systems.
func (d *demo) bringIn(ctx context.Context) error {
	d.say("Bringing in the contact exports of both agencies:")
	for _, f := range []struct{ system, file string }{{"riverton-rms", "riverton-contacts.csv"}, {"cedar-rms", "cedar-contacts.csv"}} {
		report, err := ingestFile(ctx, d.gateway, f.system, d.path(f.file))
		if err != nil {
			return err
		}
		if _, err := report.WriteTo(d.out); err != nil {
			return err
		}
	}
	roster := strings.Join([]string{
		"system,remote_id,ori,mni",
		"lakeside-ehr,lk-2041,ZZ0010100,R100001",
		"lakeside-ehr,lk-2041,ZZ0020000,C500010",
		"harbor-ehr,hb-77,ZZ0010100,R100001",
		"",
	}, "\n")
	if err := d.file("roster.csv", roster); err != nil {
		return err
	}
	result, err := readRoster(ctx, d.gateway, d.path("roster.csv"))
	if err != nil {
		return err
	}
	d.say("A roster links her records: %d links", result.Added)
	return nil
}
