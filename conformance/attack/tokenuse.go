package attack

import (
	"net/http"
	"strings"

	"github.com/handoff-health/handoff/gateway/guard"
)

// sentTokens are good tokens in places where none may stand.
func sentTokens() Family {
	good := func(do func(t *Target, token string) error) func(*Target) error {
		return func(t *Target) error {
			token, err := t.tokenOf("clinician", "")
			if err != nil {
				return err
			}
			return do(t, token)
		}
	}
	return Family{Area: Tokens, Name: "sent where none may stand", Control: genuine, Attacks: []Attack{
		{"in-url", "a token in the URL opens nothing", "RFC 9700 4.3.2: URLs are logged", nil, good(func(t *Target, token string) error {
			ref, err := t.record("ada")
			if err != nil {
				return err
			}
			a, err := t.get("", ref+"?access_token="+token)
			if err == nil && a.ok() {
				err = breach("%s", a)
			}
			return err
		})},
		{"in-form", "a token in a search's form opens nothing", "RFC 6750 2.2 is optional and not offered", nil, good(func(t *Target, token string) error {
			a, err := t.ask("", http.MethodPost, "Patient/_search", []byte("access_token="+token), with("Content-Type", "application/x-www-form-urlencoded"))
			if err == nil && a.ok() {
				err = breach("%s", a)
			}
			return err
		})},
		{"two-headers", "two Authorization headers open nothing, whichever is good", "RFC 9110 5.3; proxies and servers take different ones (CWE-444)", []guard.Name{guard.TokenOneHeader}, good(func(t *Target, token string) error {
			return opens(t, token, and("Authorization", "Bearer x.y.z"))
		})},
		{"basic", "a token under another scheme opens nothing", "RFC 6750 2.1", []guard.Name{guard.TokenScheme}, good(func(t *Target, token string) error {
			return opens(t, "", with("Authorization", "Basic "+token))
		})},
		{"in-cookie", "a token in a cookie opens nothing: a browser would send it by itself", "CWE-352", nil, good(func(t *Target, token string) error {
			return opens(t, "", with("Cookie", "access_token="+token+"; Authorization=Bearer "+token))
		})},
		{"in-other-header", "a token in a header that some proxies use opens nothing", "X-Forwarded-Access-Token, X-Access-Token of proxies", nil, good(func(t *Target, token string) error {
			return opens(t, "", with("X-Access-Token", token), with("X-Forwarded-Access-Token", token), with("X-Original-Authorization", "Bearer "+token))
		})},
		{"line-break", "a token with another spelling of its base64 opens nothing: a deny list by its bytes would not know it", "RFC 7515 2; CVE-2022-29217 class of lax decoders", nil, good(func(t *Target, token string) error {
			return opens(t, token+"=")
		})},
		{"two-tokens", "a token with a second one after a comma opens nothing", "RFC 6750 2.1", nil, good(func(t *Target, token string) error {
			return opens(t, token+", "+token)
		})},
		{"huge", "a token of more bytes than any has opens nothing", "CWE-400: the size is bounded before it is read", []guard.Name{guard.TokenSize}, func(t *Target) error {
			token, err := t.forged("clinician", func(_, c object) { c["padding"] = strings.Repeat("x", 14<<10) })
			if err != nil {
				return err
			}
			return opens(t, token)
		}},
		{"assertion", "a client assertion in the place of an access token opens nothing", "RFC 8725 2.8 (cross-JWT confusion)", nil, func(t *Target) error {
			p, err := t.party("clinician")
			if err != nil {
				return err
			}
			header, claims := t.assertion(p)
			claims["client_id"], claims["scope"], claims["aud"] = p.ID, p.Scope, []string{t.Base, t.Token}
			token, err := forgery{header: header, claims: claims, key: p.Key}.token()
			if err != nil {
				return err
			}
			return opens(t, token)
		}},
		{"none", "no token opens nothing", "smart.md 4, convention 1", nil, func(t *Target) error { return opens(t, "") }},
	}}
}
