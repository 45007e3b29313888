package registration

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/config"
)

// Metadata is what a client is registered with: the members of RFC 7591 2 and
// OpenID Connect Registration, and below them the project's own.
type Metadata struct {
	ClientName   string   `json:"client_name,omitempty"`
	RedirectURIs []string `json:"redirect_uris,omitempty"`
	// GrantTypes default to authorization_code, ResponseTypes to code with it.
	GrantTypes    []string `json:"grant_types,omitempty"`
	ResponseTypes []string `json:"response_types,omitempty"`
	// AuthMethod is none, client_secret_basic, client_secret_post or
	// private_key_jwt; the default is private_key_jwt where there is a key, else
	// client_secret_basic.
	AuthMethod string          `json:"token_endpoint_auth_method,omitempty"`
	JWKS       json.RawMessage `json:"jwks,omitempty"`
	JWKSURI    string          `json:"jwks_uri,omitempty"`
	Scope      string          `json:"scope,omitempty"`
	// InitiateLoginURI is where a launch sends the browser (OpenID Connect
	// Registration 2; SMART calls it the launch URL).
	InitiateLoginURI string   `json:"initiate_login_uri,omitempty"`
	Contacts         []string `json:"contacts,omitempty"`
	SoftwareID       string   `json:"software_id,omitempty"`
	SoftwareVersion  string   `json:"software_version,omitempty"`

	Organization string   `json:"organization,omitempty"` // "Organization/…"; default the manager's own
	Roles        []string `json:"roles,omitempty"`        // as in the configuration
	Purposes     []string `json:"purposes,omitempty"`     // as in the configuration
	Providers    []string `json:"providers,omitempty"`    // ids of providers at which its users sign in
	Origins      []string `json:"origins,omitempty"`      // of its pages that may call here
	TokenLife    int      `json:"access_token_lifetime,omitempty"`
}

// Bounds of metadata.
const (
	maxMetadata = 64 << 10 // bytes of a body
	maxName     = 255
	maxList     = 64 // entries of any list
	maxScope    = 8 << 10
)

// given are members that the server makes, or that name what is changed; they are
// taken from nobody, and a client that sends back what it read may leave them in.
var given = []string{
	"client_id", "client_secret", "client_id_issued_at", "client_secret_expires_at", "registration_client_uri",
	"registration_access_token", "disabled", "source", "last_used", "updated_at", "rotation", "warnings", "secret_expires_at",
}

// readMetadata reads a body. ignored are members that are not known, which RFC
// 7591 2 wants passed over. An error is a [*Refusal].
func readMetadata(raw []byte) (m *Metadata, ignored []string, err error) {
	doc, err := resource.ParseDocument(raw)
	if err != nil {
		return nil, nil, invalid(codeMetadata, "the body is not JSON whose names stand once: %v", err)
	}
	if doc.Root().Kind() != resource.Object {
		return nil, nil, invalid(codeMetadata, "the body is not a JSON object")
	}
	m = &Metadata{}
	for n := range doc.Root().Members() {
		known, err := m.member(n)
		if err != nil {
			return nil, nil, err
		}
		if !known && !slices.Contains(given, n.Name()) {
			ignored = append(ignored, n.Name())
		}
	}
	return m, ignored, nil
}

// member reads one member.
func (m *Metadata) member(n resource.Node) (known bool, err error) {
	name := n.Name()
	texts := map[string]*string{
		"client_name": &m.ClientName, "token_endpoint_auth_method": &m.AuthMethod, "jwks_uri": &m.JWKSURI, "scope": &m.Scope,
		"initiate_login_uri": &m.InitiateLoginURI, "software_id": &m.SoftwareID, "software_version": &m.SoftwareVersion, "organization": &m.Organization,
	}
	lists := map[string]*[]string{
		"redirect_uris": &m.RedirectURIs, "grant_types": &m.GrantTypes, "response_types": &m.ResponseTypes, "contacts": &m.Contacts,
		"roles": &m.Roles, "purposes": &m.Purposes, "providers": &m.Providers, "origins": &m.Origins,
	}
	switch to := texts[name]; {
	case to != nil:
		*to, err = textOf(n)
	case lists[name] != nil:
		*lists[name], err = textsOf(n)
	case name == "jwks":
		if n.Kind() != resource.Object {
			return true, invalid(codeMetadata, "jwks is not an object")
		}
		m.JWKS = slices.Clone(n.Raw())
	case name == "access_token_lifetime":
		if err := json.Unmarshal(n.Raw(), &m.TokenLife); err != nil || m.TokenLife < 1 {
			return true, invalid(codeMetadata, "access_token_lifetime is not a number of seconds")
		}
	case name == "software_statement":
		return true, invalid(codeUnapproved, "software statements are not accepted yet: no community of trust is configured")
	case name == "udap":
		return true, invalid(codeMetadata, "UDAP registration is not supported yet; register without udap and software_statement")
	default:
		return false, nil
	}
	return true, err
}

func textOf(n resource.Node) (string, error) {
	s, most := n.Text(), 2048
	switch n.Name() {
	case "client_name", "software_id", "software_version":
		most = maxName
	case "scope":
		most = maxScope
	}
	if n.Kind() != resource.String || s == "" || len(s) > most || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", refused(memberCode(n.Name()), "%s is not a text of 1 to %d bytes on one line", n.Name(), most)
	}
	return s, nil
}

