package auth

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/gateway/smart"
)

// A Problem is what is wrong with one setting of a registration.
type Problem struct {
	// Field is the setting by its name in the configuration, with the place in a
	// list: "redirectUris[1]"; "" for the registration as a whole.
	Field string
	// Value is what stands there, where it may be shown: no key and no secret.
	Value  string
	Reason string // reads on from the value: "is not …", "needs …"
	Err    error  // the cause, where there is one; it may quote the value
}

func (p Problem) Error() string {
	text := p.Reason
	if p.Value != "" {
		text = fmt.Sprintf("%.200q %s", p.Value, text)
	}
	if p.Field != "" {
		text = p.Field + ": " + text
	}
	if p.Err != nil {
		text += ": " + p.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (p Problem) Unwrap() error { return p.Err }

// Bounds of a registration.
const (
	maxRedirectURIs = 16
	maxOrigins      = 16
	maxProviders    = 16
	maxURIBytes     = 2048
	maxSecrets      = 2 // one, and the one it replaces
	minLife         = time.Minute
)

// Check returns all that is wrong with a registration: what could not work, says
// less than a decision needs, or is weaker than OAuth and SMART want. Configuration,
// registration API and registry ask it; there are no rules elsewhere.
func (c *Client) Check() []Problem {
	k := &rules{Client: c}
	if err := checkClientID(c.ID); err != nil {
		k.add("id", "", err.Error())
	}
	k.party()
	k.scopes()
	k.lists()
	if c.Issuer != "" {
		k.outside()
		return k.problems
	}
	k.grants()
	k.app()
	k.proof()
	return k.problems
}

// check is Check as one error.
func (c *Client) check() error {
	var errs []error
	for _, p := range c.Check() {
		errs = append(errs, p)
	}
	return errors.Join(errs...)
}

type rules struct {
	*Client
	problems []Problem
}

func (k *rules) add(field, value, reason string) {
	k.problems = append(k.problems, Problem{Field: field, Value: value, Reason: reason})
}

// party: who the client belongs to and what for.
func (k *rules) party() {
	if k.Organization == "" {
		k.add("organization", "", "is missing")
	}
	if k.OrganizationKind != Police && k.OrganizationKind != Health && k.OrganizationKind != Exchange {
		k.add("organization", string(k.OrganizationKind), "is no kind of organisation: police, health or exchange")
	}
	if len(k.Purposes) == 0 {
		k.add("purposes", "", "a client needs at least one purpose")
	}
	if k.BelievesMFA && !k.AssertsUsers {
		k.add("mfa", "", "a client that names no users cannot say how they signed in")
	}
	if k.lawEnforcement() && slices.ContainsFunc(k.Manages, func(o string) bool { return o != k.Organization }) {
		k.add("managesClientsOf", "", "law enforcement never manages the clients of another organisation")
	}
	if len(k.Manages) > 0 && !slices.Contains(k.Operations, smart.ScopeManageClients) {
		k.add("managesClientsOf", "", "needs the scope "+smart.ScopeManageClients)
	}
}

// scopes: that they exist, and that the client can get a token that holds them.
func (k *rules) scopes() {
	if len(k.Scopes)+len(k.Operations) == 0 {
		k.add("scopes", "", "a client without scopes can do nothing")
	}
	for _, s := range k.ContextScopes {
		if !smart.ContextScope(s) {
			k.add("scopes", s, "is not known")
		}
	}
	for _, s := range k.Operations {
		switch known, police := smart.OperationScope(s); {
		case !known:
			k.add("scopes", s, "is no operation's")
		case !police && k.lawEnforcement():
			k.add("scopes", s, "is never granted to law enforcement")
		}
	}
	if k.Issuer != "" {
		return
	}
	for _, s := range k.Scopes {
		system := s.Context == smart.ContextSystem
		switch {
		case system && !k.May(GrantClientCredentials):
			k.add("scopes", s.String(), "needs the grant client_credentials: a person who signs in gets user/ and patient/ scopes")
		case !system && !k.May(GrantAuthorizationCode):
			k.add("scopes", s.String(), "needs the grant authorization_code: a backend service gets system/ scopes only")
		}
	}
}

// lists: what is compared byte for byte, and so must be written in one way.
func (k *rules) lists() {
	k.each("redirectUris", k.RedirectURIs, maxRedirectURIs, redirectFault)
	k.each("origins", k.Origins, maxOrigins, originFault)
	k.each("providers", k.Providers, maxProviders, func(s string) string {
		if s == "" {
			return "is empty"
		}
		return ""
	})
	k.each("secretHashes", k.SecretHashes, maxSecrets, secretHashFault)
	if k.LaunchURL != "" {
		if why := launchFault(k.LaunchURL); why != "" {
			k.add("launchUrl", k.LaunchURL, why)
		}
	}
}

func (k *rules) each(field string, list []string, most int, fault func(string) string) {
	if len(list) > most {
		k.add(field, "", fmt.Sprintf("has %d entries, at most %d", len(list), most))
		return
	}
	for i, s := range list {
		at, shown := fmt.Sprintf("%s[%d]", field, i), s
		if field == "secretHashes" {
			shown = ""
		}
		if why := fault(s); why != "" {
			k.add(at, shown, why)
		} else if slices.Contains(list[:i], s) {
			k.add(at, shown, "stands twice")
		}
	}
}

// outside: a client of another issuer has nothing here that this gateway's own
// authorization server would use.
func (k *rules) outside() {
	for field, there := range map[string]bool{
		"jwks": len(k.JWKS) > 0, "jwksUrl": k.JWKSURL != "", "secretHashes": len(k.SecretHashes) > 0, "public": k.Public, "grants": len(k.Grants) > 0,
		"redirectUris": len(k.RedirectURIs) > 0, "launchUrl": k.LaunchURL != "", "providers": len(k.Providers) > 0, "lifetime": k.Life != 0,
	} {
		if there {
			k.add(field, "", "is of no use to a client of an outside issuer: it gets no tokens here")
		}
	}
	slices.SortFunc(k.problems, func(a, b Problem) int { return strings.Compare(a.Field, b.Field) })
}

func (k *rules) grants() {
	for i, g := range k.Grants {
		at := fmt.Sprintf("grants[%d]", i)
		switch {
		case g != GrantClientCredentials && g != GrantAuthorizationCode && g != GrantRefreshToken:
			k.add(at, g, "is none of client_credentials, authorization_code, refresh_token")
		case slices.Contains(k.Grants[:i], g):
			k.add(at, g, "stands twice")
		case g == GrantRefreshToken && !k.May(GrantAuthorizationCode):
			k.add(at, g, "needs authorization_code: a backend service asks anew")
		}
	}
	if k.May(GrantClientCredentials) && len(k.Scopes.In(smart.ContextSystem))+len(k.Operations) == 0 {
		k.add("grants", "", "client_credentials needs a system/ scope, or one of an operation")
	}
	for _, s := range [...]string{smart.ScopeOffline, smart.ScopeOnline} {
		if slices.Contains(k.ContextScopes, s) && !k.May(GrantRefreshToken) {
			k.add("scopes", s, "needs the grant refresh_token")
		}
	}
}

// app: what the code grant needs, and what is of no use without it.
func (k *rules) app() {
	if !k.May(GrantAuthorizationCode) {
		for _, x := range [...]struct {
			field string
			there bool
		}{
			{"redirectUris", len(k.RedirectURIs) > 0}, {"launchUrl", k.LaunchURL != ""}, {"providers", len(k.Providers) > 0},
			{"lifetime", k.Life != 0}, {"public", k.Public}, {"secretHashes", len(k.SecretHashes) > 0},
		} {
			if x.there {
				k.add(x.field, "", "is an app's: it needs the grant authorization_code")
			}
		}
		if len(k.ContextScopes) > 0 {
			k.add("scopes", k.ContextScopes[0], "is an app's: it needs the grant authorization_code")
		}
		return
	}
	if len(k.RedirectURIs) == 0 {
		k.add("redirectUris", "", "authorization_code needs at least one redirect URI")
	}
	if len(k.Providers) == 0 {
		k.add("providers", "", "authorization_code needs at least one provider at which people sign in")
	}
	if len(k.Scopes.In(smart.ContextUser, smart.ContextPatient))+len(k.Operations) == 0 {
		k.add("scopes", "", "authorization_code needs a user/ or patient/ scope, or one of an operation")
	}
	if k.Life != 0 && (k.Life < minLife || k.Life > MaxPersonTokenLife) {
		k.add("lifetime", k.Life.String(), fmt.Sprintf("is not from %v to %v", minLife, MaxPersonTokenLife))
	}
}

// proof: exactly one way to prove its name, and for a backend service a key.
func (k *rules) proof() {
	key, secret := len(k.JWKS) > 0 || k.JWKSURL != "", len(k.SecretHashes) > 0
	switch {
	case len(k.JWKS) > 0 && k.JWKSURL != "":
		k.add("jwks", "", "exactly one of jwks and jwksUrl is needed")
	case several(key, secret, k.Public):
		k.add("", "", "a client has a key (jwks or jwksUrl), or a secret, or is public: one of them only")
	case !key && k.May(GrantClientCredentials):
		k.add("jwks", "", "client_credentials needs a key: exactly one of jwks and jwksUrl (SMART Backend Services has no secrets and no public clients)")
	case !key && !secret && !k.Public:
		k.add("jwks", "", "the client has nothing to prove its name with: jwks, jwksUrl or secretHashes, or public: true")
	}
	if k.JWKSURL != "" {
		if err := checkKeySetURL(k.JWKSURL); err != nil {
			k.add("jwksUrl", k.JWKSURL, "is not an absolute https URL without user and fragment (http only to this machine)")
		}
	}
	if err := checkAlgorithms(k.algorithms()); err != nil {
		k.add("algorithms", "", err.Error())
	}
	if len(k.JWKS) > 0 {
		if _, err := newRotation(k.JWKS, k.Retiring, nil); err != nil {
			k.problems = append(k.problems, Problem{Field: "jwks", Reason: "is not a usable JSON Web Key Set of public keys", Err: err})
		}
	}
}

const secretHashPrefix = "sha256:"

func secretHashFault(s string) string {
	digits, ok := strings.CutPrefix(s, secretHashPrefix)
	if raw, err := hex.DecodeString(digits); !ok || err != nil || len(raw) != 32 {
		return "is not sha256: and 64 hexadecimal digits ('handoff token secret' makes one)"
	}
	return ""
}
