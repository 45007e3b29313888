package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/smart"
)

// A tokenRequest gets one access token by SMART Backend Services.
type tokenRequest struct {
	base, endpoint, scope string
	signer                *auth.Signer
	asserted              *auth.Asserted
}

type tokenAnswer struct {
	token string
	whole map[string]any
}

// tokenTimeout is how long the two questions may take together. A test sets it.
var tokenTimeout = 10 * time.Second

const maxTokenAnswer = 256 << 10

// do finds the token endpoint and asks it.
func (r *tokenRequest) do(ctx context.Context) (*tokenAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	if r.endpoint == "" {
		if err := r.discover(ctx); err != nil {
			return nil, err
		}
	}
	if err := checkURL("token endpoint", r.endpoint); err != nil {
		return nil, err
	}
	assertion, err := r.signer.AssertionFor(r.endpoint, r.asserted)
	if err != nil {
		return nil, err
	}
	form := url.Values{
		"grant_type":            {"client_credentials"},
		"scope":                 {r.scope},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {assertion},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("token endpoint: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, body, err := exchange(req)
	if err != nil {
		return nil, fmt.Errorf("token endpoint %s: %w", r.endpoint, err)
	}
	return readTokenAnswer(r.endpoint, status, body)
}

// discover reads the token endpoint from the server's SMART configuration.
func (r *tokenRequest) discover(ctx context.Context) error {
	if err := checkURL("FHIR base", r.base); err != nil {
		return err
	}
	at := strings.TrimRight(r.base, "/") + smart.WellKnown
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return fmt.Errorf("FHIR base: %w", err)
	}
	status, body, err := exchange(req)
	if err != nil {
		return fmt.Errorf("SMART configuration %s: %w", at, err)
	}
	if status != http.StatusOK {
		return fmt.Errorf("SMART configuration %s: status %d; is --base the FHIR base URL?", at, status)
	}
	var doc struct {
		Token string `json:"token_endpoint"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return fmt.Errorf("SMART configuration %s: not JSON: %w", at, err)
	}
	if doc.Token == "" {
		return fmt.Errorf("SMART configuration %s: it names no token_endpoint", at)
	}
	r.endpoint = doc.Token
	return nil
}

func readTokenAnswer(endpoint string, status int, body []byte) (*tokenAnswer, error) {
	var whole map[string]any
	if err := json.Unmarshal(body, &whole); err != nil {
		return nil, fmt.Errorf("token endpoint %s: status %d with a body that is not a JSON object", endpoint, status)
	}
	if code, ok := whole["error"].(string); ok || status != http.StatusOK {
		text := fmt.Sprintf("token endpoint %s refused (%d): %s", endpoint, status, code)
		if d, ok := whole["error_description"].(string); ok && d != "" {
			text += ": " + d
		}
		return nil, errors.New(text)
	}
	token, ok := whole["access_token"].(string)
	if !ok || token == "" {
		return nil, fmt.Errorf("token endpoint %s: its answer has no access_token", endpoint)
	}
	return &tokenAnswer{token, whole}, nil
}

// exchange sends one request: no redirects, a bounded answer.
func exchange(req *http.Request) (status int, body []byte, err error) {
	client := &http.Client{
		Timeout: tokenTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("it redirects, which is not followed")
		},
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		if ue := (*url.Error)(nil); errors.As(err, &ue) {
			err = ue.Err // the URL stands in the caller's message
		}
		return 0, nil, inTime(err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxTokenAnswer+1))
	if err == nil && len(body) > maxTokenAnswer {
		err = fmt.Errorf("answer is larger than %d bytes", maxTokenAnswer)
	}
	return resp.StatusCode, body, inTime(err)
}

// inTime puts a time that has run out into words. A gateway whose store is away answers
// late.
func inTime(err error) error {
	var out interface{ Timeout() bool }
	if errors.As(err, &out) && out.Timeout() {
		return fmt.Errorf("no whole answer within %v: the server cannot be reached, or cannot reach its store; its /readyz and its log say which", tokenTimeout)
	}
	return err
}

// checkURL wants https, or http to this machine: an assertion or a token must
// not cross a network in the clear.
func checkURL(what, s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return usageError("%s %q is not an absolute http URL", what, s)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return usageError("%s %q: plain http is used to this machine only", what, s)
	}
	return nil
}
