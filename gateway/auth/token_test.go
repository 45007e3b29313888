package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/auth"
)

func TestAClientGetsAToken(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		note, client, key string
		header, claims    map[string]any
		form              map[string]string
	}{
		{"ES384", "rms", "es", nil, nil, nil},
		{"RS384", "rms-rsa", "rs", nil, nil, nil},
		{"typ may be absent", "rms", "es", map[string]any{"typ": nil}, nil, nil},
		{"typ in lower case", "rms", "es", map[string]any{"typ": "jwt"}, nil, nil},
		{"typ of RFC 7523bis", "rms", "es", map[string]any{"typ": "client-authentication+jwt"}, nil, nil},
		{"iat is allowed", "rms", "es", nil, map[string]any{"iat": w.in(0)}, nil},
		{"iat within the clock skew", "rms", "es", nil, map[string]any{"iat": w.in(5 * time.Second)}, nil},
		{"nbf is allowed", "rms", "es", nil, map[string]any{"nbf": w.in(-time.Second)}, nil},
		{"exp as a fraction", "rms", "es", nil, map[string]any{"exp": float64(w.in(0)) + 200.5}, nil},
		{"exp just five minutes ahead", "rms", "es", nil, map[string]any{"exp": w.in(5 * time.Minute)}, nil},
		{"aud in an array", "rms", "es", nil, map[string]any{"aud": []string{tokenURL}}, nil},
		{"issuer as aud, where allowed", "ehr", "other", nil, map[string]any{"aud": issuerID}, nil},
		{"token URL and issuer as aud, where allowed", "ehr", "other", nil, map[string]any{"aud": []string{issuerID, tokenURL}}, nil},
		{"unknown claims", "rms", "es", nil, map[string]any{"custom": map[string]any{"x": 1}, "amr": 7}, nil},
		{"x5c is not looked at", "rms", "es", map[string]any{"x5c": []string{"AAAA"}}, nil, nil},
		{"client_id that agrees", "rms", "es", nil, nil, map[string]string{"client_id": "rms"}},
		{"unknown parameter", "rms", "es", nil, nil, map[string]string{"udap": "1"}},
		{"resource that is the FHIR base", "rms", "es", nil, nil, map[string]string{"resource": fhirBase}},
		{"empty client_secret is none", "rms", "es", nil, nil, map[string]string{"client_secret": ""}},
		{"jti of 255 bytes", "rms", "es", nil, map[string]any{"jti": strings.Repeat("j", 255)}, nil},
		{"a jti of another client", "ehr", "other", nil, map[string]any{"jti": strings.Repeat("j", 255)}, nil},
	} {
		t.Run(tt.note, func(t *testing.T) {
			a := w.post(t, form(forgery{by: keys()[tt.key], header: tt.header, claims: w.claims(tt.client, tt.claims)}.String(), tt.form))
			if a.Code != 200 {
				t.Fatalf("%d %s: %s", a.Code, a.Body, w.audit.last(t).Reason)
			}
			if !strings.EqualFold(a.JSON.Type, "bearer") || a.JSON.ExpiresIn != 300 || a.JSON.Scope != "system/Patient.rs" || a.JSON.Refresh != "" {
				t.Errorf("answer %s", a.Body)
			}
			p, err := w.verifier.Verify(context.Background(), a.JSON.Token)
			if err != nil {
				t.Fatal(err)
			}
			at := w.audit.last(t)
			if at.TokenID != p.TokenID || at.Client != tt.client || !at.Authenticated || at.Granted != "system/Patient.rs" || at.Status != 200 || at.Error != "" {
				t.Errorf("audited %+v", at)
			}
		})
	}
}

