package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/gateway/smart"
)

// TrustedIssuer is an outside authorization server whose access tokens count, for
// the clients that are registered for it (clients[].issuer). docs/outside-issuers.md
// has examples.
type TrustedIssuer struct {
	ID         string   `yaml:"id"`         // iss of its tokens
	Audience   string   `yaml:"audience"`   // in aud of its tokens; default server.base
	JWKS       string   `yaml:"jwks"`       // its public keys: inline, ${file:…}
	JWKSURL    string   `yaml:"jwksUrl"`    // or where to fetch them
	Algorithms []string `yaml:"algorithms"` // RS256, RS384, ES256, ES384; at least one
	// Claims names the claims in which this issuer says what; the defaults are the
	// names of RFC 9068.
	Claims TokenClaims `yaml:"claims"`
	// Scopes turns a scope or role as this issuer writes it into scopes as SMART
	// does, with spaces between, for issuers that cannot issue a "/", "*" or "?".
	// What is not here is read as it stands, and %2f as a slash.
	Scopes map[string]string `yaml:"scopes"`
	// Roles turns a value of the claim with roles into a role code; of a person
	// those count that are the client's too, and one without any is not let in.
	Roles map[string]string `yaml:"roles"`
}

// TokenClaims are names of claims. A path into objects is written with dots
// (realm_access.roles), or as a JSON Pointer where a name has dots itself
// (/resource_access/gw.example/roles); a URL is one name.
type TokenClaims struct {
	Client string   `yaml:"client"` // default client_id, then azp
	Scope  []string `yaml:"scope"`  // a text or a list each, added up; default scope
	ID     string   `yaml:"id"`     // of the token; default jti
	// Person is a claim that every token for a person has, and no client's own;
	// User is the person's id. Default none: then all tokens are the clients' own,
	// and only system/ scopes count.
	Person  string `yaml:"person"`
	User    string `yaml:"user"`
	System  string `yaml:"system"`  // naming system of that id: a person of organizations[].practitioners with this identifier is that Practitioner
	Name    string `yaml:"name"`    // default none
	Roles   string `yaml:"roles"`   // default none: all roles of the client count
	Patient string `yaml:"patient"` // id of the Patient in context; default none
	Methods string `yaml:"methods"` // how the person signed in, as amr; believed of clients with mfa: asserted; default none
}

// algorithms are those that may be pinned for an issuer.
var algorithms = []string{"RS256", "RS384", "ES256", "ES384"}

// TrustedIssuer returns the trusted issuer with this id, or nil.
func (c *Config) TrustedIssuer(id string) *TrustedIssuer {
	for i := range c.TrustedIssuers {
		if c.TrustedIssuers[i].ID == id {
			return &c.TrustedIssuers[i]
		}
	}
	return nil
}

// checkIssuers wants every issuer to be one that nobody else can be taken for.
func (k *checker) checkIssuers() {
	for i, is := range k.TrustedIssuers {
		at := fmt.Sprintf("$.trustedIssuers[%d]", i)
		k.issuerID(at+".id", i)
		k.issuerKeys(at, i)
		if len(is.Algorithms) == 0 {
			k.fault(at+".algorithms", "is missing: what its tokens are signed with, of "+strings.Join(algorithms, ", "))
		}
		for n, a := range is.Algorithms {
			if !slices.Contains(algorithms, a) {
				k.value(fmt.Sprintf("%s.algorithms[%d]", at, n), a, "is none of "+strings.Join(algorithms, ", "))
			}
		}
		k.issuerClaims(at, &is)
		for _, from := range sorted(is.Scopes) {
			k.issuerScope(at+".scopes", from, is.Scopes[from])
		}
	}
	for i, cl := range k.Clients {
		if cl.Issuer != "" {
			k.issuerClient(fmt.Sprintf("$.clients[%d]", i), cl)
		}
	}
}

// issuerID refuses an issuer that is this gateway itself, or that stands twice.
func (k *checker) issuerID(at string, i int) {
	id := k.TrustedIssuers[i].ID
	same := func(other string) bool { return strings.TrimRight(id, "/") == strings.TrimRight(other, "/") }
	own := ""
	if u, err := url.Parse(k.Server.Base); err == nil {
		own = u.Scheme + "://" + u.Host
	}
	switch {
	case id == "":
		k.fault(at, "is missing: the iss of its tokens")
	case !isWebURL(id, "http", "https"):
		k.value(at, id, "is not an absolute http(s) URL without query and fragment")
	case same(own) || same(k.Server.Base):
		k.value(at, id, "is this gateway's own issuer")
	case slices.ContainsFunc(k.TrustedIssuers[:i], func(o TrustedIssuer) bool { return same(o.ID) }):
		k.value(at, id, "stands twice")
	}
}

