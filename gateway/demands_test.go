package gateway_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/gateway"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/rest"
	"github.com/handoff-health/handoff/gateway/smart"
)

// opening says, for every interaction that needs a token, which letters on which
// type open it (each of them by itself), and at which levels. It is written
// down here a second time on purpose.
var opening = map[string]struct{ typ, letters, levels string }{
	rest.SearchType:     {"", "s", "system user patient"},
	rest.Read:           {"", "r", "system user patient"},
	rest.VRead:          {"", "r", "system user patient"},
	rest.Create:         {"", "c", "system user patient"},
	rest.Update:         {"", "u", "system user patient"},
	rest.CrisisSummary:  {"Patient", "r", "system user patient"},
	rest.BreakGlass:     {"Patient", "r", "system user patient"},
	rest.Capture:        {"Consent", "c", "system user patient"},
	rest.Revoke:         {"Consent", "u", "system user patient"},
	rest.WhatIf:         {"Consent", "cu", "system user patient"},
	rest.ExplainAccess:  {"", "", ""}, // its own scope alone
	rest.DeclareBasis:   {"Task", "c", "system user"},
	rest.AcceptBasis:    {"Task", "u", "system user"},
	rest.RejectBasis:    {"Task", "u", "system user"},
	rest.WithdrawBasis:  {"Task", "u", "system user"},
	rest.CancelTask:     {"Task", "u", "system user"},
	rest.CompleteReview: {"Task", "u", "system user"},
	rest.Definitions:    {"", "", "any"},
	rest.Definition:     {"", "", "any"},
}

// beyond says whether an answer refuses for want of scopes.
func beyond(a answer) bool {
	return a.status == http.StatusForbidden && strings.Contains(a.header.Get("WWW-Authenticate"), "insufficient_scope")
}

func TestEveryPathAsksForItsLetterAtOneLevel(t *testing.T) {
	c := ward(t)
	for _, route := range rest.Routes() {
		if route.Open {
			continue
		}
		want, known := opening[route.Interaction]
		if !known {
			t.Errorf("%s %s is not in the table of this test", route.Method, route.Pattern)
			continue
		}
		path := strings.NewReplacer(":type", "Consent", ":id", "p1", ":vid", "1").Replace(strings.TrimPrefix(route.Pattern, "/"))
		typ := want.typ
		if typ == "" {
			typ = "Consent"
		}
		for _, token := range []string{"system", "user", "patient"} {
			for _, level := range []string{"system", "user", "patient"} {
				for _, letter := range []string{"c", "r", "u", "d", "s", "cruds"} {
					for _, on := range []string{typ, "*", "Encounter"} {
						p := c.signIn("caller", "", level+"/"+on+"."+letter)
						switch token {
						case "system":
							p.Authorization, p.User.Subject = "", ""
						case "patient":
							p.Patient = "Patient/p1"
						}
						open := want.levels == "any" || on != "Encounter" && (token == "system") == (level == "system") &&
							(level != "patient" || token == "patient") && slices.Contains(strings.Fields(want.levels), level) && strings.ContainsAny(letter, want.letters) && want.letters != ""
						a := c.do("caller", route.Method, path, "", nil)
						if beyond(a) == open {
							t.Errorf("%s %s with %s/%s.%s in the token of a %s: open should be %v: %s", route.Method, path, level, on, letter, token, open, a)
						}
						if a.status == http.StatusInternalServerError {
							t.Errorf("%s %s: %s", route.Method, path, a)
						}
					}
				}
			}
		}
	}
}

// The refusal depends on the token and the path alone: what is there, what was
// sent and what it is about make no difference.
func TestARefusalForWantOfScopesTouchesNoData(t *testing.T) {
	c := ward(t)
	c.signIn("caller", "Patient/p1", "user/Encounter.r patient/Encounter.s")
	for _, route := range rest.Routes() {
		if route.Open || opening[route.Interaction].levels == "any" {
			continue
		}
		refusals := map[string]bool{}
		for _, id := range []string{"p1", "p2", "nobody", "o1"} {
			path := strings.NewReplacer(":type", "Consent", ":id", id, ":vid", "1").Replace(strings.TrimPrefix(route.Pattern, "/"))
			for _, body := range []string{"", "{", strings.ReplaceAll(release, "p1", id)} {
				a := c.do("caller", route.Method, path, body, asFHIR)
				a.header.Del("X-Request-Id")
				refusals[fmt.Sprint(a.status, a.header, a.body)] = true
				if !beyond(a) {
					t.Errorf("%s %s: %s", route.Method, path, a)
				}
			}
		}
		if len(refusals) != 1 {
			t.Errorf("%s %s: %d different refusals", route.Method, route.Pattern, len(refusals))
		}
	}
	if asked := len(c.ehr.requests()); asked > 0 {
		t.Errorf("%d requests went upstream", asked)
	}
}

