package attack

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/handoff-health/handoff/gateway/guard"
)

func clientFamilies() []Family {
	return []Family{assertions(), tokenRequests(), assertedPeople(), registrations(), guesses()}
}

// gives says whether a token endpoint's answer holds a token.
func gives(a *answer, err error) error {
	switch {
	case err != nil:
		return err
	case a.text("access_token") != "":
		return breach("it gets a token: %d, scope %q", a.status, a.text("scope"))
	case a.status < 400:
		return breach("it is not refused: %s", a)
	case a.status >= 500:
		return fmt.Errorf("the token endpoint failed: %s", a)
	}
	return nil
}

// granted is the control: the same client with a good assertion gets a token.
func granted(party string) func(*Target) error {
	return func(t *Target) error {
		p, err := t.party(party)
		if err != nil {
			return err
		}
		_, err = t.newToken(p, "system/Patient.rs")
		return err
	}
}

// asserting is an attack with an assertion of a client in which something is
// changed.
func asserting(party string, change func(t *Target, header, claims object)) func(*Target) error {
	return func(t *Target) error {
		p, err := t.party(party)
		if err != nil {
			return err
		}
		return gives(t.grant(p, "system/Patient.rs", func(h, c object) { change(t, h, c) }))
	}
}

// assertions are of a client that exists, made by its key or by another.
func assertions() Family {
	claim := func(name string, value any) func(*Target) error {
		return asserting("clinician", func(_ *Target, _, c object) { c[name] = value })
	}
	without := func(name string) func(*Target) error {
		return asserting("clinician", func(_ *Target, _, c object) { delete(c, name) })
	}
	signed := func(make func(t *Target, p *Party, header, claims object) (string, error)) func(*Target) error {
		return func(t *Target) error {
			p, err := t.party("clinician")
			if err != nil {
				return err
			}
			header, claims := t.assertion(p)
			text, err := make(t, p, header, claims)
			if err != nil {
				return err
			}
			return gives(t.post(t.Token, form(text, "system/Patient.rs")))
		}
	}
	return Family{Area: Clients, Name: "assertions", Control: granted("clinician"), Attacks: []Attack{
		{"foreign-key", "an assertion signed with another key under the client's kid gets no token", "smart.md 1.3; RFC 7523 3", []guard.Name{guard.TokenSignature}, signed(func(_ *Target, p *Party, h, c object) (string, error) {
			k, err := NewKey(p.Key.KID, p.Key.Alg)
			if err != nil {
				return "", err
			}
			return forgery{header: h, claims: c, key: k}.token()
		})},
		{"other-clients-key", "an assertion of one client signed with the key of another gets no token", "smart.md 1.3: keys are those of the iss [R338]", nil, signed(func(t *Target, _ *Party, h, c object) (string, error) {
			other, err := t.party("narrow")
			if err != nil {
				return "", err
			}
			return forgery{header: merged(h, object{"kid": other.Key.KID}), claims: c, key: other.Key}.token()
		})},
		{"none", "an unsigned assertion gets no token", "RFC 7523 3: must be signed", nil, signed(func(_ *Target, _ *Party, h, c object) (string, error) {
			return forgery{header: merged(h, object{"alg": "none"}), claims: c}.token()
		})},
		{"public-key-as-secret", "an assertion signed by HMAC with the client's public key gets no token", "CVE-2016-10555", nil, signed(func(_ *Target, p *Party, h, c object) (string, error) {
			return forgery{header: merged(h, object{"alg": "HS384"}), claims: c, secret: []byte(JWKS(p.Key))}.token()
		})},
		{"unregistered-algorithm", "an assertion under an algorithm that the client did not register gets no token, though the key could", "smart.md 2.4: the algorithm is pinned, never inferred", []guard.Name{guard.ClientAlgorithm},
			asserting("twin", func(_ *Target, h, _ object) { h["alg"] = "RS256" })},
		{"own-key-url", "an assertion that names the attacker's key set gets no token", "smart.md 1.3: jku must equal the registered URL [R338]; SSRF", nil, signed(func(t *Target, p *Party, h, c object) (string, error) {
			k, err := NewKey("own", p.Key.Alg)
			if err != nil {
				return "", err
			}
			return forgery{header: merged(h, object{"jku": t.Origin() + "/attacker.jwks", "kid": "own"}), claims: c, key: k}.token()
		})},
		{"unregistered-key-url", "an assertion with a jku that was not registered gets no token, even if it is well signed", "smart.md 1.3 [R338]: equal to the registered URL or fail", []guard.Name{guard.ClientKeyURL},
			asserting("clinician", func(t *Target, h, _ object) { h["jku"] = t.Origin() + "/keys" })},
		{"embedded-key", "an assertion that brings its key gets no token", "CVE-2018-0114", nil, signed(func(_ *Target, p *Party, h, c object) (string, error) {
			k, err := NewKey("own", p.Key.Alg)
			if err != nil {
				return "", err
			}
			return forgery{header: merged(h, object{"jwk": k.Public(), "kid": "own"}), claims: c, key: k}.token()
		})},
		{"no-kid", "an assertion without kid gets no token", "smart.md 2.4: WithRequireKid", nil, asserting("clinician", func(_ *Target, h, _ object) { delete(h, "kid") })},
		{"replay", "an assertion that was used gets no second token", "smart.md 1.3: jti not seen for that iss [R336]", []guard.Name{guard.ClientAssertionReplay}, replayed(1)},
		{"replay-at-once", "of one assertion sent many times at once, one gets a token", "smart.md 2.3: parallel replays give exactly one token (check, then insert)", []guard.Name{guard.ClientAssertionReplay}, replayed(8)},
		{"other-audience", "an assertion for another server gets no token", "smart.md 1.3: aud is the token URL", []guard.Name{guard.ClientAssertionAudience}, claim("aud", "https://other.example.org/oauth/token")},
		{"issuer-audience", "an assertion for the issuer gets no token, unless the client is registered for it", "smart.md 0.7: a per-client switch alone", []guard.Name{guard.ClientAssertionAudience},
			asserting("clinician", func(t *Target, _, c object) { c["aud"] = t.Origin() })},
		{"shared-audience", "an assertion that another server could use too gets no token", "RFC 7523bis: audience injection (CVE-2025-27370)", []guard.Name{guard.ClientAssertionAudience},
			asserting("clinician", func(t *Target, _, c object) { c["aud"] = []string{t.Token, "https://other.example.org/oauth/token"} })},
		{"no-audience", "an assertion without aud gets no token", "RFC 7523 3", []guard.Name{guard.ClientAssertionAudience}, without("aud")},
		{"expired", "an assertion after its exp gets no token", "RFC 7523 3", []guard.Name{guard.TokenExpiry}, asserting("clinician", func(_ *Target, _, c object) { c["exp"] = Clock().Add(-time.Second).Unix() })},
		{"no-expiry", "an assertion without exp gets no token", "RFC 7523 3", nil, without("exp")},
		{"long-lived", "an assertion that lives longer than five minutes gets no token", "smart.md 1.3: exp at most five minutes ahead", []guard.Name{guard.ClientAssertionLife},
			asserting("clinician", func(_ *Target, _, c object) { c["exp"] = Clock().Add(6 * time.Minute).Unix() })},
		{"not-yet", "an assertion before its nbf gets no token", "RFC 7523 3", []guard.Name{guard.TokenNotBefore}, asserting("clinician", func(_ *Target, _, c object) { c["nbf"] = Clock().Add(3 * time.Minute).Unix() })},
		{"no-id", "an assertion without jti gets no token: it could be used for ever", "smart.md 1.3", []guard.Name{guard.ClientAssertionID}, without("jti")},
		{"huge-id", "an assertion whose jti is as long as a book gets no token", "CWE-400: jti are remembered", []guard.Name{guard.ClientAssertionID}, claim("jti", strings.Repeat("j", 1000))},
		{"about-another", "an assertion of one client about another gets no token", "smart.md 1.3: iss = sub = client_id", []guard.Name{guard.ClientAssertionSubject}, claim("sub", "unit")},
		{"in-anothers-name", "a client that writes another's id as iss gets no token", "smart.md 1.3 [R337]", nil, asserting("narrow", func(_ *Target, _, c object) { c["iss"], c["sub"] = "clinician", "clinician" })},
		{"disabled", "a client that was disabled gets no token", "CJIS AC-2; smart.md 1.6", []guard.Name{guard.ClientDisabled}, asserting("retired", func(*Target, object, object) {})},
		{"unknown-kid-probe", "an unknown client and a wrong key read the same", "RFC 6749 5.2; CWE-204 (which clients exist)", nil, sameRefusal},
		{"access-token", "an access token as an assertion gets no token", "RFC 8725 2.8", nil, func(t *Target) error {
			token, err := t.tokenOf("clinician", "")
			if err != nil {
				return err
			}
			return gives(t.post(t.Token, form(token, "system/Patient.rs")))
		}},
	}}
}

