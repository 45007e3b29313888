package emergency

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/task"
)

// Outcomes of a review.
const (
	Justified    = "justified"
	NotJustified = "not-justified"
)

// Outcomes lists what a review can end with.
func Outcomes() []string { return []string{Justified, NotJustified} }

// A Review is the custodian's look at one broken glass.
type Review struct {
	Custodian string // "Organization/…"
	Contact   string // name of its privacy contact, "" if there is none
	Patient   string // "Patient/…"
	Record    string // "Communication/…"
	Of        Personnel
	At, Due   time.Time
	Closed    *Closing
}

// A Closing is how a review ended.
type Closing struct {
	Outcome string
	User    string
	Name    string
	At      time.Time
	Note    string
}

// Errors of Close.
var (
	ErrClosed  = errors.New("the review is closed already")
	ErrOwnCase = errors.New("nobody reviews an emergency that they declared themselves")
)

// Close ends the review. by is the reviewer's organisation.
func (r *Review) Close(by string, c Closing) (*Review, error) {
	switch {
	case r.Closed != nil:
		return nil, ErrClosed
	case by == r.Of.Organization && r.Of.User != "" && r.Of.User == c.User:
		return nil, ErrOwnCase
	case !slices.Contains(Outcomes(), c.Outcome):
		return nil, fmt.Errorf("%q is no outcome of a review", c.Outcome)
	}
	next := *r
	next.Closed = &c
	return &next, nil
}

// Task writes it.
func (r *Review) Task(id string) ([]byte, error) {
	var in, out task.List
	r.Of.write(&in)
	owner := object{"reference": r.Custodian}
	if r.Contact != "" {
		owner["display"] = r.Contact
	}
	t := object{
		"resourceType": "Task", "id": id, "meta": object{"profile": []string{ReviewProfile}},
		"status": "requested", "intent": "order", "code": concept(codeSystem, "review-emergency-disclosure"),
		"focus": reference(r.Record), "for": reference(r.Patient), "authoredOn": instant(r.At),
		"owner": owner, "restriction": object{"period": object{"end": instant(r.Due)}}, "input": in,
	}
	if c := r.Closed; c != nil {
		t["status"], t["lastModified"] = "completed", instant(c.At)
		out.Text(fieldSystem, "outcome", "valueCode", c.Outcome)
		out.Text(fieldSystem, "reviewed-by", "valueString", c.User)
		out.Text(fieldSystem, "reviewer", "valueString", c.Name)
		out.Text(fieldSystem, "reviewed-at", "valueInstant", instant(c.At))
		out.Text(fieldSystem, "note", "valueString", c.Note)
		t["output"] = out
	}
	return json.Marshal(t)
}

// IsReview says whether a Task is one, by its profile.
func IsReview(r *resource.Resource) bool { return is(r, ReviewProfile) }

// ReadReview turns the Task back.
func ReadReview(r *resource.Resource) (*Review, error) {
	root := r.Root()
	v := &Review{
		Custodian: root.Path("owner", "reference").Text(), Contact: root.Path("owner", "display").Text(),
		Patient: root.Path("for", "reference").Text(), Record: root.Path("focus", "reference").Text(),
	}
	var err1, err2 error
	v.At, err1 = parseInstant(root.Get("authoredOn"))
	v.Due, err2 = parseInstant(root.Path("restriction", "period", "end"))
	for _, f := range task.Fields(r, "input") {
		if f.System != fieldSystem || !v.Of.take(f) {
			return nil, fmt.Errorf("%s: field %q is not understood", r.Reference(), f.Code)
		}
	}
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("%s: %w", r.Reference(), err)
	}
	if !root.Get("status").Is("requested") {
		v.Closed = &Closing{}
		for _, f := range task.Fields(r, "output") {
			switch f.Code {
			case "outcome":
				v.Closed.Outcome = f.Text()
			case "reviewed-by":
				v.Closed.User = f.Text()
			case "reviewer":
				v.Closed.Name = f.Text()
			case "reviewed-at":
				v.Closed.At, err1 = parseInstant(f.Value)
			case "note":
				v.Closed.Note = f.Text()
			}
		}
	}
	if err1 != nil || !IsReview(r) || v.Custodian == "" || v.Record == "" {
		return nil, fmt.Errorf("%s is no whole review", r.Reference())
	}
	return v, nil
}
