package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// A TokenSource gives the bearer token for the next request.
type TokenSource interface {
	Token(ctx context.Context) (string, error)
}

// A Forgetter is a TokenSource that can be told that a server refused a token.
type Forgetter interface {
	Forget(token string)
}

// A Signer makes the client assertion for SMART Backend Services: a signed JWT
// for the token endpoint aud, fresh at each call.
type Signer interface {
	Assertion(aud string) (string, error)
}

// BackendOptions says how to get tokens from one authorization server.
type BackendOptions struct {
	System string // the upstream's key in the configuration
	// Base is the FHIR base, where the token endpoint is looked up under
	// .well-known/smart-configuration.
	Base string
	// TokenURL pins the token endpoint; nothing is looked up then.
	TokenURL  string
	Scope     string // "system/*.rs"
	Signer    Signer
	Transport http.RoundTripper // nil makes one with NewTransport
	// Early is how long before its expiry a token is no longer used.
	// 0: 30 s, at most half of its life.
	Early     time.Duration
	PlainHTTP bool             // as in Options
	Now       func() time.Time // nil is time.Now
}

// BackendTokens gets tokens by SMART Backend Services and keeps each until
// shortly before its expiry. It is safe for concurrent use.
type BackendTokens struct {
	o     BackendOptions
	base  base
	http  *http.Client
	calls singleflight.Group

	mu       sync.Mutex
	token    string
	until    time.Time
	endpoint string
}

const (
	tokenTimeout  = 5 * time.Second
	maxTokenBytes = 64 << 10
	defaultLife   = time.Minute // of a token whose server does not say
)

// NewBackendTokens checks the options. Nothing is asked before the first Token.
func NewBackendTokens(o BackendOptions) (*BackendTokens, error) {
	b, err := parseBase(o.Base, o.PlainHTTP)
	if err != nil {
		return nil, fmt.Errorf("system %s: base %w", o.System, err)
	}
	if o.Signer == nil {
		return nil, fmt.Errorf("system %s: no signer for client assertions", o.System)
	}
	t := &BackendTokens{o: o, base: b}
	if o.TokenURL != "" {
		if err := t.checkEndpoint(o.TokenURL); err != nil {
			return nil, fmt.Errorf("system %s: %w", o.System, err)
		}
		t.endpoint = o.TokenURL
	}
	if t.o.Now == nil {
		t.o.Now = time.Now
	}
	if t.o.Early <= 0 {
		t.o.Early = 30 * time.Second
	}
	if o.Transport == nil {
		o.Transport = NewTransport()
	}
	t.http = &http.Client{
		Transport: o.Transport,
		// An assertion goes where it was made for, and nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return t, nil
}

// checkEndpoint refuses a token endpoint to which a secret would go in clear.
func (t *BackendTokens) checkEndpoint(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return errors.New("the token endpoint is not an absolute URL")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !(t.o.PlainHTTP || loopback(u.Hostname()))) {
		return errors.New("the token endpoint is not https")
	}
	return nil
}

// Token returns a token that is still good for a while. Callers that come while
// one is being fetched share it; each waits no longer than its own ctx.
func (t *BackendTokens) Token(ctx context.Context) (string, error) {
	if token, ok := t.cached(); ok {
		return token, nil
	}
	ch := t.calls.DoChan("", func() (any, error) {
		if token, ok := t.cached(); ok {
			return token, nil
		}
		// Not the first caller's context: the others must not fail with it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenTimeout)
		defer cancel()
		token, err := t.fetch(ctx)
		if err != nil && t.o.TokenURL == "" {
			t.mu.Lock()
			t.endpoint = "" // it may have moved: look it up again next time
			t.mu.Unlock()
		}
		return token, err
	})
	select {
	case r := <-ch:
		if r.Err != nil {
			return "", r.Err
		}
		return r.Val.(string), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// Forget drops a token that a server refused.
func (t *BackendTokens) Forget(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == token {
		t.token = ""
	}
}

func (t *BackendTokens) cached() (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.token, t.token != "" && t.o.Now().Before(t.until)
}

func (t *BackendTokens) fetch(ctx context.Context) (string, error) {
	endpoint, err := t.discover(ctx)
	if err != nil {
		return "", err
	}
	assertion, err := t.o.Signer.Assertion(endpoint)
	if err != nil {
		return "", fmt.Errorf("client assertion: %w", err)
	}
	form := url.Values{
		"grant_type":            {"client_credentials"},
		"scope":                 {t.o.Scope},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {assertion},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return "", errors.New("the token endpoint is not an absolute URL")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	asked := t.o.Now()
	var answer struct {
		AccessToken string  `json:"access_token"`
		TokenType   string  `json:"token_type"`
		ExpiresIn   float64 `json:"expires_in"`
		Error       string  `json:"error"`
	}
	status, err := t.do(req, &answer)
	switch {
	case err != nil && status == 0:
		return "", fmt.Errorf("token endpoint: %w", err)
	case status != http.StatusOK:
		return "", fmt.Errorf("token endpoint: HTTP %d%s", status, oauthError(answer.Error))
	case err != nil:
		return "", fmt.Errorf("token endpoint: %w", err)
	case !strings.EqualFold(answer.TokenType, "bearer"), !printable(answer.AccessToken):
		return "", errors.New("token endpoint: the answer has no bearer token")
	}
	life := time.Duration(min(answer.ExpiresIn, 86400) * float64(time.Second))
	if life <= 0 {
		life = defaultLife
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.token, t.until = answer.AccessToken, asked.Add(life-min(t.o.Early, life/2))
	return t.token, nil
}

// oauthError names an error code of RFC 6749 5.2; other text is not repeated.
func oauthError(code string) string {
	switch code {
	case "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope":
		return " (" + code + ")"
	}
	return ""
}

// printable says whether s may stand in an Authorization header (RFC 6750 2.1).
func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}