func textsOf(n resource.Node) ([]string, error) {
	fault := refused(memberCode(n.Name()), "%s is not a list of at most %d different texts", n.Name(), maxList)
	if n.Kind() != resource.Array || n.Len() > maxList {
		return nil, fault
	}
	out := []string{}
	for e := range n.Elements() {
		s := e.Text()
		if e.Kind() != resource.String || s == "" || len(s) > 2048 || slices.Contains(out, s) {
			return nil, fault
		}
		out = append(out, s)
	}
	return out, nil
}

func memberCode(name string) string {
	if name == "redirect_uris" {
		return codeRedirect
	}
	return codeMetadata
}

// normal fills in defaults, so that the answer says what is in force.
func (m *Metadata) normal(ownOrganization string) error {
	if len(m.GrantTypes) == 0 {
		m.GrantTypes = []string{auth.GrantAuthorizationCode}
	}
	code := slices.Contains(m.GrantTypes, auth.GrantAuthorizationCode)
	switch {
	case len(m.ResponseTypes) == 0 && code:
		m.ResponseTypes = []string{"code"}
	case len(m.ResponseTypes) > 0 && (!code || !slices.Equal(m.ResponseTypes, []string{"code"})):
		return invalid(codeMetadata, "response_types is [\"code\"] with the grant authorization_code, and absent without it")
	}
	key := len(m.JWKS) > 0 || m.JWKSURI != ""
	if m.AuthMethod == "" {
		m.AuthMethod = auth.MethodSecretBasic
		if key {
			m.AuthMethod = auth.MethodPrivateKeyJWT
		}
	}
	switch m.AuthMethod {
	case auth.MethodPrivateKeyJWT:
		if !key {
			return invalid(codeMetadata, "token_endpoint_auth_method private_key_jwt needs jwks or jwks_uri")
		}
	case auth.MethodNone, auth.MethodSecretBasic, auth.MethodSecretPost:
		if key {
			return invalid(codeMetadata, "jwks and jwks_uri go with token_endpoint_auth_method private_key_jwt")
		}
	default:
		return invalid(codeMetadata, "token_endpoint_auth_method is none of private_key_jwt, client_secret_basic, client_secret_post, none")
	}
	for _, to := range m.Contacts {
		if !strings.Contains(to, "@") || strings.ContainsAny(to, " \r\n") {
			return invalid(codeMetadata, "contacts: %.80q is no mail address", to)
		}
	}
	if m.Organization == "" {
		m.Organization = ownOrganization
	}
	return nil
}

// client is what auth makes of the metadata.
func (m *Metadata) client(c *config.Config, id string) (auth.Client, error) {
	out := auth.Client{
		ID: id, Name: m.ClientName, Grants: m.GrantTypes, RedirectURIs: m.RedirectURIs, LaunchURL: m.InitiateLoginURI, Origins: m.Origins,
		Providers: m.Providers, Life: time.Duration(m.TokenLife) * time.Second, Public: m.AuthMethod == auth.MethodNone,
		JWKS: m.JWKS, JWKSURL: m.JWKSURI,
	}
	organization, ok := strings.CutPrefix(m.Organization, attribute.Reference(""))
	if !ok {
		return out, errors.New("organization is not Organization/<id>")
	}
	if err := party(c, &out, organization, m.Roles, m.Purposes); err != nil {
		return out, err
	}
	return out, scopes(&out, m.Scope)
}

// metadataOf is how a client of the configuration is shown.
func metadataOf(c *auth.Client) *Metadata {
	m := &Metadata{
		ClientName: c.Name, RedirectURIs: c.RedirectURIs, GrantTypes: c.Grants, JWKS: c.JWKS, JWKSURI: c.JWKSURL,
		Scope: strings.Join(allScopes(c), " "), InitiateLoginURI: c.LaunchURL, Organization: c.Organization,
		Purposes: c.Purposes, Providers: c.Providers, Origins: c.Origins, TokenLife: int(c.Life / time.Second),
	}
	for _, r := range c.Roles {
		m.Roles = append(m.Roles, r.String())
	}
	if len(m.GrantTypes) == 0 {
		m.GrantTypes = []string{auth.GrantClientCredentials}
	}
	if c.May(auth.GrantAuthorizationCode) {
		m.ResponseTypes = []string{"code"}
	}
	switch {
	case c.Issuer != "":
	case c.Public:
		m.AuthMethod = auth.MethodNone
	case len(c.SecretHashes) > 0:
		m.AuthMethod = auth.MethodSecretBasic
	default:
		m.AuthMethod = auth.MethodPrivateKeyJWT
	}
	return m
}

func allScopes(c *auth.Client) []string {
	return slices.Concat(c.ContextScopes, strings.Fields(c.Scopes.String()), c.Operations)
}

// changed names the members in which two registrations differ.
func changed(a, b *Metadata) []string {
	before, after := members(a), members(b)
	var out []string
	for name, v := range after {
		if before[name] != v {
			out = append(out, name)
		}
	}
	for name := range before {
		if _, ok := after[name]; !ok {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// members are the members of metadata with their values as JSON.
func members(m *Metadata) map[string]string {
	out := map[string]string{}
	if m == nil {
		return out
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return out
	}
	var list map[string]json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return out
	}
	for name, v := range list {
		out[name] = string(v)
	}
	return out
}

func (m *Metadata) String() string { return fmt.Sprintf("registration of %q", m.ClientName) }