// badAssertions are refused with invalid_client.
func badAssertions(w *world) map[string]string {
	es, rs, other, stranger := keys()["es"], keys()["rs"], keys()["other"], keys()["stranger"]
	impostor := stranger
	impostor.kid = es.kid
	with := func(claims map[string]any) string {
		return forgery{by: es, claims: w.claims("rms", claims)}.String()
	}
	head := func(header map[string]any) string {
		return forgery{by: es, header: header, claims: w.claims("rms", nil)}.String()
	}
	rawClaims := func(raw string) string { return forgery{by: es, rawCls: raw}.String() }
	good := w.good()
	parts := strings.Split(good, ".")
	return map[string]string{
		"exp missing":                       with(map[string]any{"exp": nil}),
		"exp a string":                      with(map[string]any{"exp": fmt.Sprint(w.in(time.Minute))}),
		"exp null":                          rawClaims(fmt.Sprintf(`{"iss":"rms","sub":"rms","aud":%q,"jti":"a","exp":null}`, tokenURL)),
		"exp negative":                      with(map[string]any{"exp": -w.in(time.Minute)}),
		"exp zero":                          with(map[string]any{"exp": 0}),
		"exp huge":                          with(map[string]any{"exp": 1e18}),
		"exp with an exponent":              rawClaims(fmt.Sprintf(`{"iss":"rms","sub":"rms","aud":%q,"jti":"b","exp":%de0}`, tokenURL, w.in(time.Minute))),
		"exp beyond int64":                  rawClaims(fmt.Sprintf(`{"iss":"rms","sub":"rms","aud":%q,"jti":"c","exp":18446744073709551617}`, tokenURL)),
		"exp in milliseconds":               with(map[string]any{"exp": w.in(time.Minute) * 1000}),
		"exp an array":                      with(map[string]any{"exp": []int64{w.in(time.Minute)}}),
		"exp a boolean":                     with(map[string]any{"exp": true}),
		"exp past":                          with(map[string]any{"exp": w.in(-time.Minute)}),
		"exp past by just the skew":         with(map[string]any{"exp": w.in(-auth.DefaultSkew)}),
		"exp past by a second":              with(map[string]any{"exp": w.in(-time.Second)}),
		"exp now":                           with(map[string]any{"exp": w.in(0)}),
		"exp 301 seconds ahead":             with(map[string]any{"exp": w.in(5*time.Minute + time.Second)}),
		"exp an hour ahead":                 with(map[string]any{"exp": w.in(time.Hour)}),
		"exp six minutes ahead":             with(map[string]any{"exp": w.in(6 * time.Minute)}),
		"exp twice":                         rawClaims(fmt.Sprintf(`{"iss":"rms","sub":"rms","aud":%q,"jti":"d","exp":1,"exp":%d}`, tokenURL, w.in(time.Minute))),
		"Exp in another case":               rawClaims(fmt.Sprintf(`{"iss":"rms","sub":"rms","aud":%q,"jti":"e","Exp":%d}`, tokenURL, w.in(time.Minute))),
		"nbf future":                        with(map[string]any{"nbf": w.in(time.Hour)}),
		"nbf a string":                      with(map[string]any{"nbf": "0"}),
		"iat future":                        with(map[string]any{"iat": w.in(time.Hour)}),
		"iat an object":                     with(map[string]any{"iat": map[string]int{}}),
		"jti missing":                       with(map[string]any{"jti": nil}),
		"jti empty":                         with(map[string]any{"jti": ""}),
		"jti a number":                      with(map[string]any{"jti": 7}),
		"jti too long":                      with(map[string]any{"jti": strings.Repeat("j", 256)}),
		"jti twice":                         rawClaims(fmt.Sprintf(`{"iss":"rms","sub":"rms","aud":%q,"jti":"f","jti":"g","exp":%d}`, tokenURL, w.in(time.Minute))),
		"aud missing":                       with(map[string]any{"aud": nil}),
		"aud empty":                         with(map[string]any{"aud": ""}),
		"aud an empty array":                with(map[string]any{"aud": []string{}}),
		"aud another server":                with(map[string]any{"aud": "https://other.example/token"}),
		"aud the FHIR base":                 with(map[string]any{"aud": fhirBase}),
		"aud the issuer":                    with(map[string]any{"aud": issuerID}),
		"aud with a slash more":             with(map[string]any{"aud": tokenURL + "/"}),
		"aud with a query":                  with(map[string]any{"aud": tokenURL + "?x"}),
		"aud in another case":               with(map[string]any{"aud": strings.ToUpper(tokenURL)}),
		"aud a prefix":                      with(map[string]any{"aud": "https://gw.example/oauth/toke"}),
		"aud for two servers":               with(map[string]any{"aud": []string{tokenURL, "https://other.example/token"}}),
		"aud a nested array":                with(map[string]any{"aud": []any{[]string{tokenURL}}}),
		"aud an object":                     with(map[string]any{"aud": map[string]string{"a": tokenURL}}),
		"aud many":                          with(map[string]any{"aud": strings.Split(strings.Repeat(tokenURL+" ", 40), " ")}),
		"iss missing":                       with(map[string]any{"iss": nil}),
		"sub missing":                       with(map[string]any{"sub": nil}),
		"sub another":                       with(map[string]any{"sub": "ehr"}),
		"iss and sub of another client":     forgery{by: es, claims: w.claims("ehr", nil)}.String(),
		"iss an array":                      with(map[string]any{"iss": []string{"rms"}}),
		"iss in another case":               with(map[string]any{"iss": "RMS", "sub": "RMS"}),
		"iss with a space":                  with(map[string]any{"iss": "rms ", "sub": "rms "}),
		"iss with a NUL":                    with(map[string]any{"iss": "rms\x00", "sub": "rms\x00"}),
		"iss empty":                         with(map[string]any{"iss": "", "sub": ""}),
		"iss very long":                     with(map[string]any{"iss": strings.Repeat("r", 300), "sub": strings.Repeat("r", 300)}),
		"unknown client":                    forgery{by: es, claims: w.claims("nobody", nil)}.String(),
		"disabled client":                   forgery{by: es, claims: w.claims("gone", nil)}.String(),
		"client of another issuer":          forgery{by: es, claims: w.claims("idp-client", nil)}.String(),
		"kid missing":                       head(map[string]any{"kid": nil}),
		"kid empty":                         head(map[string]any{"kid": ""}),
		"kid unknown":                       head(map[string]any{"kid": "no-such-kid"}),
		"kid a number":                      head(map[string]any{"kid": 1}),
		"kid an array":                      head(map[string]any{"kid": []string{es.kid}}),
		"kid a path":                        head(map[string]any{"kid": "../../../../dev/null"}),
		"kid an operator":                   head(map[string]any{"kid": `{"$ne":null}`}),
		"kid an operator object":            head(map[string]any{"kid": map[string]any{"$ne": nil}}),
		"kid with SQL":                      head(map[string]any{"kid": "' UNION SELECT 'x'--"}),
		"kid with a NUL":                    head(map[string]any{"kid": es.kid + "\x00"}),
		"kid in another case":               head(map[string]any{"kid": strings.ToUpper(es.kid)}),
		"kid very long":                     head(map[string]any{"kid": strings.Repeat("k", 300)}),
		"kid of another client":             forgery{by: other, claims: w.claims("rms", nil)}.String(),
		"kid twice":                         forgery{by: es, claims: w.claims("rms", nil), rawHdr: `{"alg":"ES384","typ":"JWT","kid":"x","kid":"` + es.kid + `"}`}.String(),
		"signed by another under the kid":   forgery{by: impostor, claims: w.claims("rms", nil)}.String(),
		"embedded jwk":                      forgery{by: impostor, header: map[string]any{"jwk": impostor.jwk(false)}, claims: w.claims("rms", nil)}.String(),
		"embedded jwk of the right key":     head(map[string]any{"jwk": es.jwk(false)}),
		"x5u":                               head(map[string]any{"x5u": "https://evil.example/cert"}),
		"jku where none is registered":      head(map[string]any{"jku": "https://evil.example/jwks.json"}),
		"jku empty":                         head(map[string]any{"jku": ""}),
		"crit":                              head(map[string]any{"crit": []string{"exp"}}),
		"crit empty":                        head(map[string]any{"crit": []string{}}),
		"b64 false":                         head(map[string]any{"b64": false, "crit": []string{"b64"}}),
		"b64 true":                          head(map[string]any{"b64": true}),
		"zip":                               head(map[string]any{"zip": "DEF"}),
		"typ of an access token":            head(map[string]any{"typ": "at+jwt"}),
		"typ of another token":              head(map[string]any{"typ": "logout+jwt"}),
		"typ a number":                      head(map[string]any{"typ": 1}),
		"alg missing":                       head(map[string]any{"alg": nil}),
		"alg none":                          parts[0] + "." + parts[1] + ".",
		"alg none, said so":                 b64([]byte(`{"alg":"none","kid":"es-key"}`)) + "." + parts[1] + ".",
		"alg none, in odd case":             b64([]byte(`{"alg":"nOnE","kid":"es-key"}`)) + "." + parts[1] + "." + parts[2],
		"alg HS256 with the public key":     hs256(marshal(es.jwk(false)), map[string]any{"alg": "HS256", "kid": es.kid}, w.claims("rms", nil)),
		"alg HS384 with an empty secret":    hs256(nil, map[string]any{"alg": "HS384", "kid": es.kid}, w.claims("rms", nil)),
		"alg ES256 with a P-384 key":        forgery{by: es, header: map[string]any{"alg": "ES256"}, claims: w.claims("rms", nil), alg: "ES256"}.String(),
		"alg ES512":                         forgery{by: es, header: map[string]any{"alg": "ES512"}, claims: w.claims("rms", nil), alg: "ES512"}.String(),
		"alg RS384 for an EC key":           head(map[string]any{"alg": "RS384"}),
		"alg RS256 not registered":          forgery{by: rs, header: map[string]any{"alg": "RS256"}, claims: w.claims("rms-rsa", nil), alg: "RS256"}.String(),
		"alg PS384":                         forgery{by: rs, header: map[string]any{"alg": "PS384"}, claims: w.claims("rms-rsa", nil)}.String(),
		"alg in another case":               head(map[string]any{"alg": "es384"}),
		"alg twice":                         forgery{by: es, claims: w.claims("rms", nil), rawHdr: `{"alg":"none","alg":"ES384","kid":"` + es.kid + `"}`}.String(),
		"alg an array":                      head(map[string]any{"alg": []string{"ES384"}}),
		"claims an array":                   rawClaims(`[]`),
		"claims a string":                   rawClaims(`"x"`),
		"claims no JSON":                    rawClaims(`{`),
		"claims two values":                 rawClaims(`{}{}`),
		"claims not UTF-8":                  rawClaims("{\"iss\":\"\xff\"}"),
		"claims very deep":                  rawClaims(strings.Repeat(`{"a":`, 500) + "1" + strings.Repeat("}", 500)),
		"a hole claim name":                 rawClaims(fmt.Sprintf(`{"iss":"rms","sub":"rms","aud":%q,"jti":"h","exp":%d,"is\u0073":"ehr"}`, tokenURL, w.in(time.Minute))),
		"header no JSON":                    b64([]byte("x")) + "." + parts[1] + "." + parts[2],
		"header changed":                    b64([]byte(`{"alg":"ES384","kid":"es-key","typ":"JWT","x":1}`)) + "." + parts[1] + "." + parts[2],
		"claims changed":                    parts[0] + "." + b64(marshal(w.claims("rms", map[string]any{"admin": true}))) + "." + parts[2],
		"signature cut":                     good[:len(good)-8],
		"signature longer":                  good + "AAAA",
		"signature in DER length":           parts[0] + "." + parts[1] + "." + b64(make([]byte, 104)),
		"signature of zeros":                parts[0] + "." + parts[1] + "." + b64(make([]byte, 96)),
		"signature with padding":            good + "=",
		"signature with a line break":       good[:len(good)-4] + "\n" + good[len(good)-4:],
		"standard base64":                   parts[0] + "." + parts[1] + "." + strings.Repeat("+/", 64),
		"two parts":                         parts[0] + "." + parts[1],
		"four parts":                        good + ".x",
		"five parts, like JWE":              parts[0] + "." + parts[1] + "." + parts[2] + "." + parts[0] + "." + parts[1],
		"JSON serialisation":                `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"dots":                              "..",
		"nonsense":                          "nonsense",
		"leading space":                     " " + good,
		"very long":                         good + strings.Repeat("A", 10<<10),
		"an access token":                   w.accessTokenOrEmpty(),
		"duplicate header in claims' place": parts[0] + "." + parts[0] + "." + parts[2],
	}
}

func (w *world) accessTokenOrEmpty() string {
	return forgery{by: keys()["issuer"], header: map[string]any{"typ": "at+jwt"}, claims: w.claims(issuerID, map[string]any{"client_id": "rms"})}.String()
}

func TestBadAssertionsAreRefused(t *testing.T) {
	w := newWorld(t)
	bodies := map[string]string{}
	for note, assertion := range badAssertions(w) {
		t.Run(note, func(t *testing.T) {
			before := len(w.facts.m)
			a := w.post(t, form(assertion, nil))
			if (a.Code != 400 && a.Code != 401) || (a.JSON.Error != "invalid_client" && a.JSON.Error != "invalid_request") {
				t.Fatalf("%d %s", a.Code, a.Body)
			}
			if a.JSON.Error != "invalid_client" && note != "signature with a line break" { // no text in a form
				t.Errorf("error %q, want invalid_client", a.JSON.Error)
			}
			if len(w.facts.m) != before {
				t.Error("a refused assertion used its jti up")
			}
			at := w.audit.last(t)
			if at.Status != a.Code || at.Error != a.JSON.Error || at.Reason == "" || at.Reason == "error" || at.TokenID != "" || at.Authenticated {
				t.Errorf("audited %+v", at)
			}
			bodies[note] = a.Body
		})
	}
	// Whoever has proven nothing learns nothing about clients.
	for _, note := range []string{"disabled client", "client of another issuer", "signed by another under the kid", "kid unknown", "iss and sub of another client", "nonsense"} {
		if bodies[note] != bodies["unknown client"] {
			t.Errorf("%s is answered %s, an unknown client %s", note, bodies[note], bodies["unknown client"])
		}
	}
}

func TestBadRequestsAreRefused(t *testing.T) {
	w := newWorld(t)
	tests := []struct {
		note  string
		over  map[string]string
		codes string
	}{
		{"wrong grant_type", map[string]string{"grant_type": "password"}, "unsupported_grant_type"},
		{"authorization_code does not exist yet", map[string]string{"grant_type": "authorization_code", "code": "x"}, "unsupported_grant_type"},
		{"refresh_token does not exist", map[string]string{"grant_type": "refresh_token", "refresh_token": "x"}, "unsupported_grant_type"},
		{"no grant_type", map[string]string{"grant_type": "<none>"}, "invalid_request"},
		{"empty grant_type", map[string]string{"grant_type": ""}, "invalid_request"},
		{"wrong assertion type", map[string]string{"client_assertion_type": "not_an_assertion_type"}, "invalid_request"},
		{"SAML assertion type", map[string]string{"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}, "invalid_request"},
		{"no assertion type", map[string]string{"client_assertion_type": "<none>"}, "invalid_request"},
		{"no assertion", map[string]string{"client_assertion": "<none>"}, "invalid_request"},
		{"empty assertion", map[string]string{"client_assertion": ""}, "invalid_request"},
		{"a secret too", map[string]string{"client_secret": "s"}, "invalid_request"},
		{"client_id contradicts", map[string]string{"client_id": "ehr"}, "invalid_client"},
		{"client_id contradicts by case", map[string]string{"client_id": "RMS"}, "invalid_client"},
		{"another resource", map[string]string{"resource": "https://other.example/fhir"}, "invalid_target"},
		{"no scope", map[string]string{"scope": "<none>"}, "invalid_scope"},
		{"empty scope", map[string]string{"scope": ""}, "invalid_scope"},
		{"blank scope", map[string]string{"scope": "  "}, "invalid_scope"},
		{"unknown resource", map[string]string{"scope": "system/NoSuchThing.rs"}, "invalid_scope"},
		{"one bad scope among good ones", map[string]string{"scope": "system/Patient.rs system/NoSuchThing.rs"}, "invalid_scope"},
		{"out of order", map[string]string{"scope": "system/Patient.sr"}, "invalid_scope"},
		{"empty letters", map[string]string{"scope": "system/Patient."}, "invalid_scope"},
		{"user scope", map[string]string{"scope": "user/Patient.rs"}, "invalid_scope"},
		{"patient scope", map[string]string{"scope": "patient/Patient.rs"}, "invalid_scope"},
		{"launch", map[string]string{"scope": "launch/patient system/Patient.rs"}, "invalid_scope"},
		{"openid", map[string]string{"scope": "openid"}, "invalid_scope"},
		{"offline access", map[string]string{"scope": "system/Patient.rs offline_access"}, "invalid_scope"},
		{"not registered", map[string]string{"scope": "system/Consent.rs"}, "invalid_scope"},
		{"letters not registered", map[string]string{"scope": "system/Patient.cud"}, "invalid_scope"},
		{"unsupported criterion", map[string]string{"scope": "system/Observation.rs?foo=bar"}, "invalid_scope"},
		{"modifier", map[string]string{"scope": "system/Observation.rs?category:not=x"}, "invalid_scope"},
		{"tab between scopes", map[string]string{"scope": "system/Patient.rs\tsystem/Encounter.rs"}, "invalid_request"},
		{"too many scopes", map[string]string{"scope": strings.Repeat("system/Patient.rs ", 300)}, "invalid_scope"},
		{"control character", map[string]string{"x": "a\x00b"}, "invalid_request"},
		{"not UTF-8", map[string]string{"x": "\xff"}, "invalid_request"},
	}
	for _, tt := range tests {
		t.Run(tt.note, func(t *testing.T) {
			a := w.post(t, form(w.good(), tt.over))
			if a.JSON.Error != tt.codes || (a.Code != 400 && (tt.codes != "invalid_client" || a.Code != 401)) {
				t.Errorf("%d %s, want %s", a.Code, a.Body, tt.codes)
			}
			if at := w.audit.last(t); at.Reason == "" || at.Reason == "error" || at.TokenID != "" {
				t.Errorf("audited %+v", at)
			}
		})
	}
}

func TestOnlyAPlainFormIsRead(t *testing.T) {
	w := newWorld(t)
	const formType = "application/x-www-form-urlencoded"
	req := func(method, target, body string, types ...string) *http.Request {
		r := httptest.NewRequest(method, target, strings.NewReader(body))
		for _, c := range types {
			r.Header.Add("Content-Type", c)
		}
		return r
	}
	body := func() string { return form(w.good(), nil).Encode() }
	for note, types := range map[string][]string{"plain": {formType}, "UTF-8": {formType + "; charset=utf-8"}, "UTF-8 in capitals": {formType + ";charset=UTF-8"}, "type in capitals": {strings.ToUpper(formType)}} {
		if a := w.serve(t, req("POST", tokenURL, body(), types...)); a.Code != 200 {
			t.Errorf("%s: %d %s", note, a.Code, a.Body)
		}
	}
	gzip := req("POST", tokenURL, body(), formType)
	gzip.Header.Set("Content-Encoding", "gzip")
	basic := req("POST", tokenURL, body(), formType)
	basic.SetBasicAuth("rms", "secret")
	bearer := req("POST", tokenURL, body(), formType)
	bearer.Header.Set("Authorization", "Bearer x")
	bad := map[string]*http.Request{
		"GET":                  req("GET", tokenURL+"?"+body(), ""),
		"PUT":                  req("PUT", tokenURL, body(), formType),
		"HEAD":                 req("DELETE", tokenURL, "", formType),
		"parameters in URL":    req("POST", tokenURL+"?scope=system/Patient.rs", body(), formType),
		"all in URL":           req("POST", tokenURL+"?"+body(), "", formType),
		"bare question mark":   req("POST", tokenURL+"?", body(), formType),
		"no type":              req("POST", tokenURL, body()),
		"JSON":                 req("POST", tokenURL, `{"grant_type":"client_credentials"}`, "application/json"),
		"multipart":            req("POST", tokenURL, body(), "multipart/form-data; boundary=x"),
		"two types":            req("POST", tokenURL, body(), formType, "application/json"),
		"two types in one":     req("POST", tokenURL, body(), formType+", application/json"),
		"UTF-16":               req("POST", tokenURL, body(), formType+"; charset=utf-16"),
		"UTF-7":                req("POST", tokenURL, body(), formType+"; charset=utf-7"),
		"two charsets":         req("POST", tokenURL, body(), formType+"; charset=utf-8; charset=utf-16"),
		"another parameter":    req("POST", tokenURL, body(), formType+"; boundary=x"),
		"gzip":                 gzip,
		"basic":                basic,
		"bearer":               bearer,
		"empty":                req("POST", tokenURL, "", formType),
		"too large":            req("POST", tokenURL, body()+"&x="+strings.Repeat("a", auth.MaxFormBytes), formType),
		"repeated scope":       req("POST", tokenURL, body()+"&scope=system/Patient.rs", formType),
		"repeated grant_type":  req("POST", tokenURL, body()+"&grant_type=client_credentials", formType),
		"repeated assertion":   req("POST", tokenURL, body()+"&client_assertion=x", formType),
		"repeated, escaped":    req("POST", tokenURL, body()+"&s%63ope=system/Patient.rs", formType),
		"repeated, empty":      req("POST", tokenURL, body()+"&scope=", formType),
		"repeated unknown":     req("POST", tokenURL, body()+"&x=1&x=2", formType),
		"semicolons":           req("POST", tokenURL, strings.ReplaceAll(body(), "&", ";"), formType),
		"bad escape":           req("POST", tokenURL, body()+"&x=%zz", formType),
		"bad escape in a name": req("POST", tokenURL, body()+"&%=1", formType),
		"nameless":             req("POST", tokenURL, body()+"&=1", formType),
		"many":                 req("POST", tokenURL, body()+manyParameters(), formType),
	}
	for note, r := range bad {
		t.Run(note, func(t *testing.T) {
			n := len(w.audit.attempts)
			a := w.serve(t, r)
			if a.Code < 400 || a.Code > 405 || a.JSON.Error == "" {
				t.Errorf("%d %s", a.Code, a.Body)
			}
			if len(w.audit.attempts) != n+1 {
				t.Error("not audited")
			}
		})
	}
	if a := w.serve(t, req("GET", tokenURL, "")); a.Code != 405 || a.Header.Get("Allow") != "POST" {
		t.Errorf("GET: %d %v", a.Code, a.Header)
	}
	basic = req("POST", tokenURL, body(), formType)
	basic.SetBasicAuth("rms", "secret")
	if a := w.serve(t, basic); a.Code != 401 || !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Basic ") || a.JSON.Error != "invalid_client" {
		t.Errorf("basic: %d %v %s", a.Code, a.Header, a.Body)
	}
}

func manyParameters() string {
	var b strings.Builder
	for i := range 40 {
		fmt.Fprintf(&b, "&p%d=1", i)
	}
	return b.String()
}

// A refusal says which scope it is and what is wrong with it, in the characters
// that RFC 6749 5.2 allows.
func TestARefusedScopeIsNamed(t *testing.T) {
	w := newWorld(t)
	for asked, want := range map[string]string{
		"system/Patient.rs system/Nonsense.rs":              "scope 'system/Nonsense.rs': not a SMART scope: 'Nonsense' is no R4 resource type",
		"system/Observation.rs?category:not=x":              "scope 'system/Observation.rs?category:not=x': criterion is not supported on Observation",
		"system/Patient.sr":                                 "permissions 'sr' are not in the order cruds",
		"openid":                                            "scope 'openid': not a resource scope",
		"user/Patient.rs":                                   "not user/",
		`system/Patient.rs?name="é\`:                        "scope 'system/Patient.rs?name=",
		"system/Observation.rs?" + strings.Repeat("x", 900): "not name=value",
	} {
		a := w.post(t, form(w.good(), map[string]string{"scope": asked}))
		d := a.JSON.Description
		if a.JSON.Error != "invalid_scope" || !strings.Contains(d, want) || len(d) > 300 || strings.ContainsFunc(d, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
			t.Errorf("%.60q: %s", asked, a.Body)
		}
	}
}

