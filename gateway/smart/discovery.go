package smart

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// WellKnown is the path of the discovery document below the FHIR base URL.
const WellKnown = "/.well-known/smart-configuration"

// A Discovery is what the SMART configuration document states. It names only
// what exists.
type Discovery struct {
	TokenEndpoint string   // absolute URL
	Algorithms    []string // accepted for client assertions: RS384, ES384
	Scopes        []string // every one of them is really served
}

// document is the JSON form: SMART 2.2, conformance page.
type document struct {
	TokenEndpoint        string   `json:"token_endpoint"`
	AuthMethods          []string `json:"token_endpoint_auth_methods_supported"`
	AuthAlgorithms       []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	GrantTypes           []string `json:"grant_types_supported"`
	Scopes               []string `json:"scopes_supported"`
	CodeChallengeMethods []string `json:"code_challenge_methods_supported"`
	Capabilities         []string `json:"capabilities"`
}

// JSON renders the document. There is no issuer, because SMART forbids one
// without sso-openid-connect, and no authorization_endpoint, because there is
// no launch. SMART requires code_challenge_methods_supported of every server:
// it says S256 and never plain, also before there is a code flow.
func (d Discovery) JSON() ([]byte, error) {
	u, err := url.Parse(d.TokenEndpoint)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		return nil, fmt.Errorf("token endpoint %q is not an absolute http URL", d.TokenEndpoint)
	}
	if len(d.Algorithms) == 0 || len(d.Scopes) == 0 {
		return nil, errors.New("discovery needs signing algorithms and scopes")
	}
	return json.Marshal(document{
		TokenEndpoint:        d.TokenEndpoint,
		AuthMethods:          []string{"private_key_jwt"},
		AuthAlgorithms:       d.Algorithms,
		GrantTypes:           []string{"client_credentials"},
		Scopes:               d.Scopes,
		CodeChallengeMethods: []string{"S256"},
		Capabilities:         []string{"client-confidential-asymmetric", "permission-v1", "permission-v2"},
	})
}

// SupportedScopes lists the scopes of one level for the types that a server
// serves, the wildcard first: what Discovery.Scopes takes.
func SupportedScopes(level string, p Permission, types ...string) []string {
	out := []string{level + "/*." + p.String()}
	for _, t := range types {
		out = append(out, level+"/"+t+"."+p.String())
	}
	return out
}

// Handler serves the document: JSON whatever Accept says, without
// authentication, to pages of any origin.
func (d Discovery) Handler() (http.Handler, error) {
	body, err := d.JSON()
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("X-Content-Type-Options", "nosniff")
		switch r.Method {
		case http.MethodGet, http.MethodHead:
			h.Set("Content-Type", "application/json")
			h.Set("Content-Length", strconv.Itoa(len(body)))
			h.Set("Cache-Control", "public, max-age=300")
			if r.Method == http.MethodGet {
				_, _ = w.Write(body) // the caller has gone if this fails
			}
		case http.MethodOptions:
			h.Set("Access-Control-Allow-Methods", "GET, HEAD")
			h.Set("Access-Control-Allow-Headers", "Accept, Content-Type")
			h.Set("Access-Control-Max-Age", "86400")
			w.WriteHeader(http.StatusNoContent)
		default:
			h.Set("Allow", "GET, HEAD, OPTIONS")
			w.WriteHeader(http.StatusMethodNotAllowed)
		}
	}), nil
}
