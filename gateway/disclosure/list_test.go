package disclosure

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/policy"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	clinic  = "Organization/clinic"
	program = "Organization/program"
	pd      = "Organization/pd"
)

// sentEvent is an answer to the police about p1.
func sentEvent(js ...audit.Judged) *audit.Event {
	return &audit.Event{
		ID: "r", At: noon, Outcome: audit.Success, Status: 200, Organization: pd, Client: "mdt", Purposes: []string{"CRISIS"},
		Patients: []string{"Patient/p1"}, Resources: js, Facts: &audit.Facts{},
	}
}

func judged(reason policy.Reason, change func(*audit.Judged)) audit.Judged {
	reason.Effect = "permit"
	j := audit.Judged{
		Reference: "CarePlan/c/_history/1", Decision: "permit", Patient: "Patient/p1", Question: 1,
		Origin: resource.Origin{Custodian: clinic}, Reasons: []policy.Reason{reason},
	}
	if change != nil {
		change(&j)
	}
	return j
}

func part2(j *audit.Judged) {
	j.Labels, j.Origin.Custodian = []string{"SUD", "42CFRPart2"}, program
}

func obliged(j *audit.Judged) { j.Obligations = []string{"AUDIT", "AOD"} }

var (
	onForm    = policy.Reason{Rule: "consent/permit", Consent: "Consent/c1/_history/2", Path: "provision"}
	treatment = policy.Reason{Rule: "baseline/treatment", Citation: "45 CFR 164.506(b)-(c)"}
	threat    = policy.Reason{Rule: "basis/hipaa-512j-avert-threat", Citation: "45 CFR 164.512(j)(1)(i)", Basis: "Task/t/_history/3"}
	custody   = policy.Reason{Rule: "basis/hipaa-512k5-custody", Citation: "45 CFR 164.512(k)(5)"}
	order     = policy.Reason{Rule: "basis/part2-court-order", Citation: "42 CFR 2.61-2.67"}
	emergency = policy.Reason{Rule: "break-glass/part2", Citation: "42 CFR 2.51"}
	override  = policy.Reason{Rule: "break-glass/override", Citation: "45 CFR 164.522(a)(1)(iii)"}
	strange   = policy.Reason{Rule: "state/unheard-of", Citation: "Tex. X 1"}
)

func TestWhichListsADisclosureBelongsIn(t *testing.T) {
	for _, c := range []struct {
		name        string
		j           audit.Judged
		designation consent.Designation
		lists       string
		outside     string
		doubt       bool
	}{
		{"treatment", judged(treatment, nil), 0, "", "(a)(1)(i)", false},
		{"on an authorization", judged(onForm, nil), 0, "", "(a)(1)(iv)", false},
		{"a threat", judged(threat, obliged), 0, Accounting, "", false},
		{"custody", judged(custody, nil), 0, "", "(a)(1)(vii)", false},
		{"a patient's deny overridden for treatment", judged(override, nil), 0, "", "(a)(1)(i)", false},
		{"a ground that nobody knows", judged(strange, nil), 0, Accounting, "", true},
		{"no ground at all", judged(policy.Reason{}, nil), 0, Accounting, "", true},
		{"Part 2 on a Consent that names the agency", judged(onForm, part2), consent.Individual, Part2, "(a)(1)(iv)", false},
		{"Part 2 on a general designation", judged(onForm, part2), consent.General, Part2 + " " + Intermediary, "(a)(1)(iv)", false},
		{"Part 2 on a Consent that is gone", judged(onForm, part2), consent.Undetermined, Part2 + " " + Intermediary, "(a)(1)(iv)", false},
		{"Part 2 by order", judged(order, func(j *audit.Judged) { part2(j); obliged(j) }), 0, Accounting, "", false},
		{"Part 2 in an emergency", judged(emergency, part2), 0, "", "(a)(1)(i)", false},
		{"an agency's record", judged(policy.Reason{Rule: "baseline/agreement", Citation: "28 CFR 20.3"}, func(j *audit.Judged) { j.Origin.Custodian, j.Origin.Police = "Organization/so", true }), 0, "", "160.103", false},
		{"custody and a threat", judged(custody, func(j *audit.Judged) {
			j.Reasons = append(j.Reasons, policy.Reason{Rule: threat.Rule, Effect: "permit", Citation: threat.Citation})
		}), 0, Accounting, "", true},
		{"a deny before the ground", judged(custody, func(j *audit.Judged) {
			j.Reasons = slices.Insert(j.Reasons, 0, policy.Reason{Rule: "consent/deny", Effect: "deny", Consent: "Consent/x"})
		}), 0, "", "(a)(1)(vii)", false},
	} {
		g := &Gatherer{Person: []string{"Patient/p1"}, Designation: func(*audit.Event, *audit.Judged, *policy.Reason) consent.Designation { return c.designation }}
		g.Add(sentEvent(c.j))
		out := g.List(false)
		if len(out) != 1 {
			t.Errorf("%s: %d disclosures", c.name, len(out))
			continue
		}
		d := out[0]
		if strings.Join(d.Lists, " ") != c.lists || !strings.Contains(strings.Join(d.Outside, " "), c.outside) || (d.Doubt != "") != c.doubt {
			t.Errorf("%s: %+v", c.name, d)
		}
		if c.lists == "" && len(d.Outside) == 0 {
			t.Errorf("%s: it is in no list, and nothing says why", c.name)
		}
	}
}

