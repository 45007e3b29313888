package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/smart"
)

// An Issuer is an authorization server whose access tokens are accepted.
type Issuer struct {
	ID         string // the iss of its tokens
	Audience   string // what their aud must contain: the FHIR base URL
	Algorithms []string
	Keys       KeySource
	// Outside marks somebody else's server: the typ "JWT" or none is accepted
	// beside at+jwt, exp gets the clock skew, Claims says what its claims mean, and
	// only clients registered for this issuer are known.
	Outside bool
	Claims  ClaimMap
}

// VerifierOptions says which tokens are believed.
type VerifierOptions struct {
	Issuers  []Issuer
	Registry *Registry
	Facts    store.Facts      // what was ended before its time
	Skew     time.Duration    // 0 is DefaultSkew
	Now      func() time.Time // nil is time.Now
	// CacheSize is the most verified tokens kept; 0 is 10,000.
	CacheSize int
}

// A Verifier turns access tokens into principals. It is safe for concurrent use.
type Verifier struct {
	o       VerifierOptions
	issuers map[string]*Issuer
	order   []*Issuer
	base    string // FHIR base URL
	cache   *tokenCache
}

const defaultCacheSize = 10_000

// OwnIssuer is the gateway's own token endpoint as an issuer. keys are the
// signing key first and, during a rotation, the former ones whose tokens still
// live.
func OwnIssuer(id, audience string, keys ...*PrivateKey) (Issuer, error) {
	var algs []string
	for _, k := range keys {
		algs = append(algs, k.Algorithm())
	}
	jwks, err := PublicKeys(keys...)
	if err != nil {
		return Issuer{}, err
	}
	set, err := ParseKeySet(jwks)
	if err != nil {
		return Issuer{}, fmt.Errorf("issuer %s: %w", id, err)
	}
	return Issuer{ID: id, Audience: audience, Algorithms: algs, Keys: set}, nil
}

// NewVerifier checks the options.
func NewVerifier(o VerifierOptions) (*Verifier, error) {
	if o.Registry == nil || o.Facts == nil || len(o.Issuers) == 0 {
		return nil, errors.New("verifier: issuers, registry or facts are missing")
	}
	v := &Verifier{issuers: make(map[string]*Issuer, len(o.Issuers))}
	for i := range o.Issuers {
		is := o.Issuers[i]
		if is.ID == "" || is.Audience == "" || is.Keys == nil {
			return nil, fmt.Errorf("verifier: issuer %d (%q): id, audience or keys are missing", i, is.ID)
		}
		if err := checkAlgorithms(is.Algorithms); err != nil {
			return nil, fmt.Errorf("verifier: issuer %q: %w", is.ID, err)
		}
		if v.issuers[is.ID] != nil {
			return nil, fmt.Errorf("verifier: issuer %q is listed twice", is.ID)
		}
		if err := is.Claims.check(); err != nil {
			return nil, fmt.Errorf("verifier: issuer %q: %w", is.ID, err)
		}
		v.issuers[is.ID], v.order = &is, append(v.order, &is)
		if !is.Outside || v.base == "" {
			v.base = is.Audience
		}
	}
	if err := v.sharedKeys(); err != nil {
		return nil, fmt.Errorf("verifier: %w", err)
	}
	var err error
	if o.Skew, err = checkSkew(o.Skew); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.CacheSize <= 0 {
		o.CacheSize = defaultCacheSize
	}
	v.o, v.cache = o, newTokenCache(o.CacheSize)
	return v, nil
}

// Verify says who the bearer of an access token is, by the registration as it
// stands now. A token that is not believed gives a [*Refusal]; any other error
// means that the question could not be answered, and the request must fail.
func (v *Verifier) Verify(ctx context.Context, bearer string) (*Principal, error) {
	_, p, err := v.believe(ctx, bearer)
	return p, err
}

// believe is Verify with the token itself.
func (v *Verifier) believe(ctx context.Context, bearer string) (*verified, *Principal, error) {
	now := v.o.Now()
	hash := sha256.Sum256([]byte(bearer))
	t := v.cache.get(hash)
	if t == nil || !v.stillSigned(ctx, t) {
		var err error
		if t, err = v.verify(ctx, bearer); err != nil {
			v.cache.drop(hash)
			if reasonOf(err) == reasonKeysUnavailable {
				return nil, nil, err // not the token's fault
			}
			return nil, nil, invalidToken(err)
		}
	}
	if err := t.claims.current(now, t.issuer.expSkew(v.o.Skew), v.o.Skew); err != nil {
		v.cache.drop(hash)
		return nil, nil, invalidToken(err)
	}
	if err := t.alive(ctx, v.o.Facts); err != nil {
		if f := (*fault)(nil); !errors.As(err, &f) {
			return nil, nil, err
		}
		v.cache.drop(hash)
		return nil, nil, invalidToken(err)
	}
	// A note that ends a token goes some time after the token: where this process stood
	// still for so long, it says nothing any more.
	if err := t.claims.current(v.o.Now(), t.issuer.expSkew(v.o.Skew), v.o.Skew); err != nil {
		v.cache.drop(hash)
		return nil, nil, invalidToken(err)
	}
	state, err := v.o.Registry.current(ctx)
	if err != nil {
		return nil, nil, err
	}
	p, err := v.principal(t, state)
	if err != nil {
		return nil, nil, invalidToken(err)
	}
	v.cache.put(hash, t, now)
	return t, p, nil
}

