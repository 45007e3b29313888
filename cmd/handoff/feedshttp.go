package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/adapters/inbox"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/smart"
)

// feedReportPath is where the report of a feed is read, by the system's key.
const feedReportPath = "/adapters/:system/report"

// feedReports answers with the report of a feed: to tokens with the scope for it,
// of the feed's custodian or of an exchange in which that takes part. A feed of
// anybody else is absent, as one that does not exist.
type feedReports struct {
	config   *config.Config
	facts    store.Facts
	verifier interface {
		Verify(ctx context.Context, bearer string) (*auth.Principal, error)
	}
	limits interface {
		Request(p *auth.Principal) (wait time.Duration, ok bool)
	}
	trail audit.Recorder
	pin   func(context.Context) (context.Context, error)
	now   func() time.Time
	log   *slog.Logger
}

// ServeHTTP records the request before it is answered.
func (f *feedReports) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	e := &audit.Event{ID: newRequestID(), At: f.now(), Interaction: "feed-report", Operation: r.Method, Path: r.URL.Path, Source: r.RemoteAddr, Status: http.StatusOK}
	report, err := f.report(r, e)
	refusal := auth.AsRefusal(err)
	if refusal != nil {
		e.Status, e.Reason, e.Outcome = refusal.Status, refusal.Reason, audit.Minor
	}
	e.Duration = time.Since(began)
	if failed := f.trail.Record(context.WithoutCancel(r.Context()), e); failed != nil {
		refusal = &auth.Refusal{Status: http.StatusInternalServerError, Code: "server_error", Reason: "audit", Err: failed}
	}
	h := w.Header()
	h.Set("X-Request-Id", e.ID)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Type", "application/json")
	if refusal != nil {
		f.refuse(w, refusal)
		return
	}
	raw, err := json.Marshal(report)
	if err != nil { // counts, times and texts: cannot happen
		f.refuse(w, auth.AsRefusal(err))
		return
	}
	_, _ = w.Write(append(raw, '\n')) // the caller has gone if this fails
}

func (f *feedReports) refuse(w http.ResponseWriter, x *auth.Refusal) {
	if x.Status >= http.StatusInternalServerError {
		f.log.Error("a report of a feed could not be given", "error", x.Err)
	}
	h := w.Header()
	switch {
	case x.Status == http.StatusUnauthorized, x.Code == "insufficient_scope":
		_, challenge := auth.Challenge("handoff", x)
		h.Set("WWW-Authenticate", challenge)
	case x.Status == http.StatusMethodNotAllowed:
		h.Set("Allow", "GET, HEAD")
	}
	if x.RetryAfter > 0 {
		h.Set("Retry-After", auth.RetryAfter(x.RetryAfter))
	}
	body := map[string]string{"error": x.Code}
	if x.Code == "" {
		body["error"] = "invalid_token"
	}
	if x.Description != "" {
		body["error_description"] = x.Description
	}
	raw, err := json.Marshal(body)
	w.WriteHeader(x.Status)
	if err == nil {
		_, _ = w.Write(raw)
	}
}

// report is the order of things: who asks, may they, about which feed.
func (f *feedReports) report(r *http.Request, e *audit.Event) (*inbox.Report, error) {
	bearer, err := auth.BearerFromRequest(r)
	if err != nil {
		return nil, err
	}
	ctx, err := f.pin(r.Context())
	if err != nil {
		return nil, err
	}
	p, err := f.verifier.Verify(ctx, bearer)
	if err != nil {
		return nil, err
	}
	e.Client, e.Organization, e.TokenID, e.Purposes = p.Client, p.Requester.Organization, p.TokenID, p.Purposes
	if e.User, e.UserName = p.Requester.Reference, p.User.Name; e.User == "" {
		e.User = p.User.ID
	}
	if !p.MayUse(smart.ScopeFeedReport) {
		return nil, &auth.Refusal{Status: http.StatusForbidden, Code: "insufficient_scope", Description: "the token does not hold " + smart.ScopeFeedReport, Reason: "scope"}
	}
	if wait, ok := f.limits.Request(p); !ok {
		return nil, auth.TooMany(wait)
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return nil, &auth.Refusal{Status: http.StatusMethodNotAllowed, Code: "invalid_request", Description: "a report is read with GET", Reason: "method"}
	}
	key := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/adapters/"), "/report")
	for _, s := range f.config.Systems {
		if s.Kind == "feed" && s.Key == key && f.looksAfter(p, s) {
			return inbox.ReadReport(r.Context(), f.facts, s.Key, s.Adapter)
		}
	}
	return nil, &auth.Refusal{Status: http.StatusNotFound, Code: "not_found", Description: "there is no such feed", Reason: "feed"}
}

// looksAfter says whether a caller's organisation is the feed's custodian, or an
// exchange of it.
func (f *feedReports) looksAfter(p *auth.Principal, s config.System) bool {
	mine := strings.TrimPrefix(p.Requester.Organization, "Organization/")
	if mine == "" {
		return false
	}
	if mine == s.Organization {
		return true
	}
	o, me := f.config.Organization(s.Organization), f.config.Organization(mine)
	return o != nil && me != nil && me.Kind == "exchange" && slices.Contains(o.Networks, mine)
}
