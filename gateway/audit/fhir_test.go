package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/samply/golang-fhir-models/fhir-models/fhir"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/validate"
	"github.com/handoff-health/handoff/gateway/policy"
)

var update = flag.Bool("update", false, "write the golden files")

func events() map[string]*Event {
	at := time.Date(2026, 3, 1, 8, 30, 15, 120_000_000, time.UTC)
	search := &Event{
		ID: "req-1", At: at, Duration: 42 * time.Millisecond, Interaction: "search-type", Operation: "GET", Path: "/fhir/Condition",
		Query: "patient=Patient/hs-abc&_count=20", Outcome: Success, Status: 200, Client: "riverton-rms", User: "Practitioner/officer-7",
		Organization: "Organization/riverton-pd", Roles: []string{"https://handoff-health.github.io/fhir/CodeSystem/actor-role|officer"},
		Purposes: []string{"http://terminology.hl7.org/CodeSystem/v3-ActReason|ETREAT", "CRISIS"}, TokenID: "jti-9", Source: "[2001:db8::7]:4711",
		Patients: []string{"Patient/hs-abc"}, Systems: []string{"hs", "cp"}, Incomplete: true, BytesOut: 2048, ConsentEpoch: 12,
		Resources: []Judged{
			{Reference: "Condition/hs-1/_history/2", Decision: "permit", Labels: []string{"http://terminology.hl7.org/CodeSystem/v3-Confidentiality|R"},
				Reasons:     []policy.Reason{{Rule: "consent/permit", Effect: "permit", Consent: "Consent/c1/_history/3", Path: "provision.provision[0]"}},
				Obligations: []string{"AUDIT", "MINEC"}, Digest: "kgzsVP3M-Cb_rn7QbMidng", Origin: resource.Origin{Custodian: "Organization/clinic"}},
			{Reference: "Condition/hs-2", Decision: "deny", Policy: "redact", Reasons: []policy.Reason{{Rule: "gate/part2", Effect: "deny", Citation: "42 CFR 2.31"}}},
			{Reference: "CarePlan/hs-3", Decision: "permit", Unsent: true, Obligations: []string{"AUDIT", "AOD"},
				Reasons: []policy.Reason{{Rule: "basis/warrant", Effect: "permit", Basis: "Task/t/_history/2", Pack: "us-federal@2026.11"}}},
		},
		Obligations: []string{"AUDIT", "MINEC", "AOD"}, Unlisted: 3,
		Facts: &Facts{Laws: []string{"us-federal@2026.11 sha256:0a"}, LabelSet: "rules3/x"},
	}
	return map[string]*Event{
		"search-permitted": search,
		"read-refused": {
			ID: "req-2", At: at, Interaction: "read", Operation: "GET", Path: "/fhir/Patient/x", Outcome: Serious, Status: 403,
			Reason: "scope", Client: "riverton-rms", Source: "10.1.2.3",
		},
		"token-refused": {ID: "req-3", At: at, Interaction: "token", Operation: "POST", Path: "/oauth/token", Outcome: Minor, Status: 401, Reason: "jti-replayed", Source: "gateway.example"},
		"opened":        ownEvent(Opened, "clean", at),
		"login": {
			ID: "req-4", At: at, Interaction: Login, Operation: "GET", Path: "/oauth/signin/callback/county", Status: 303, Source: "10.1.2.3", User: "Practitioner/officer-7",
			UserName: "Dana Ortiz", Organization: "Organization/riverton-pd", Roles: []string{"https://handoff-health.github.io/fhir/CodeSystem/actor-role|law-enforcement-officer"}, Query: "amr=pwd&amr=otp&mfa=true&provider=county",
		},
		"login-refused": {ID: "req-5", At: at, Interaction: Login, Operation: "POST", Path: "/oauth/signin", Status: 422, Reason: "password", Outcome: Minor, Source: "10.1.2.3", Query: "claimed_user=ortiz&provider=demo"},
		"logout":        {ID: "req-6", At: at, Interaction: Logout, Operation: "POST", Path: "/oauth/signout", Status: 200, User: "Practitioner/officer-7", Source: "10.1.2.3"},
		"lock":          {ID: "req-7", At: at, Interaction: Lock, Operation: "POST", Path: "/oauth/signin", Query: "claimed_user=ortiz&provider=demo", Source: "10.1.2.3"},
		"unlock":        {ID: "req-8", At: at, Interaction: Unlock, Operation: "handoff", Path: "users unlock", User: "mlopez", Query: "provider=demo&user=ortiz"},
		"store-accept":  {ID: "req-10", At: at, Interaction: StoreAccept, Operation: "handoff", Path: "gateways accept-store", User: "mlopez", Query: "reason=disk+failed"},
		"sign-out":      {ID: "req-9", At: at, Interaction: SignOut, Operation: "handoff", Path: "users sign-out", User: "mlopez", Query: "provider=demo&user=PD-7"},
	}
}

