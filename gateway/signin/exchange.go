package signin

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
)

// maxAnswer bounds what a token endpoint may answer, in bytes.
const maxAnswer = 256 << 10

// A question is a sign-in that is asked of a provider.
type question struct {
	redirect string // where it answers
	state    string
	nonce    string
	verifier string // of PKCE
	acr      []string
	maxAge   time.Duration
	again    bool // even if the person is signed in there
}

// ask returns the address at which the person signs in (OpenID Connect Core
// 3.1.2.1, RFC 7636).
func (m *metadata) ask(client string, q question) (string, error) {
	u, err := url.Parse(m.authorize)
	if err != nil {
		return "", err
	}
	challenge := sha256.Sum256([]byte(q.verifier))
	v := u.Query()
	for name, value := range map[string]string{
		"response_type": "code", "client_id": client, "redirect_uri": q.redirect, "scope": "openid profile",
		"state": q.state, "nonce": q.nonce, "code_challenge_method": "S256",
		"code_challenge": base64.RawURLEncoding.EncodeToString(challenge[:]),
		"max_age":        strconv.Itoa(int(q.maxAge / time.Second)),
	} {
		v.Set(name, value)
	}
	if len(q.acr) > 0 {
		v.Set("acr_values", strings.Join(q.acr, " "))
	}
	if q.again {
		v.Set("prompt", "login")
	}
	u.RawQuery = v.Encode()
	return u.String(), nil
}

// errCode says that the provider does not take the code.
var errCode = errors.New("the provider does not take the code")

// exchange turns a code into an id token, which is not believed yet.
func (p *OpenID) exchange(ctx context.Context, m *metadata, code string, q question) (string, error) {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {q.redirect}, "code_verifier": {q.verifier}}
	if p.signer != nil {
		assertion, err := p.signer.Assertion(m.token)
		if err != nil {
			return "", err
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
		form.Set("client_id", p.o.Client)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.token, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if p.signer == nil { // RFC 6749 2.3.1: both parts are form-encoded first
		req.SetBasicAuth(url.QueryEscape(p.o.Client), url.QueryEscape(p.o.Secret))
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return "", err
	case len(body) > maxAnswer:
		return "", fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	case resp.StatusCode == http.StatusBadRequest:
		return "", errCode
	case resp.StatusCode != http.StatusOK:
		return "", fmt.Errorf("status %d", resp.StatusCode)
	}
	if t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return "", errors.New("the answer is not JSON")
	}
	return idTokenOf(body)
}

// idTokenOf reads the id token from a token endpoint's answer.
func idTokenOf(body []byte) (string, error) {
	doc, err := resource.ParseDocument(body)
	if err != nil {
		return "", fmt.Errorf("the answer: %w", err)
	}
	token := doc.Root().Get("id_token").Text()
	if token == "" {
		return "", errors.New("the answer holds no id token")
	}
	return token, nil
}
