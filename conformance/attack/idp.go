package attack

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// An IdentityProvider is an agency's OpenID Provider that signs everybody in at
// once, as the person that it was told, and lies if it is told to.
type IdentityProvider struct {
	Issuer string

	key   *Key
	mu    sync.Mutex
	codes map[string]url.Values // authorization requests by code
	lie   lie
	asked url.Values // the last authorization request
	last  string     // the last answer that it sent the browser to
}

// A lie changes an id token before it is signed: with the key that it returns, or
// with the provider's own if that is nil.
type lie func(header, claims object) *Key

// as lets the next sign-ins be of this kind; nil is Ana Ortiz, with two factors.
func (p *IdentityProvider) as(l lie) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lie = l
}

// again is the last answer once more, with a code that is as good as the first.
func (p *IdentityProvider) again() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	u, err := url.Parse(p.last)
	if err != nil {
		return ""
	}
	p.codes[u.Query().Get("code")] = p.asked
	return p.last
}

// adopt takes the last answer of another provider for its own, as one does that
// wants to be mixed up with it.
func (p *IdentityProvider) adopt(other *IdentityProvider) {
	other.mu.Lock()
	at, asked := other.last, other.asked
	other.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if u, err := url.Parse(at); err == nil {
		p.codes[u.Query().Get("code")] = asked
	}
}

// ServeHTTP implements http.Handler.
func (p *IdentityProvider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(object{ // to a connection that may be gone
			"issuer": p.Issuer, "authorization_endpoint": p.Issuer + "/authorize", "token_endpoint": p.Issuer + "/token", "jwks_uri": p.Issuer + "/jwks",
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
			"id_token_signing_alg_values_supported": []string{"RS256"}, "code_challenge_methods_supported": []string{"S256"},
			"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
		})
	case "/jwks":
		_, _ = w.Write([]byte(JWKS(p.key)))
	case "/authorize":
		q := r.URL.Query()
		code := rand.Text()
		p.codes[code], p.asked = q, q
		p.last = q.Get("redirect_uri") + "?" + url.Values{"code": {code}, "state": {q.Get("state")}}.Encode()
		http.Redirect(w, r, p.last, http.StatusFound)
	case "/token":
		p.token(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (p *IdentityProvider) token(w http.ResponseWriter, r *http.Request) {
	q, ok := p.codes[r.PostFormValue("code")]
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !ok || q.Has("code_challenge") && b64(sum[:]) != q.Get("code_challenge") {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
		return
	}
	delete(p.codes, r.PostFormValue("code"))
	header := object{"alg": p.key.Alg, "kid": p.key.KID, "typ": "JWT"}
	claims := object{
		"iss": p.Issuer, "aud": q.Get("client_id"), "sub": "ortiz", "name": "Ana Ortiz", "nonce": q.Get("nonce"), "roles": []string{"clinician"},
		"exp": Clock().Add(5 * time.Minute).Unix(), "iat": Clock().Unix(), "auth_time": Clock().Unix(), "amr": []string{"pwd", "otp"},
	}
	f := forgery{header: header, claims: claims, key: p.key}
	if p.lie != nil {
		if k := p.lie(header, claims); k != nil {
			f.key = k
		}
	}
	if header["alg"] == "none" {
		f.key = nil
	}
	token, err := f.token()
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(w).Encode(object{"access_token": rand.Text(), "token_type": "Bearer", "expires_in": 300, "id_token": token})
}
