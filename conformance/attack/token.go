package attack

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/handoff-health/handoff/gateway/guard"
)

func tokenFamilies() []Family {
	return []Family{forgedTokens(), ownTokens(), sentTokens(), outsideTokens(), inquiries()}
}

// opens says whether a token reads a Patient that the clinician may read.
func opens(t *Target, token string, changes ...change) error {
	return opensRecord(t, token, "ada", changes...)
}

func opensRecord(t *Target, token, name string, changes ...change) error {
	ref, err := t.record(name)
	if err != nil {
		return err
	}
	a, err := t.get(token, ref, changes...)
	if err != nil {
		return err
	}
	if a.ok() || a.status == http.StatusNotModified {
		return breach("it reads %s: %s", ref, a)
	}
	if a.status != http.StatusUnauthorized && a.status != http.StatusBadRequest && a.status != http.StatusRequestHeaderFieldsTooLarge {
		return breach("it is believed enough to be answered %d, want 401: %s", a.status, a)
	}
	return nil
}

// reads is the control beside opens: no breach means that the token is no good.
func reads(t *Target, token, name string) error {
	ref, err := t.record(name)
	if err != nil {
		return err
	}
	a, err := t.get(token, ref)
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("%s: %s", ref, a)
	}
	return err
}

// vary is an attack with a token of the clinician that somebody else, or the
// gateway's key for another occasion, has made.
func vary(change func(t *Target, header, claims object)) func(*Target) error {
	return func(t *Target) error {
		token, err := t.forged("clinician", func(h, c object) { change(t, h, c) })
		if err != nil {
			return err
		}
		return opens(t, token)
	}
}

// genuine reads with a token that the gateway gave.
func genuine(t *Target) error {
	token, err := t.tokenOf("clinician", "")
	if err != nil {
		return err
	}
	return reads(t, token, "ada")
}

// forgedTokens are made without the gateway's key.
func forgedTokens() Family {
	type maker func(t *Target, p *Party, header, claims object) (string, error)
	try := func(m maker) func(*Target) error {
		return func(t *Target) error {
			p, err := t.party("clinician")
			if err != nil {
				return err
			}
			real, err := t.tokenOf("clinician", "")
			if err != nil {
				return err
			}
			header, claims, err := decoded(real)
			if err != nil {
				return err
			}
			claims["jti"] = "forged-" + Clock().Format(time.RFC3339Nano)
			token, err := m(t, p, header, claims)
			if err != nil {
				return err
			}
			return opens(t, token)
		}
	}
	stranger := func(alg, kid string) (*Key, error) { return NewKey(kid, alg) }
	signature := []guard.Name{guard.TokenSignature}
	return Family{Area: Tokens, Name: "made without the key", Control: genuine, Attacks: []Attack{
		{"foreign-key", "a token signed with another key under the gateway's kid opens nothing", "RFC 9068 4; CWE-347", signature, try(func(_ *Target, _ *Party, h, c object) (string, error) {
			k, err := stranger("ES256", "")
			if err != nil {
				return "", err
			}
			return forgery{header: h, claims: c, key: k}.token()
		})},
		{"changed-claims", "a genuine token whose claims were changed afterwards opens nothing", "RFC 7515 5.2; CWE-347", signature, func(t *Target) error {
			real, err := t.tokenOf("narrow", "")
			if err != nil {
				return err
			}
			_, claims, err := decoded(real)
			if err != nil {
				return err
			}
			claims["scope"], claims["client_id"], claims["sub"] = "system/*.rs", "clinician", "clinician"
			parts := strings.Split(real, ".")
			if parts[1], err = segment(claims); err != nil {
				return err
			}
			return opens(t, strings.Join(parts, "."))
		}},
		{"borrowed-signature", "the claims of one token with the signature of another open nothing", "RFC 7515 5.2; CWE-347", signature, func(t *Target) error {
			p, err := t.party("clinician")
			if err != nil {
				return err
			}
			one, err := t.tokenOf("clinician", "")
			if err != nil {
				return err
			}
			two, err := t.newToken(p, p.Scope)
			if err != nil {
				return err
			}
			a, b := strings.Split(one, "."), strings.Split(two, ".")
			return opens(t, a[0]+"."+a[1]+"."+b[2])
		}},
		{"alg-none", "a token with alg none opens nothing", "RFC 8725 2.1, 3.1; CVE-2015-9235", nil, try(func(_ *Target, _ *Party, h, c object) (string, error) {
			return forgery{header: merged(h, object{"alg": "none"}), claims: c}.token()
		})},
		{"alg-none-cased", "a token with alg nOnE and a signature of nothing opens nothing", "RFC 8725 2.1; the none-check that compares one spelling (CVE-2022-23540 class)", nil, try(func(_ *Target, _ *Party, h, c object) (string, error) {
			text, err := forgery{header: merged(h, object{"alg": "nOnE"}), claims: c}.token()
			return text + "AA", err
		})},
		{"no-signature", "a token without its signature opens nothing", "RFC 7515 5.2", nil, func(t *Target) error {
			real, err := t.tokenOf("clinician", "")
			if err != nil {
				return err
			}
			return opens(t, real[:strings.LastIndex(real, ".")+1])
		}},
		{"public-key-as-secret", "a token signed by HMAC with the public key as secret opens nothing", "RFC 8725 2.1; CVE-2016-10555 (algorithm confusion)", nil, try(func(t *Target, _ *Party, h, c object) (string, error) {
			k, err := t.key("issuer")
			if err != nil {
				return "", err
			}
			return forgery{header: merged(h, object{"alg": "HS256"}), claims: c, secret: []byte(JWKS(k))}.token()
		})},
		{"embedded-key", "a token that brings its key in its header opens nothing", "RFC 8725 3.10; CVE-2018-0114", nil, try(func(_ *Target, _ *Party, h, c object) (string, error) {
			k, err := stranger("ES256", "own")
			if err != nil {
				return "", err
			}
			return forgery{header: merged(h, object{"jwk": k.Public(), "kid": "own"}), claims: c, key: k}.token()
		})},
		{"key-url", "a token that names where its key is to be fetched opens nothing", "RFC 8725 3.10 (jku, SSRF)", nil, try(func(t *Target, _ *Party, h, c object) (string, error) {
			k, err := stranger("ES256", "own")
			if err != nil {
				return "", err
			}
			return forgery{header: merged(h, object{"jku": t.Origin() + "/attacker.jwks", "kid": "own"}), claims: c, key: k}.token()
		})},
		{"client-key", "a token that a client signed with its own registered key opens nothing", "one trust anchor per purpose (RFC 8725 3.12)", nil, try(func(_ *Target, p *Party, h, c object) (string, error) {
			return forgery{header: merged(h, object{"alg": p.Key.Alg, "kid": p.Key.KID}), claims: c, key: p.Key}.token()
		})},
		{"zero-signature", "a token with a signature of zeros opens nothing", "CVE-2022-21449 (psychic signatures)", signature, func(t *Target) error {
			real, err := t.tokenOf("clinician", "")
			if err != nil {
				return err
			}
			return opens(t, real[:strings.LastIndex(real, ".")+1]+b64(make([]byte, 64)))
		}},
		{"unknown-kid", "a token under a kid that nobody has opens nothing", "RFC 7515 4.1.4", nil, try(func(_ *Target, _ *Party, h, c object) (string, error) {
			k, err := stranger("ES256", "../../dev/null")
			if err != nil {
				return "", err
			}
			return forgery{header: merged(h, object{"kid": k.KID}), claims: c, key: k}.token()
		})},
	}}
}

