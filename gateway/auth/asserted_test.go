package auth_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/policy"
)

const (
	actorRoles = "https://handoff-health.github.io/fhir/CodeSystem/actor-role"
	reasons    = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
	npi        = "http://hl7.org/fhir/sid/us-npi"
)

// clinic turns rms into a clinic's client that may name its users.
func clinic(c *auth.Client) {
	c.Organization, c.OrganizationKind = "Organization/hope", auth.Health
	c.Identifiers = []policy.Identifier{{System: npi, Value: "1999999992"}}
	c.Roles = []label.Code{{System: actorRoles, Code: "treating-clinician"}, {System: actorRoles, Code: "emergency-physician"}}
	c.Purposes = []string{reasons + "|TREAT", reasons + "|ETREAT", reasons + "|BTG"}
	c.Operations = []string{auth.ScopeExplainAccess}
	c.AssertsUsers, c.BelievesMFA = true, true
	c.Practitioners = []auth.Practitioner{{Reference: "Practitioner/ortiz", Identifiers: []policy.Identifier{{System: npi, Value: "1234567893"}}}}
}

// extension is a good one, bent by over.
func extension(over map[string]any) map[string]any {
	return map[string]any{"hl7-b2b": merge(map[string]any{
		"version": "1", "organization_id": fhirBase + "/Organization/hope", "organization_name": "Hope",
		"subject_id": "urn:oid:2.16.840.1.113883.4.6#1234567893", "subject_name": "Ana Ortiz, MD",
		"subject_role":   actorRoles + "#emergency-physician",
		"purpose_of_use": []string{"urn:oid:2.16.840.1.113883.5.8#ETREAT"},
	}, over)}
}

func (w *world) assert(t testing.TB, claims map[string]any, scope string) answer {
	t.Helper()
	return w.post(t, form(forgery{by: keys()["es"], claims: w.claims("rms", claims)}.String(), map[string]string{"scope": scope}))
}

func TestAUserBehindAClient(t *testing.T) {
	w := newWorld(t)
	w.replace(t, clinic)
	a := w.assert(t, map[string]any{"extensions": extension(nil), "amr": []string{"pwd", "otp"}}, "system/Patient.rs "+auth.ScopeExplainAccess)
	if a.Code != 200 {
		t.Fatalf("%d %s: %s", a.Code, a.Body, w.audit.last(t).Reason)
	}
	if a.JSON.Scope != "system/Patient.rs "+auth.ScopeExplainAccess {
		t.Errorf("scope %q", a.JSON.Scope)
	}
	p, err := w.verifier.Verify(context.Background(), a.JSON.Token)
	if err != nil {
		t.Fatal(err)
	}
	if p.User.Name != "Ana Ortiz, MD" || p.User.ID != "urn:oid:2.16.840.1.113883.4.6#1234567893" || !p.User.MFA || p.Requester.Reference != "Practitioner/ortiz" {
		t.Errorf("user %+v, reference %q", p.User, p.Requester.Reference)
	}
	if !slices.Contains(p.Requester.Identifiers, policy.Identifier{System: npi, Value: "1234567893"}) {
		t.Errorf("identifiers %v", p.Requester.Identifiers)
	}
	if !slices.Equal(p.Purposes, []string{reasons + "|ETREAT"}) || len(p.Requester.Roles) != 1 || p.Requester.Roles[0].Code != "emergency-physician" {
		t.Errorf("purposes %v, roles %v", p.Purposes, p.Requester.Roles)
	}
	if !p.MayUse(auth.ScopeExplainAccess) || len(p.Scopes) != 1 {
		t.Errorf("operations %v, scopes %v", p.Operations, p.Scopes)
	}
	at := w.audit.last(t)
	if at.User.Name != "Ana Ortiz, MD" || at.Reference != "Practitioner/ortiz" || !at.User.MFA || len(at.Purposes) != 1 || len(at.Roles) != 1 {
		t.Errorf("audited %+v", at)
	}
}

func TestWithoutExtensionTheRegistrationSpeaks(t *testing.T) {
	w := newWorld(t)
	w.replace(t, clinic)
	p, err := w.verifier.Verify(context.Background(), w.token(t, "system/Patient.rs"))
	if err != nil || len(p.Purposes) != 3 || len(p.Requester.Roles) != 2 || p.User.ID != "" || p.User.MFA || p.Requester.Reference != "" || len(p.Operations) != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	if len(p.Requester.Identifiers) != 1 {
		t.Errorf("identifiers %v", p.Requester.Identifiers)
	}
}

