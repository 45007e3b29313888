package gateway

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/rest"
)

// What a writer is shown of what it has written.

// showWritten judges the written Consent like any other resource of an answer.
func (s *Server) showWritten(ctx context.Context, x *exchange, rec *store.Record) error {
	c, err := s.own(rec)
	if err != nil {
		return err
	}
	x.people, x.seen = map[string]*standing{}, map[string]bool{}
	x.resetSessions()
	if ctx, err = s.pin(ctx); err != nil { // what was just written counts
		return err
	}
	return s.decide(ctx, x, []*candidate{c})
}

// showConsent is showWritten for a Consent that this request has written. It stands,
// whether it can be shown or not: where the store is away by now, the answer says so and
// has no body. A 503 would have the caller write it again, and nobody would ever revoke
// the first one.
func (s *Server) showConsent(ctx context.Context, x *exchange, rec *store.Record) error {
	c, err := s.own(rec)
	if err != nil {
		return err
	}
	err = s.judgeConsent(ctx, x, c)
	if err == nil || outcome.As(ofStore(err)).Status != http.StatusServiceUnavailable {
		return err
	}
	s.o.Logger.Warn("a Consent was written and cannot be shown now", "request", x.event.ID, "error", err)
	c.how, c.withheld = "deny", true
	x.kept, x.denied = nil, []*candidate{c}
	return nil
}

// judgeConsent decides whether the caller sees the Consent that it has written. Of what
// bears on that a Consent changes the person's Consents alone, and they are read again,
// with the legal bases where there are any; who the person is stands as this request has
// found it. A request that has written reads from the store itself.
func (s *Server) judgeConsent(ctx context.Context, x *exchange, c *candidate) error {
	before := x.people[c.subject.Patient]
	x.people, x.seen = map[string]*standing{}, map[string]bool{}
	x.resetSessions()
	if before != nil {
		st := &standing{person: before.person, bases: before.bases, glass: before.glass, brought: map[string][]*consent.Consent{}}
		if err := s.refile(ctx, st); err != nil {
			return err
		}
		if err := s.oneMoment(ctx, x, st); err != nil {
			return err
		}
		x.stands(st)
	}
	return s.decide(ctx, x, []*candidate{c})
}

// renderWritten answers a create or update: https://hl7.org/fhir/R4/http.html#ops
func renderWritten(s *Server, x *exchange) (*rest.Response, error) {
	rec := x.written
	if rec == nil {
		return nil, errors.New("nothing was written and no error was given")
	}
	h := http.Header{}
	h.Set("ETag", etagOf(rec))
	h.Set("Last-Modified", rec.LastUpdated.UTC().Format(http.TimeFormat))
	status := http.StatusOK
	if x.created {
		status = http.StatusCreated
		h.Set("Location", s.o.Base+"/"+versioned(rec))
	}
	answer := &rest.Response{Status: status, Header: h}
	if prefers(x, "return=OperationOutcome") && x.body != nil {
		body, err := s.analysed(x, rec.Origin)
		answer.Body = body
		return answer, err
	}
	if len(x.kept) == 1 && !prefers(x, "return=minimal") {
		answer.Body = x.kept[0].raw
	}
	return answer, nil
}

// etagOf is the weak ETag of one version.
func etagOf(rec *store.Record) string { return `W/"` + formatVersion(rec.Version) + `"` }

func formatVersion(v int64) string { return strconv.FormatInt(v, 10) }