func TestScopesAreCutDownToTheRegistration(t *testing.T) {
	w := newWorld(t)
	for asked, want := range map[string]string{
		"system/*.cruds":                           "system/Patient.rs system/Encounter.rs system/Observation.rs?category=laboratory",
		"system/*.rs":                              "system/Patient.rs system/Encounter.rs system/Observation.rs?category=laboratory",
		"system/Patient.r":                         "system/Patient.r",
		"system/Patient.s":                         "system/Patient.s",
		"system/Patient.read":                      "system/Patient.read",
		"system/*.read":                            "system/Patient.rs system/Encounter.rs system/Observation.rs?category=laboratory",
		"system/Observation.rs":                    "system/Observation.rs?category=laboratory",
		"system/Encounter.cruds system/Patient.rs": "system/Encounter.rs system/Patient.rs",
		"system/Observation.r?category=laboratory&status=final":     "system/Observation.r?category=laboratory&status=final",
		"system/Patient.r system/Patient.s system/Consent.rs":       "system/Patient.rs",
		"system/Observation.rs?category=vital-signs":                "system/Observation.rs?category=laboratory&category=vital-signs",
		"system/Observation.rs?category=http://example|laboratory":  "system/Observation.rs?category=http://example|laboratory",
		"system/Patient.rs system/Patient.rs system/Observation.rs": "system/Patient.rs system/Observation.rs?category=laboratory",
	} {
		a := w.post(t, form(w.good(), map[string]string{"scope": asked}))
		if a.JSON.Scope != want {
			t.Errorf("asked %q: got %q, want %q", asked, a.JSON.Scope, want)
		}
	}
}