func TestWhatIsNoDisclosure(t *testing.T) {
	for name, change := range map[string]func(*audit.Event, *audit.Judged){
		"denied":            func(_ *audit.Event, j *audit.Judged) { j.Decision = "deny" },
		"judged and kept":   func(_ *audit.Event, j *audit.Judged) { j.Unsent = true },
		"refused":           func(e *audit.Event, _ *audit.Judged) { e.Outcome, e.Status = audit.Minor, 403 },
		"another person's":  func(_ *audit.Event, j *audit.Judged) { j.Patient = "Patient/p2" },
		"about nobody":      func(_ *audit.Event, j *audit.Judged) { j.Patient = "" },
		"to its custodian":  func(_ *audit.Event, j *audit.Judged) { j.Origin.Custodian = pd },
		"before the window": func(e *audit.Event, _ *audit.Judged) { e.At = noon.Add(-25 * time.Hour) },
		"at its end":        func(e *audit.Event, _ *audit.Judged) { e.At = noon.Add(time.Hour) },
		"an older event's own use": func(e *audit.Event, j *audit.Judged) {
			e.Facts, j.Origin, j.Reasons = nil, resource.Origin{}, []policy.Reason{{Rule: "baseline/own-record", Effect: "permit"}}
		},
	} {
		g := &Gatherer{Person: []string{"Patient/p1"}, From: noon.Add(-24 * time.Hour), To: noon.Add(time.Hour)}
		j := judged(treatment, nil)
		e := sentEvent(j)
		change(e, &e.Resources[0])
		if g.Add(e); len(g.List(false)) != 0 {
			t.Errorf("%s: %+v", name, g.List(false))
		}
	}
	g := &Gatherer{Person: []string{"Patient/p1"}, From: noon.Add(-24 * time.Hour), To: noon.Add(time.Hour)}
	e := sentEvent(judged(treatment, nil))
	e.Status = 304
	if g.Add(e); len(g.List(false)) != 1 {
		t.Error("a confirmation that a copy still holds is not listed")
	}
}

// Linked Patients are one person, and each entry says which it was about.
func TestAPersonIsFoundUnderAllReferences(t *testing.T) {
	g := &Gatherer{Person: []string{"Patient/p1", "Patient/k-1"}}
	other := func(j *audit.Judged) { j.Patient, j.Reference = "Patient/k-1", "Observation/k-9" }
	g.Add(sentEvent(judged(treatment, nil), judged(treatment, other), judged(treatment, other), judged(treatment, func(j *audit.Judged) { j.Patient = "Patient/p3" })))
	out := g.List(true)
	if len(out) != 2 || out[0].Patient != "Patient/p1" || out[1].Patient != "Patient/k-1" || out[1].Records != "2 Observation" {
		t.Errorf("got %+v", out)
	}
}

// 164.528(b)(3): several to one recipient for one purpose are told once.
func TestAccountedDisclosuresAreToldTogether(t *testing.T) {
	g := &Gatherer{Person: []string{"Patient/p1"}}
	for i := range 3 {
		e := sentEvent(judged(threat, obliged))
		e.At = noon.Add(time.Duration(i) * time.Hour)
		g.Add(e)
	}
	e := sentEvent(judged(threat, obliged))
	e.Organization = "Organization/so"
	g.Add(e)
	out := g.List(true, Accounting)
	if len(out) != 2 || out[0].Times != 3 || !out[0].Last.Equal(noon.Add(2*time.Hour)) || out[0].Requests[0] != "Task/t/_history/3" || out[1].Times != 1 {
		t.Errorf("got %+v", out)
	}
	if each := g.List(false, Accounting); len(each) != 4 {
		t.Errorf("one by one: %d", len(each))
	}
}

// Events of the release before say of no resource whom it was about: what may
// be the person's is listed and marked, never left out.
func TestOlderEventsAreListedAndMarked(t *testing.T) {
	for patients, doubt := range map[string]bool{"Patient/p1": false, "Patient/p1 Patient/p2": true} {
		g := &Gatherer{Person: []string{"Patient/p1"}}
		e := sentEvent(audit.Judged{Reference: "CarePlan/c/_history/1", Decision: "permit", Reasons: []policy.Reason{{Rule: "basis/warrant", Effect: "permit", Citation: "45 CFR 164.512(f)(1)(ii)(A)"}}})
		e.Facts, e.Patients, e.Obligations = nil, strings.Fields(patients), []string{"AUDIT", "AOD"}
		g.Add(e)
		out := g.List(false, Accounting)
		if len(out) != 1 || (out[0].Doubt != "") != doubt {
			t.Errorf("%s: %+v", patients, out)
		}
	}
}
