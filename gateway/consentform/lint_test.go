package consentform

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

const (
	head = `{"resourceType":"Consent","id":"c","status":"active","scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}]},` +
		`"patient":{"reference":"Patient/p"},"dateTime":"2026-01-02","performer":[{"reference":"Patient/p"}],"sourceAttachment":{"title":"x"},` +
		`"policyRule":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"42CFRPart2CD"}]},`
	part   = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
	role   = "https://handoff-health.github.io/fhir/CodeSystem/actor-role"
	reason = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
	own    = "https://handoff-health.github.io/fhir/CodeSystem/purpose-of-use"
	types  = "http://hl7.org/fhir/resource-types"
)

func actorOf(system, code, ref string) string {
	return `{"role":{"coding":[{"system":"` + system + `","code":"` + code + `"}]},"reference":` + ref + `}`
}

func refTo(s string) string { return `{"reference":"` + s + `"}` }

var (
	good = `"provision":{"type":"permit","period":{"end":"2027-01-01"},"actor":[` + actorOf(part, "CST", refTo("Organization/a")) + `,` + actorOf(part, "IRCP", refTo("Organization/pd")) + `],` +
		`"purpose":[{"system":"` + own + `","code":"CRISIS"}],"class":[{"system":"` + types + `","code":"CarePlan"}]}}`
	tpo = strings.Replace(good, own+`","code":"CRISIS`, reason+`","code":"TREAT`, 1)
)

func parse(t testing.TB, raw string) *resource.Resource {
	t.Helper()
	r, err := resource.Parse([]byte(raw))
	if err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return r
}

func rulesOf(fs []Finding, severities ...outcome.Severity) []string {
	out := []string{}
	for _, f := range fs {
		if slices.Contains(severities, f.Severity) {
			out = append(out, f.Rule+" "+f.At)
		}
	}
	return out
}

func TestACompleteConsentHasNoFindings(t *testing.T) {
	if got := Lint(parse(t, head+good), Options{At: noon}); len(got) > 0 {
		t.Errorf("%v", got)
	}
	for _, e := range Elements(parse(t, head+good)) {
		if e.State != Present {
			t.Errorf("%+v", e)
		}
	}
}

