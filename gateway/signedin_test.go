package gateway_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/handoff-health/handoff/gateway/smart"
)

// signedIn makes a person's token of a client's: the same rights, as user/ scopes.
func (c *county) signedIn(who, patient string, levels ...string) {
	c.t.Helper()
	p := c.tokens[who]
	p.Authorization, p.User.Subject, p.Patient = "auth-"+who, "sub-"+who, patient
	var scopes smart.Scopes
	for _, level := range levels {
		for _, s := range p.Scopes {
			s.Context = level
			scopes = append(scopes, s)
		}
	}
	p.Scopes = scopes
}

func TestPeopleWhoSignedInDeclareAndDetermine(t *testing.T) {
	c, k := newCase(t)
	c.signedIn("detective", "", "user")
	c.signedIn("records", "", "user")
	_, theirs := c.declare()
	covered := c.planID("plan")
	accept := func() answer {
		return c.post("records", "Task/"+theirs+"/$accept-basis", ref("covers", covered), until(k, time.Hour))
	}
	// patient/ scopes take no part in it, whoever is in context.
	c.signedIn("records", "Patient/p1", "patient")
	if a := accept(); !beyond(a) {
		t.Errorf("patient/ scopes: %s", a)
	}
	c.signedIn("records", "", "user")
	name := c.tokens["records"].User.Name
	c.tokens["records"].User.Name = ""
	if a := accept(); a.status != http.StatusForbidden {
		t.Errorf("somebody without a name: %s", a)
	}
	c.tokens["records"].User.Name = name
	accept().taskID(t, http.StatusOK)
	if got := c.get("detective", "CarePlan?patient=Patient/p1").ids(t); len(got) != 1 || got[0] != covered {
		t.Errorf("under the warrant: %v", got)
	}
	if a := c.post("detective", "Task/"+theirs+"/$withdraw-basis", text("reason", "no")); a.status != http.StatusForbidden {
		t.Errorf("police determine: %s", a)
	}
	c.post("records", "Task/"+theirs+"/$withdraw-basis", text("reason", "quashed")).taskID(t, http.StatusOK)
	if got := c.get("detective", "CarePlan?patient=Patient/p1").ids(t); len(got) != 0 {
		t.Errorf("after the withdrawal: %v", got)
	}
}

// At the bedside an app has patient/ scopes: they break the glass for the patient
// in context, and for nobody else.
func TestPatientScopesBreakTheGlassForThePatientInContext(t *testing.T) {
	c, _ := newEmergency(t, nil)
	c.signedIn("er", "Patient/p1", "patient")
	other, nobody := c.post("er", "Patient/p2/$break-glass", cause, cannot), c.post("er", "Patient/p8/$break-glass", cause, cannot)
	if other.status != http.StatusNotFound || other.body != nobody.body {
		t.Errorf("another patient: %s\nnobody: %s", other, nobody)
	}
	c.post("er", "Patient/p1/$break-glass", cause, cannot)
	if got := c.get("er", "Condition").ids(t); len(got) != 1 {
		t.Errorf("under the declaration: %v", got)
	}
}

func TestExplainAccessIsForAPersonWhoSignedInWithTwoFactors(t *testing.T) {
	c := explaining(t)
	c.signedIn("privacy", "", "user")
	if a := c.explain(question(about(t), asOfficer)); a.status != http.StatusOK {
		t.Errorf("%s", a)
	}
	c.tokens["privacy"].User.MFA = false
	if a := c.explain(question(about(t), asOfficer)); a.status != http.StatusForbidden {
		t.Errorf("one factor: %s", a)
	}
	c.tokens["privacy"].User.MFA, c.tokens["privacy"].Police = true, true
	if a := c.explain(question(about(t), asOfficer)); a.status != http.StatusForbidden {
		t.Errorf("police: %s", a)
	}
}
