package emergency

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/task"
	"github.com/handoff-health/handoff/gateway/policy"
)

// A Declaration is what medical personnel declare before the glass is broken.
type Declaration struct {
	By                      Personnel
	Patient                 string // "Patient/…", as the declarer knows the person
	Reason                  string // nature of the emergency
	ConsentCannotBeObtained bool
	Encounter               string // "Encounter/…", "" if none
	At, Until               time.Time
	Ended                   bool // taken back by the declarer
}

// ErrEnded says that a declaration has been taken back already.
var ErrEnded = errors.New("the declaration has ended already")

// InForce says whether it stands at an instant: from when it was made until its
// end, that instant itself no longer.
func (d *Declaration) InForce(at time.Time) bool {
	return !d.Ended && !at.Before(d.At) && at.Before(d.Until)
}

// Binds says whether it was made by this client for this user.
func (d *Declaration) Binds(client, user string) bool {
	return d.By.Client == client && d.By.User == user
}

// BreakGlass is the declaration as policy takes it.
func (d *Declaration) BreakGlass() *policy.BreakGlass {
	return &policy.BreakGlass{Declared: true, Reason: d.Reason, ConsentCannotBeObtained: d.ConsentCannotBeObtained}
}

// End takes it back.
func (d *Declaration) End() (*Declaration, error) {
	if d.Ended {
		return nil, ErrEnded
	}
	next := *d
	next.Ended = true
	return &next, nil
}

// Task writes it.
func (d *Declaration) Task(id string) ([]byte, error) {
	status := "in-progress"
	if d.Ended {
		status = "cancelled"
	}
	var in task.List
	d.By.write(&in)
	in.Add(fieldSystem, "consent-cannot-be-obtained", "valueBoolean", d.ConsentCannotBeObtained)
	t := object{
		"resourceType": "Task", "id": id, "meta": object{"profile": []string{DeclarationProfile}},
		"status": status, "intent": "order", "code": concept(codeSystem, "break-glass"),
		"for": reference(d.Patient), "authoredOn": instant(d.At), "requester": reference(d.By.Organization),
		"executionPeriod": object{"start": instant(d.At), "end": instant(d.Until)},
		"reasonCode":      object{"text": d.Reason}, "input": in,
	}
	if d.Encounter != "" {
		t["encounter"] = reference(d.Encounter)
	}
	return json.Marshal(t)
}

// IsDeclaration says whether a Task is one, by its profile.
func IsDeclaration(r *resource.Resource) bool { return is(r, DeclarationProfile) }

// ReadDeclaration turns the Task back. What is not understood is an error.
func ReadDeclaration(r *resource.Resource) (*Declaration, error) {
	root := r.Root()
	d := &Declaration{
		Patient: root.Path("for", "reference").Text(), Reason: root.Path("reasonCode", "text").Text(),
		Encounter: root.Path("encounter", "reference").Text(), Ended: !root.Get("status").Is("in-progress"),
	}
	var err1, err2 error
	d.At, err1 = parseInstant(root.Path("executionPeriod", "start"))
	d.Until, err2 = parseInstant(root.Path("executionPeriod", "end"))
	for _, f := range task.Fields(r, "input") {
		switch {
		case f.System != fieldSystem:
		case f.Code == "consent-cannot-be-obtained":
			d.ConsentCannotBeObtained, _ = f.Value.Bool()
			continue
		case d.By.take(f):
			continue
		}
		return nil, fmt.Errorf("%s: field %q is not understood", r.Reference(), f.Code)
	}
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("%s: %w", r.Reference(), err)
	}
	if !IsDeclaration(r) || d.Patient == "" || d.Reason == "" || d.By.Client == "" || d.By.Organization == "" || d.By.Name == "" {
		return nil, fmt.Errorf("%s is no whole declaration", r.Reference())
	}
	return d, nil
}