// decoded reads header and claims of a compact JWS.
func decoded(token string) (header, claims object, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, nil, fmt.Errorf("the access token is no compact JWS")
	}
	for i, to := range []*object{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return nil, nil, err
		}
		*to = (&answer{body: raw}).json()
	}
	return header, claims, nil
}

// ownTokens are signed by the gateway's own key, and still not good: of another
// day, for another place, of another kind.
func ownTokens() Family {
	control := func(t *Target) error {
		token, err := t.forged("clinician", nil)
		if err != nil {
			return err
		}
		return reads(t, token, "ada")
	}
	set := func(name string, value any) func(*Target, object, object) {
		return func(_ *Target, _, c object) { c[name] = value }
	}
	head := func(name string, value any) func(*Target, object, object) {
		return func(_ *Target, h, _ object) { h[name] = value }
	}
	return Family{Area: Tokens, Name: "made with the key for something else", Control: control, Attacks: []Attack{
		{"expired", "a token after its exp opens nothing", "smart.md 1.4: the resource server checks expiry [R265]", []guard.Name{guard.TokenExpiry},
			vary(func(_ *Target, _, c object) { c["exp"] = Clock().Add(-time.Second).Unix() })},
		{"no-expiry", "a token without exp opens nothing", "RFC 9068 2.2", []guard.Name{guard.TokenExpiry}, vary(func(_ *Target, _, c object) { delete(c, "exp") })},
		{"not-yet", "a token before its nbf opens nothing", "RFC 7519 4.1.5", []guard.Name{guard.TokenNotBefore},
			vary(func(_ *Target, _, c object) { c["nbf"] = Clock().Add(time.Hour).Unix() })},
		{"issued-later", "a token issued in the future opens nothing", "RFC 7519 4.1.6; a clock that was set back", []guard.Name{guard.TokenNotBefore},
			vary(func(_ *Target, _, c object) { c["iat"] = Clock().Add(time.Hour).Unix() })},
		{"other-audience", "a token for another resource server opens nothing", "smart.md 1.2 A2 [R96]", []guard.Name{guard.TokenAudience}, vary(set("aud", "https://other.example.org/fhir"))},
		{"audience-prefix", "a token for a path below the FHIR base opens nothing", "audiences are compared whole, never by prefix (RFC 9068 4)", []guard.Name{guard.TokenAudience},
			vary(func(t *Target, _, c object) { c["aud"] = t.Base + "/Patient" })},
		{"audience-slash", "a token whose audience differs by a slash opens nothing", "RFC 7519 4.1.3: StringOrURI is case-sensitive and exact", []guard.Name{guard.TokenAudience},
			vary(func(t *Target, _, c object) { c["aud"] = t.Base + "/" })},
		{"no-audience", "a token without aud opens nothing", "RFC 9068 2.2", []guard.Name{guard.TokenAudience}, vary(func(_ *Target, _, c object) { delete(c, "aud") })},
		{"other-issuer", "a token whose iss is nobody that is trusted opens nothing", "smart.md 2.3: a list of trusted issuers", []guard.Name{guard.TokenIssuer}, vary(set("iss", "https://login.example.org"))},
		{"issuer-slash", "a token whose iss differs by a slash opens nothing", "RFC 8414 3.3: issuers are compared exactly", []guard.Name{guard.TokenIssuer},
			vary(func(t *Target, _, c object) { c["iss"] = t.Origin() + "/" })},
		{"id-token", "an id token of the same key opens nothing", "RFC 9068 4: typ at+jwt; RFC 8725 2.8 (substitution)", []guard.Name{guard.TokenType}, vary(head("typ", "JWT"))},
		{"logout-token", "a logout token of the same key opens nothing", "OpenID Back-Channel Logout 2.4; RFC 8725 3.11", []guard.Name{guard.TokenType}, vary(head("typ", "logout+jwt"))},
		{"no-type", "a token without typ opens nothing", "RFC 9068 4", []guard.Name{guard.TokenType}, vary(func(_ *Target, h, _ object) { delete(h, "typ") })},
		{"critical-header", "a token that demands something not understood (crit) opens nothing", "RFC 7515 4.1.11", nil,
			vary(func(_ *Target, h, _ object) { h["crit"], h["exp"] = []string{"exp"}, 1 })},
		{"compressed", "a token that says it is compressed opens nothing", "RFC 7516 4.1.3: zip is no JWS header; CVE-2024-28122 (decompression)", []guard.Name{guard.TokenCritical},
			vary(func(_ *Target, h, _ object) { h["zip"] = "DEF" })},
		{"embedded-key-well-signed", "a token with a key in its header opens nothing, even if it is well signed", "RFC 8725 3.10: no decision may rest on it", []guard.Name{guard.TokenEmbeddedKey},
			vary(func(t *Target, h, _ object) { h["jwk"] = t.Keys["issuer"].Public() })},
		{"key-url-well-signed", "a token with a jku opens nothing, even if it is well signed", "RFC 8725 3.10", []guard.Name{guard.ClientKeyURL},
			vary(func(t *Target, h, _ object) { h["jku"] = t.Origin() + "/oauth/jwks" })},
		{"no-id", "a token without jti opens nothing: it could not be revoked", "RFC 9068 2.2", []guard.Name{guard.TokenID}, vary(func(_ *Target, _, c object) { delete(c, "jti") })},
		{"other-subject", "a client's token whose sub is somebody else opens nothing", "RFC 9068 2.2: of a client's own token sub is the client", []guard.Name{guard.TokenSubject}, vary(set("sub", "root"))},
		{"unknown-client", "a token of a client that is not registered opens nothing", "decisions 2.6: who may what is the registration's to say", nil,
			vary(func(_ *Target, _, c object) { c["client_id"], c["sub"] = "nobody", "nobody" })},
		{"disabled-client", "a token of a client that was disabled opens nothing, from that moment", "smart.md 1.6; CJIS AC-2", []guard.Name{guard.ClientDisabled}, func(t *Target) error {
			token, err := t.forged("retired", nil)
			if err != nil {
				return err
			}
			return opens(t, token)
		}},
		{"twice-a-claim", "a token that says a claim twice opens nothing", "RFC 8725 2.4: parsers differ on duplicates", nil, func(t *Target) error {
			p, err := t.party("clinician")
			if err != nil {
				return err
			}
			header, claims, err := t.access(p)
			if err != nil {
				return err
			}
			encoded, err := segment(claims)
			if err != nil {
				return err
			}
			raw, _ := base64.RawURLEncoding.DecodeString(encoded)
			text := strings.TrimSuffix(string(raw), "}") + `,"scope":"system/*.cruds"}`
			token, err := forgery{header: header, claims: text, key: t.Keys["issuer"]}.token()
			if err != nil {
				return err
			}
			return opens(t, token)
		}},
		{"claim-in-other-case", "a token whose claim is spelt in capitals opens nothing", "encoding/json takes EXP for exp (smart.md 2.4)", []guard.Name{guard.TokenExpiry},
			vary(func(_ *Target, _, c object) { c["EXP"] = c["exp"]; delete(c, "exp") })},
		{"expiry-as-text", "a token whose exp is a text opens nothing", "RFC 7519 2: NumericDate is a number", nil, vary(set("exp", "9999999999"))},
		{"expiry-overflow", "a token whose exp overflows a clock opens nothing", "CWE-190", nil, vary(set("exp", 1e30))},
		{"array-client", "a token whose client_id is a list opens nothing", "RFC 9068 2.2: a string", nil, vary(set("client_id", []string{"clinician"}))},
	}}
}