// replayed sends one assertion again, times more.
func replayed(times int) func(*Target) error {
	return func(t *Target) error {
		p, err := t.party("clinician")
		if err != nil {
			return err
		}
		header, claims := t.assertion(p)
		text, err := forgery{header: header, claims: claims, key: p.Key}.token()
		if err != nil {
			return err
		}
		if times == 1 { // one after the other
			a, err := t.post(t.Token, form(text, "system/Patient.rs"))
			if err != nil {
				return err
			}
			if a.text("access_token") == "" {
				return fmt.Errorf("the first use gives no token: %s", a)
			}
			return gives(t.post(t.Token, form(text, "system/Patient.rs")))
		}
		var wait sync.WaitGroup
		got := make(chan bool, times)
		for range times {
			wait.Go(func() {
				a, err := t.post(t.Token, form(text, "system/Patient.rs"))
				got <- err == nil && a.text("access_token") != ""
			})
		}
		wait.Wait()
		close(got)
		n := 0
		for ok := range got {
			if ok {
				n++
			}
		}
		if n == 0 {
			return fmt.Errorf("none of %d got a token", times)
		}
		if n > 1 {
			return breach("%d tokens for one assertion", n)
		}
		return nil
	}
}

// sameRefusal compares what a client that does not exist hears with what one
// hears whose key is wrong.
func sameRefusal(t *Target) error {
	p, err := t.party("clinician")
	if err != nil {
		return err
	}
	wrong, err := NewKey(p.Key.KID, p.Key.Alg)
	if err != nil {
		return err
	}
	var heard []string
	for _, id := range []string{p.ID, "nobody-at-all"} {
		a, err := t.grant(&Party{ID: id, Key: wrong}, "system/Patient.rs", nil)
		if err != nil {
			return err
		}
		h := maps.Clone(a.header)
		for _, name := range []string{"Date", "X-Request-Id", "Content-Length"} {
			delete(h, name)
		}
		heard = append(heard, fmt.Sprint(a.status, h, string(a.body)))
	}
	if heard[0] != heard[1] {
		return breach("a known client hears %s, an unknown one %s", heard[0], heard[1])
	}
	return nil
}