func TestForms(t *testing.T) {
	w := newWorld(t)
	w.replace(t, clinic)
	for name, c := range map[string]struct {
		over      map[string]any
		reference string
		purposes  string
	}{
		"bare codes":                {map[string]any{"subject_role": "emergency-physician", "purpose_of_use": []string{"BTG"}}, "Practitioner/ortiz", "BTG"},
		"with a bar":                {map[string]any{"purpose_of_use": []string{reasons + "|TREAT"}}, "Practitioner/ortiz", "TREAT"},
		"two purposes, one twice":   {map[string]any{"purpose_of_use": []string{"TREAT", "ETREAT", "TREAT"}}, "Practitioner/ortiz", "TREAT ETREAT"},
		"reference of the person":   {map[string]any{"subject_id": "Practitioner/ortiz"}, "Practitioner/ortiz", "ETREAT"},
		"URL of the person":         {map[string]any{"subject_id": fhirBase + "/Practitioner/ortiz"}, "Practitioner/ortiz", "ETREAT"},
		"NPI by the other name":     {map[string]any{"subject_id": npi + "#1234567893"}, "Practitioner/ortiz", "ETREAT"},
		"somebody of no directory":  {map[string]any{"subject_id": "badge#77"}, "", "ETREAT"},
		"somebody of another place": {map[string]any{"subject_id": "Practitioner/chen"}, "", "ETREAT"},
		"URL of another server":     {map[string]any{"subject_id": "https://evil.example/fhir/Practitioner/ortiz"}, "", "ETREAT"},
		"organisation by NPI":       {map[string]any{"organization_id": "urn:oid:2.16.840.1.113883.4.6#1999999992"}, "Practitioner/ortiz", "ETREAT"},
		"consent claims":            {map[string]any{"consent_policy": []string{"urn:x"}, "consent_reference": []string{"https://x/Consent/1"}}, "Practitioner/ortiz", "ETREAT"},
	} {
		a := w.assert(t, map[string]any{"extensions": extension(c.over)}, "system/Patient.rs")
		if a.Code != 200 {
			t.Errorf("%s: %d %s", name, a.Code, a.Body)
			continue
		}
		p, err := w.verifier.Verify(context.Background(), a.JSON.Token)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var purposes []string
		for _, s := range p.Purposes {
			purposes = append(purposes, s[strings.LastIndexByte(s, '|')+1:])
		}
		if p.Requester.Reference != c.reference || strings.Join(purposes, " ") != c.purposes || p.User.MFA {
			t.Errorf("%s: reference %q, purposes %v, MFA %v", name, p.Requester.Reference, purposes, p.User.MFA)
		}
	}
}

