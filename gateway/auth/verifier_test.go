package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/smart"
)

func TestThePrincipalComesFromTheRegistration(t *testing.T) {
	w := newWorld(t)
	token := w.token(t, "system/*.rs")
	p, err := w.verifier.Verify(context.Background(), token)
	if err != nil {
		t.Fatal(err)
	}
	if p.Client != "rms" || p.Issuer != issuerID || !p.Police || p.Requester.Organization != "Organization/riverton-pd" ||
		p.Requester.Client != "rms" || len(p.Requester.Roles) != 1 || p.Patient != "" || p.Requester.TreatingProvider {
		t.Errorf("principal %+v", p)
	}
	if got := p.Scopes.String(); got != "system/Patient.rs system/Encounter.rs system/Observation.rs?category=laboratory" {
		t.Errorf("scopes %q", got)
	}
	// A registration that narrows takes effect on the next request.
	w.replace(t, func(c *auth.Client) {
		c.Scopes = smart.ParseGranted("system/Patient.r")
		c.Purposes = []string{"x|y"}
		c.OrganizationKind = auth.Health
	})
	if p, err = w.verifier.Verify(context.Background(), token); err != nil {
		t.Fatal(err)
	}
	if p.Scopes.String() != "system/Patient.r" || p.Police || cmp.Diff(p.Purposes, []string{"x|y"}) != "" {
		t.Errorf("principal after the change %+v", p)
	}
	// One that widens does not widen a token.
	w.replace(t, func(c *auth.Client) { c.Scopes = smart.ParseGranted("system/*.cruds") })
	if p, _ = w.verifier.Verify(context.Background(), token); p.Scopes.Allows("Consent", smart.Read) || p.Scopes.Allows("Patient", smart.Create) {
		t.Errorf("widened to %v", p.Scopes)
	}
	w.replace(t, func(c *auth.Client) { c.Disabled = true })
	if _, err = w.verifier.Verify(context.Background(), token); err == nil {
		t.Error("the token of a disabled client is believed")
	}
	w.replace(t, func(c *auth.Client) { c.ID = "renamed" })
	if _, err = w.verifier.Verify(context.Background(), token); err == nil {
		t.Error("the token of a removed client is believed")
	}
	w.replace(t, func(c *auth.Client) {})
	if _, err = w.verifier.Verify(context.Background(), token); err != nil {
		t.Errorf("restored: %v", err)
	}
}

func accessClaims(w *world, over map[string]any) map[string]any {
	return merge(map[string]any{
		"iss": issuerID, "sub": "rms", "client_id": "rms", "aud": fhirBase, "scope": "system/Patient.rs",
		"iat": w.in(0), "exp": w.in(5 * time.Minute), "jti": "t1",
	}, over)
}

