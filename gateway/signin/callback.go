package signin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/page"
)

// callbackURL + id of the provider is where it answers. Each provider has an
// address of its own, so that an answer says whose it is (RFC 9700 4.4.2).
const callbackURL = signInURL + "/callback/"

// Why a sign-in at a provider fails: stable reasons of the audit trail, beside
// those that auth has for an id token.
const (
	reasonDown    = "provider-unavailable"
	reasonRefused = "provider-refused" // it answered with an error
	reasonCode    = "code"             // it does not take the code
	reasonClaims  = "claims"
	reasonMixUp   = "mix-up"
	reasonPlace   = "too-many-failures"
	// reasonSignedOut: what the person proved is from before an administrator signed
	// them out.
	reasonSignedOut = "signed-out"
)

// callback takes a provider's answer.
func (s *Server) callback(w http.ResponseWriter, r *http.Request, p *Provider) {
	values := r.URL.Query()
	state := one(values, "state")
	var b begun
	fact, err := s.kept(r.Context(), stateKey, state, &b)
	if err == nil {
		err = s.same(r, b.Asked.Browser)
	}
	if err != nil {
		s.gone(w, r, err)
		return
	}
	if b.Provider != p.ID && !guard.Off(guard.SignInProviderMixUp) {
		s.refuse(w, r, &b.Asked, p, nil, reasonMixUp)
		return
	}
	if blocked, err := s.addressBlocked(r); err != nil || blocked {
		s.slow(w, r, p, err)
		return
	}
	if !guard.Off(guard.SignInStateOnce) {
		if err := s.use(r.Context(), fact); err != nil {
			s.gone(w, r, err)
			return
		}
	}
	who, reason, err := s.answered(r, p, &b, state)
	if err != nil {
		s.o.Logger.Warn("a sign-in failed", "provider", p.ID, "reason", reason, "request", requestID(r), "error", err)
	}
	if reason != "" {
		s.refuse(w, r, &b.Asked, p, who, reason)
		return
	}
	over, err := s.endedSince(r.Context(), who, &b)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if over {
		b.Asked.Again = true
		s.refuse(w, r, &b.Asked, p, who, reasonSignedOut)
		return
	}
	s.admit(w, r, &b.Asked, p, who)
}

// endedSince says whether an administrator has signed the person out since they last
// proved who they are. A provider that still knows a browser proves nothing anew; it is
// asked to. It reads the generation of what the person is given.
func (s *Server) endedSince(ctx context.Context, who *Person, b *begun) (over bool, err error) {
	var ended time.Time
	if who.Generation, ended, err = auth.PersonGeneration(ctx, s.o.Facts, who.Subject); err != nil {
		return false, fmt.Errorf("sign-in: %w", err)
	}
	proven := who.SignedIn
	if b.Asked.Again && b.At.After(proven) {
		proven = b.At // the id token was held to it, give or take the clocks
	}
	return !ended.IsZero() && proven.Unix() <= ended.Unix(), nil
}

// use takes an answer's state, of several at once exactly one.
func (s *Server) use(ctx context.Context, fact *store.Fact) error {
	_, err := s.o.Facts.CompareAndSet(ctx, fact.Key, fact.Version, []byte(`{}`), fact.Expires)
	switch {
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrNotFound):
		return errGone
	case err != nil:
		return fmt.Errorf("a sign-in: %w", err)
	}
	return s.o.Facts.Delete(context.WithoutCancel(ctx), fact.Key)
}

// answered turns a provider's answer into a person, or says why it does not; the
// error is for the log alone.
func (s *Server) answered(r *http.Request, p *Provider, b *begun, state string) (*Person, string, error) {
	values := r.URL.Query()
	m, err := p.OpenID.discover(r.Context())
	if err != nil {
		return nil, reasonDown, err
	}
	if iss := values["iss"]; (len(iss) > 0 || m.issuerInAnswer) && one(values, "iss") != p.OpenID.o.Issuer && !guard.Off(guard.SignInProviderMixUp) {
		return nil, reasonMixUp, errors.New("iss is not this provider")
	}
	if len(values["error"]) > 0 {
		return nil, reasonRefused, fmt.Errorf("it answers with %.60q", values["error"][0])
	}
	code := one(values, "code")
	if code == "" || len(code) > 4096 {
		return nil, reasonCode, errors.New("there is no usable code")
	}
	q := s.question(p, b, state)
	raw, err := p.OpenID.exchange(r.Context(), m, code, q)
	switch {
	case errors.Is(err, errCode):
		return nil, reasonCode, err
	case err != nil:
		return nil, reasonDown, err
	}
	now := s.o.Now()
	oldest := now.Add(-q.maxAge)
	if q.again {
		oldest = b.At
	}
	token, err := auth.VerifyIDToken(r.Context(), raw, auth.IDTokenCheck{
		Issuer: p.OpenID.o.Issuer, Client: p.OpenID.o.Client, Nonce: b.Nonce, Algorithms: p.OpenID.o.Algorithms, Keys: m.keys, Oldest: oldest, Now: now,
	})
	if err != nil {
		return nil, "id-token-" + auth.Reason(err), err
	}
	who, err := s.person(p, token)
	if err != nil {
		return nil, reasonClaims, err
	}
	return who, p.refusal(who), nil
}

// admit lets a person in: it is recorded, the session begins, and the browser
// goes where it was going.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, a *asked, p *Provider, who *Person) {
	if !ownPath(a.Next) && !guard.Off(guard.SignInNext) {
		s.fail(w, r, errors.New("sign-in: next is no path of this server"))
		return
	}
	ctx := context.WithoutCancel(r.Context())
	held, err := s.succeed(ctx, r, who)
	if err == nil {
		err = s.record(ctx, r, happened{interaction: audit.Login, person: &held.Person, provider: p, status: http.StatusSeeOther})
	}
	if err == nil {
		err = s.begin(ctx, w, held)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	http.Redirect(w, r, a.Next, http.StatusSeeOther)
}

// refuse records that a person was not let in and says what to do. who is nil
// where nobody is known to have signed in.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, a *asked, p *Provider, who *Person, reason string) {
	ctx := context.WithoutCancel(r.Context())
	status, m := s.refusalPage(p, who, reason)
	m.RequestID = requestID(r)
	err := s.record(ctx, r, happened{interaction: audit.Login, person: who, provider: p, reason: reason, status: status})
	if err == nil && reason != reasonDown { // that is nobody's guess: a provider's outage must not shut an address out
		err = s.addressFailed(ctx, r)
	}
	var h string
	if err == nil {
		h, err = s.keep(ctx, askKey, askLife, a)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	m.Links = []page.Link{{Text: "Sign in again, or somewhere else", Href: signInURL + "?ask=" + h}}
	s.show(w, status, m)
}
