package attack

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A Party is one client of the gateway with its key.
type Party struct {
	ID    string
	Key   *Key
	Scope string // all that it is registered for
	// Secret of a confidential app; Redirect, where its codes go.
	Secret, Redirect string
	// Organization is what it must assert, "Organization/…", and Purpose one of
	// its purposes, of a client that names users.
	Organization, Purpose string
}

// A Target is a gateway under attack with what the attacker holds.
type Target struct {
	Base    string // FHIR base URL
	Token   string // URL of the token endpoint
	Parties map[string]*Party
	Keys    map[string]*Key   // others' signing keys: "issuer" is the gateway's own
	Issuers map[string]string // iss of outside issuers, by the name of their key
	Records map[string]string // references by what they are to whom: README.md lists them

	Hook *Hook // where signed events come in; nil: nowhere that is known
	// Provider and Police sign people in of the clinic and of the police, where the
	// suite plays them itself.
	Provider, Police *IdentityProvider
	// Later sets the gateway's clock for what people and apps are granted on by so
	// much, 0 back; nil where nobody can.
	Later func(time.Duration)

	client *http.Client
	tokens map[string]heldToken
}

// NewTarget looks the gateway's endpoints up.
func NewTarget(ctx context.Context, base string) (*Target, error) {
	t := &Target{
		Base: strings.TrimRight(base, "/"), Parties: map[string]*Party{}, Keys: map[string]*Key{},
		Issuers: map[string]string{}, Records: map[string]string{"mark": rand.Text()}, tokens: map[string]heldToken{},
	}
	t.client = &http.Client{
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     everyman(),
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.Base+"/.well-known/smart-configuration", nil)
	if err != nil {
		return nil, err
	}
	a, err := t.send(req)
	if err != nil {
		return nil, err
	}
	var found struct {
		Token string `json:"token_endpoint"`
	}
	if err := json.Unmarshal(a.body, &found); err != nil || a.status != http.StatusOK || found.Token == "" {
		return nil, fmt.Errorf("%s: no SMART configuration with a token endpoint: %s", req.URL, a)
	}
	t.Token = found.Token
	return t, nil
}

// Origin is scheme and host of the gateway: the iss of its tokens.
func (t *Target) Origin() string {
	u, err := url.Parse(t.Token)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

func (t *Target) party(name string) (*Party, error) {
	if p := t.Parties[name]; p != nil {
		return p, nil
	}
	return nil, Missing("client " + name)
}

func (t *Target) key(name string) (*Key, error) {
	if k := t.Keys[name]; k != nil {
		return k, nil
	}
	return nil, Missing("key of " + name)
}

// record returns the reference of what stands under a name.
func (t *Target) record(name string) (string, error) {
	if r := t.Records[name]; r != "" {
		return r, nil
	}
	return "", Missing("record " + name)
}

// Clock is the time by which clients, agencies and attackers make what has a time:
// that of the gateway's store. A test may set it off this machine's.
var Clock = time.Now

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// assertion makes the header and claims of a good assertion of the party.
func (t *Target) assertion(p *Party) (header, claims object) {
	header = object{"alg": p.Key.Alg, "kid": p.Key.KID, "typ": "JWT"}
	claims = object{
		"iss": p.ID, "sub": p.ID, "aud": t.Token, "jti": rand.Text(),
		"exp": Clock().Add(2 * time.Minute).Unix(), "iat": Clock().Unix(),
	}
	if p.Organization != "" {
		claims["extensions"] = object{"hl7-b2b": object{
			"version": "1", "organization_id": p.Organization, "purpose_of_use": []string{p.Purpose},
			"subject_id": "urn:handoff:test:user#7", "subject_name": "Pat Reyes",
		}}
		claims["amr"] = []string{"pwd", "otp"}
	}
	return header, claims
}

// form is a token request by client credentials.
func form(assertion, scope string) url.Values {
	return url.Values{
		"grant_type": {"client_credentials"}, "scope": {scope},
		"client_assertion_type": {assertionType}, "client_assertion": {assertion},
	}
}

// post sends a form to an endpoint.
func (t *Target) post(address string, f url.Values, changes ...change) (*answer, error) {
	return t.ask("", http.MethodPost, address, []byte(f.Encode()),
		append([]change{with("Content-Type", "application/x-www-form-urlencoded")}, changes...)...)
}

// grant asks for a token; vary may change header and claims of the assertion.
func (t *Target) grant(p *Party, scope string, vary func(header, claims object)) (*answer, error) {
	header, claims := t.assertion(p)
	if vary != nil {
		vary(header, claims)
	}
	signed, err := forgery{header: header, claims: claims, key: p.Key}.token()
	if err != nil {
		return nil, err
	}
	return t.post(t.Token, form(signed, scope))
}

// tokenOf gets an access token, or one that it has from before; scope "" is all
// that the party is registered for.
func (t *Target) tokenOf(party, scope string) (string, error) {
	p, err := t.party(party)
	if err != nil {
		return "", err
	}
	if scope == "" {
		scope = p.Scope
	}
	if held := t.tokens[party+" "+scope]; held.token != "" && time.Since(held.since) < tokenUse {
		return held.token, nil
	}
	since := time.Now()
	token, err := t.newToken(p, scope)
	if err == nil {
		t.tokens[party+" "+scope] = heldToken{token, since}
	}
	return token, err
}

// A heldToken is an access token and when it was asked for.
type heldToken struct {
	token string
	since time.Time
}

// tokenUse is how long one is used: it lives five minutes, and a run on a busy machine
// takes longer.
const tokenUse = 3 * time.Minute

// newToken gets one that nobody had before.
func (t *Target) newToken(p *Party, scope string) (string, error) {
	a, err := t.grant(p, scope, nil)
	if err != nil {
		return "", err
	}
	token := a.text("access_token")
	if a.status != http.StatusOK || token == "" {
		return "", fmt.Errorf("no token for %s with %q: %s", p.ID, scope, a)
	}
	return token, nil
}

// access makes the header and claims of a good access token of a client, as the
// gateway would.
func (t *Target) access(p *Party) (header, claims object, err error) {
	k, err := t.key("issuer")
	if err != nil {
		return nil, nil, err
	}
	header = object{"alg": k.Alg, "kid": k.KID, "typ": "at+jwt"}
	claims = object{
		"iss": t.Origin(), "sub": p.ID, "client_id": p.ID, "aud": t.Base, "scope": p.Scope, "jti": rand.Text(),
		"iat": Clock().Unix(), "exp": Clock().Add(2 * time.Minute).Unix(),
	}
	return header, claims, nil
}

// forged makes an access token with the gateway's own key; vary may change what
// it says.
func (t *Target) forged(party string, vary func(header, claims object)) (string, error) {
	p, err := t.party(party)
	if err != nil {
		return "", err
	}
	header, claims, err := t.access(p)
	if err != nil {
		return "", err
	}
	if vary != nil {
		vary(header, claims)
	}
	return forgery{header: header, claims: claims, key: t.Keys["issuer"]}.token()
}

func merged(o object, more object) object {
	out := maps.Clone(o)
	maps.Copy(out, more)
	return out
}

// later sets the clock on; back sets it back.
func (t *Target) later(d time.Duration) (back func(), err error) {
	if t.Later == nil {
		return nil, Missing("hold of its clock")
	}
	t.Later(d)
	return func() { t.Later(0) }, nil
}