func TestAnAssertionWorksOnce(t *testing.T) {
	w := newWorld(t)
	assertion := w.good()
	if a := w.post(t, form(assertion, nil)); a.Code != 200 {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	if a := w.post(t, form(assertion, nil)); a.JSON.Error != "invalid_client" || w.audit.last(t).Reason != "replay" {
		t.Errorf("replay: %d %s %s", a.Code, a.Body, w.audit.last(t).Reason)
	}
	// Until the last moment in which it could still be believed.
	w.clock.add(4*time.Minute - time.Second)
	if a := w.post(t, form(assertion, nil)); w.audit.last(t).Reason != "replay" {
		t.Errorf("late replay: %d %s %s", a.Code, a.Body, w.audit.last(t).Reason)
	}
	w.clock.add(time.Second)
	if a := w.post(t, form(assertion, nil)); w.audit.last(t).Reason != "expired" {
		t.Errorf("expired: %d %s %s", a.Code, a.Body, w.audit.last(t).Reason)
	}
	// The same jti under another signature of the same client.
	c := w.claims("rms", map[string]any{"jti": "again"})
	for i, want := range []int{200, 401} {
		c["exp"] = w.in(time.Duration(i+1) * time.Minute)
		if a := w.post(t, form(forgery{by: keys()["es"], claims: c}.String(), nil)); a.Code != want {
			t.Errorf("use %d of one jti: %d", i, a.Code)
		}
	}
	// A request that fails for its scope has used the assertion up too.
	assertion = w.good()
	w.post(t, form(assertion, map[string]string{"scope": "system/Consent.rs"}))
	if a := w.post(t, form(assertion, nil)); a.Code != 401 {
		t.Errorf("assertion of a refused request: %d", a.Code)
	}
}

func TestParallelReplaysYieldOneToken(t *testing.T) {
	w := newWorld(t)
	for range 5 {
		body := form(w.good(), nil)
		var granted atomic.Int32
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				r := httptest.NewRequest(http.MethodPost, tokenURL, strings.NewReader(body.Encode()))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				rec := httptest.NewRecorder()
				w.endpoint.ServeHTTP(rec, r)
				if rec.Code == 200 {
					granted.Add(1)
				}
			})
		}
		wg.Wait()
		if n := granted.Load(); n != 1 {
			t.Fatalf("%d tokens for one assertion", n)
		}
	}
}

