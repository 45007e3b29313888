package smart

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// WellKnown is the path of the SMART configuration document below the FHIR base
// URL. The two others stand at the origin (OpenID Connect Discovery 4, RFC 8414 3).
const (
	WellKnown       = "/.well-known/smart-configuration"
	WellKnownOpenID = "/.well-known/openid-configuration"
	WellKnownServer = "/.well-known/oauth-authorization-server"
)

// A Discovery is what the discovery documents state of the authorization server.
// It names only what exists: an endpoint that is empty is in no document. All
// endpoints are absolute URLs.
type Discovery struct {
	TokenEndpoint string
	Algorithms    []string // accepted for client assertions: RS384, ES384
	Scopes        []string // every one of them is really served

	// Of a server to which people come: all four, or none.
	Issuer                string
	AuthorizationEndpoint string
	KeysEndpoint          string // jwks_uri
	UserInfoEndpoint      string
	// Online says that refresh tokens can end with the session (online_access).
	Online bool

	IntrospectionEndpoint string
	RevocationEndpoint    string
	RegistrationEndpoint  string
}

// document is the JSON form: SMART 2.2, conformance page, and OpenID Connect
// Discovery 3, which have most names in common.
type document struct {
	Issuer               string   `json:"issuer,omitempty"`
	KeysURI              string   `json:"jwks_uri,omitempty"`
	Authorization        string   `json:"authorization_endpoint,omitempty"`
	Token                string   `json:"token_endpoint"`
	AuthMethods          []string `json:"token_endpoint_auth_methods_supported"`
	AuthAlgorithms       []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	GrantTypes           []string `json:"grant_types_supported"`
	UserInfo             string   `json:"userinfo_endpoint,omitempty"`
	Registration         string   `json:"registration_endpoint,omitempty"`
	Introspection        string   `json:"introspection_endpoint,omitempty"`
	Revocation           string   `json:"revocation_endpoint,omitempty"`
	Scopes               []string `json:"scopes_supported"`
	ResponseTypes        []string `json:"response_types_supported,omitempty"`
	CodeChallengeMethods []string `json:"code_challenge_methods_supported"`
	Capabilities         []string `json:"capabilities,omitempty"`

	// The rest is OpenID Connect's and OAuth's alone.
	ResponseModes     []string `json:"response_modes_supported,omitempty"`
	SubjectTypes      []string `json:"subject_types_supported,omitempty"`
	IDTokenAlgorithms []string `json:"id_token_signing_alg_values_supported,omitempty"`
	Claims            []string `json:"claims_supported,omitempty"`
	Prompts           []string `json:"prompt_values_supported,omitempty"`
	// Absent, the three would be true, false and false.
	RequestURIParameter *bool `json:"request_uri_parameter_supported,omitempty"`
	RequestParameter    *bool `json:"request_parameter_supported,omitempty"`
	ClaimsParameter     *bool `json:"claims_parameter_supported,omitempty"`
	IssuerInAnswers     bool  `json:"authorization_response_iss_parameter_supported,omitempty"`

	// RFC 8414 2: absent, it would be client_secret_basic alone.
	RevocationAuth       []string `json:"revocation_endpoint_auth_methods_supported,omitempty"`
	RevocationAlgorithms []string `json:"revocation_endpoint_auth_signing_alg_values_supported,omitempty"`
	IntrospectionAuth    []string `json:"introspection_endpoint_auth_methods_supported,omitempty"`
	IntrospectionAlgs    []string `json:"introspection_endpoint_auth_signing_alg_values_supported,omitempty"`
}

// People says whether people sign in here.
func (d Discovery) People() bool { return d.AuthorizationEndpoint != "" }

// JSON renders the SMART configuration. issuer and jwks_uri are there only with
// sso-openid-connect, as SMART has it. SMART requires
// code_challenge_methods_supported of every server: it says S256 and never plain,
// also before there is a code flow.
func (d Discovery) JSON() ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	doc := d.common()
	doc.Capabilities = d.capabilities()
	return json.Marshal(doc)
}

