package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/smart"
)

// maxEcho is the longest state or nonce, in bytes.
const maxEcho = 2048

// authorize answers an authorization request: with the way to the page where a
// person decides, with an error for the app at its redirect_uri, or, where it is
// not certain who the app is, with a page for the person.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	c := &call{event: &audit.Event{
		ID: s.o.NewID(), At: s.o.Now(), Interaction: "authorize", Operation: r.Method, Path: AuthorizePath, Source: s.o.Source(r),
	}}
	var err error
	if c.form, err = authorizeForm(r); err != nil {
		c.refusal = auth.AsRefusal(err)
	}
	b := &buffer{}
	if c.refusal == nil {
		s.engine.ServeHTTP(b, forLibrary(r, c, "client_id", "redirect_uri", "scope", "state"))
		if c.refusal == nil && b.status != http.StatusFound {
			c.refusal = b.refusal()
		}
	}
	if err := s.recordAuthorize(r.Context(), c, b.header.Get("Location")); err != nil {
		c.refusal, b.status = auth.AsRefusal(err), http.StatusInternalServerError
	}
	if b.status == http.StatusFound {
		h := w.Header()
		noStore(h)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Location", b.header.Get("Location"))
		w.WriteHeader(http.StatusFound)
		return
	}
	if c.refusal.Status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", "GET, POST")
	}
	noStore(w.Header())
	status := c.refusal.Status
	if status < http.StatusBadRequest {
		status = http.StatusBadRequest
	}
	s.o.Refused(w, r, status, c.event.ID, c.refusal.Description)
}

// authorizeForm reads the parameters from the query of a GET or the body of a
// POST, each once.
func authorizeForm(r *http.Request) (map[string]string, error) {
	switch r.Method {
	case http.MethodGet:
		return auth.ParseForm(r.URL.RawQuery)
	case http.MethodPost:
		return auth.ReadForm(r)
	}
	return nil, &auth.Refusal{Status: http.StatusMethodNotAllowed, Code: "invalid_request", Description: "use GET or POST", Reason: "method"}
}

// forLibrary makes the request that zitadel/oidc sees: these parameters and no
// header. The response type is the one that there is; another is refused by
// Authorize.
func forLibrary(r *http.Request, c *call, parameters ...string) *http.Request {
	form := url.Values{}
	for _, name := range parameters {
		if v, ok := c.form[name]; ok {
			form.Set(name, v)
		}
	}
	if r.URL.Path == AuthorizePath {
		form.Set("response_type", string(oidc.ResponseTypeCode))
	}
	out := (&http.Request{
		Method: http.MethodGet, URL: &url.URL{Path: r.URL.Path, RawQuery: form.Encode()}, Header: http.Header{},
		Proto: r.Proto, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor, Host: r.Host, RequestURI: r.URL.Path, Body: http.NoBody,
	}).WithContext(withCall(r.Context(), c))
	return out
}

// VerifyAuthRequest finds the app. What is wrong with it or with its redirect_uri
// is shown to the person and sent nowhere.
func (p *provider) VerifyAuthRequest(ctx context.Context, r *op.Request[oidc.AuthRequest]) (*op.ClientRequest[oidc.AuthRequest], error) {
	c := callOf(ctx)
	wrong := func(reason, text string) error {
		return c.refuse(&auth.Refusal{Status: http.StatusBadRequest, Code: "invalid_request", Description: text, Reason: reason})
	}
	if c.form["client_id"] == "" {
		return nil, wrong("client-missing", "The app did not say which it is (client_id).")
	}
	app, err := p.o.Registry.Client(ctx, c.form["client_id"])
	if err != nil && !auth.NoClient(err) {
		return nil, c.refuse(err)
	}
	if err != nil || !app.May(auth.GrantAuthorizationCode) {
		return nil, wrong("client-unknown", "The app is not registered here, or not for people who sign in.")
	}
	uri := c.form["redirect_uri"]
	if uri == "" {
		return nil, wrong("redirect-uri", "The app did not say where to send the answer (redirect_uri).")
	}
	if !slices.Contains(app.RedirectURIs, uri) && !guard.Off(guard.AuthorizeRedirectURI) {
		return nil, wrong("redirect-uri", "The app wants the answer at an address that is not registered for it (redirect_uri).")
	}
	c.app = app
	if guard.Off(guard.AuthorizeRedirectURI) {
		app.RedirectURIs = append(app.RedirectURIs, uri)
	}
	return &op.ClientRequest[oidc.AuthRequest]{Request: r, Client: client{app, auth.MethodNone}}, nil
}

// Authorize checks all else and keeps the request. Errors go to the redirect_uri,
// which is known to be the app's.
func (p *provider) Authorize(ctx context.Context, r *op.ClientRequest[oidc.AuthRequest]) (*op.Redirect, error) {
	c := callOf(ctx)
	if err := p.checkRequest(c); err != nil {
		return nil, err
	}
	scope, err := p.requestedScope(c)
	if err != nil {
		refusal := auth.AsRefusal(err)
		return nil, c.redirected(refusal.Code, refusal.Description, refusal.Reason)
	}
	maxAge, err := maxAge(c.form["max_age"])
	if err != nil {
		return nil, c.redirected("invalid_request", "max_age is not a number of seconds", "max-age")
	}
	id, now := newSecret(), p.o.Now()
	err = p.keys.put(ctx, secretKey(requestFacts, id), &pending{
		Request: Request{
			Client: c.app.ID, RedirectURI: c.form["redirect_uri"], Scope: scope, Launch: c.form["launch"],
			Created: now, MaxAge: maxAge, Prompt: strings.Fields(c.form["prompt"]),
		},
		State: c.form["state"], Nonce: c.form["nonce"], Challenge: c.form["code_challenge"],
	}, now.Add(RequestLife))
	if err != nil {
		refusal := auth.AsRefusal(err)
		return nil, c.redirected("server_error", "the request could not be kept; try again", refusal.Reason)
	}
	return op.NewRedirect(r.Client.LoginURL(id)), nil
}