func TestForgedAccessTokensAreRefused(t *testing.T) {
	w := newWorld(t)
	is, es, stranger := keys()["issuer"], keys()["es"], keys()["stranger"]
	impostor := stranger
	impostor.kid = is.kid
	at := map[string]any{"typ": "at+jwt"}
	with := func(claims map[string]any) string {
		return forgery{by: is, header: at, claims: accessClaims(w, claims)}.String()
	}
	head := func(header map[string]any) string {
		h := map[string]any{"typ": "at+jwt"}
		for k, v := range header {
			h[k] = v
		}
		return forgery{by: is, header: h, claims: accessClaims(w, nil)}.String()
	}
	good := with(nil)
	if _, err := w.verifier.Verify(context.Background(), good); err != nil {
		t.Fatalf("the unbent token: %v", err)
	}
	if _, err := w.verifier.Verify(context.Background(), head(map[string]any{"typ": "application/AT+JWT"})); err != nil {
		t.Fatalf("typ with its media type: %v", err)
	}
	parts := strings.Split(good, ".")
	for note, token := range map[string]string{
		"empty":                         "",
		"nonsense":                      "x.y.z",
		"very long":                     good + strings.Repeat("A", 20<<10),
		"garbled signature":             good[:len(good)-6] + "AAAAAA",
		"cut":                           good[:len(good)-1],
		"another payload":               parts[0] + "." + b64(marshal(accessClaims(w, map[string]any{"scope": "system/*.cruds"}))) + "." + parts[2],
		"alg none":                      b64([]byte(`{"alg":"none","typ":"at+jwt","kid":"issuer-key"}`)) + "." + parts[1] + ".",
		"alg HS256 with the key":        hs256(marshal(is.jwk(false)), map[string]any{"alg": "HS256", "kid": is.kid, "typ": "at+jwt"}, accessClaims(w, nil)),
		"alg swapped to ES384":          forgery{by: es, header: merge(at, map[string]any{"kid": is.kid}), claims: accessClaims(w, nil)}.String(),
		"alg name swapped":              head(map[string]any{"alg": "ES384"}),
		"by a client's key":             forgery{by: es, header: at, claims: accessClaims(w, nil)}.String(),
		"by a stranger under the kid":   forgery{by: impostor, header: map[string]any{"typ": "at+jwt", "alg": "ES256"}, claims: accessClaims(w, nil), alg: "ES256"}.String(),
		"embedded jwk":                  head(map[string]any{"jwk": is.jwk(false)}),
		"crit":                          head(map[string]any{"crit": []string{"x"}}),
		"no kid":                        head(map[string]any{"kid": nil}),
		"unknown kid":                   head(map[string]any{"kid": "x"}),
		"typ JWT":                       head(map[string]any{"typ": "JWT"}),
		"typ missing":                   forgery{by: is, header: map[string]any{"typ": nil}, claims: accessClaims(w, nil)}.String(),
		"another issuer":                with(map[string]any{"iss": "https://other.example"}),
		"issuer with a slash":           with(map[string]any{"iss": issuerID + "/"}),
		"no issuer":                     with(map[string]any{"iss": nil}),
		"another audience":              with(map[string]any{"aud": "https://other.example/fhir"}),
		"audience with a slash":         with(map[string]any{"aud": fhirBase + "/"}),
		"audience the token URL":        with(map[string]any{"aud": tokenURL}),
		"no audience":                   with(map[string]any{"aud": nil}),
		"expired":                       with(map[string]any{"exp": w.in(-time.Second)}),
		"expires now":                   with(map[string]any{"exp": w.in(0)}),
		"no exp":                        with(map[string]any{"exp": nil}),
		"exp a string":                  with(map[string]any{"exp": fmt.Sprint(w.in(time.Minute))}),
		"exp huge":                      with(map[string]any{"exp": 1e30}),
		"nbf future":                    with(map[string]any{"nbf": w.in(time.Hour)}),
		"iat future":                    with(map[string]any{"iat": w.in(time.Hour)}),
		"no jti":                        with(map[string]any{"jti": nil}),
		"jti long":                      with(map[string]any{"jti": strings.Repeat("j", 256)}),
		"no client":                     with(map[string]any{"client_id": nil}),
		"azp is no client here":         with(map[string]any{"client_id": nil, "azp": "rms"}),
		"client an array":               with(map[string]any{"client_id": []string{"rms"}}),
		"sub is not the client":         with(map[string]any{"sub": "ehr"}),
		"unknown client":                with(map[string]any{"sub": "nobody", "client_id": "nobody"}),
		"disabled client":               with(map[string]any{"sub": "gone", "client_id": "gone"}),
		"client of an outside issuer":   with(map[string]any{"sub": "idp-client", "client_id": "idp-client"}),
		"duplicate scope":               forgery{by: is, header: at, rawCls: fmt.Sprintf(`{"iss":%q,"sub":"rms","client_id":"rms","aud":%q,"exp":%d,"jti":"d","scope":"system/Patient.rs","scope":"system/*.cruds"}`, issuerID, fhirBase, w.in(time.Minute))}.String(),
		"jku":                           head(map[string]any{"jku": "https://evil.example"}),
		"x5u":                           head(map[string]any{"x5u": "https://evil.example/cert.pem"}),
		"a stranger's x5c":              forgery{by: impostor, header: map[string]any{"typ": "at+jwt", "alg": "ES256", "x5c": []string{"MIIB"}}, claims: accessClaims(w, nil), alg: "ES256"}.String(),
		"a stranger's jwk":              forgery{by: impostor, header: map[string]any{"typ": "at+jwt", "alg": "ES256", "jwk": stranger.jwk(false)}, claims: accessClaims(w, nil), alg: "ES256"}.String(),
		"kid a path":                    forgery{by: impostor, header: map[string]any{"typ": "at+jwt", "alg": "ES256", "kid": "../../dev/null"}, claims: accessClaims(w, nil), alg: "ES256"}.String(),
		"kid a query":                   head(map[string]any{"kid": "' OR '1'='1"}),
		"kid a number":                  head(map[string]any{"kid": 1}),
		"kid long":                      head(map[string]any{"kid": strings.Repeat("k", 256)}),
		"b64 false":                     head(map[string]any{"b64": false}),
		"zip":                           head(map[string]any{"zip": "DEF"}),
		"alg in another case":           head(map[string]any{"alg": "es256"}),
		"alg a list":                    head(map[string]any{"alg": []string{"ES256"}}),
		"alg none in another case":      b64([]byte(`{"alg":"nOnE","typ":"at+jwt","kid":"issuer-key"}`)) + "." + parts[1] + "." + parts[2],
		"HS256 with the PEM of nothing": hs256(nil, map[string]any{"alg": "HS256", "kid": is.kid, "typ": "at+jwt"}, accessClaims(w, nil)),
		"an id token":                   head(map[string]any{"typ": "JWT"}),
		"a logout token":                head(map[string]any{"typ": "logout+jwt"}),
		"duplicate alg":                 forgery{by: is, rawHdr: `{"alg":"ES256","alg":"none","typ":"at+jwt","kid":"issuer-key"}`, claims: accessClaims(w, nil)}.String(),
		"duplicate iss":                 forgery{by: is, header: at, rawCls: fmt.Sprintf(`{"iss":%q,"iss":"https://idp.example","sub":"rms","client_id":"rms","aud":%q,"iat":%d,"exp":%d,"jti":"d"}`, issuerID, fhirBase, w.in(0), w.in(time.Minute))}.String(),
		"a claim name in another case":  forgery{by: is, header: at, rawCls: fmt.Sprintf(`{"iss":%q,"sub":"rms","CLIENT_ID":"rms","aud":%q,"iat":%d,"exp":%d,"jti":"d"}`, issuerID, fhirBase, w.in(0), w.in(time.Minute))}.String(),
		"data after the claims":         forgery{by: is, header: at, rawCls: string(marshal(accessClaims(w, nil))) + `{}`}.String(),
		"data after the token":          good + ".x",
		"a newline after it":            good + "\n",
		"padding":                       good + "=",
		"another encoding of its end":   otherEnd(good),
		"a space in it":                 parts[0] + "." + parts[1] + " ." + parts[2],
		"standard base64":               strings.NewReplacer("-", "+", "_", "/").Replace(forgery{by: is, header: map[string]any{"typ": "at+jwt", "x": "\u00ff\u00fe\u00fd?>"}, claims: accessClaims(w, map[string]any{"x": "???>>>~~~"})}.String()) + "+",
		"claims no object":              forgery{by: is, header: at, rawCls: `["x"]`}.String(),
		"claims with a lone surrogate":  forgery{by: is, header: at, rawCls: `{"iss":"\ud800"}`}.String(),
		"audience an object":            with(map[string]any{"aud": map[string]any{"x": fhirBase}}),
		"audience of many":              with(map[string]any{"aud": slices.Repeat([]string{"x"}, 17)}),
		"audience with a number":        with(map[string]any{"aud": []any{fhirBase, 1}}),
		"issuer a list":                 with(map[string]any{"iss": []string{issuerID}}),
		"jti a number":                  with(map[string]any{"jti": 7}),
		"exp negative":                  with(map[string]any{"exp": -1}),
		"iat a string":                  with(map[string]any{"iat": "now"}),
		"scope a list":                  with(map[string]any{"scope": []string{"system/*.cruds"}, "jti": nil}),
		"for a person who is unnamed":   with(map[string]any{"authorization": "family"}),
		"an assertion in its place":     w.good(),
		"an assertion by the issuer":    forgery{by: is, claims: w.claims("rms", nil)}.String(),
		"alg none and a stray payload":  "..",
	} {
		t.Run(note, func(t *testing.T) {
			for range 2 { // the second look must not find a first one's trace
				p, err := w.verifier.Verify(context.Background(), token)
				if err == nil {
					t.Fatalf("believed: %+v", p)
				}
				r := (*auth.Refusal)(nil)
				if !errors.As(err, &r) || r.Reason == "" || r.Reason == "error" {
					t.Fatalf("error %v", err)
				}
				status, header := auth.Challenge("handoff", err)
				if status != 401 || header != `Bearer realm="handoff", error="invalid_token"` {
					t.Errorf("challenge %d %s", status, header)
				}
			}
		})
	}
}