// issuerKeys wants keys that no other issuer has.
func (k *checker) issuerKeys(at string, i int) {
	is := &k.TrustedIssuers[i]
	switch {
	case (is.JWKS == "") == (is.JWKSURL == ""):
		k.fault(at, "exactly one of jwks and jwksUrl is needed")
	case is.JWKSURL != "" && !isKeySetURL(is.JWKSURL):
		k.value(at+".jwksUrl", is.JWKSURL, "is not an absolute https URL (http only to this machine)")
	case is.JWKS != "" && k.with.KeySet != nil:
		if err := k.with.KeySet([]byte(is.JWKS)); err != nil {
			k.because(at+".jwks", is.JWKS, "is not a usable JSON Web Key Set of public keys", err)
		}
	}
	for _, other := range k.TrustedIssuers[:i] {
		if is.JWKSURL != "" && is.JWKSURL == other.JWKSURL {
			k.value(at+".jwksUrl", is.JWKSURL, "is another trusted issuer's too: nobody could say whose tokens are whose")
		}
		if is.JWKS == "" || other.JWKS == "" || k.with.SharedKey == nil {
			continue
		}
		if kid := k.with.SharedKey([]byte(is.JWKS), []byte(other.JWKS)); kid != "" {
			k.fault(at+".jwks", "holds a key of another trusted issuer's: nobody could say whose tokens are whose")
		}
	}
}

// issuerClaims wants paths, and whatever is of a person together with the person.
func (k *checker) issuerClaims(at string, is *TrustedIssuer) {
	c := &is.Claims
	for _, x := range []struct{ name, value string }{
		{"client", c.Client}, {"id", c.ID}, {"person", c.Person}, {"user", c.User}, {"name", c.Name}, {"roles", c.Roles}, {"patient", c.Patient}, {"methods", c.Methods},
	} {
		k.claimPath(at+".claims."+x.name, x.value)
		personal := !slices.Contains([]string{"client", "id", "person", "user"}, x.name)
		if personal && x.value != "" && c.Person == "" {
			k.fault(at+".claims."+x.name, "is about a person: claims.person and claims.user are needed")
		}
	}
	for n, s := range c.Scope {
		if s == "" {
			k.fault(fmt.Sprintf("%s.claims.scope[%d]", at, n), "is empty")
		}
		k.claimPath(fmt.Sprintf("%s.claims.scope[%d]", at, n), s)
	}
	switch {
	case c.User != "" && c.Person == "":
		k.fault(at+".claims.user", "needs claims.person: a claim that every token for a person has and no client's own, such as scp of Entra ID, uid of Okta, sid of Keycloak")
	case c.Person != "" && c.User == "":
		k.fault(at+".claims.person", "needs claims.user: who the person is")
	case c.System != "" && c.Person == "":
		k.fault(at+".claims.system", "is about a person: claims.person and claims.user are needed")
	}
	switch {
	case c.Roles != "" && len(is.Roles) == 0:
		k.fault(at+".claims.roles", "needs roles: what its values mean here")
	case c.Roles == "" && len(is.Roles) > 0:
		k.fault(at+".roles", "needs claims.roles: in which claim they stand")
	}
	for _, from := range sorted(is.Roles) {
		k.roles(at+".roles", []string{is.Roles[from]})
	}
}

func (k *checker) claimPath(at, path string) {
	if path != "" && k.with.ClaimPath != nil {
		if err := k.with.ClaimPath(path); err != nil {
			k.because(at, path, "is no path of claims", err)
		}
	}
}

// issuerScope wants scopes that a token can hold.
func (k *checker) issuerScope(at, from, to string) {
	if from == "" || strings.TrimSpace(to) == "" {
		k.fault(at, "maps nothing, or to nothing")
		return
	}
	for s := range strings.FieldsSeq(to) {
		if known, _ := smart.OperationScope(s); known {
			continue
		}
		if _, err := smart.ParseScope(s); err != nil {
			k.because(at, s, "maps to a scope that cannot be granted", err)
		}
	}
}

// issuerClient wants a client's issuer to be there, and to have persons where the
// client is for persons. What else a client of an outside issuer may have is a
// rule of registrations.
func (k *checker) issuerClient(at string, cl Client) {
	is := k.TrustedIssuer(cl.Issuer)
	if is == nil {
		k.value(at+".issuer", cl.Issuer, "is not among trustedIssuers")
		return
	}
	for text := range strings.FieldsSeq(cl.Scopes) {
		if s, err := smart.ParseScope(text); err == nil && s.Context != smart.ContextSystem && is.Claims.Person == "" {
			k.value(at+".scopes", text, "cannot be granted: tokens of this issuer are for nobody (claims.person and claims.user), and a client's own has system/ scopes only")
		}
	}
}

// sorted are the keys of a map, so that faults come in one order.
func sorted(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for s := range m {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}
