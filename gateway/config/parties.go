package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway/smart"
)

func (k *checker) checkClients() {
	seen := map[string]bool{}
	for i, cl := range k.Clients {
		at := fmt.Sprintf("$.clients[%d]", i)
		if seen[cl.ID] {
			k.value(at+".id", cl.ID, "stands twice")
		}
		seen[cl.ID] = true
		k.organization(at+".organization", cl.Organization)
		if len(cl.Roles) == 0 {
			k.fault(at+".roles", "a client needs at least one role")
		}
		k.roles(at+".roles", cl.Roles)
		k.purposes(at+".purposes", cl.Purposes)
		k.scopes(at+".scopes", cl)
		k.users(at, cl)
		k.known(at+".managesClientsOf", cl.ManagesClientsOf)
		k.rules(at, cl)
		if cl.TreatingProvider != "never" && cl.TreatingProvider != "linked" {
			k.value(at+".treatingProvider", cl.TreatingProvider, "is none of never, linked")
		}
		k.known(at+".recordsConsentFor", cl.RecordsConsentFor)
		if cl.Captures != "" && cl.Captures != "verbal" && cl.Captures != "written" {
			k.value(at+".captures", cl.Captures, "is neither verbal nor written")
		}
		if cl.Captures != "" && len(cl.RecordsConsentFor) == 0 {
			k.fault(at+".captures", "needs recordsConsentFor: the organisations whose data a captured Consent may open")
		}
	}
}

// users wants words that are known. Whether they make sense together is a rule of
// registrations.
func (k *checker) users(at string, cl Client) {
	if cl.Users != "none" && cl.Users != "asserted" {
		k.value(at+".users", cl.Users, "is none of none, asserted")
	}
	if cl.MFA != "never" && cl.MFA != "asserted" {
		k.value(at+".mfa", cl.MFA, "is none of asserted, never")
	}
}

// scopes wants scopes that can be read. Which of them a client may have is a rule
// of registrations.
func (k *checker) scopes(at string, cl Client) {
	for text := range strings.FieldsSeq(cl.Scopes) {
		if known, _ := smart.OperationScope(text); known || smart.ContextScope(text) {
			continue
		}
		_, err := smart.ParseScope(text)
		switch {
		case errors.Is(err, smart.ErrNotResourceScope):
			k.because(at, text, "has a scope that is no scope of a resource and none of "+strings.Join(slices.Concat(smart.OperationScopes(), smart.ContextScopes()), ", "), err)
		case err != nil:
			k.because(at, text, "has a scope that cannot be granted", err)
		}
	}
}

// rules asks the rules for registrations, which hold for clients that are
// registered otherwise too.
func (k *checker) rules(at string, cl Client) {
	if k.with.Client == nil {
		return
	}
	for _, f := range k.with.Client(k.Config, cl) {
		at := at
		if f.Field != "" {
			at += "." + f.Field
		}
		switch {
		case f.Err != nil && f.Field == "jwks":
			k.because(at, cl.JWKS, f.Reason, f.Err)
		case f.Err != nil:
			k.because(at, f.Value, f.Reason, f.Err)
		case f.Value != "":
			k.value(at, f.Value, f.Reason)
		default:
			k.fault(at, f.Reason)
		}
	}
}

// isKeySetURL leaves a query alone: some servers have one.
func isKeySetURL(s string) bool {
	path, _, _ := strings.Cut(s, "?")
	return isServiceURL(path) && !strings.Contains(s, "#")
}

// roles wants codes of the actor-role system, or system|code of another system:
// which roles there are elsewhere is not known here.
func (k *checker) roles(at string, roles []string) {
	for i, r := range roles {
		at := fmt.Sprintf("%s[%d]", at, i)
		system, code, ok := strings.Cut(r, "|")
		if !ok {
			system, code = terminology.ActorRole.URI(), r
		}
		switch s := terminology.SystemOf(system); {
		case code == "" || s == terminology.Unknown && !strings.Contains(system, ":"):
			k.value(at, r, "is neither a code of the actor-role system nor system|code")
		case s == terminology.ActorRole && !slices.Contains(terminology.ActorRoles(), code):
			k.value(at, r, "is no role; known are "+strings.Join(terminology.ActorRoles(), ", "))
		}
	}
}