// A page is for whom the search was: another user, or another patient in
// context, of the same app cannot follow its link.
func TestAPageIsOfOneCaller(t *testing.T) {
	c := ward(t)
	c.signIn("nurse", "Patient/p1", "patient/Observation.s")
	next := c.get("nurse", "Observation?_count=1").next(t)
	if next == "" {
		t.Fatal("there is no second page")
	}
	if got := c.get("nurse", next).ids(t); len(got) != 1 {
		t.Errorf("the second page has %v", got)
	}
	for name, change := range map[string]func(*auth.Principal){
		"another user":    func(p *auth.Principal) { p.User.ID = "u-other" },
		"another patient": func(p *auth.Principal) { p.Patient = "Patient/p2" },
		"another purpose": func(p *auth.Principal) { p.Purposes = append(p.Purposes, "http://x|y") },
		"another client":  func(p *auth.Principal) { p.Client = "officer" },
	} {
		change(c.signIn("nurse", "Patient/p1", "patient/Observation.s"))
		if a := c.get("nurse", next); a.status != http.StatusBadRequest {
			t.Errorf("%s: %s", name, a)
		}
	}
	// Without the letter the link opens nothing, whoever follows it.
	c.signIn("nurse", "Patient/p1", "patient/Observation.r")
	if a := c.get("nurse", next); !beyond(a) {
		t.Errorf("a page without s: %s", a)
	}
}

// The levels of operations with a body: what is written is judged by the same
// level as the call.
func TestWritesStayWithinTheirLevel(t *testing.T) {
	c := ward(t)
	category := "?category=http://loinc.org|59284-0"
	create := func(scopes, patient string) answer {
		c.signIn("nurse", "Patient/p1", scopes)
		return c.do("nurse", http.MethodPost, "Consent", strings.ReplaceAll(release, "Patient/p1", patient), asFHIR)
	}
	for _, tt := range []struct {
		scopes, patient string
		status          int
	}{
		{"user/Consent.cruds user/Patient.r", "Patient/p2", 201},
		{"patient/Consent.cruds patient/Patient.r", "Patient/p1", 201},
		{"patient/Consent.cruds patient/Patient.r", "Patient/p2", 422},
		{"user/Consent.cruds" + category + " user/Patient.r", "Patient/p1", 201},
		{"user/Consent.cruds?category=other user/Patient.r", "Patient/p1", 403},
		{"user/Consent.c?category=other patient/Consent.c user/Patient.r", "Patient/p2", 403},
		{"user/Consent.r patient/Consent.c", "Patient/p2", 422},
	} {
		if a := create(tt.scopes, tt.patient); a.status != tt.status {
			t.Errorf("%s about %s: %s", tt.scopes, tt.patient, a)
		}
	}
	// An update and a revocation need u on what stands and on what comes.
	id := created(t, create("user/*.cruds", "Patient/p2"))
	body := strings.Replace(strings.ReplaceAll(release, "Patient/p1", "Patient/p2"), `"resourceType":"Consent"`, `"resourceType":"Consent","id":"`+id+`"`, 1)
	for _, tt := range []struct {
		scopes string
		status int
	}{
		{"patient/Consent.cruds", 404},
		{"user/Consent.ru?category=other user/Consent.r", 403},
		{"user/Consent.r patient/Consent.u", 404},
		{"user/Consent.ru" + category, 200},
	} {
		c.signIn("nurse", "Patient/p1", tt.scopes)
		if a := c.do("nurse", http.MethodPut, "Consent/"+id, body, with("If-Match", `W/"1"`)); a.status != tt.status {
			t.Errorf("update with %s: %s", tt.scopes, a)
		}
	}
	for _, tt := range []struct {
		scopes string
		status int
	}{
		{"patient/Consent.cruds", 404},
		{"user/Consent.u?category=other user/Consent.r", 403},
		{"user/Consent.u?category=other", 404},
		{"user/Consent.u", 204},
	} {
		c.signIn("nurse", "Patient/p1", tt.scopes)
		if a := c.do("nurse", http.MethodPost, "Consent/"+id+"/$revoke", "", nil); a.status != tt.status {
			t.Errorf("revocation with %s: %s", tt.scopes, a)
		}
	}
}

// Every scope that is announced can be asked for, and opens something.
func TestWhatIsAnnouncedCanBeAskedFor(t *testing.T) {
	all := gateway.SupportedScopes(smart.ContextSystem, smart.ContextUser, smart.ContextPatient)
	seen := map[string]bool{}
	for _, s := range all {
		if seen[s] {
			t.Errorf("%s stands twice", s)
		}
		seen[s] = true
		if known, _ := smart.OperationScope(s); known {
			continue
		}
		sc, err := smart.ParseScope(s)
		if err != nil || sc.String() != s {
			t.Errorf("%s: read as %s, %v", s, sc, err)
		}
	}
	for _, want := range []string{"patient/*.rs", "user/Task.crus", "system/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory", smart.ScopeExplainAccess} {
		if !seen[want] {
			t.Errorf("%s is not announced", want)
		}
	}
	if seen["patient/Task.crus"] {
		t.Error("patient/ scopes take no steps")
	}
}
