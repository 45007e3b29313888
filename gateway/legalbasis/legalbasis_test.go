package legalbasis

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/validate"
	"github.com/handoff-health/handoff/gateway/policy"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// declared is a case with every field of a declaration.
func declared() *Case {
	return &Case{
		ID: "case-1", Type: "subpoena", State: Requested, Custodian: "Organization/clinic", Recipient: "Organization/pd", Patient: "Patient/p1",
		Declared: Step{By: Person{"Organization/pd", "detective", "b-77", "Det. Cole"}, At: noon}, Roles: []label.Code{{System: roleSystem, Code: "law-enforcement-officer"}},
		Covers: []string{"CarePlan/k-1"}, Request: "the crisis plan", Until: noon.Add(time.Hour), Limits: Limits{Roles: []string{"law-enforcement-officer"}, Client: "detective"},
		Attributes: map[string]any{"issuedBy": "District Court", "satisfactoryAssurance": true, "represented": []any{"transport"}},
		Document:   &Document{Title: "26-114", ContentType: "application/pdf", Data: "QUJD", Size: 3, SHA256: "b5d4"},
	}
}

func acceptance() Acceptance {
	return Acceptance{
		Step:    Step{By: Person{"Organization/clinic", "records", "npi-1", "Rosa Diaz"}, At: noon.Add(time.Minute), Note: "seen the order"},
		Patient: "Patient/k-9", Covers: []string{"CarePlan/k-1", "CarePlan/k-2"}, Attributes: map[string]any{"satisfactoryAssurance": true},
		ValidUntil: noon.Add(time.Hour), Limits: Limits{Roles: []string{"dispatcher"}},
	}
}

