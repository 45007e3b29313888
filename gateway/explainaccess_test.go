package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/identity"
	"github.com/handoff-health/handoff/gateway/rest"
)

func (m tokens) Registered(_ context.Context, client string) (*auth.Principal, error) {
	if p, ok := m[client]; ok {
		return p, nil
	}
	return nil, errors.New("no such client")
}

// privacyOfficer logs the clinic's privacy officer in: the scope alone, no
// resource scope, and two factors.
func (c *county) privacyOfficer() {
	c.login("privacy", "clinic", false, "case-manager", treatPurpose, "")
	c.tokens["privacy"].Operations = []string{auth.ScopeExplainAccess}
	c.tokens["privacy"].User = auth.User{ID: "u-7", Name: "Pat Reyes", MFA: true}
}

// opaqueID is the id under which a resource of the clinic's system appears.
func opaqueID(t testing.TB, typ, id string) string {
	t.Helper()
	m, err := identity.NewIDMap(nil, []byte(siteKey), map[string]string{"ehr": "k"})
	if err != nil {
		t.Fatal(err)
	}
	opaque, _ := m.Opaque("ehr", typ, id)
	return opaque
}

// question is a Parameters of these parameters.
func question(params ...string) string {
	return `{"resourceType":"Parameters","parameter":[` + strings.Join(params, ",") + `]}`
}

func about(t testing.TB) string {
	return `{"name":"patient","valueReference":{"reference":"Patient/` + opaqueID(t, "Patient", "r1") + `"}}`
}

const (
	asOfficer = `{"name":"client","valueString":"officer"}`
	asPolice  = `{"name":"organization","valueReference":{"reference":"Organization/pd"}},{"name":"purpose","valueCoding":{"code":"CRISIS"}},{"name":"role","valueCoding":{"code":"law-enforcement-officer"}}`
	asER      = `{"name":"organization","valueReference":{"reference":"Organization/program"}},{"name":"purpose","valueCoding":{"code":"TREAT"}},{"name":"treatingProvider","valueBoolean":true}`
)

func (c *county) explain(body string) answer {
	c.t.Helper()
	return c.do("privacy", http.MethodPost, "$explain-access", body, asFHIR)
}

// An explained is one resource of an answer.
type explained struct {
	reference, decision string
	rules, redacted     []string
	labels, consents    []string
	opens, closes       []string // codes of single changes
	drafts              []string
}

type part struct {
	Name           string
	ValueReference struct{ Reference string }
	ValueCode      string
	ValueString    string
	ValueBoolean   bool
	Resource       json.RawMessage
	Part           []part
}

