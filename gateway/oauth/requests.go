package oauth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/epoch"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/smart"
)

var _ Requests = (*Server)(nil)

// Request implements [Requests].
func (s *Server) Request(ctx context.Context, id string) (*Request, error) {
	p, _, err := s.waiting(ctx, id)
	if err != nil {
		return nil, err
	}
	return &p.Request, nil
}

// waiting reads a request that nobody answered yet.
func (s *Server) waiting(ctx context.Context, id string) (*pending, int64, error) {
	p := &pending{}
	version, err := s.keys.get(ctx, secretKey(requestFacts, id), p)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, 0, ErrNoRequest
	case err != nil:
		return nil, 0, err
	case p.Answered && !guard.Off(guard.AuthorizeOnce), !s.o.Now().Before(p.Request.Created.Add(RequestLife)):
		return nil, 0, ErrNoRequest
	}
	p.Request.ID = id // who knows it can answer the request: the store does not
	return p, version, nil
}

// answer takes the request: of several answers at the same moment one counts.
func (s *Server) answer(ctx context.Context, id string, version int64, p *pending) error {
	p.Answered, p.Request.ID = true, ""
	err := s.keys.replace(ctx, secretKey(requestFacts, id), version, p, p.Request.Created.Add(RequestLife))
	if errors.Is(err, errTaken) {
		return ErrNoRequest
	}
	return err
}

// Approve implements [Requests]. The decision must stay within what was asked
// for and within the app's registration as it stands now.
func (s *Server) Approve(ctx context.Context, id string, d Decision) (string, error) {
	p, version, err := s.waiting(ctx, id)
	if err != nil {
		return "", err
	}
	f, err := s.authorization(ctx, p, d)
	if err != nil {
		return "", err
	}
	if err := s.answer(ctx, id, version, p); err != nil {
		return "", err
	}
	if err := s.recordDecision(ctx, p, &f.Authorization, nil); err != nil {
		return "", err
	}
	if err := s.keys.put(ctx, authorizationFacts+f.Authorization.ID, f, f.Ends); err != nil {
		return "", err
	}
	code, now := newSecret(), s.o.Now()
	err = s.keys.put(ctx, secretKey(codeFacts, code), &ticket{
		Authorization: f.Authorization.ID, Client: p.Request.Client, RedirectURI: p.Request.RedirectURI,
		Challenge: p.Challenge, Expires: now.Add(CodeLife),
	}, now.Add(2*CodeLife))
	if err != nil {
		return "", err
	}
	return s.callback(p, &op.CodeResponseType{Code: code, State: p.State})
}

// authorization makes the record of a decision. Its generation is read first, and the
// app and the sign-in are judged after it by the store itself: of what the request has
// in memory an end may be missing that the generation knows.
func (s *Server) authorization(ctx context.Context, p *pending, d Decision) (*family, error) {
	ctx = epoch.Unpinned(ctx)
	generation, err := auth.ReadGeneration(ctx, s.o.Facts, p.Request.Client, d.Subject)
	if err != nil {
		return nil, fmt.Errorf("approve: %w", err)
	}
	app, err := s.o.Registry.Client(ctx, p.Request.Client)
	if err != nil {
		return nil, fmt.Errorf("approve: %w", err)
	}
	if err := s.stillSignedIn(ctx, d.Session); err != nil {
		return nil, err
	}
	scope, err := auth.NarrowScope(p.Request.Scope, d.Scope)
	if guard.Off(guard.AuthorizeDecision) {
		scope, err = d.Scope, nil
	}
	if err != nil || d.Scope == "" {
		return nil, errors.New("approve: the decision holds a scope that was not asked for, or none")
	}
	now := s.o.Now()
	f := &family{Nonce: p.Nonce, Context: maps.Clone(d.Context), Began: now}
	a := &f.Authorization
	*a = auth.Authorization{
		ID: newSecret(), Client: app.ID, Provider: d.Provider, Subject: d.Subject, Session: d.Session, Said: d.Said, ACR: d.ACR, MFA: d.MFA,
		SignedIn: d.SignedIn, FHIRUser: d.FHIRUser, Scope: scope, Patient: d.Patient, Encounter: d.Encounter,
		Generation: generation,
	}
	if a.Scope, err = app.Permits(a, s.o.Base); err != nil {
		return nil, fmt.Errorf("approve: %w", err)
	}
	if err := complete(a); err != nil {
		return nil, err
	}
	f.Ends = s.ends(f, app)
	return f, nil
}

// stillSignedIn refuses a decision whose sign-in is over by now.
func (s *Server) stillSignedIn(ctx context.Context, session string) error {
	if s.o.Sessions == nil || session == "" { // complete says what is missing
		return nil
	}
	alive, err := s.o.Sessions.Alive(ctx, session)
	if err == nil && !alive {
		err = ErrNoRequest
	}
	return err
}