// checkRequest judges the parameters but scope.
func (p *provider) checkRequest(c *call) error {
	f := c.form
	for name, code := range map[string]string{"request": "request_not_supported", "request_uri": "request_uri_not_supported", "registration": "registration_not_supported"} {
		if f[name] != "" {
			return c.redirected(code, name+" is not supported", "request-object")
		}
	}
	if f["udap"] != "" {
		return c.redirected("invalid_request", "UDAP is not supported here", "udap")
	}
	switch {
	case f["response_type"] == "":
		return c.redirected("invalid_request", "response_type is missing", "response-type")
	case f["response_type"] != "code":
		return c.redirected("unsupported_response_type", "response_type must be code", "response-type")
	case f["response_mode"] != "" && f["response_mode"] != "query":
		return c.redirected("invalid_request", "response_mode must be query", "response-mode")
	case f["state"] == "" && !guard.Off(guard.AuthorizeState):
		return c.redirected("invalid_request", "state is missing", "state")
	case len(f["state"]) > maxEcho || len(f["nonce"]) > maxEcho:
		return c.redirected("invalid_request", "state or nonce is longer than "+strconv.Itoa(maxEcho)+" bytes", "state")
	}
	if err := p.checkAudience(c); err != nil {
		return err
	}
	if (f["code_challenge_method"] != "S256" || !isChallenge(f["code_challenge"])) && !guard.Off(guard.AuthorizeChallenge) {
		return c.redirected("invalid_request", "code_challenge with code_challenge_method S256 is required (RFC 7636)", "code-challenge")
	}
	return checkPrompt(c)
}

// checkAudience wants aud, or resource (RFC 8707), to be this FHIR server: an app
// that a false one has sent here gets no code for it.
func (p *provider) checkAudience(c *call) error {
	aud, resource := c.form["aud"], c.form["resource"]
	ours := func(s string) bool { return s == "" || strings.TrimSuffix(s, "/") == p.o.Base }
	if (aud != "" || resource != "") && ours(aud) && ours(resource) || guard.Off(guard.AuthorizeAudience) {
		return nil
	}
	if aud == "" && resource == "" {
		return c.redirected("invalid_request", "aud is missing: it must be the FHIR base URL", "audience")
	}
	return c.redirected("invalid_target", "aud is not this server's FHIR base URL", "audience")
}

// checkPrompt: what a prompt asks for is done by the pages, which know who is
// signed in; none too, which they answer with an error that says what is missing.
func checkPrompt(c *call) error {
	prompts := strings.Fields(c.form["prompt"])
	for _, prompt := range prompts {
		switch prompt {
		case oidc.PromptLogin, oidc.PromptConsent, oidc.PromptSelectAccount:
		case oidc.PromptNone:
			if len(prompts) > 1 {
				return c.redirected("invalid_request", "prompt none stands alone", "prompt")
			}
		default:
			return c.redirected("invalid_request", "prompt has an unknown value", "prompt")
		}
	}
	return nil
}

// isChallenge: the base64url of a SHA-256 (RFC 7636 4.2).
func isChallenge(s string) bool {
	const length = 43
	return len(s) == length && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
	})
}

// maxAge reads max_age, at most a year; -1 if it is absent.
func maxAge(s string) (time.Duration, error) {
	if s == "" {
		return -1, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, err
	}
	return min(time.Duration(n)*time.Second, 365*24*time.Hour), nil
}

// requestedScope cuts the scopes down to the registration, and to what can be
// given: the scope launch comes with a launch, online_access needs sessions.
func (p *provider) requestedScope(c *call) (string, error) {
	scope, err := c.app.Requestable(c.form["scope"])
	if err != nil {
		return "", err
	}
	words := strings.Fields(scope)
	launched := slices.Contains(words, smart.ScopeLaunch)
	if c.form["launch"] != "" && !launched {
		return "", &auth.Refusal{Code: "invalid_scope", Description: "launch came without the scope launch, or that is not registered for this client", Reason: "launch"}
	}
	words = slices.DeleteFunc(words, func(w string) bool {
		return w == smart.ScopeLaunch && c.form["launch"] == "" || w == smart.ScopeOnline && p.o.Sessions == nil
	})
	if len(words) == 0 {
		return "", &auth.Refusal{Code: "invalid_scope", Description: "none of the requested scopes can be granted", Reason: "scope-not-registered"}
	}
	return strings.Join(words, " "), nil
}

// recordAuthorize writes the request into the trail. The client is a claim: a
// browser brought it.
func (s *Server) recordAuthorize(ctx context.Context, c *call, location string) error {
	e := c.event
	about := url.Values{"claimed_client": {c.form["client_id"]}, "scope": {c.form["scope"]}}
	e.Status, e.Duration = http.StatusFound, s.o.Now().Sub(e.At)
	if c.refusal == nil {
		if u, err := url.Parse(location); err == nil && u.Query().Has("error") { // the library's own
			c.refusal = &auth.Refusal{Status: http.StatusFound, Code: u.Query().Get("error"), Reason: "request"}
		}
	}
	if c.refusal != nil {
		e.Status, e.Reason, e.Outcome = c.refusal.Status, c.refusal.Reason, audit.Minor
		about.Set("error", c.refusal.Code)
	} else {
		about.Set("request", "waits")
	}
	e.Query = about.Encode()
	if err := s.o.Recorder.Record(context.WithoutCancel(ctx), e); err != nil {
		return errors.Join(errors.New("audit"), err)
	}
	return nil
}