func TestAssertionsThatWiden(t *testing.T) {
	w := newWorld(t)
	w.replace(t, clinic)
	long := strings.Repeat("x", 256)
	many := slices.Repeat([]string{"TREAT"}, 17)
	good := extension(nil)
	for name, c := range map[string]struct {
		extensions any
		amr        any
		code       string
	}{
		"another organisation":      {extension(map[string]any{"organization_id": fhirBase + "/Organization/riverton-pd"}), nil, "invalid_grant"},
		"organisation elsewhere":    {extension(map[string]any{"organization_id": "https://evil.example/fhir/Organization/hope"}), nil, "invalid_grant"},
		"organisation by prefix":    {extension(map[string]any{"organization_id": fhirBase + "/Organization/hope/"}), nil, "invalid_grant"},
		"identifier of no system":   {extension(map[string]any{"organization_id": "#1999999992"}), nil, "invalid_grant"},
		"role not registered":       {extension(map[string]any{"subject_role": actorRoles + "#case-manager"}), nil, "invalid_grant"},
		"role of another system":    {extension(map[string]any{"subject_role": "http://evil#emergency-physician"}), nil, "invalid_grant"},
		"purpose not registered":    {extension(map[string]any{"purpose_of_use": []string{"HRESCH"}}), nil, "invalid_grant"},
		"one purpose of two":        {extension(map[string]any{"purpose_of_use": []string{"TREAT", "HMARKT"}}), nil, "invalid_grant"},
		"purpose below":             {extension(map[string]any{"purpose_of_use": []string{"ERTREAT"}}), nil, "invalid_grant"},
		"purpose of another system": {extension(map[string]any{"purpose_of_use": []string{"http://evil#TREAT"}}), nil, "invalid_grant"},
		"no version":                {extension(map[string]any{"version": nil}), nil, "invalid_request"},
		"version 2":                 {extension(map[string]any{"version": "2"}), nil, "invalid_request"},
		"version as a number":       {extension(map[string]any{"version": 1}), nil, "invalid_request"},
		"no organisation":           {extension(map[string]any{"organization_id": nil}), nil, "invalid_request"},
		"no purpose":                {extension(map[string]any{"purpose_of_use": nil}), nil, "invalid_request"},
		"purpose as a string":       {extension(map[string]any{"purpose_of_use": "TREAT"}), nil, "invalid_request"},
		"purposes empty":            {extension(map[string]any{"purpose_of_use": []string{}}), nil, "invalid_request"},
		"purpose a number":          {extension(map[string]any{"purpose_of_use": []any{1}}), nil, "invalid_request"},
		"purposes without end":      {extension(map[string]any{"purpose_of_use": many}), nil, "invalid_request"},
		"role as an array":          {extension(map[string]any{"subject_role": []string{"emergency-physician"}}), nil, "invalid_request"},
		"id as an object":           {extension(map[string]any{"subject_id": map[string]any{"value": "x"}}), nil, "invalid_request"},
		"id without name":           {extension(map[string]any{"subject_name": nil}), nil, "invalid_request"},
		"name without id":           {extension(map[string]any{"subject_id": nil, "subject_role": nil}), nil, "invalid_request"},
		"role of nobody":            {extension(map[string]any{"subject_id": nil, "subject_name": nil}), nil, "invalid_request"},
		"empty id":                  {extension(map[string]any{"subject_id": ""}), nil, "invalid_request"},
		"long name":                 {extension(map[string]any{"subject_name": long}), nil, "invalid_request"},
		"long id":                   {extension(map[string]any{"subject_id": long}), nil, "invalid_request"},
		"name over two lines":       {extension(map[string]any{"subject_name": "Ana\nadmin"}), nil, "invalid_request"},
		"name with an escape":       {extension(map[string]any{"subject_name": "Ana\x1b[2J"}), nil, "invalid_request"},
		"name turned round":         {extension(map[string]any{"subject_name": "Ana\u202eDM"}), nil, "invalid_request"},
		"name of spaces":            {extension(map[string]any{"subject_name": "  "}), nil, "invalid_request"},
		"member not understood":     {extension(map[string]any{"admin": true}), nil, "invalid_request"},
		"extension not understood":  {map[string]any{"hl7-b2b": good["hl7-b2b"], "tefca-ias": map[string]any{}}, nil, "invalid_request"},
		"extensions as an array":    {[]any{good}, nil, "invalid_request"},
		"extensions empty":          {map[string]any{}, nil, "invalid_request"},
		"extension as a string":     {map[string]any{"hl7-b2b": "1"}, nil, "invalid_request"},
		"amr as a string":           {good, "mfa", "invalid_request"},
		"amr of objects":            {good, []any{map[string]any{"mfa": true}}, "invalid_request"},
		"amr without end":           {good, slices.Repeat([]string{"otp"}, 17), "invalid_request"},
		"amr of nobody":             {extension(map[string]any{"subject_id": nil, "subject_name": nil, "subject_role": nil}), []string{"mfa"}, "invalid_request"},
	} {
		a := w.assert(t, map[string]any{"extensions": c.extensions, "amr": c.amr}, "system/Patient.rs")
		if a.Code != 400 || a.JSON.Error != c.code || a.JSON.Description == "" || a.JSON.Token != "" {
			t.Errorf("%s: %d %s", name, a.Code, a.Body)
		}
		if at := w.audit.last(t); at.Client != "rms" || at.Error != c.code || at.TokenID != "" {
			t.Errorf("%s: audited %+v", name, at)
		}
	}
}