func TestNoTokenWithoutAuditOrStore(t *testing.T) {
	w := newWorld(t)
	w.audit.fail = errors.New("disk full")
	if a := w.post(t, form(w.good(), nil)); a.Code != 500 || a.JSON.Error != "server_error" || strings.Contains(a.Body, "disk") {
		t.Errorf("audit fails: %d %s", a.Code, a.Body)
	}
	if a := w.post(t, form("nonsense", nil)); a.Code != 500 {
		t.Errorf("audit fails on a refusal: %d %s", a.Code, a.Body)
	}
	w.audit.fail = nil
	w.facts.fail = errors.New("store down at 10.0.0.7")
	if a := w.post(t, form(w.good(), nil)); a.Code != 500 || a.JSON.Error != "server_error" || strings.Contains(a.Body, "10.0.0.7") {
		t.Errorf("store fails: %d %s", a.Code, a.Body)
	}
	if at := w.audit.last(t); at.Status != 500 || at.Reason != "store" || at.TokenID != "" {
		t.Errorf("audited %+v", at)
	}
}

// A store that cannot be reached now is worth another try.
func TestAStoreThatIsAwayIsToldAsThat(t *testing.T) {
	w := newWorld(t)
	for _, away := range []error{store.ErrAway, store.ErrLocked, store.ErrFull} {
		w.facts.fail = fmt.Errorf("at 10.0.0.7: %w", away)
		a := w.post(t, form(w.good(), nil))
		if a.Code != 503 || a.JSON.Error != "temporarily_unavailable" || a.Header.Get("Retry-After") != "5" || strings.Contains(a.Body, "10.0.0.7") {
			t.Errorf("%v: %d %v %s", away, a.Code, a.Header, a.Body)
		}
	}
}

