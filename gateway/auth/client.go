package auth

import (
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/smart"
)

// A Kind is what sort of organisation a client belongs to.
type Kind string

// The kinds.
const (
	Police   Kind = "police"   // a law-enforcement agency
	Health   Kind = "health"   // a provider
	Exchange Kind = "exchange" // a health information exchange
)

// A Client is the registration of one client: a SMART Backend Services client,
// an app that people sign in to, or both. Whatever a token says of organisation,
// role and purpose comes from here.
type Client struct {
	ID   string
	Name string

	// Grants are the OAuth grant types it may use; none means client_credentials.
	Grants []string
	// Of an app (authorization_code): where codes go, compared byte for byte; where
	// a launch sends the browser; origins whose pages may call here (CORS); at
	// which providers its users sign in, by id; and for how long (0: the most) its
	// access tokens live.
	RedirectURIs []string
	LaunchURL    string
	Origins      []string
	Providers    []string
	Life         time.Duration
	// Public marks an app that can keep no key or secret: it authenticates by PKCE alone.
	Public bool
	// SecretHashes are "sha256:" and the hash, in hex, of client secrets of an app
	// (client-confidential-symmetric): two while one replaces the other.
	SecretHashes []string
	// Retiring are keys and secrets that a rotation replaced and that still count.
	Retiring []Retiring

	// Of a client that authenticates with a key, exactly one of them: a JSON Web
	// Key Set, or where to fetch it.
	JWKS    []byte
	JWKSURL string
	// Algorithms that its assertions may be signed with; none means RS384 and
	// ES384.
	Algorithms []string
	// AcceptIssuerAudience also takes assertions whose audience is the issuer
	// rather than the token URL, as some client libraries write them.
	AcceptIssuerAudience bool
	// Issuer is the outside issuer whose tokens the client uses; "" is the
	// gateway's own token endpoint. It cannot use both.
	Issuer string

	Scopes     smart.Scopes // the most it is granted
	Operations []string     // scopes of operations, the same
	// ContextScopes are those of an app beside them: launch, openid, fhirUser,
	// offline_access … ([smart.ContextScopes]).
	ContextScopes []string

	Organization     string // "Organization/…"
	OrganizationKind Kind
	Identifiers      []policy.Identifier // ORI, NPI
	Networks         []string            // exchanges in which the organisation takes part
	Roles            []label.Code
	// Purposes of use, "system|code". A token carries all of them, unless the
	// client asserts which of them it asks for.
	Purposes []string
	// AssertsUsers lets the client name the person for whom it asks;
	// BelievesMFA believes it how that person signed in.
	AssertsUsers, BelievesMFA bool
	Practitioners             []Practitioner // of its organisation, whom the directory knows
	TreatingProvider          bool           // states a treatment relation with everybody it asks about
	MedicalPersonnel          bool           // in the sense of 42 CFR 2.51
	Agreements                []string       // ids of sharing agreements
	// Manages lists organisations, "Organization/…", whose clients it may register
	// and change beside its own organisation's; with the scope for it alone.
	Manages []string

	Disabled bool // refuses new tokens and those already issued, at once
}

const maxClientIDBytes = 255

// Grant types (RFC 6749, RFC 7591 2).
const (
	GrantClientCredentials = grantClientCredentials
	GrantAuthorizationCode = "authorization_code"
	GrantRefreshToken      = "refresh_token"
)

// May says whether the client may use a grant type.
func (c *Client) May(grant string) bool {
	if len(c.Grants) == 0 {
		return grant == GrantClientCredentials
	}
	return slices.Contains(c.Grants, grant)
}

// checkClientID: VSCHAR of RFC 6749 A.1, bounded.
func checkClientID(id string) error {
	if id == "" || len(id) > maxClientIDBytes {
		return fmt.Errorf("client id has %d bytes, want 1 to %d", len(id), maxClientIDBytes)
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return fmt.Errorf("client id has the byte %#02x; only visible ASCII is allowed", id[i])
		}
	}
	return nil
}