// complete refuses a decision that says too little for a token.
func complete(a *auth.Authorization) error {
	switch {
	case a.Subject == "" || a.Session == "" || a.Said.UserID == "" || a.Said.UserName == "" || a.SignedIn.IsZero():
		return errors.New("approve: the decision does not say who signed in, and when")
	case a.Said.Organization == "" || len(a.Said.Purposes) == 0:
		return errors.New("approve: the decision does not say for which organisation and purpose")
	case !strings.HasPrefix(a.Patient, "Patient/") && (a.Patient != "" || needsPatient(a.Scope)):
		return errors.New("approve: patient/ scopes need a patient in context")
	case a.Encounter != "" && !strings.HasPrefix(a.Encounter, "Encounter/"):
		return errors.New("approve: the encounter in context is none")
	}
	return nil
}

func needsPatient(scope string) bool {
	return slices.ContainsFunc(strings.Fields(scope), func(s string) bool {
		return s == smart.ScopeLaunchPatient || strings.HasPrefix(s, smart.ContextPatient+"/")
	})
}

// ends says when the last token of a family has expired.
func (s *Server) ends(f *family, app *auth.Client) time.Time {
	switch refreshKind(f.Authorization.Scope, app) {
	case smart.ScopeOffline:
		return f.Began.Add(OfflineAbsolute)
	case smart.ScopeOnline:
		return later(f.Authorization.SignedIn.Add(OnlineAbsolute), f.Began.Add(CodeLife+tokenLife(app)))
	}
	return f.Began.Add(CodeLife + tokenLife(app))
}

// refreshKind is the scope that lets an app have refresh tokens; "" if it gets
// none.
func refreshKind(scope string, app *auth.Client) string {
	words := strings.Fields(scope)
	switch {
	case !app.May(auth.GrantRefreshToken):
	case slices.Contains(words, smart.ScopeOffline):
		return smart.ScopeOffline
	case slices.Contains(words, smart.ScopeOnline):
		return smart.ScopeOnline
	}
	return ""
}

func tokenLife(app *auth.Client) time.Duration {
	if app.Life > 0 && app.Life < auth.MaxPersonTokenLife {
		return app.Life
	}
	return auth.MaxPersonTokenLife
}

// Refuse implements [Requests].
func (s *Server) Refuse(ctx context.Context, id string, r Refusal) (string, error) {
	p, version, err := s.waiting(ctx, id)
	if err != nil {
		return "", err
	}
	if err := s.answer(ctx, id, version, p); err != nil {
		return "", err
	}
	by := &auth.Authorization{Said: r.By.Said, FHIRUser: r.By.FHIRUser, Patient: r.By.Patient, Encounter: r.By.Encounter}
	if err := s.recordDecision(ctx, p, by, &r); err != nil {
		return "", err
	}
	e := oidcError(&auth.Refusal{Code: r.Code, Description: r.Description})
	if oe := (*oidc.Error)(nil); errors.As(e, &oe) {
		oe.State = p.State
	}
	return s.callback(p, e)
}

// callback is where the browser brings an answer: the app's redirect_uri.
func (s *Server) callback(p *pending, answer any) (string, error) {
	u, err := op.AuthResponseURL(p.Request.RedirectURI, oidc.ResponseTypeCode, oidc.ResponseModeQuery, answer, issuerEncoder(s.o.Issuer))
	if err != nil {
		return "", errors.New("the redirect_uri cannot take an answer")
	}
	return u, nil
}

// recordDecision writes what a person decided into the trail; refused is nil if the
// app was let in.
func (s *Server) recordDecision(ctx context.Context, p *pending, a *auth.Authorization, refused *Refusal) error {
	about := url.Values{"client": {p.Request.Client}, "scope": {p.Request.Scope}, "granted": {a.Scope}}
	e := &audit.Event{
		ID: s.o.NewID(), At: s.o.Now(), Interaction: "authorize", Operation: http.MethodPost, Path: AuthorizePath, Status: http.StatusFound,
		Client: p.Request.Client, User: personOf(a), UserName: a.Said.UserName, Purposes: a.Said.Purposes,
	}
	if a.Said.Role != "" {
		e.Roles = []string{a.Said.Role}
	}
	if app, err := s.o.Registry.Client(ctx, p.Request.Client); err == nil {
		e.Organization = app.Organization
	}
	if a.Patient != "" {
		e.Patients = []string{a.Patient}
	}
	if a.ID != "" {
		about.Set("authorization", a.ID)
	}
	if a.Encounter != "" {
		about.Set("encounter", a.Encounter)
	}
	if refused != nil {
		e.Outcome, e.Reason = audit.Minor, refused.Reason
		about.Set("error", refused.Code)
	}
	e.Query = about.Encode()
	if err := s.o.Recorder.Record(context.WithoutCancel(ctx), e); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// personOf names the person as the trail does: by reference where the directory
// knows one.
func personOf(a *auth.Authorization) string {
	if a.FHIRUser != "" {
		return a.FHIRUser
	}
	return a.Said.UserID
}