// tokenRequests are good assertions in bad requests.
func tokenRequests() Family {
	send := func(vary func(t *Target, f url.Values) (address string, changes []change)) func(*Target) error {
		return func(t *Target) error {
			p, err := t.party("clinician")
			if err != nil {
				return err
			}
			header, claims := t.assertion(p)
			text, err := forgery{header: header, claims: claims, key: p.Key}.token()
			if err != nil {
				return err
			}
			f := form(text, "system/Patient.rs")
			address, changes := vary(t, f)
			return gives(t.post(address, f, changes...))
		}
	}
	set := func(name string, values ...string) func(*Target) error {
		return send(func(t *Target, f url.Values) (string, []change) { f[name] = values; return t.Token, nil })
	}
	return Family{Area: Clients, Name: "token requests", Control: granted("clinician"), Attacks: []Attack{
		{"other-assertion-type", "an assertion under another type gets no token", "RFC 7521 4.2; the only bad assertion that Inferno sends", []guard.Name{guard.ClientAssertionType}, set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer")},
		{"other-client-id", "an assertion beside another's client_id gets no token", "RFC 7521 4.2: client_id must be the assertion's", []guard.Name{guard.ClientIDAgrees}, set("client_id", "unit")},
		{"with-secret", "an assertion beside a client secret gets no token", "RFC 6749 2.3: one method in one request", nil, set("client_secret", "secret")},
		{"with-basic", "an assertion beside an Authorization header gets no token", "RFC 6749 2.3: one method in one request", nil, send(func(t *Target, _ url.Values) (string, []change) {
			return t.Token, []change{with("Authorization", "Basic Y2xpbmljaWFuOg==")}
		})},
		{"in-url", "a token request with parameters in its URL gets no token", "RFC 6749 3.2: URLs are logged", []guard.Name{guard.ClientParametersInURL}, send(func(t *Target, _ url.Values) (string, []change) {
			return t.Token + "?scope=system/*.cruds", nil
		})},
		{"twice", "a token request with a parameter twice gets no token", "RFC 6749 3.2: no parameter more than once (parameter pollution, CWE-235)", []guard.Name{guard.ClientRepeatedParameter}, set("scope", "system/Patient.rs", "system/Patient.r")},
		{"as-json", "a token request that says it is JSON gets no token", "RFC 6749 4.4.2; CWE-436 between proxy and server", []guard.Name{guard.ClientFormType}, send(func(t *Target, _ url.Values) (string, []change) {
			return t.Token, []change{with("Content-Type", "application/json")}
		})},
		{"control-characters", "a token request with control characters gets no token", "CWE-117, CWE-93: what is logged and forwarded", []guard.Name{guard.ClientFormText}, set("note", "a\r\nb\x00c")},
		{"other-resource", "a token for another resource server is not given", "RFC 8707 2.2 (invalid_target)", []guard.Name{guard.ClientResource}, set("resource", "https://other.example.org/fhir")},
		{"no-scope", "a token request without scope gets no token", "smart.md 1.4: scope is required", nil, set("scope", "")},
		{"by-get", "a token request by GET gets no token", "RFC 6749 3.2: POST", nil, func(t *Target) error {
			p, err := t.party("clinician")
			if err != nil {
				return err
			}
			header, claims := t.assertion(p)
			text, err := forgery{header: header, claims: claims, key: p.Key}.token()
			if err != nil {
				return err
			}
			a, err := t.ask("", http.MethodGet, t.Token+"?"+form(text, "system/Patient.rs").Encode(), nil)
			return gives(a, err)
		}},
		{"password", "the password grant gets no token", "RFC 9700 2.4: must not be used", nil, func(t *Target) error {
			return gives(t.post(t.Token, url.Values{"grant_type": {"password"}, "username": {"admin"}, "password": {"admin"}, "client_id": {"clinician"}, "scope": {"system/*.rs"}}))
		}},
		{"id-alone", "a client id without proof gets no token", "RFC 6749 4.4: confidential clients only", nil, func(t *Target) error {
			return gives(t.post(t.Token, url.Values{"grant_type": {"client_credentials"}, "client_id": {"clinician"}, "scope": {"system/*.rs"}}))
		}},
		{"guessed-secret", "a backend client with a secret in place of its key gets no token", "smart.md 1.3: no symmetric clients for backend services [R344]", nil, func(t *Target) error {
			a, err := t.post(t.Token, url.Values{"grant_type": {"client_credentials"}, "scope": {"system/*.rs"}}, with("Authorization", "Basic Y2xpbmljaWFuOmNsaW5pY2lhbg=="))
			return gives(a, err)
		}},
	}}
}

// assertedPeople are clients that say for whom, as what and why they ask.
func assertedPeople() Family {
	said := func(change func(b2b, claims object)) func(*Target) error {
		return asserting("privacy", func(_ *Target, _, c object) {
			x, _ := c["extensions"].(object)
			b, _ := x["hl7-b2b"].(object)
			change(b, c)
		})
	}
	set := func(name string, value any) func(*Target) error {
		return said(func(b, _ object) { b[name] = value })
	}
	return Family{Area: Clients, Name: "whom a client asks for", Control: granted("privacy"), Attacks: []Attack{
		{"other-organization", "a client that asserts another organisation gets no token", "issue 4.4: organisation comes from registration, never from the caller", []guard.Name{guard.ClientOwnOrganization}, set("organization_id", "Organization/pd")},
		{"other-role", "a client that asserts a role it has not gets no token", "issue 4.4; UDAP hl7-b2b subject_role", []guard.Name{guard.ClientOwnRole}, set("subject_role", "https://handoff-health.github.io/fhir/CodeSystem/actor-role#emergency-physician")},
		{"other-purpose", "a client that asserts a purpose it has not gets no token", "issue 4.4; UDAP hl7-b2b purpose_of_use", []guard.Name{guard.ClientOwnPurpose}, set("purpose_of_use", []string{"http://terminology.hl7.org/CodeSystem/v3-ActReason#ETREAT"})},
		{"additional-purpose", "a client that asserts a purpose beside its own gets no token", "issue 4.4: each purpose is asked about", []guard.Name{guard.ClientOwnPurpose}, set("purpose_of_use", []string{"http://terminology.hl7.org/CodeSystem/v3-ActReason#HOPERAT", "http://terminology.hl7.org/CodeSystem/v3-ActReason#ETREAT"})},
		{"unregistered-person", "a client that may name nobody and names somebody gets no token", "decisions 2.6", []guard.Name{guard.ClientNamesUsers}, func(t *Target) error {
			p, err := t.party("clinician")
			if err != nil {
				return err
			}
			return gives(t.grant(p, "system/Patient.rs", func(_, c object) {
				c["extensions"] = object{"hl7-b2b": object{"version": "1", "organization_id": "Organization/clinic", "subject_id": "Practitioner/ortiz", "subject_name": "Ana Ortiz",
					"purpose_of_use": []string{"http://terminology.hl7.org/CodeSystem/v3-ActReason#TREAT"}}}
			}))
		}},
		{"disguised-name", "a client that hides characters in a person's name gets no token", "CVE-2021-42574 (bidirectional text) in an audit trail", nil, set("subject_name", "Pat\u202e seyeR")},
		{"unknown-extension", "a client that asserts what is not understood gets no token", "UDAP b2b: unknown members could widen", nil, set("emergency_override", true)},
	}}
}