func (a answer) explained(t *testing.T) map[string]explained {
	t.Helper()
	var p struct {
		ResourceType string
		Parameter    []part
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.status != http.StatusOK || p.ResourceType != "Parameters" {
		t.Fatalf("no explanation: %s", a)
	}
	out := map[string]explained{}
	for _, r := range p.Parameter {
		if r.Name != "resource" {
			continue
		}
		var e explained
		for _, f := range r.Part {
			switch f.Name {
			case "reference":
				e.reference = f.ValueReference.Reference
			case "decision":
				e.decision = f.ValueCode
			case "redacted":
				e.redacted = append(e.redacted, f.ValueString)
			case "label":
				e.labels = append(e.labels, f.Part[0].ValueCode)
			case "reason":
				for _, g := range f.Part {
					switch g.Name {
					case "rule":
						e.rules = append(e.rules, g.ValueString)
					case "consent":
						e.consents = append(e.consents, g.ValueReference.Reference)
					}
				}
			case "remedy":
				opens := false
				for _, g := range f.Part {
					if g.Name == "opens" {
						opens = g.ValueBoolean
					}
					if g.Name != "change" {
						continue
					}
					for _, h := range g.Part {
						switch {
						case h.Name == "code" && opens:
							e.opens = append(e.opens, h.ValueCode)
						case h.Name == "code":
							e.closes = append(e.closes, h.ValueCode)
						case h.Name == "draft":
							e.drafts = append(e.drafts, string(h.Resource))
						}
					}
				}
			}
		}
		out[e.reference] = e
	}
	return out
}

func explaining(t *testing.T) *county {
	c := newCounty(t)
	c.populate()
	c.privacyOfficer()
	c.get("clinician", "CarePlan?patient=Patient/p1") // ids that never went out denote nothing
	return c
}

func TestExplainAccessSaysWhyPoliceGetNothing(t *testing.T) {
	c := explaining(t)
	plan, dx := "CarePlan/"+opaqueID(t, "CarePlan", "plan"), "Condition/"+opaqueID(t, "Condition", "dx")
	a := c.explain(question(about(t), asOfficer))
	got := a.explained(t)
	if e := got[plan]; e.decision != "deny" || !slices.Contains(e.rules, "baseline/police") || !slices.Contains(e.opens, "consent/new") || len(e.drafts) == 0 {
		t.Errorf("the plan: %+v", e)
	}
	if e := got[dx]; e.decision != "deny" || !slices.Contains(e.labels, "PSY") || !slices.Contains(e.opens, "basis/accept") {
		t.Errorf("the diagnosis: %+v", e)
	}
	if stated := c.explain(question(about(t), asPolice)).explained(t); stated[plan].decision != "deny" || len(stated) != len(got) {
		t.Errorf("as stated facts: %+v", stated)
	}
	if er := c.explain(question(about(t), asER)).explained(t); er[plan].decision != "permit" || !slices.Contains(er[plan].closes, "treating/remove") {
		t.Errorf("for treatment: %+v", er[plan])
	}
}

func TestExplainAccessHoldsNothingOfWhatIsInTheRecord(t *testing.T) {
	c := explaining(t)
	c.ehr.set(false, 0, remote, plan, diagnosis, asthma,
		`{"resourceType":"Encounter","id":"enc","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/r1"},"reasonCode":[{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"F11.20","display":"Opioid dependence"}],"text":"came with withdrawal"}]}`)
	for _, who := range []string{asOfficer, asER} {
		a := c.explain(question(about(t), who))
		for _, word := range []string{"F31.81", "F11.20", "J45", "crisis plan", "Opioid", "withdrawal", "Quintana", "1991", "AMB"} {
			if strings.Contains(a.body, word) {
				t.Errorf("%s: %q stands in the answer", who, word)
			}
		}
	}
	e := c.explain(question(about(t), asER, `{"name":"type","valueCode":"Encounter"}`)).explained(t)["Encounter/"+opaqueID(t, "Encounter", "enc")]
	if e.decision != "permit" && (e.decision != "redact" || !slices.ContainsFunc(e.redacted, func(p string) bool { return strings.HasPrefix(p, "Encounter.reasonCode") })) {
		t.Errorf("%+v", e)
	}
}

func TestExplainAccessIsAboutTheOwnRecordsAlone(t *testing.T) {
	c := explaining(t)
	got := c.explain(question(about(t), asOfficer)).explained(t)
	for ref := range got {
		if strings.HasPrefix(ref, "Encounter/e1") || strings.HasSuffix(ref, "/p1") || strings.Contains(ref, "/w-") {
			t.Errorf("%s is somebody else's", ref)
		}
	}
	if n := len(c.program.requests()); n != 0 {
		t.Errorf("the program's system was asked %d times: %v", n, c.program.requests())
	}
	at := `{"name":"at","valueInstant":"2026-06-01T12:00:00Z"}`
	stranger := c.explain(question(`{"name":"patient","valueReference":{"reference":"Patient/nobody"}}`, asOfficer, at))
	for _, ref := range []string{"Patient/p1", "Patient/" + func() string { id, _ := c.ids.Opaque("sud", "Patient", "s1"); return id }(), "Patient/k-aaaaaaaaaaaaaaaaaaaaaaaaaa"} {
		a := c.explain(question(`{"name":"patient","valueReference":{"reference":"`+ref+`"}}`, asOfficer, at))
		if a.body != stranger.body || a.status != http.StatusOK {
			t.Errorf("%s: %s, a stranger %s", ref, a, stranger)
		}
	}
	one := c.explain(question(about(t), asOfficer, `{"name":"resource","valueReference":{"reference":"Encounter/e1"}}`, at))
	if one.body != stranger.body {
		t.Errorf("another's resource by name: %s", one)
	}
}

func TestExplainAccessNamesConsentsAndWhatEndsThem(t *testing.T) {
	c := explaining(t)
	id := created(t, c.do("clinician", http.MethodPost, "Consent", release, asFHIR))
	plan := "CarePlan/" + opaqueID(t, "CarePlan", "plan")
	e := c.explain(question(about(t), asOfficer, `{"name":"resource","valueReference":{"reference":"`+plan+`"}}`)).explained(t)[plan]
	if e.decision != "permit" || !slices.Contains(e.consents, "Consent/"+id+"/_history/1") || !slices.Contains(e.closes, "consent/end") {
		t.Errorf("on the Consent: %+v", e)
	}
	// One that somebody else keeps is spoken of without a name.
	hidden := strings.Replace(optOut, `"resourceType":"Consent"`, `"resourceType":"Consent","id":"theirs"`, 1)
	c.putAs(hidden, resource.Origin{System: "sheriff", Custodian: "Organization/so", Police: true})
	a := c.explain(question(about(t), asOfficer))
	if got := a.explained(t)[plan]; got.decision != "deny" || strings.Contains(a.body, "theirs") || strings.Contains(a.body, "Organization/so") || !strings.Contains(a.body, "consentElsewhere") {
		t.Errorf("on a Consent of others: %+v\n%s", got, a)
	}
}

func TestExplainAccessWithBasisAndGlass(t *testing.T) {
	c := explaining(t)
	plan := "CarePlan/" + opaqueID(t, "CarePlan", "plan")
	flag := func(name string) string { return param(name, "valueBoolean", "true") }
	basis := func(parts ...string) string {
		return `{"name":"legalBasis","part":[{"name":"type","valueCode":"administrative-request"},` + ref("covers", plan) + "," + attributes(parts...) + `]}`
	}
	lacks := basis(flag("relevantAndMaterial"), flag("specificAndLimited"))
	if e := c.explain(question(about(t), asOfficer, lacks)).explained(t)[plan]; e.decision != "deny" || !slices.Contains(e.rules, "basis/void") {
		t.Errorf("a basis that lacks something: %+v", e)
	}
	whole := basis(flag("relevantAndMaterial"), flag("specificAndLimited"), flag("deidentifiedInsufficient"))
	if e := c.explain(question(about(t), asOfficer, whole)).explained(t)[plan]; e.decision != "permit" || !slices.Contains(e.closes, "basis/withdraw") {
		t.Errorf("a valid basis: %+v", e)
	}
	if a := c.do("privacy", http.MethodPost, "$explain-access", question(about(t), asOfficer, basis(text("relevantAndMaterial", "yes"))), asFHIR); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "true or false") {
		t.Errorf("an attribute of another kind: %s", a)
	}
	if a := c.do("privacy", http.MethodPost, "$explain-access", question(about(t), asOfficer, basis(text("issuedBy", "a court"))), asFHIR); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "no attribute issuedBy") {
		t.Errorf("an attribute of another type: %s", a)
	}
	created(t, c.do("clinician", http.MethodPost, "Consent", optOut, asFHIR))
	medics := strings.Replace(asER, `"TREAT"`, `"ETREAT"`, 1) + `,{"name":"medicalPersonnel","valueBoolean":true}`
	glass := `{"name":"breakGlass","part":[{"name":"reason","valueString":"collapse"}]}`
	if e := c.explain(question(about(t), medics)).explained(t)[plan]; e.decision != "deny" || !slices.Contains(e.opens, "break-glass/declare") {
		t.Errorf("against a deny: %+v", e)
	}
	if e := c.explain(question(about(t), medics, glass)).explained(t)[plan]; e.decision != "permit" || !slices.Contains(e.rules, "break-glass/override") {
		t.Errorf("with the glass broken: %+v", e)
	}
}

