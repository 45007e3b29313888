package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/policy/packs"
)

// newCaseIn is a case whose custodian is in a state, under federal law and the
// state's. The clinic keeps a crisis plan about mental health, and a plain one.
func newCaseIn(t *testing.T, state string) (*county, *clock) {
	t.Helper()
	var selected []policy.Selected
	for _, id := range []string{"us-federal", "us-" + strings.ToLower(state)} {
		p, err := packs.Builtin(id)
		if err != nil {
			t.Fatal(err)
		}
		selected = append(selected, policy.Selected{Pack: p})
	}
	law, err := policy.Compile(selected...)
	if err != nil {
		t.Fatal(err)
	}
	k := newClock()
	c := newCountyOf(t, k.now, strings.Replace(exceptional, "{id: clinic, name: Clinic, kind: health,", "{id: clinic, name: Clinic, kind: health, state: "+state+",", 1), func(o *gateway.Options) {
		o.Policy = policy.New(policy.Options{Law: law, Directory: []string{"Practitioner", "Organization"}})
	})
	c.populate()
	const scopes = "system/*.rs system/Task.cu"
	c.login("detective", "pd", true, "law-enforcement-officer", lawenf, scopes)
	c.login("records", "clinic", false, "case-manager", "http://terminology.hl7.org/CodeSystem/v3-ActReason|HOPERAT", scopes)
	c.tokens["records"].User = auth.User{ID: "npi-1", Name: "Rosa Diaz"}
	c.tokens["detective"].User = auth.User{ID: "b-77", Name: "Det. Cole"}
	clinic := resource.Origin{System: "paper", Custodian: "Organization/clinic"}
	c.putAs(`{"resourceType":"CarePlan","id":"mh","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"MH"}]},"status":"active","intent":"plan","title":"crisis plan","subject":{"reference":"Patient/p1"}}`, clinic)
	c.putAs(`{"resourceType":"CarePlan","id":"plain","status":"active","intent":"plan","title":"crisis plan","subject":{"reference":"Patient/p1"}}`, clinic)
	return c, k
}

// declareAs files a basis and returns the custodian's Task.
func (c *county) declareAs(typ string, more ...string) string {
	c.t.Helper()
	c.post("detective", "Task/$declare-basis", append([]string{
		code("type", typ), ref("custodian", "Organization/clinic"), ref("patient", "Patient/p1"), text("request", "the crisis plan"),
	}, more...)...).taskID(c.t, http.StatusCreated)
	return c.waiting("records")
}

// A state asks for more than federal law: the custodian is told what, and can
// state it.
func TestAnAcceptanceThatWouldReachNothingNamesWhatIsMissing(t *testing.T) {
	for _, k := range []struct {
		name, state, typ, plan, missing string
		stated                          []string
	}{
		{"a threat in Texas", "TX", "hipaa-512j-avert-threat", "mh", "determination", []string{code("determination", "imminent-physical-injury")}},
		{"an order in California", "CA", "court-order", "plain", "goodCause", []string{param("goodCause", "valueBoolean", "true")}},
	} {
		t.Run(k.name, func(t *testing.T) {
			c, clock := newCaseIn(t, k.state)
			id, covered, valid := c.declareAs(k.typ), ref("covers", "CarePlan/"+k.plan), until(clock, time.Hour)
			a := c.post("records", "Task/"+id+"/$accept-basis", covered, valid)
			if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, k.missing) || !strings.Contains(a.body, "Parameters.attributes") {
				t.Fatalf("without %s: %s", k.missing, a)
			}
			c.post("records", "Task/"+id+"/$accept-basis", covered, valid, attributes(k.stated...)).taskID(t, http.StatusOK)
			if got := c.get("detective", "CarePlan?patient=Patient/p1").ids(t); len(got) != 1 || got[0] != "CarePlan/"+k.plan {
				t.Errorf("accepted, it opens %v", got)
			}
		})
	}
}

// What Texas asks of mental-health records is not asked of others.
func TestAStateAsksNothingOfOtherRecords(t *testing.T) {
	c, k := newCaseIn(t, "TX")
	id := c.declareAs("hipaa-512j-avert-threat")
	c.post("records", "Task/"+id+"/$accept-basis", ref("covers", "CarePlan/plain"), until(k, time.Hour)).taskID(t, http.StatusOK)
	if got := c.get("detective", "CarePlan?patient=Patient/p1").ids(t); len(got) != 1 {
		t.Errorf("opens %v", got)
	}
}

// In California nothing that could be stated makes these reach a health record
// of the kind.
func TestABasisThatTheStateBarsIsNotAccepted(t *testing.T) {
	for _, b := range [][3]string{{"grand-jury-subpoena", "plain", "Penal Code 1543"}, {"warrant", "mh", "5328"}} {
		c, k := newCaseIn(t, "CA")
		a := c.post("records", "Task/"+c.declareAs(b[0])+"/$accept-basis", ref("covers", "CarePlan/"+b[1]), until(k, time.Hour))
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, b[2]) {
			t.Errorf("%s: %s", b[0], a)
		}
	}
}