func (c *Client) algorithms() []string {
	if len(c.Algorithms) == 0 {
		return []string{RS384, ES384}
	}
	return c.Algorithms
}

// principal says who speaks with these scopes: by the registration, narrowed by
// what was asserted. signedIn is what the authorization server says of a person
// who signed in; nil for a token of the client's own. Only system/ scopes count
// for a client, and only user/ and patient/ scopes for a person: nothing that the
// one may is ever added to what the other may.
func (c *Client) principal(granted smart.Scopes, operations []string, a *Asserted, base string, signedIn *personClaims) (Principal, error) {
	p := Principal{
		Client: c.ID,
		Requester: policy.Requester{
			Client:           c.ID,
			Organization:     c.Organization,
			Identifiers:      c.Identifiers,
			Networks:         c.Networks,
			Roles:            c.Roles,
			TreatingProvider: c.TreatingProvider,
			MedicalPersonnel: c.MedicalPersonnel,
			Police:           c.OrganizationKind == Police,
		},
		Police:     c.OrganizationKind == Police,
		Purposes:   c.Purposes,
		Agreements: c.Agreements,
		Manages:    c.Manages,
		Scopes:     c.held(granted),
		Operations: c.operations(operations),
	}
	levels := []string{smart.ContextSystem}
	if signedIn != nil {
		levels = []string{smart.ContextUser, smart.ContextPatient}
	}
	if !guard.Off(guard.ScopeLevel) {
		p.Scopes = p.Scopes.In(levels...)
	}
	if signedIn != nil {
		p.Patient, p.Encounter = signedIn.Patient, signedIn.Encounter
		p.Authorization, p.Session = signedIn.Authorization, signedIn.Session
	}
	if err := c.narrow(&p, a, base, signedIn != nil); err != nil || signedIn == nil {
		return p, err
	}
	p.User.MFA, p.User.ACR = signedIn.MFA, signedIn.ACR
	if signedIn.SignedIn != 0 {
		p.User.SignedIn = time.Unix(signedIn.SignedIn, 0).UTC()
	}
	return p, nil
}

// held is what of the granted scopes the registration still allows.
func (c *Client) held(granted smart.Scopes) smart.Scopes {
	if guard.Off(guard.ClientRegisteredScopes) {
		return granted
	}
	return smart.Restrict(granted, c.Scopes)
}

// clone keeps later changes of the caller's slices out of the registry.
func (c Client) clone() Client {
	c.JWKS = slices.Clone(c.JWKS)
	c.Algorithms = slices.Clone(c.Algorithms)
	c.Scopes = slices.Clone(c.Scopes)
	c.Identifiers = slices.Clone(c.Identifiers)
	c.Networks = slices.Clone(c.Networks)
	c.Roles = slices.Clone(c.Roles)
	c.Purposes = slices.Clone(c.Purposes)
	c.Agreements = slices.Clone(c.Agreements)
	c.Operations = slices.Clone(c.Operations)
	c.ContextScopes = slices.Clone(c.ContextScopes)
	c.Practitioners = slices.Clone(c.Practitioners)
	c.Grants = slices.Clone(c.Grants)
	c.RedirectURIs = slices.Clone(c.RedirectURIs)
	c.Origins = slices.Clone(c.Origins)
	c.Providers = slices.Clone(c.Providers)
	c.SecretHashes = slices.Clone(c.SecretHashes)
	c.Retiring = slices.Clone(c.Retiring)
	c.Manages = slices.Clone(c.Manages)
	return c
}

// checkKeySetURL: https, or http to this machine alone.
func checkKeySetURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("JWKS URL %q is not an absolute URL", s)
	}
	if u.Scheme == "https" || (u.Scheme == "http" && loopback(u.Hostname())) {
		return nil
	}
	return fmt.Errorf("JWKS URL %q: https only, or http to this machine", s)
}
