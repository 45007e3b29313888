package attack

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/handoff-health/handoff/gateway/guard"
)

// outsideTokens are made by other issuers, of whom some are trusted: for their
// own clients alone.
func outsideTokens() Family {
	make := func(issuer string, change func(t *Target, header, claims object)) func(*Target) (string, error) {
		return func(t *Target) (string, error) {
			k, err := t.key(issuer)
			if err != nil {
				return "", err
			}
			if t.Issuers[issuer] == "" {
				return "", Missing("issuer " + issuer)
			}
			header := object{"alg": k.Alg, "kid": k.KID, "typ": "JWT"}
			claims := object{
				"iss": t.Issuers[issuer], "sub": "outsider", "client_id": "outsider", "aud": t.Base, "scope": "system/Patient.rs", "jti": rand.Text(),
				"iat": Clock().Unix(), "exp": Clock().Add(2 * time.Minute).Unix(),
			}
			if change != nil {
				change(t, header, claims)
			}
			return forgery{header: header, claims: claims, key: k}.token()
		}
	}
	try := func(issuer string, change func(t *Target, header, claims object)) func(*Target) error {
		return func(t *Target) error {
			token, err := make(issuer, change)(t)
			if err != nil {
				return err
			}
			return opens(t, token)
		}
	}
	claim := func(name string, value any) func(*Target) error {
		return try("outside", func(_ *Target, _, c object) { c[name] = value })
	}
	return Family{Area: Tokens, Name: "made by other issuers", Control: func(t *Target) error {
		token, err := make("outside", nil)(t)
		if err != nil {
			return err
		}
		return reads(t, token, "ada")
	}, Attacks: []Attack{
		{"own-client", "an outside issuer's token opens nothing in the name of a client of the gateway's own", "issue 4.2: each client has one issuer", []guard.Name{guard.TokenClientIssuer}, try("outside", func(_ *Target, _, c object) { c["client_id"], c["sub"] = "clinician", "clinician" })},
		{"outside-claims-own-issuer", "an outside issuer's key makes no token of the gateway's own", "smart.md 2.3: each issuer has its own keys", nil, try("outside", func(t *Target, h, c object) {
			h["typ"], c["iss"] = "at+jwt", t.Origin()
		})},
		{"shared-key", "a token that two issuers could have made opens nothing", "issue 4.2", []guard.Name{guard.TokenAmbiguous}, func(t *Target) error {
			token, err := make("shared", func(_ *Target, _, c object) { c["client_id"], c["sub"] = "shared-outsider", "shared-outsider" })(t)
			if err != nil {
				return err
			}
			// The issuer's keys could not be had at the start, and are not asked for at once.
			for until := time.Now().Add(time.Minute); time.Now().Before(until); {
				if err = opens(t, token); err == nil || !strings.Contains(err.Error(), "answered 503") {
					return err
				}
				time.Sleep(200 * time.Millisecond)
			}
			return err
		}},
		{"outside-audience", "an outside issuer's token for another server opens nothing", "RFC 9068 4", []guard.Name{guard.TokenAudience}, claim("aud", "https://other.example.org/fhir")},
		{"outside-expired", "an outside issuer's token long after its time opens nothing", "RFC 7519 4.1.4: skew is bounded", []guard.Name{guard.TokenExpiry}, claim("exp", Clock().Add(-5*time.Minute).Unix())},
		{"outside-forged", "a token in an outside issuer's name signed with another key opens nothing", "RFC 7515 5.2", []guard.Name{guard.TokenSignature}, func(t *Target) error {
			k, err := t.key("outside")
			if err != nil {
				return err
			}
			wrong, err := NewKey(k.KID, k.Alg)
			if err != nil {
				return err
			}
			forged := *t
			forged.Keys = map[string]*Key{"outside": wrong}
			return try("outside", nil)(&forged)
		}},
		{"outside-scopes", "an outside issuer's token opens no more than its client is registered for", "decisions 2.6", nil, func(t *Target) error {
			ref, err := t.record("weight")
			if err != nil {
				return err
			}
			token, err := make("outside", func(_ *Target, _, c object) { c["scope"] = "system/*.cruds" })(t)
			if err != nil {
				return err
			}
			return forbidden(t.get(token, ref))
		}},
		{"outside-id-token", "an outside issuer's id token opens nothing: its audience is the client", "RFC 8725 2.8", []guard.Name{guard.TokenAudience}, claim("aud", "outsider")},
		{"outside-id-token-for-us", "an outside issuer's id token opens nothing, even one whose audience is the gateway", "RFC 8725 2.8; RFC 9068 2.1", []guard.Name{guard.TokenType}, claim("at_hash", "MTIzNDU2Nzg5MGFiY2RlZg")},
		{"outside-bound", "a token that is bound to a key of its holder opens nothing without it", "RFC 7800 3; RFC 9449 7.1", []guard.Name{guard.TokenBound}, claim("cnf", object{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"})},
		{"outside-forever", "a token that lives for longer than a day, or hides since when, opens nothing", "issue 4.1: what ends a client ends its tokens", []guard.Name{guard.TokenSpan}, claim("exp", Clock().Add(48*time.Hour).Unix())},
	}}
}

// inquiries are questions about tokens, and attempts to end them.
func inquiries() Family {
	at := func(t *Target, name string) (string, error) {
		if e := t.endpoint(name); e != "" {
			return e, nil
		}
		return "", Missing(name)
	}
	// about sends a token to an endpoint, as a client with an assertion or, for "",
	// as nobody.
	about := func(t *Target, name, party, token string) (*answer, error) {
		e, err := at(t, name)
		if err != nil {
			return nil, err
		}
		f := url.Values{"token": {token}}
		if party != "" {
			p, err := t.party(party)
			if err != nil {
				return nil, err
			}
			header, claims := t.assertion(p)
			text, err := forgery{header: header, claims: claims, key: p.Key}.token()
			if err != nil {
				return nil, err
			}
			f.Set("client_assertion_type", assertionType)
			f.Set("client_assertion", text)
		}
		return t.post(e, f)
	}
	fresh := func(t *Target) (string, error) {
		p, err := t.party("clinician")
		if err != nil {
			return "", err
		}
		return t.newToken(p, p.Scope)
	}
	// survives says that an attempt to end a token did not.
	survives := func(party string, token func(string) string) func(*Target) error {
		return func(t *Target) error {
			good, err := fresh(t)
			if err != nil {
				return err
			}
			if _, err := about(t, "revocation_endpoint", party, token(good)); err != nil {
				return err
			}
			if err := reads(t, good, "ada"); err != nil {
				return breach("the token was ended: %v", err)
			}
			return nil
		}
	}
	told := func(a *answer, err error) error {
		switch {
		case err != nil:
			return err
		case a.ok() && a.json()["active"] == true:
			return breach("it is told of: %s", a)
		case a.ok() && len(a.json()) > 1:
			return breach("it is told more than that it is not active: %s", a)
		}
		return nil
	}
	same := func(s string) string { return s }
	return Family{Area: Tokens, Name: "the end of a token, and questions about it", Control: func(t *Target) error {
		token, err := fresh(t)
		if err != nil {
			return err
		}
		a, err := about(t, "introspection_endpoint", "watcher", token)
		if err != nil {
			return err
		}
		if a.json()["active"] != true {
			return fmt.Errorf("a good token is told of as %s", a)
		}
		return reads(t, token, "ada")
	}, Attacks: []Attack{
		{"revoked", "a token that was revoked opens nothing, from that moment", "smart.md 1.6; RFC 7009; g10_token_revocation", []guard.Name{guard.TokenRevoked}, func(t *Target) error {
			token, err := fresh(t)
			if err != nil {
				return err
			}
			if err := reads(t, token, "ada"); err != nil { // so that it is remembered as good
				return err
			}
			a, err := about(t, "revocation_endpoint", "clinician", token)
			if err != nil {
				return err
			}
			if !a.ok() {
				return fmt.Errorf("revoking: %s", a)
			}
			return opens(t, token)
		}},
		{"revoke-anothers", "a client does not end another's token", "RFC 7009 2.1", []guard.Name{guard.ClientOwnTokens}, survives("twin", same)},
		{"revoke-unproven", "nobody ends a token without proof of who they are", "RFC 7009 2.1", nil, survives("", same)},
		{"introspect-unproven", "nobody is told of a token without proof of who they are", "RFC 7662 2.1: token scanning", nil, func(t *Target) error {
			token, err := fresh(t)
			if err != nil {
				return err
			}
			return told(about(t, "introspection_endpoint", "", token))
		}},
		{"introspect-unregistered", "a client that is not registered for it is not told of tokens", "RFC 7662 2.1", []guard.Name{guard.ClientIntrospects}, func(t *Target) error {
			token, err := fresh(t)
			if err != nil {
				return err
			}
			return told(about(t, "introspection_endpoint", "twin", token))
		}},
		{"introspect-revoked", "of a token that is not active nothing is told", "smart.md 1.6; RFC 7662 2.2", []guard.Name{guard.TokenRevoked}, func(t *Target) error {
			token, err := fresh(t)
			if err != nil {
				return err
			}
			if _, err := about(t, "revocation_endpoint", "clinician", token); err != nil {
				return err
			}
			return told(about(t, "introspection_endpoint", "watcher", token))
		}},
		{"introspect-forged", "of a token that nobody made nothing is told", "RFC 7662 2.2", []guard.Name{guard.TokenSignature}, func(t *Target) error {
			p, err := t.party("clinician")
			if err != nil {
				return err
			}
			header, claims, err := t.access(p)
			if err != nil {
				return err
			}
			k, err := NewKey(t.Keys["issuer"].KID, t.Keys["issuer"].Alg)
			if err != nil {
				return err
			}
			token, err := forgery{header: header, claims: claims, key: k}.token()
			if err != nil {
				return err
			}
			return told(about(t, "introspection_endpoint", "watcher", token))
		}},
		{"introspect-in-url", "a token is not asked about in an address", "RFC 7662 4: URLs are logged", nil, func(t *Target) error {
			token, err := fresh(t)
			if err != nil {
				return err
			}
			e, err := at(t, "introspection_endpoint")
			if err != nil {
				return err
			}
			own, err := t.tokenOf("watcher", "")
			if err != nil {
				return err
			}
			return told(t.ask(own, http.MethodGet, e+"?token="+token, nil))
		}},
		{"introspect-by-asked", "a token is no proof for a question about itself", "smart.md 1.6 [R282]: an authorised client's own", []guard.Name{guard.ClientIntrospects}, func(t *Target) error {
			token, err := fresh(t)
			if err != nil {
				return err
			}
			e, err := at(t, "introspection_endpoint")
			if err != nil {
				return err
			}
			return told(t.post(e, url.Values{"token": {token}}, with("Authorization", "Bearer "+token)))
		}},
	}}
}
