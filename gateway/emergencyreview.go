package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/parameters"
	"github.com/handoff-health/handoff/gateway/emergency"
)

// Closing the review of a broken glass: Task/<id>/$complete-review.

var reviewSpec = parameters.Spec{
	{Name: "outcome", Value: "valueCode", Required: true},
	{Name: "note", Value: "valueString"},
}

func readReview(s *Server, x *exchange) error {
	if err := s.readGiven(x, reviewSpec); err != nil {
		return err
	}
	if v := x.given.One("outcome"); !slices.Contains(emergency.Outcomes(), v.Text()) {
		return outcome.BadRequest(outcome.CodeCodeInvalid, "outcome must be one of %s", strings.Join(emergency.Outcomes(), ", ")).At(v.At)
	}
	if v := x.given.One("note"); len(v.Text()) > maxReason {
		return outcome.BadRequest(outcome.CodeValue, "note is longer than %d bytes", maxReason).At(v.At)
	}
	return nil
}

func actReview(ctx context.Context, s *Server, x *exchange) error {
	c, err := s.opened(x, emergencyRecords)
	if err != nil {
		return err
	}
	if !emergency.IsReview(c.resource) {
		return outcome.Unprocessable("the Task is no review of an emergency")
	}
	v, err := emergency.ReadReview(c.resource)
	if err != nil {
		return err
	}
	user := x.principal.User
	v, err = v.Close(x.principal.Requester.Organization, emergency.Closing{
		Outcome: x.given.Text("outcome"), Note: strings.TrimSpace(x.given.Text("note")), User: user.ID, Name: user.Name, At: x.at.UTC().Truncate(time.Millisecond),
	})
	switch {
	case errors.Is(err, emergency.ErrOwnCase):
		return notYours(err.Error())
	case err != nil:
		return outcome.Conflict("%s", err.Error())
	}
	f := filing{id: c.record.ID, holder: c.origin.Custodian, keeper: emergencyRecords, expect: c.record.Version}
	if f.raw, err = v.Task(f.id); err != nil {
		return err
	}
	return s.fileAndShow(ctx, x, f, "somebody else has just closed the review")
}