func TestFindings(t *testing.T) {
	nested := func(s string) string { return strings.Replace(good, `}]}}`, `}],"provision":[`+s+`]}}`, 1) }
	for _, c := range []struct{ name, old, new, want string }{
		{"draft", `"active"`, `"draft"`, "status-silent Consent.status"},
		{"inactive", `"active"`, `"inactive"`, "status-ended Consent.status"},
		{"unknown status", `"active"`, `"valid"`, "unknown-status Consent.status"},
		{"treatment", `patient-privacy`, `treatment`, "scope-silent Consent.scope"},
		{"unknown scope", `patient-privacy`, `privacy`, "unknown-scope Consent.scope"},
		{"modifier", `"id":"c"`, `"id":"c","modifierExtension":[{"url":"http://x/y"}]`, "modifier Consent.modifierExtension"},
		{"not verified", `"id":"c"`, `"id":"c","verification":[{"verified":true},{"verified":false}]`, "not-verified Consent.verification[1]"},
		{"from the future", `2026-01-02`, `2027-01-02`, "date-wrong Consent.dateTime"},
		{"of another FHIR", `"id":"c"`, `"id":"c","decision":"permit"`, "grants-nothing Consent"},
		{"no provision", good, `"id2":1}`, "provision-missing Consent.provision"},
		{"no discloser", `,"code":"CST`, `,"code":"IRCP`, "discloser-missing Consent"},
		{"no recipient", `,"code":"IRCP`, `,"code":"CST`, "recipient-missing Consent"},
		{"no description", `,"class":[{"system":"` + types + `","code":"CarePlan"}]`, ``, "description-missing Consent"},
		{"no purpose", `"purpose":[{"system":"` + own + `","code":"CRISIS"}],`, ``, "purpose-missing Consent"},
		{"no expiry", `"period":{"end":"2027-01-01"},`, ``, "expiry-missing Consent"},
		{"no signature", `"sourceAttachment":{"title":"x"},`, ``, "signature-missing Consent"},
		{"no date", `"dateTime":"2026-01-02",`, ``, "date-missing Consent"},
		{"over", `2027-01-01`, `2026-05-31`, "period-over Consent.provision.period"},
		{"reversed", `"period":{"end"`, `"period":{"start":"2028-01-01","end"`, "period-reversed Consent.provision.period"},
		{"no period", `"period":{"end":"2027-01-01"}`, `"period":{}`, "period-unreadable Consent.provision.period"},
		{"to nobody", `,"code":"IRCP`, `,"code":"AUT`, "recipient-missing Consent"},
		{"role of no system", part + `","code":"IRCP`, `urn:x","code":"IRCP`, "unknown-role Consent.provision.actor[1].role"},
		{"no such role", part + `","code":"IRCP`, role + `","code":"sheriff`, "unknown-role Consent.provision.actor[1].role"},
		{"an actor without a name", refTo("Organization/pd"), `{}`, "actor-nobody Consent.provision.actor[1].reference"},
		{"an actor with a display", refTo("Organization/pd"), `{"display":"whoever"}`, "actor-anybody Consent.provision.actor[1].reference"},
		{"police under treatment", good, strings.Replace(tpo, actorOf(part, "IRCP", refTo("Organization/pd")), actorOf(role, "law-enforcement-officer", `{"display":"police"}`), 1), "police-under-tpo Consent.provision.actor[1]"},
		{"proceedings", `"code":"CRISIS"}`, `"code":"CRISIS"},{"system":"` + reason + `","code":"HLEGAL"}`, "proceedings-combined Consent.provision.purpose"},
		{"no such purpose", `"code":"CRISIS"}`, `"code":"FUN"}`, "unknown-purpose Consent.provision.purpose[0]"},
		{"no such class", `"CarePlan"`, `"CarePlans"`, "unknown-class Consent.provision.class[0]"},
		{"no such label", `"class":`, `"securityLabel":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"Q"}],"class":`, "unknown-label Consent.provision.securityLabel[0]"},
		{"no such action", `"class":`, `"action":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentaction","code":"look"}]}],"class":`, "unknown-action Consent.provision.action[0]"},
		{"code without a coding", `"class":`, `"code":[{"text":"x"}],"class":`, "code-text Consent.provision.code[0]"},
		{"no such meaning", `"class":`, `"data":[{"meaning":"all","reference":{"reference":"CarePlan/x"}}],"class":`, "unknown-meaning Consent.provision.data[0].meaning"},
		{"data that did not come", `"class":`, `"data":[{"meaning":"instance","reference":{"reference":"CarePlan/none"}}],"class":`, "data-unresolved Consent.provision.data[0].reference"},
		{"a rule without a type", good, nested(`{"class":[{"system":"` + types + `","code":"CarePlan"}]}`), "type-missing Consent.provision.provision[0].type"},
		{"an unknown type", `"permit"`, `"allow"`, "unknown-type Consent.provision.type"},
		{"a condition that is not known", `"type":"permit"`, `"type":"permit","expression":{}`, "modifier Consent.provision.expression"},
		{"outside by class", good, nested(`{"type":"deny","class":[{"system":"` + types + `","code":"Condition"}]}`), "outside-parent Consent.provision.provision[0].class"},
		{"outside by recipient", good, nested(`{"type":"deny","actor":[` + actorOf(part, "IRCP", refTo("Organization/so")) + `]}`), "outside-parent Consent.provision.provision[0].actor"},
		{"outside by custodian", good, nested(`{"type":"deny","actor":[` + actorOf(part, "CST", refTo("Organization/b")) + `]}`), "outside-parent Consent.provision.provision[0].actor"},
		{"outside by period", good, nested(`{"type":"deny","period":{"start":"2028-01-01"}}`), "outside-parent Consent.provision.provision[0].period"},
		{"adds nothing", good, nested(`{"type":"permit","actor":[` + actorOf(part, "CST", refTo("Organization/a")) + `,` + actorOf(part, "IRCP", refTo("Organization/pd")) + `],"purpose":[{"system":"` + own + `","code":"CRISIS"}],"period":{"end":"2027-01-01"},"class":[{"system":"` + types + `","code":"CarePlan"}]}`), "adds-nothing Consent.provision.provision[0]"},
		{"in conflict", good, nested(`{"type":"permit","purpose":[{"system":"` + reason + `","code":"ETREAT"}]},{"type":"deny","purpose":[{"system":"` + reason + `","code":"TREAT"}]}`), "conflict Consent.provision.provision[0]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := strings.Replace(head+good, c.old, c.new, 1)
			if raw == head+good {
				t.Fatal("nothing was changed")
			}
			fs := Lint(parse(t, raw), Options{At: noon, Resolves: func(string) bool { return false }})
			got := rulesOf(fs, outcome.Failure, outcome.Warning)
			if !slices.Contains(got, c.want) {
				t.Errorf("got %v, want %s", got, c.want)
			}
		})
	}
}