func TestAuditEventsAreAsReviewed(t *testing.T) {
	for name, e := range events() {
		t.Run(name, func(t *testing.T) {
			raw, err := Render(e)
			if err != nil {
				t.Fatal(err)
			}
			checkR4(t, raw)
			var got bytes.Buffer
			if err := json.Indent(&got, raw, "", "  "); err != nil {
				t.Fatal(err)
			}
			got.WriteByte('\n')
			path := filepath.Join("testdata", name+".golden.json")
			if *update {
				if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil { //nolint:gosec // a golden
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// checkR4 checks what R4 requires of an AuditEvent, sev-1 among it.
func checkR4(t *testing.T, raw []byte) {
	t.Helper()
	r, err := resource.Parse(raw)
	if err != nil || r.Type() != "AuditEvent" {
		t.Fatalf("%v: %s", err, raw)
	}
	if issues := validate.Resource(r); validate.Failed(issues) {
		t.Errorf("it is not valid R4: %+v", issues)
	}
	typed, err := fhir.UnmarshalAuditEvent(raw)
	if err != nil {
		t.Fatal(err)
	}
	if typed.Type.Code == nil || typed.Action == nil || typed.Outcome == nil || len(typed.Agent) == 0 || typed.Source.Observer.Display == nil {
		t.Errorf("something required is missing: %s", raw)
	}
	if _, err := time.Parse("2006-01-02T15:04:05.000Z", typed.Recorded); err != nil {
		t.Errorf("recorded: %v", err)
	}
	for n := range r.Root().All("entity") {
		if n.Get("query").Exists() && n.Get("name").Exists() {
			t.Error("sev-1: an entity has a name and a query")
		}
		for d := range n.All("detail") {
			if !d.Get("type").Exists() || !d.Get("valueString").Exists() || d.Len() != 2 {
				t.Errorf("detail %s", d.Raw())
			}
		}
	}
	for n := range r.Root().All("agent") {
		if !n.Get("requestor").Exists() {
			t.Error("an agent without requestor")
		}
	}
	r.Root().Descend(func(n resource.Node) bool {
		if s := string(n.Raw()); s == `""` || s == `[]` || s == `{}` || s == `null` {
			t.Errorf("an empty value: %s %s", n.Name(), s)
		}
		return true
	})
}

func TestTheQueryIsKeptAsItWasAsked(t *testing.T) {
	e := events()["search-permitted"]
	e.Query = "name=O'Brien\x00%00&é"
	raw, err := Render(e)
	if err != nil {
		t.Fatal(err)
	}
	if want := base64.StdEncoding.EncodeToString([]byte("/fhir/Condition?" + e.Query)); !strings.Contains(string(raw), want) {
		t.Errorf("the query is not in %s", raw)
	}
}

func TestAnUnknownOutcomeIsNotRendered(t *testing.T) {
	if _, err := Render(&Event{Outcome: 3}); err == nil {
		t.Error("3 is rendered")
	}
}

func TestSummariesCount(t *testing.T) {
	p := newPlace(t)
	trail := p.open(t)
	all := events()
	for _, name := range []string{"search-permitted", "read-refused", "token-refused", "opened"} {
		if err := trail.Record(t.Context(), all[name]); err != nil {
			t.Fatal(err)
		}
	}
	shut(t, trail)
	s, err := Summarize(t.Context(), time.Time{}, time.Time{}, p.dir)
	if err != nil {
		t.Fatal(err)
	}
	if s.Events != 3 || s.Refused != 2 || s.Incomplete != 1 || s.Permitted != 2 || s.Denied != 1 || s.Patients != 1 ||
		s.Reasons["scope"] != 1 || s.Clients["riverton-rms"] != 2 || s.Clients["-"] != 1 || s.Interactions["token"] != 1 {
		t.Errorf("got %+v", s)
	}
	if s, err := Summarize(t.Context(), time.Time{}, time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), p.dir); err != nil || s.Events != 0 {
		t.Errorf("before: %+v, %v", s, err)
	}
}

func TestEachExplanationIsListed(t *testing.T) {
	p := newPlace(t)
	trail := p.open(t)
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	for i, status := range []int{200, 403} {
		if err := trail.Record(t.Context(), &Event{
			ID: fmt.Sprint("r", i), At: at, Interaction: "$explain-access", Operation: "POST", Path: "/$explain-access", Status: status,
			Client: "privacy", User: "u-7", UserName: "Pat Reyes", Organization: "Organization/clinic", Query: "client=officer",
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := trail.Record(t.Context(), &Event{ID: "x", At: at, Interaction: "read", Status: 200}); err != nil {
		t.Fatal(err)
	}
	shut(t, trail)
	s, err := Summarize(t.Context(), time.Time{}, time.Time{}, p.dir)
	if err != nil {
		t.Fatal(err)
	}
	want := Explained{at, "privacy", "u-7", "Pat Reyes", "Organization/clinic", "client=officer", 403, "r1"}
	if len(s.Explanations) != 2 || s.Explanations[1] != want || s.Interactions["$explain-access"] != 2 {
		t.Errorf("%+v", s)
	}
	raw, err := Render(&Event{ID: "r", At: at, Interaction: "$explain-access", Status: 200, User: "u-7", UserName: "Pat Reyes"})
	if err != nil || !bytes.Contains(raw, []byte(`"code":"$explain-access"`)) || !bytes.Contains(raw, []byte(`"name":"Pat Reyes"`)) {
		t.Errorf("%s, %v", raw, err)
	}
}