func must(t *testing.T) func(c *Case, err error) *Case {
	return func(c *Case, err error) *Case {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}

// cases is one case of each state.
func cases(t *testing.T) map[string]*Case {
	ok := must(t)
	accepted := ok(declared().Accept(acceptance()))
	advance := declared()
	a := acceptance()
	a.Rule = "moa/custody"
	a.Agreement, a.Covers, a.Types, a.By = "moa", nil, []string{"CarePlan"}, Person{Organization: "Organization/clinic"}
	end := Step{By: Person{"Organization/clinic", "records", "npi-1", "Rosa Diaz"}, At: noon.Add(2 * time.Minute), Note: "why"}
	return map[string]*Case{
		"requested": declared(), "accepted": accepted, "advance": ok(advance.Accept(a)), "rejected": ok(declared().Reject(end)),
		"withdrawn": ok(accepted.Withdraw(end)), "cancelled": ok(accepted.Cancel(end)),
	}
}

func TestACaseIsReadAsItWasWritten(t *testing.T) {
	for name, c := range cases(t) {
		t.Run(name, func(t *testing.T) {
			raw, err := c.CustodianTask("t1")
			if err != nil {
				t.Fatal(err)
			}
			r, err := resource.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			if issues := validate.Resource(r); validate.Failed(issues) {
				t.Errorf("not valid: %v", issues)
			}
			got, err := Read(r)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, c) {
				t.Errorf("read\n%+v\n%+v\nwritten\n%+v\n%+v", got, got.Accepted, c, c.Accepted)
			}
			other, err := c.DeclarerTask("t2")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".json", append(append(raw, '\n'), append(other, '\n')...))
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != string(got) {
		t.Errorf("%s differs (%v); run with -update and look at it:\n%s", path, err, got)
	}
}

// The declarer's Task tells nothing that the custodian has determined.
func TestTheDeclarersTaskTellsNothingOfTheCustodian(t *testing.T) {
	for name, c := range cases(t) {
		raw, err := c.DeclarerTask("t2")
		if err != nil {
			t.Fatal(err)
		}
		r, err := resource.Parse(raw)
		if err != nil || validate.Failed(validate.Resource(r)) {
			t.Errorf("%s: not valid: %v %v", name, err, validate.Resource(r))
		}
		for _, no := range []string{"Rosa", "npi-1", "k-2", "k-9", "why", "seen the order", "moa", "QUJD", "output"} {
			if strings.Contains(string(raw), no) {
				t.Errorf("%s tells %q: %s", name, no, raw)
			}
		}
	}
}

func TestStepsFitTheState(t *testing.T) {
	steps := map[string]func(*Case) (*Case, error){
		"accept":   func(c *Case) (*Case, error) { return c.Accept(acceptance()) },
		"reject":   func(c *Case) (*Case, error) { return c.Reject(Step{}) },
		"withdraw": func(c *Case) (*Case, error) { return c.Withdraw(Step{}) },
		"cancel":   func(c *Case) (*Case, error) { return c.Cancel(Step{}) },
	}
	fits := map[State]string{Requested: "accept reject cancel", Accepted: "withdraw cancel"}
	for _, state := range []State{"", Requested, Accepted, Rejected, Withdrawn, Cancelled, "nonsense"} {
		for name, step := range steps {
			c := declared()
			c.State = state
			before := *c
			next, err := step(c)
			var wrong *StateError
			switch {
			case strings.Contains(fits[state], name):
				if err != nil || next.State == state {
					t.Errorf("%s of %s: %v", name, state, err)
				}
			case !errors.As(err, &wrong) || next != nil:
				t.Errorf("%s of %q is done: %+v, %v", name, state, next, err)
			}
			if !reflect.DeepEqual(*c, before) {
				t.Errorf("%s of %s changed the case itself", name, state)
			}
		}
	}
}

func TestInForceFromAcceptanceToItsEnd(t *testing.T) {
	all := cases(t)
	for _, c := range []struct {
		name string
		at   time.Time
		want bool
	}{
		{"accepted", noon, false}, {"accepted", noon.Add(time.Minute), true}, {"accepted", noon.Add(time.Hour - 1), true}, {"accepted", noon.Add(time.Hour), false},
		{"requested", noon.Add(2 * time.Minute), false}, {"rejected", noon.Add(2 * time.Minute), false}, {"withdrawn", noon.Add(2 * time.Minute), false}, {"cancelled", noon.Add(2 * time.Minute), false},
	} {
		if got := all[c.name].InForce(c.at); got != c.want {
			t.Errorf("%s at %s: %v", c.name, c.at, got)
		}
	}
	if new(Case).InForce(noon) {
		t.Error("the zero case is in force")
	}
}

func TestServesTheRecipientWithinItsLimits(t *testing.T) {
	c := cases(t)["accepted"]
	good := policy.Requester{Organization: "Organization/pd", Client: "detective", Roles: []label.Code{{System: roleSystem, Code: "law-enforcement-officer"}, {System: roleSystem, Code: "dispatcher"}}}
	if !c.Serves(&good) {
		t.Fatal("does not serve whom it favours")
	}
	for name, change := range map[string]func(*policy.Requester){
		"another organisation": func(r *policy.Requester) { r.Organization = "Organization/so" },
		"no organisation":      func(r *policy.Requester) { r.Organization = "" },
		"another client":       func(r *policy.Requester) { r.Client = "x" },
		"the declared role only": func(r *policy.Requester) {
			r.Roles = r.Roles[:1]
		},
		"a role of another system": func(r *policy.Requester) {
			r.Roles = []label.Code{{System: "urn:x", Code: "law-enforcement-officer"}, {System: "urn:x", Code: "dispatcher"}}
		},
	} {
		r := good
		change(&r)
		if c.Serves(&r) {
			t.Errorf("%s is served", name)
		}
	}
	if declared().Serves(&good) || declared().Basis("x") != nil {
		t.Error("a declaration serves")
	}
}

// What the custodian determined goes before what was declared.
func TestTheCustodiansWordPrevails(t *testing.T) {
	a := acceptance()
	a.Attributes = map[string]any{"satisfactoryAssurance": false}
	c := must(t)(declared().Accept(a))
	b := c.Basis("Task/t/_history/2")
	if b.Attributes["satisfactoryAssurance"] != false || b.Attributes["issuedBy"] != "District Court" || b.ID != "Task/t/_history/2" || strings.Join(b.Covers, " ") != "CarePlan/k-1 CarePlan/k-2" {
		t.Errorf("%+v", b)
	}
	if c.Attributes["satisfactoryAssurance"] != true {
		t.Error("the declaration was changed")
	}
}

func TestWhatIsNoWholeCaseIsNotRead(t *testing.T) {
	raw, err := cases(t)["accepted"].CustodianTask("t1")
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"another profile":        {"StructureDefinition/legal-basis", "StructureDefinition/x"},
		"an unknown field":       {`"code":"accepted-at"`, `"code":"accepted-on"`},
		"a field of elsewhere":   {`"code":"valid-until","system":"https://handoff-health.github.io/fhir/CodeSystem/legal-basis-field"`, `"code":"valid-until","system":"urn:x"`},
		"no instant":             {`"valueInstant":"2026-11-27T13:00:00.000Z"`, `"valueInstant":"soon"`},
		"an attribute of a kind": {`"valueBoolean":true`, `"valueInteger":1`},
		"a state of its own":     {`"code":"accepted","system":"https://handoff-health.github.io/fhir/CodeSystem/legal-basis-state"`, `"code":"granted","system":"urn:x"`},
		"no recipient":           {`"recipient":[{"reference":"Organization/pd"}]`, `"recipient":[]`},
	} {
		text := strings.Replace(string(raw), change[0], change[1], 1)
		if text == string(raw) {
			t.Fatalf("%s: nothing was changed in %s", name, raw)
		}
		r, err := resource.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if c, err := Read(r); err == nil {
			t.Errorf("%s: read %+v", name, c)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"accepted", "requested", "withdrawn"} {
		raw, err := os.ReadFile(filepath.Join("testdata", name+".json"))
		if err == nil {
			first, _, _ := strings.Cut(string(raw), "\n")
			f.Add([]byte(first))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := resource.Parse(raw)
		if err != nil {
			return
		}
		c, err := Read(r)
		if err != nil {
			return
		}
		if c.State == "" || c.Custodian == "" || c.Recipient == "" || c.State == Accepted && c.Accepted == nil {
			t.Errorf("half a case was read: %+v", c)
		}
		if c.InForce(time.Time{}) && c.Accepted.ValidUntil.IsZero() {
			t.Error("in force without an end")
		}
	})
}