// purposes wants codes of the two systems that purposes of use have.
func (k *checker) purposes(at string, purposes []string) {
	for i, p := range purposes {
		system, code, ok := strings.Cut(p, "|")
		if !ok {
			code = p
		}
		local := code == "LAWENF" || code == "CRISIS"
		reason := terminology.Subsumes(terminology.ActReason.URI(), "PurposeOfUse", code)
		switch s := terminology.SystemOf(system); {
		case !ok && (local || reason), s == terminology.PurposeOfUse && local, s == terminology.ActReason && reason:
		default:
			k.value(fmt.Sprintf("%s[%d]", at, i), p, "is no purpose of use: neither LAWENF nor CRISIS nor one of v3-ActReason, such as TREAT, ETREAT, HRESCH")
		}
	}
}

func (k *checker) checkSystems() {
	keys, slugs := map[string]bool{}, map[string]bool{}
	for i, s := range k.Systems {
		at := fmt.Sprintf("$.systems[%d]", i)
		switch {
		case !idForm.MatchString(s.Key):
			k.value(at+".key", s.Key, "is not a name of letters, digits, - and .")
		case keys[s.Key]:
			k.value(at+".key", s.Key, "stands twice")
		}
		keys[s.Key] = true
		k.organization(at+".organization", s.Organization)
		if s.Consents != "deny" && s.Consents != "registry" && s.Consents != "none" {
			k.value(at+".consents", s.Consents, "is none of deny, registry, none")
		}
		for n, t := range s.Types {
			if !smart.ResourceType(t) {
				k.value(fmt.Sprintf("%s.types[%d]", at, n), t, "is no resource type of R4")
			}
		}
		k.known(at+".recordsConsentFor", s.RecordsConsentFor)
		k.part2Units(at, s)
		switch s.Kind {
		case "feed":
			k.feed(at, s)
		case "fhir":
			k.upstream(at, s, slugs)
		default:
			k.value(at+".kind", s.Kind, "is none of fhir, feed")
		}
	}
}

func (k *checker) feed(at string, s System) {
	switch {
	case s.Adapter == "":
		k.fault(at+".adapter", "a feed needs an adapter")
	case k.with.Adapters != nil && !slices.Contains(k.with.Adapters, s.Adapter):
		k.value(at+".adapter", s.Adapter, "is no adapter; known are "+strings.Join(k.with.Adapters, ", "))
	}
	if s.Receive != nil {
		k.receive(at+".receive", s)
	}
}

func (k *checker) upstream(at string, s System, slugs map[string]bool) {
	if s.Receive != nil {
		k.fault(at+".receive", "is for systems of kind feed")
	}
	if !slugForm.MatchString(s.Slug) || slugs[s.Slug] {
		k.value(at+".slug", s.Slug, "must be 1 to 8 lower-case letters and unlike every other system's")
	}
	slugs[s.Slug] = true
	switch {
	case isServiceURL(s.Base):
	case isWebURL(s.Base, "http"):
		k.fault(at+".base", "plain HTTP is for loopback only; use https")
	default:
		k.value(at+".base", s.Base, "is not an absolute http(s) URL without query and fragment")
	}
	if (s.Auth.ClientID == "") != (s.Auth.KeyFile == "") {
		k.fault(at+".auth", "clientId and keyFile go together")
	}
	if s.Auth.TokenURL != "" && !isKeySetURL(s.Auth.TokenURL) {
		k.value(at+".auth.tokenUrl", s.Auth.TokenURL, "is not an absolute https URL (http only to this machine)")
	}
	for text := range strings.FieldsSeq(s.Auth.Scope) {
		if strings.ContainsAny(text, `"\`) { // RFC 6749 3.3; which scopes there are is the system's own affair
			k.value(at+".auth.scope", text, "is no scope")
		}
	}
}