// OpenID renders the document of OpenID Connect Discovery, which is that of RFC
// 8414 too. Without people there is none.
func (d Discovery) OpenID() ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	if !d.People() {
		return nil, errors.New("discovery: nobody signs in here")
	}
	doc, no := d.common(), false
	doc.ResponseModes = []string{"query"}
	doc.SubjectTypes = []string{"public"}
	doc.IDTokenAlgorithms = []string{"RS256"}
	doc.Claims = []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "azp", "at_hash", "sid", "fhirUser", "name"}
	doc.Prompts = []string{"none", "login", "consent", "select_account"}
	doc.RequestURIParameter, doc.RequestParameter, doc.ClaimsParameter = &no, &no, &no
	doc.IssuerInAnswers = true
	return json.Marshal(doc)
}

// check wants absolute URLs.
func (d Discovery) check() error {
	for name, s := range d.endpoints() {
		u, err := url.Parse(s)
		if (s != "" || name == "token") && (err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "") {
			return fmt.Errorf("discovery: the %s endpoint %q is not an absolute http URL", name, s)
		}
	}
	if len(d.Algorithms) == 0 || len(d.Scopes) == 0 {
		return errors.New("discovery needs signing algorithms and scopes")
	}
	given := func(s string) bool { return s != "" }
	if people := []bool{given(d.Issuer), given(d.AuthorizationEndpoint), given(d.KeysEndpoint), given(d.UserInfoEndpoint)}; slices.Contains(people, true) && slices.Contains(people, false) {
		return errors.New("discovery: issuer, authorization, keys and userinfo go together")
	}
	return nil
}

func (d Discovery) endpoints() map[string]string {
	return map[string]string{
		"token": d.TokenEndpoint, "issuer": d.Issuer, "authorization": d.AuthorizationEndpoint, "keys": d.KeysEndpoint, "userinfo": d.UserInfoEndpoint,
		"introspection": d.IntrospectionEndpoint, "revocation": d.RevocationEndpoint, "registration": d.RegistrationEndpoint,
	}
}

// common is what all documents say.
func (d Discovery) common() document {
	doc := document{
		Token: d.TokenEndpoint, AuthMethods: []string{"private_key_jwt"}, AuthAlgorithms: d.Algorithms, GrantTypes: []string{"client_credentials"},
		Introspection: d.IntrospectionEndpoint, Revocation: d.RevocationEndpoint, Registration: d.RegistrationEndpoint,
		Scopes: d.Scopes, CodeChallengeMethods: []string{"S256"},
	}
	if !d.People() {
		return doc.withAuth()
	}
	doc.Issuer, doc.KeysURI, doc.Authorization, doc.UserInfo = d.Issuer, d.KeysEndpoint, d.AuthorizationEndpoint, d.UserInfoEndpoint
	doc.AuthMethods = append(doc.AuthMethods, "client_secret_basic", "client_secret_post", "none")
	doc.GrantTypes = []string{"authorization_code", "refresh_token", "client_credentials"}
	doc.ResponseTypes = []string{"code"}
	return doc.withAuth()
}

// withAuth says how clients prove their name where tokens are ended and asked
// about: as at the token endpoint, but whoever asks about tokens proves it.
func (doc document) withAuth() document {
	if doc.Revocation != "" {
		doc.RevocationAuth, doc.RevocationAlgorithms = doc.AuthMethods, doc.AuthAlgorithms
	}
	if doc.Introspection != "" {
		doc.IntrospectionAuth = slices.DeleteFunc(slices.Clone(doc.AuthMethods), func(m string) bool { return m == "none" })
		doc.IntrospectionAlgs = doc.AuthAlgorithms
	}
	return doc
}

// capabilities are those of SMART 2.2 that are there.
func (d Discovery) capabilities() []string {
	own := []string{"client-confidential-asymmetric", "permission-v1", "permission-v2"}
	if !d.People() {
		return own
	}
	out := slices.Concat([]string{
		"launch-ehr", "launch-standalone", "authorize-post", "client-public", "client-confidential-symmetric",
	}, own, []string{
		"sso-openid-connect", "context-banner", "context-ehr-patient", "context-ehr-encounter",
		"context-standalone-patient", "context-standalone-encounter", "permission-offline", "permission-patient", "permission-user",
	})
	if d.Online {
		out = append(out, "permission-online")
	}
	return out
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

// Document serves a discovery document: JSON whatever Accept says, without
// authentication, to pages of any origin.
func Document(body []byte) http.Handler {
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
	})
}

// Handler serves the SMART configuration.
func (d Discovery) Handler() (http.Handler, error) {
	body, err := d.JSON()
	if err != nil {
		return nil, err
	}
	return Document(body), nil
}