// Registered says for whom a token of the client would speak with all that it
// is registered for. An error means that it gets no tokens.
func (v *Verifier) Registered(ctx context.Context, client string) (*Principal, error) {
	c, err := v.o.Registry.client(ctx, client)
	if err != nil {
		return nil, err
	}
	if c == nil || c.Disabled {
		return nil, whyNot(c)
	}
	p, err := c.principal(c.Scopes, c.Operations, nil, "", nil)
	return &p, err
}

// invalidToken says the same for every reason.
func invalidToken(err error) error {
	return &Refusal{Status: http.StatusUnauthorized, Code: codeInvalidToken, Reason: reasonOf(err), Err: err}
}

// A verified is a token whose signature, issuer and audience hold.
type verified struct {
	issuer *Issuer
	claims claims
	client string
	scopes smart.Scopes
	// operations and asserted are as they stand in the token; what they are worth
	// is the registration's to say.
	operations []string
	context    []string // scopes of the launch and the sign-in; they open nothing
	asserted   *Asserted
	person     personClaims // of a token for a person who signed in here
	generation generation   // of one of the gateway's own; zero where it does not say
	endings    []ending
	endingKeys []string  // of endings, in their order
	outsider   *outsider // of a token for a person that an outside issuer made
	kid        string
	keys       *KeySet   // the set in which the key was found
	held       []*KeySet // of all issuers, in their order, when no other had the key

	cached atomic.Pointer[built]
}

func (is *Issuer) expSkew(skew time.Duration) time.Duration {
	if is.Outside {
		return skew
	}
	return 0
}

// types are the accepted typ values.
func (is *Issuer) types() []string {
	if is.Outside {
		return []string{accessType, "jwt", ""}
	}
	return []string{accessType}
}

// verify believes a token from its bytes.
func (v *Verifier) verify(ctx context.Context, bearer string) (*verified, error) {
	s, err := parseSigned(bearer)
	if err != nil {
		return nil, err
	}
	is := v.issuers[s.claims.issuer]
	if is == nil && guard.Off(guard.TokenIssuer) {
		for _, is = range v.issuers {
			if !is.Outside {
				break
			}
		}
	}
	if is == nil {
		return nil, faultf("issuer", "issuer %.200q is not accepted", s.claims.issuer)
	}
	key, set, err := verifySignature(ctx, s, expectation{keys: is.Keys, algorithms: is.Algorithms, types: is.types()})
	if err != nil {
		return nil, err
	}
	held, err := v.onlyOne(is, key)
	if err != nil {
		return nil, err
	}
	t := &verified{issuer: is, claims: s.claims, kid: key.kid, keys: set, held: held}
	if is.Outside {
		t.claims.id = is.Claims.ID.or("jti").in(s.claims.node).Text()
	}
	if !t.claims.forAudience(is.Audience) {
		return nil, faultf("audience", "aud %.200q", t.claims.audience)
	}
	if err := t.claims.bounded(); err != nil {
		return nil, err
	}
	if (t.claims.id == "" || len(t.claims.id) > maxJTIBytes) && !guard.Off(guard.TokenID) {
		return nil, faultf("jti", "jti of %d bytes", len(t.claims.id))
	}
	if err := t.readGrant(); err != nil {
		return nil, err
	}
	t.endings = t.listEndings()
	t.endingKeys = keysOf(t.endings)
	t.claims.node = resource.Node{} // lets go of the token's bytes
	return t, nil
}

// readGrant takes client, scopes and person from the claims.
func (t *verified) readGrant() error {
	if t.issuer.Outside {
		return t.readOutside()
	}
	n := t.claims.node
	if t.client = n.Get("client_id").Text(); t.client == "" {
		return faultf("claims", "client_id is missing")
	}
	t.person = readPerson(n)
	if t.person.Authorization == "" && t.claims.subject != t.client && !guard.Off(guard.TokenSubject) {
		return faultf("claims", "sub is not the client")
	}
	t.context, t.scopes, t.operations = parseScopes(n.Get("scope").Text())
	var err error
	if t.generation, err = readGeneration(n, t.person.Authorization != ""); err != nil {
		return err
	}
	if t.asserted, err = readAsserted(n); err != nil {
		return faultf("asserted", "%w", err)
	}
	if t.person.Authorization != "" && (t.asserted == nil || t.asserted.UserID == "") {
		return faultf("claims", "the token is for a person and names none")
	}
	return nil
}

// stillSigned says whether the key set that verified a cached token is the one
// in force, and no other issuer's has changed: a key that was withdrawn, or turned
// up elsewhere, ends its tokens.
func (v *Verifier) stillSigned(ctx context.Context, t *verified) bool {
	set, err := t.issuer.Keys.Keys(ctx, t.kid)
	if err != nil || set != t.keys {
		return false
	}
	for i, is := range v.order {
		if heldBy(is.Keys) != t.held[i] {
			return false
		}
	}
	return true
}