func TestUsersMustBeRegistered(t *testing.T) {
	w := newWorld(t)
	w.replace(t, func(c *auth.Client) { clinic(c); c.AssertsUsers, c.BelievesMFA = false, false })
	if a := w.assert(t, map[string]any{"extensions": extension(nil)}, "system/Patient.rs"); a.Code != 400 || a.JSON.Error != "invalid_grant" || !strings.Contains(a.JSON.Description, "person") {
		t.Errorf("%d %s", a.Code, a.Body)
	}
	nobody := map[string]any{"subject_id": nil, "subject_name": nil, "subject_role": nil, "purpose_of_use": []string{"TREAT"}}
	a := w.assert(t, map[string]any{"extensions": extension(nobody)}, "system/Patient.rs")
	if a.Code != 200 {
		t.Fatalf("a purpose alone: %d %s", a.Code, a.Body)
	}
	if p, err := w.verifier.Verify(context.Background(), a.JSON.Token); err != nil || len(p.Purposes) != 1 || p.User.ID != "" {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestMFA(t *testing.T) {
	w := newWorld(t)
	w.replace(t, clinic)
	for text, want := range map[string]bool{
		"mfa": true, "pwd otp": true, "pin hwk": true, "fpt sc": true, "mfa pwd": true,
		"pwd": false, "otp": false, "pwd pin": false, "otp hwk": false, "MFA": false, "mca": false, "pwd user": false, "geo rba pwd": false, "mfa2 x": false,
	} {
		a := w.assert(t, map[string]any{"extensions": extension(nil), "amr": strings.Fields(text)}, "system/Patient.rs")
		if a.Code != 200 {
			t.Fatalf("%s: %s", text, a.Body)
		}
		p, err := w.verifier.Verify(context.Background(), a.JSON.Token)
		if err != nil || p.User.MFA != want {
			t.Errorf("%s: MFA %v, want %v (%v)", text, p.User.MFA, want, err)
		}
	}
	a := w.assert(t, map[string]any{"extensions": extension(nil), "amr": []string{"mfa"}}, "system/Patient.rs")
	w.replace(t, func(c *auth.Client) { clinic(c); c.BelievesMFA = false })
	if p, err := w.verifier.Verify(context.Background(), a.JSON.Token); err != nil || p.User.MFA || !slices.Equal(p.User.Methods, []string{"mfa"}) {
		t.Errorf("a client whose amr is not believed: %+v, %v", p, err)
	}
}

func TestATokenFollowsTheRegistration(t *testing.T) {
	w := newWorld(t)
	w.replace(t, clinic)
	token := w.assert(t, map[string]any{"extensions": extension(nil)}, "system/Patient.rs "+auth.ScopeExplainAccess).JSON.Token
	for name, change := range map[string]func(*auth.Client){
		"no users":         func(c *auth.Client) { c.AssertsUsers, c.BelievesMFA = false, false },
		"no such role":     func(c *auth.Client) { c.Roles = c.Roles[:1] },
		"no such purpose":  func(c *auth.Client) { c.Purposes = c.Purposes[:1] },
		"another employer": func(c *auth.Client) { c.Organization, c.Identifiers = "Organization/other", nil },
	} {
		w.replace(t, func(c *auth.Client) { clinic(c); change(c) })
		if p, err := w.verifier.Verify(context.Background(), token); err == nil {
			t.Errorf("%s: the token still speaks for %+v", name, p)
		}
	}
	w.replace(t, func(c *auth.Client) { clinic(c); c.Operations = nil })
	if p, err := w.verifier.Verify(context.Background(), token); err != nil || len(p.Operations) != 0 {
		t.Errorf("an operation that is no longer registered: %+v, %v", p, err)
	}
}

func TestTamperingWithTheTokenIsRefused(t *testing.T) {
	w := newWorld(t)
	w.replace(t, clinic)
	token := w.assert(t, map[string]any{"extensions": extension(nil), "amr": []string{"pwd"}}, "system/Patient.rs").JSON.Token
	parts := strings.Split(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(map[string]any){
		"MFA":        func(c map[string]any) { c["amr"] = []string{"mfa"} },
		"nobody":     func(c map[string]any) { delete(c, "extensions"); delete(c, "amr") },
		"operations": func(c map[string]any) { c["scope"] = c["scope"].(string) + " " + auth.ScopeExplainAccess },
	} {
		bent := map[string]any{}
		for k, v := range claims {
			bent[k] = v
		}
		change(bent)
		forged := parts[0] + "." + b64(marshal(bent)) + "." + parts[2]
		if p, err := w.verifier.Verify(context.Background(), forged); err == nil {
			t.Errorf("%s: believed %+v", name, p)
		}
	}
}

func TestARoleCannotShedLawEnforcement(t *testing.T) {
	w := newWorld(t)
	w.replace(t, func(c *auth.Client) {
		clinic(c)
		c.Operations = nil
		c.Roles = append(c.Roles, label.Code{System: actorRoles, Code: "dispatcher"})
	})
	a := w.assert(t, map[string]any{"extensions": extension(nil)}, "system/Patient.rs")
	p, err := w.verifier.Verify(context.Background(), a.JSON.Token)
	if err != nil || !p.Requester.Police || len(p.Requester.Roles) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestOperationScopes(t *testing.T) {
	w := newWorld(t)
	w.replace(t, clinic)
	for scope, want := range map[string]string{
		auth.ScopeExplainAccess: auth.ScopeExplainAccess,
		auth.ScopeExplainAccess + " system/Patient.r " + auth.ScopeExplainAccess: "system/Patient.r " + auth.ScopeExplainAccess,
		"system/*.rs": "system/Encounter.rs system/Observation.rs?category=laboratory system/Patient.rs",
		"https://handoff-health.github.io/fhir/scope/explain-acces":  "",
		auth.ScopeExplainAccess + "/":                                "",
		auth.ScopeExplainAccess + " https://evil.example/everything": "",
	} {
		a := w.assert(t, nil, scope)
		if got := a.JSON.Scope; !sameScopes(got, want) || (want == "") != (a.JSON.Error == "invalid_scope") {
			t.Errorf("%s: granted %q (%s)", scope, got, a.Body)
		}
	}
	w.replace(t, func(c *auth.Client) { clinic(c); c.Operations = nil })
	if a := w.assert(t, nil, auth.ScopeExplainAccess); a.JSON.Error != "invalid_scope" {
		t.Errorf("not registered: %s", a.Body)
	}
	cs := slices.Clone(w.clients)
	cs[0].Operations = []string{auth.ScopeExplainAccess} // a police client
	if err := w.registry.Replace(cs); err == nil {
		t.Error("a police client was registered for an operation that is never open to police")
	}
}

func sameScopes(a, b string) bool {
	x, y := strings.Fields(a), strings.Fields(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

func TestASignerAsserts(t *testing.T) {
	w := newWorld(t)
	w.replace(t, clinic)
	key, err := auth.ParsePrivateKey(marshal(keys()["es"].jwk(true)))
	if err != nil {
		t.Fatal(err)
	}
	s, err := auth.NewSigner("rms", key, 0, w.clock.now)
	if err != nil {
		t.Fatal(err)
	}
	assertion, err := s.AssertionFor(tokenURL, &auth.Asserted{
		UserID: "Practitioner/ortiz", UserName: "Ana Ortiz", Role: "treating-clinician", Organization: "Organization/hope",
		Purposes: []string{"BTG"}, Methods: []string{"pwd", "hwk"},
	})
	if err != nil {
		t.Fatal(err)
	}
	a := w.post(t, form(assertion, nil))
	if a.Code != 200 {
		t.Fatal(a.Body)
	}
	p, err := w.verifier.Verify(context.Background(), a.JSON.Token)
	if err != nil || !p.User.MFA || p.Requester.Reference != "Practitioner/ortiz" || !slices.Equal(p.Purposes, []string{reasons + "|BTG"}) {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestRegistered(t *testing.T) {
	w := newWorld(t)
	w.replace(t, clinic)
	p, err := w.verifier.Registered(t.Context(), "rms")
	if err != nil || len(p.Purposes) != 3 || len(p.Requester.Roles) != 2 || len(p.Scopes) != 3 || len(p.Operations) != 1 || p.User.ID != "" {
		t.Errorf("%+v, %v", p, err)
	}
	for _, name := range []string{"gone", "nobody"} {
		if p, err := w.verifier.Registered(t.Context(), name); err == nil {
			t.Errorf("%s: %+v", name, p)
		}
	}
}