func TestADisabledClientGetsNothing(t *testing.T) {
	w := newWorld(t)
	w.replace(t, func(c *auth.Client) { c.Disabled = true })
	if a := w.post(t, form(w.good(), nil)); a.JSON.Error != "invalid_client" || w.audit.last(t).Reason != "client-disabled" {
		t.Errorf("%d %s", a.Code, a.Body)
	}
}

func TestTokenOptionsAreChecked(t *testing.T) {
	w := newWorld(t)
	key, err := auth.GenerateKey(auth.ES256)
	if err != nil {
		t.Fatal(err)
	}
	good := auth.TokenOptions{URL: tokenURL, Issuer: issuerID, Audience: fhirBase, Registry: w.registry, Facts: w.facts, Key: key, Auditor: w.audit}
	for note, change := range map[string]func(*auth.TokenOptions){
		"relative URL": func(o *auth.TokenOptions) { o.URL = "/oauth/token" },
		"no issuer":    func(o *auth.TokenOptions) { o.Issuer = "" },
		"no audience":  func(o *auth.TokenOptions) { o.Audience = "fhir" },
		"no registry":  func(o *auth.TokenOptions) { o.Registry = nil },
		"no facts":     func(o *auth.TokenOptions) { o.Facts = nil },
		"no key":       func(o *auth.TokenOptions) { o.Key = nil },
		"no auditor":   func(o *auth.TokenOptions) { o.Auditor = nil },
		"long life":    func(o *auth.TokenOptions) { o.Life = time.Hour },
		"no life":      func(o *auth.TokenOptions) { o.Life = -time.Second },
		"large skew":   func(o *auth.TokenOptions) { o.Skew = time.Hour },
	} {
		o := good
		change(&o)
		if _, err := auth.NewTokenEndpoint(o); err == nil {
			t.Errorf("%s was taken", note)
		}
	}
	if _, err := auth.NewTokenEndpoint(good); err != nil {
		t.Error(err)
	}
}

func FuzzTokenForm(f *testing.F) {
	w := newWorld(f)
	f.Add(form(w.good(), nil).Encode(), "application/x-www-form-urlencoded")
	f.Add("grant_type=client_credentials&grant_type=x", "application/x-www-form-urlencoded; charset=utf-8")
	f.Add("a=%zz;b&&=&%00", "application/x-www-form-urlencoded")
	f.Fuzz(func(t *testing.T, body, typ string) {
		r := httptest.NewRequest(http.MethodPost, tokenURL, strings.NewReader(body))
		r.Header["Content-Type"] = []string{typ}
		a := w.serve(t, r)
		if a.Code == 200 {
			v, err := url.ParseQuery(body)
			if err != nil || len(v["client_assertion"]) != 1 || len(v["scope"]) != 1 {
				t.Fatalf("granted for %q", body)
			}
		}
	})
}