func TestWhoMayAskForExplanations(t *testing.T) {
	c := explaining(t)
	body := question(about(t), asOfficer)
	for name, k := range map[string]struct {
		change func(*auth.Principal)
		says   string
	}{
		"police by organisation":  {func(p *auth.Principal) { p.Police = true }, "law enforcement"},
		"police by role":          {func(p *auth.Principal) { p.Requester.Police = true }, "law enforcement"},
		"police without MFA":      {func(p *auth.Principal) { p.Police, p.User, p.Operations = true, auth.User{}, nil }, "law enforcement"},
		"without the scope":       {func(p *auth.Principal) { p.Operations = []string{"https://example.org/other"} }, auth.ScopeExplainAccess},
		"with resource scopes":    {func(p *auth.Principal) { p.Operations, p.Scopes = nil, c.tokens["clinician"].Scopes }, auth.ScopeExplainAccess},
		"a system":                {func(p *auth.Principal) { p.User = auth.User{} }, "for a person"},
		"MFA of nobody":           {func(p *auth.Principal) { p.User = auth.User{MFA: true} }, "for a person"},
		"one factor":              {func(p *auth.Principal) { p.User.MFA = false }, "more than one factor"},
		"without an organisation": {func(p *auth.Principal) { p.Requester.Organization = "" }, "no organisation"},
	} {
		c.privacyOfficer()
		k.change(c.tokens["privacy"])
		before := len(c.ehr.requests())
		a := c.explain(body)
		if a.status != http.StatusForbidden || !strings.Contains(a.body, k.says) || strings.Contains(a.body, "Parameters") {
			t.Errorf("%s: %s", name, a)
		}
		want := map[string]string{
			auth.ScopeExplainAccess: auth.InsufficientScope("handoff"), "more than one factor": auth.InsufficientAuthentication("handoff"),
		}[k.says]
		if got := a.header.Get("WWW-Authenticate"); got != want {
			t.Errorf("%s: challenged with %q, want %q", name, got, want)
		}
		if len(c.ehr.requests()) != before {
			t.Errorf("%s: data were touched", name)
		}
		if e := c.trail.last(); e.Interaction != rest.ExplainAccess || e.Status != http.StatusForbidden {
			t.Errorf("%s: audited as %+v", name, e)
		}
	}
	if a := c.do("privacy", http.MethodGet, "$explain-access", "", nil); a.status < 400 {
		t.Errorf("by GET: %s", a)
	}
}