// otherEnd writes the same signature with stray bits in its last character.
func otherEnd(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + string(alphabet[i^1])
}

func TestForeignScopesInATokenOpenNothing(t *testing.T) {
	w := newWorld(t)
	is := keys()["issuer"]
	for scope, want := range map[string]string{
		"user/*.cruds patient/*.rs launch":           "",
		"system/*.cruds":                             "system/Patient.rs system/Encounter.rs system/Observation.rs?category=laboratory",
		"openid system/Patient.sr system/Patient.r":  "system/Patient.r",
		"system/NoSuch.rs system/Observation.r?x=y ": "",
	} {
		p, err := w.verifier.Verify(context.Background(), forgery{by: is, header: map[string]any{"typ": "at+jwt"}, claims: accessClaims(w, map[string]any{"scope": scope})}.String())
		if err != nil {
			t.Fatal(err)
		}
		if p.Scopes.String() != want {
			t.Errorf("%q opens %q, want %q", scope, p.Scopes, want)
		}
	}
}

func TestACachedTokenStillExpiresAndCanBeRevoked(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	token := w.token(t, "system/Patient.rs")
	p, err := w.verifier.Verify(ctx, token)
	if err != nil {
		t.Fatal(err)
	}
	w.clock.add(auth.MaxTokenLife - time.Second)
	if _, err := w.verifier.Verify(ctx, token); err != nil {
		t.Errorf("a second before its end: %v", err)
	}
	w.clock.add(time.Second)
	if _, err := w.verifier.Verify(ctx, token); err == nil {
		t.Error("believed at its end")
	}

	token = w.token(t, "system/Patient.rs")
	another := w.token(t, "system/Patient.rs")
	for _, x := range []string{token, another} {
		if p, err = w.verifier.Verify(ctx, x); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // twice is no error
		if err := auth.Revoke(ctx, w.facts, p.Issuer, p.TokenID, p.Expires); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.verifier.Verify(ctx, another); err == nil {
		t.Error("a revoked token is believed")
	}
	if _, err := w.verifier.Verify(ctx, token); err != nil {
		t.Errorf("another token of the client: %v", err)
	}
	w.facts.fail = errors.New("store down")
	_, err = w.verifier.Verify(ctx, token)
	if r := (*auth.Refusal)(nil); err == nil || errors.As(err, &r) {
		t.Errorf("without the deny list: %v", err)
	}
	if status, _ := auth.Challenge("x", err); status != 503 {
		t.Errorf("without the deny list: status %d", status)
	}
	if err := auth.Revoke(ctx, w.facts, "i", "t", p.Expires); err == nil {
		t.Error("revoked without a store")
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	w := newWorld(t)
	key, err := auth.ParsePrivateKey(marshal(keys()["issuer"].jwk(true)))
	if err != nil {
		t.Fatal(err)
	}
	own, err := auth.OwnIssuer(issuerID, fhirBase, key)
	if err != nil {
		t.Fatal(err)
	}
	v, err := auth.NewVerifier(auth.VerifierOptions{Issuers: []auth.Issuer{own}, Registry: w.registry, Facts: w.facts, Now: w.clock.now, CacheSize: 4})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 40 {
		token := forgery{by: keys()["issuer"], header: map[string]any{"typ": "at+jwt"}, claims: accessClaims(w, map[string]any{"jti": fmt.Sprint("c", i)})}.String()
		wg.Go(func() {
			for range 3 {
				if p, err := v.Verify(context.Background(), token); err != nil || p.TokenID != fmt.Sprint("c", i) {
					t.Errorf("%v %v", p, err)
				}
			}
		})
	}
	wg.Wait()
	if n := v.Cached(); n > 4 {
		t.Errorf("%d tokens cached, want at most 4", n)
	}
}

func TestKeyRotation(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	token := w.token(t, "system/Patient.rs")
	oldKey, err := auth.ParsePrivateKey(marshal(keys()["issuer"].jwk(true)))
	if err != nil {
		t.Fatal(err)
	}
	newKey, err := auth.GenerateKey(auth.ES256)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		note string
		keys []*auth.PrivateKey
		want bool
	}{{"both keys", []*auth.PrivateKey{newKey, oldKey}, true}, {"new key only", []*auth.PrivateKey{newKey}, false}} {
		own, err := auth.OwnIssuer(issuerID, fhirBase, tt.keys...)
		if err != nil {
			t.Fatal(err)
		}
		v, err := auth.NewVerifier(auth.VerifierOptions{Issuers: []auth.Issuer{own}, Registry: w.registry, Facts: w.facts, Now: w.clock.now})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(ctx, token); (err == nil) != tt.want {
			t.Errorf("%s: %v", tt.note, err)
		}
	}
}

// keysNow is a key source that the test changes.
type keysNow struct {
	set *auth.KeySet
	err error
}

func (k *keysNow) Keys(context.Context, string) (*auth.KeySet, error) { return k.set, k.err }
func (k *keysNow) Held() *auth.KeySet                                 { return k.set }

func TestOutsideIssuers(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	own, err := auth.ParseKeySet(jwks(keys()["issuer"]))
	if err != nil {
		t.Fatal(err)
	}
	idp := keys()["stranger"]
	idpSet, err := auth.ParseKeySet(jwks(idp))
	if err != nil {
		t.Fatal(err)
	}
	source := &keysNow{set: idpSet}
	v, err := auth.NewVerifier(auth.VerifierOptions{
		Issuers: []auth.Issuer{
			{ID: issuerID, Audience: fhirBase, Algorithms: []string{auth.ES256}, Keys: own},
			{ID: "https://idp.example", Audience: fhirBase, Algorithms: []string{auth.ES384}, Keys: source, Outside: true},
		},
		Registry: w.registry, Facts: w.facts, Now: w.clock.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	claims := func(over map[string]any) map[string]any {
		return accessClaims(w, merge(map[string]any{"iss": "https://idp.example", "sub": "service-account", "client_id": nil, "azp": "idp-client", "aud": []string{"account", fhirBase}}, over))
	}
	token := forgery{by: idp, claims: claims(nil)}.String()
	p, err := v.Verify(ctx, token)
	if err != nil {
		t.Fatal(err)
	}
	if p.Client != "idp-client" || p.Issuer != "https://idp.example" || !p.Police {
		t.Errorf("principal %+v", p)
	}
	for note, bad := range map[string]string{
		"a client of ours in its token":  forgery{by: idp, claims: claims(map[string]any{"azp": "rms"})}.String(),
		"our issuer by its key":          forgery{by: idp, header: map[string]any{"typ": "at+jwt"}, claims: accessClaims(w, nil)}.String(),
		"its issuer by our key":          forgery{by: keys()["issuer"], claims: claims(nil)}.String(),
		"its token with our algorithm":   forgery{by: idp, header: map[string]any{"alg": "ES256"}, claims: claims(nil), alg: "ES256"}.String(),
		"audience without ours":          forgery{by: idp, claims: claims(map[string]any{"aud": "account"})}.String(),
		"expired beyond the clock skew":  forgery{by: idp, claims: claims(map[string]any{"exp": w.in(-auth.DefaultSkew)})}.String(),
		"an ID token is no access token": forgery{by: idp, header: map[string]any{"typ": "ID"}, claims: claims(nil)}.String(),
	} {
		if p, err := v.Verify(ctx, bad); err == nil {
			t.Errorf("%s is believed: %+v", note, p)
		}
	}
	// A withdrawn key ends the tokens in the cache.
	other, err := auth.ParseKeySet(jwks(keys()["other"]))
	if err != nil {
		t.Fatal(err)
	}
	source.set = other
	if _, err := v.Verify(ctx, token); err == nil {
		t.Error("believed after its key was withdrawn")
	}
	source.set = idpSet
	if _, err := v.Verify(ctx, token); err != nil {
		t.Errorf("restored: %v", err)
	}
	source.err = errors.New("unreachable")
	_, err = v.Verify(ctx, token)
	if status, _ := auth.Challenge("x", err); err == nil || status != 503 {
		t.Errorf("keys unreachable: %v", err)
	}
}

func TestATokenThatTwoIssuersCouldHaveMadeIsRefused(t *testing.T) {
	w := newWorld(t)
	is, idp := keys()["issuer"], keys()["stranger"]
	renamed, homonym := is, idp
	renamed.kid, homonym.kid = "another-name", is.kid
	set := func(ps ...pair) *auth.KeySet {
		ks, err := auth.ParseKeySet(jwks(ps...))
		if err != nil {
			t.Fatal(err)
		}
		return ks
	}
	own, theirs := &keysNow{set: set(is)}, &keysNow{set: set(homonym)}
	issuers := []auth.Issuer{
		{ID: issuerID, Audience: fhirBase, Algorithms: []string{auth.ES256}, Keys: own},
		{ID: "https://idp.example", Audience: fhirBase, Algorithms: []string{auth.ES256, auth.ES384}, Keys: theirs, Outside: true},
	}
	o := auth.VerifierOptions{Issuers: issuers, Registry: w.registry, Facts: w.facts, Now: w.clock.now}
	v, err := auth.NewVerifier(o)
	if err != nil {
		t.Fatalf("one kid for two keys: %v", err)
	}
	token := forgery{by: is, header: map[string]any{"typ": "at+jwt"}, claims: accessClaims(w, nil)}.String()
	if !believed(t, v, t.Context(), token) {
		t.Fatal("refused while only the kid is the same")
	}
	// The other issuer turns out to hold the key, after the token was remembered.
	theirs.set = set(homonym, renamed)
	for range 2 {
		_, err = v.Verify(t.Context(), token)
		r := (*auth.Refusal)(nil)
		if !errors.As(err, &r) || r.Reason != "ambiguous" {
			t.Errorf("got %v", err)
		}
	}
	if _, err := auth.NewVerifier(o); err == nil || !strings.Contains(err.Error(), "same key") {
		t.Errorf("at the start: %v", err)
	}
	if _, err := v.Check(t.Context()); err == nil {
		t.Error("the check says nothing")
	}
	theirs.set = set(homonym)
	if !believed(t, v, t.Context(), token) {
		t.Error("refused after the key was withdrawn")
	}
	if kid := auth.SharedKey(jwks(is), jwks(idp, renamed)); kid != is.kid {
		t.Errorf("shared key %q", kid)
	}
	if kid := auth.SharedKey(jwks(is), jwks(homonym)); kid != "" {
		t.Errorf("shared key %q of strangers", kid)
	}
}

func TestVerifierOptionsAreChecked(t *testing.T) {
	w := newWorld(t)
	set, err := auth.ParseKeySet(jwks(keys()["issuer"]))
	if err != nil {
		t.Fatal(err)
	}
	good := auth.Issuer{ID: issuerID, Audience: fhirBase, Algorithms: []string{auth.ES256}, Keys: set}
	bad := map[string][]auth.Issuer{"none": nil, "the same twice": {good, good}}
	for note, change := range map[string]func(*auth.Issuer){
		"no id": func(i *auth.Issuer) { i.ID = "" }, "no audience": func(i *auth.Issuer) { i.Audience = "" },
		"no keys": func(i *auth.Issuer) { i.Keys = nil }, "no algorithms": func(i *auth.Issuer) { i.Algorithms = nil },
		"alg none": func(i *auth.Issuer) { i.Algorithms = []string{"none"} }, "alg HS256": func(i *auth.Issuer) { i.Algorithms = []string{"HS256"} },
	} {
		i := good
		change(&i)
		bad[note] = []auth.Issuer{i}
	}
	for note, issuers := range bad {
		if _, err := auth.NewVerifier(auth.VerifierOptions{Issuers: issuers, Registry: w.registry, Facts: w.facts}); err == nil {
			t.Errorf("%s was taken", note)
		}
	}
}

func TestBearerFromRequest(t *testing.T) {
	for _, tt := range []struct {
		note, url string
		headers   []string
		want      string
		status    int
		challenge string
	}{
		{"a token", "/fhir/Patient", []string{"Bearer abc.def.ghi"}, "abc.def.ghi", 0, ""},
		{"scheme in any case", "/fhir/Patient", []string{"bEARER abc"}, "abc", 0, ""},
		{"two spaces", "/fhir/Patient", []string{"Bearer  abc"}, "abc", 0, ""},
		{"none", "/fhir/Patient", nil, "", 401, `Bearer realm="handoff"`},
		{"in the URL", "/fhir/Patient?access_token=abc", nil, "", 401, `Bearer realm="handoff", error_description=`},
		{"in the URL, escaped", "/fhir/Patient?access%5Ftoken=abc", nil, "", 401, `Bearer realm="handoff", error_description=`},
		{"in both", "/fhir/Patient?access_token=abc", []string{"Bearer abc"}, "", 400, `Bearer realm="handoff", error="invalid_request"`},
		{"two headers", "/fhir/Patient", []string{"Bearer abc", "Bearer def"}, "", 400, `Bearer realm="handoff", error="invalid_request"`},
		{"basic", "/fhir/Patient", []string{"Basic YTpi"}, "", 401, `Bearer realm="handoff"`},
		{"scheme alone", "/fhir/Patient", []string{"Bearer"}, "", 401, `Bearer realm="handoff", error="invalid_token"`},
		{"scheme and a space", "/fhir/Patient", []string{"Bearer "}, "", 401, `Bearer realm="handoff", error="invalid_token"`},
		{"scheme run together", "/fhir/Patient", []string{"Bearerabc"}, "", 401, `Bearer realm="handoff"`},
		{"empty header", "/fhir/Patient", []string{""}, "", 401, `Bearer realm="handoff"`},
		{"very long", "/fhir/Patient", []string{"Bearer " + strings.Repeat("a", 64<<10)}, "", 401, `Bearer realm="handoff", error="invalid_token"`},
	} {
		t.Run(tt.note, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, tt.url, nil)
			for _, h := range tt.headers {
				r.Header.Add("Authorization", h)
			}
			got, err := auth.BearerFromRequest(r)
			if got != tt.want || (err == nil) != (tt.status == 0) {
				t.Fatalf("got %.20q, %v", got, err)
			}
			if err != nil {
				status, header := auth.Challenge("handoff", err)
				if status != tt.status || !strings.HasPrefix(header, tt.challenge) || (!strings.Contains(tt.challenge, "error=") && strings.Contains(header, "error=")) {
					t.Errorf("challenge %d %s", status, header)
				}
			}
		})
	}
	if h := auth.InsufficientAuthentication("handoff"); h != `Bearer realm="handoff", error="insufficient_user_authentication", acr_values="http://schemas.openid.net/pape/policies/2007/06/multi-factor"` {
		t.Error(h)
	}
	if h := auth.InsufficientScope("handoff"); h != `Bearer realm="handoff", error="insufficient_scope"` {
		t.Error(h)
	}
}

// FuzzVerify bends the bytes of a good token, and signs claims and headers that the
// fuzzer makes up: the former never pass, the latter only as what they say.
func FuzzVerify(f *testing.F) {
	w := withApp(f)
	is := keys()["issuer"]
	token, person := w.token(f, "system/Patient.rs"), w.personal(f, nil)
	f.Add(token, "", "")
	f.Add(person, "", "")
	f.Add(w.good(), "", "")
	f.Add("a.b.c", `{"alg":"ES256"}`, `{}`)
	f.Add(hs256(nil, map[string]any{"alg": "HS256"}, map[string]any{}), "", "")
	f.Add("", `{"alg":"ES256","kid":"issuer-key","typ":"at+jwt"}`, string(marshal(accessClaims(w, nil))))
	f.Add("", `{"alg":"ES256","kid":"issuer-key","typ":"at+jwt"}`, string(marshal(accessClaims(w, map[string]any{"authorization": "a", "sub": "x", "client_id": "app", "patient": "Patient/p"}))))
	f.Fuzz(func(t *testing.T, s, header, claims string) {
		if p, err := w.verifier.Verify(context.Background(), s); (err == nil) != (s == token || s == person) {
			t.Fatalf("%q: %+v %v", s, p, err)
		}
		if header == "" || claims == "" {
			return
		}
		p, err := w.verifier.Verify(context.Background(), forgery{by: is, rawHdr: header, rawCls: claims}.String())
		if err != nil {
			if r := (*auth.Refusal)(nil); !errors.As(err, &r) {
				t.Fatal(err)
			}
			return
		}
		said := map[string]any{}
		if err := json.Unmarshal([]byte(claims), &said); err != nil {
			t.Fatalf("%q: believed although no JSON: %v", claims, err)
		}
		levels := []string{smart.ContextSystem}
		if p.Authorization != "" {
			levels = []string{smart.ContextUser, smart.ContextPatient}
		}
		if said["iss"] != issuerID || said["client_id"] != p.Client || said["jti"] != p.TokenID || len(p.Scopes.In(levels...)) != len(p.Scopes) ||
			p.Authorization == "" && (said["sub"] != p.Client || p.Patient != "") || !w.clock.now().Before(p.Expires) {
			t.Fatalf("%s\nbelieved as %+v", claims, p)
		}
	})
}