// What is right must not be called wrong.
func TestNoFalseAlarms(t *testing.T) {
	nested := func(s string) string { return strings.Replace(good, `}]}}`, `}],"provision":[`+s+`]}}`, 1) }
	for name, raw := range map[string]string{
		"an exception by label":       head + nested(`{"type":"deny","securityLabel":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"SUD"}]}`),
		"an exception for a narrower": head + nested(`{"type":"deny","purpose":[{"system":"`+own+`","code":"CRISIS"}]}`),
		"an exception for one custodian's recipient": head + strings.Replace(nested(`{"type":"deny","actor":[`+actorOf(part, "IRCP", refTo("Organization/so"))+`]}`),
			`,`+actorOf(part, "IRCP", refTo("Organization/pd")), "", 1),
		"a deny of everything": head + `"provision":{"type":"deny"}}`,
		"siblings apart":       head + `"provision":{"type":"deny","provision":[{"type":"permit","purpose":[{"system":"` + reason + `","code":"TREAT"}]},{"type":"deny","purpose":[{"system":"` + reason + `","code":"ETREAT"}]}]}}`,
	} {
		for _, f := range Lint(parse(t, raw), Options{At: noon}) {
			if strings.HasPrefix(f.Rule, "outside") || f.Rule == "conflict" || f.Rule == "adds-nothing" || f.Rule == "reaches-nobody" {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
	if es := Elements(parse(t, head+`"provision":{"type":"deny"}}`)); len(es) != 0 {
		t.Errorf("a deny needs a form: %v", es)
	}
}

func TestTreatmentPaymentOperationsNeedLess(t *testing.T) {
	raw := head + strings.NewReplacer(`"period":{"end":"2027-01-01"},`, ``, `,"class":[{"system":"`+types+`","code":"CarePlan"}]`, ``).Replace(tpo)
	for _, e := range Elements(parse(t, raw)) {
		want := Present
		if e.Name == "expiry" || e.Name == "description" {
			want = NotNeeded
		}
		if e.State != want {
			t.Errorf("%+v", e)
		}
	}
}

func FuzzLint(f *testing.F) {
	f.Add([]byte(head + good))
	f.Add([]byte(`{"resourceType":"Consent","provision":{"provision":[{"provision":[{}]},7,null]},"verification":[3]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := resource.Parse(raw)
		if err != nil {
			return
		}
		a := Lint(r, Options{At: noon, Resolves: func(string) bool { return false }})
		if len(a) > maxFindings {
			t.Errorf("%d findings", len(a))
		}
		for _, f := range a {
			if f.Rule == "" || f.Text == "" || f.At == "" || f.Offset < 0 || f.Offset > len(raw) {
				t.Errorf("%+v", f)
			}
		}
		Elements(r)
		Recipients(r)
		Custodians(r)
	})
}

// What a deny within a permit says is no term of the permit, and every permit
// must have each element by itself or by the rules around it.
func TestElementsAreThoseOfEveryPermit(t *testing.T) {
	noEnd := strings.Replace(good, `"period":{"end":"2027-01-01"},`, "", 1)
	within := func(base, rules string) string { return head + base[:len(base)-2] + `,"provision":[` + rules + `]}}` }
	for name, c := range map[string]struct {
		raw, element string
		want         State
	}{
		"an end on a deny":               {within(noEnd, `{"type":"deny","period":{"end":"2026-12-01"}}`), "expiry", Missing},
		"an end on the permit":           {within(good, `{"type":"deny","class":[{"system":"`+types+`","code":"Condition"}]}`), "expiry", Present},
		"an end around a nested permit":  {within(good, `{"type":"permit","class":[{"system":"`+types+`","code":"Flag"}]}`), "expiry", Present},
		"an end on one permit of two":    {within(strings.Replace(noEnd, `"type":"permit"`, `"type":"deny"`, 1), `{"type":"permit","period":{"end":"2026-12-01"}},{"type":"permit"}`), "expiry", Missing},
		"a purpose on a deny":            {within(strings.Replace(good, `"purpose":[{"system":"`+own+`","code":"CRISIS"}],`, "", 1), `{"type":"deny","purpose":[{"system":"`+reason+`","code":"HMARKT"}]}`), "purpose", Missing},
		"a recipient without a name":     {head + strings.Replace(good, refTo("Organization/pd"), `{"type":"Organization"}`, 1), "recipient", Missing},
		"another purpose within one TPO": {within(strings.Replace(tpo, `"period":{"end":"2027-01-01"},`, "", 1), `{"type":"permit","purpose":[{"system":"`+own+`","code":"CRISIS"}]}`), "expiry", Missing},
	} {
		got := Elements(parse(t, c.raw))
		i := slices.IndexFunc(got, func(e Element) bool { return e.Name == c.element })
		if i < 0 || got[i].State != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestAnAuthorizationForPsychotherapyNotesStandsAlone(t *testing.T) {
	labels := func(codes string) string {
		return head + strings.Replace(good, `"class":[`, `"securityLabel":[`+codes+`],"class":[`, 1)
	}
	const act = `{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"`
	for codes, want := range map[string]int{
		act + `PSYTHPN"},` + act + `HIPAAPsyNotes"}`: 0, act + `PSYTHPN"},` + act + `MH"}`: 1, act + `MH"}`: 0,
	} {
		found := rulesOf(Lint(parse(t, labels(codes)), Options{At: noon}), outcome.Failure)
		if n := len(slices.DeleteFunc(found, func(r string) bool { return r != "notes-combined Consent.provision.securityLabel" })); n != want {
			t.Errorf("%s: %d, %v", codes, n, found)
		}
	}
}