func TestExplainAccessIsAudited(t *testing.T) {
	c := explaining(t)
	c.explain(question(about(t), asOfficer, `{"name":"type","valueCode":"CarePlan"}`))
	e := c.trail.last()
	if e.Interaction != rest.ExplainAccess || e.User != "u-7" || e.UserName != "Pat Reyes" || e.Status != http.StatusOK || len(e.Patients) != 1 {
		t.Errorf("%+v", e)
	}
	for _, want := range []string{"client=officer", "type=CarePlan", "patient=Patient"} {
		if !strings.Contains(e.Query, want) {
			t.Errorf("%q is missing in %q", want, e.Query)
		}
	}
	if len(e.Resources) != 0 {
		t.Errorf("nothing was disclosed, and the event says %+v", e.Resources)
	}
	c.trail.fail = true
	if a := c.explain(question(about(t), asOfficer)); a.status != http.StatusInternalServerError || strings.Contains(a.body, "CarePlan") {
		t.Errorf("without a record: %s", a)
	}
}

func TestExplainAccessRefusesWhatItDoesNotUnderstand(t *testing.T) {
	c := explaining(t)
	for name, k := range map[string]struct {
		body   string
		status int
		says   string
	}{
		"nothing":               {"", 400, "patient"},
		"no patient":            {question(asOfficer), 400, "patient"},
		"nobody's access":       {question(about(t)), 400, "whose access"},
		"a Group":               {question(`{"name":"patient","valueReference":{"reference":"Group/1"}}`, asOfficer), 400, "Patient"},
		"another server":        {question(`{"name":"patient","valueReference":{"reference":"https://evil.example/fhir/Patient/p1"}}`, asOfficer), 400, "this server"},
		"client and facts":      {question(about(t), asOfficer, `{"name":"treatingProvider","valueBoolean":true}`), 400, "treatingProvider"},
		"resource and type":     {question(about(t), asOfficer, `{"name":"type","valueCode":"CarePlan"}`, `{"name":"resource","valueReference":{"reference":"CarePlan/1"}}`), 400, "not both"},
		"unknown client":        {question(about(t), `{"name":"client","valueString":"nobody"}`), 422, "not registered"},
		"a role it has not":     {question(about(t), asOfficer, `{"name":"role","valueCoding":{"code":"treating-clinician"}}`), 422, "role"},
		"a purpose it has not":  {question(about(t), asOfficer, `{"name":"purpose","valueCoding":{"code":"TREAT"}}`), 422, "purpose"},
		"unknown type":          {question(about(t), asOfficer, `{"name":"type","valueCode":"Nope"}`), 400, "Nope"},
		"type of nobody":        {question(about(t), asOfficer, `{"name":"type","valueCode":"Organization"}`), 400, "Organization"},
		"at without a zone":     {question(about(t), asOfficer, `{"name":"at","valueInstant":"2026-06-01"}`), 400, "instant"},
		"unknown basis":         {question(about(t), asOfficer, `{"name":"legalBasis","part":[{"name":"type","valueCode":"hunch"}]}`), 400, "known are"},
		"scope that is none":    {question(about(t), asPolice, `{"name":"scope","valueString":"everything"}`), 400, "scope"},
		"unknown parameter":     {question(about(t), asOfficer, `{"name":"sudo","valueBoolean":true}`), 400, "sudo"},
		"a search parameter":    {question(about(t), asOfficer), 0, ""},
		"no Parameters":         {`{"resourceType":"Patient"}`, 400, "Parameters"},
		"practitioner elsewise": {question(about(t), asPolice, `{"name":"practitioner","valueReference":{"reference":"Patient/p1"}}`), 400, "Practitioner"},
	} {
		path := "$explain-access"
		if k.status == 0 {
			path, k.status, k.says = path+"?patient=Patient/p1", 400, "patient"
		}
		a := c.do("privacy", http.MethodPost, path, k.body, asFHIR)
		if a.status != k.status || !strings.Contains(a.body, k.says) || !strings.Contains(a.body, "OperationOutcome") {
			t.Errorf("%s: %s", name, a)
		}
	}
}

func TestTheCapabilityStatementListsTheOperation(t *testing.T) {
	c := newCounty(t)
	if a := c.get("", "metadata"); !strings.Contains(a.body, `OperationDefinition/explain-access"`) {
		t.Error("it is not listed")
	}
}
