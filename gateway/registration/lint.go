package registration

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/smart"
)

// A Finding is something in a registration that is wider, longer or weaker than it
// need be. It stops nothing.
type Finding struct {
	Client  string `json:"client"`
	Scope   string `json:"scope,omitempty"` // what it is about, where it is a scope
	Code    string `json:"code"`            // stable
	Why     string `json:"why"`
	Instead string `json:"instead,omitempty"`
}

// A World is what a registration is compared with.
type World struct {
	Config *config.Config
	Served []string // resource types that the gateway answers
	// Purpose says whether a rule or an agreement names a purpose for an
	// organisation (law.Served); nil: not asked.
	Purpose func(organization, system, code string) bool
	Others  []*auth.Client       // registered clients, this one among them
	Used    map[string]time.Time // last use, by client; nil: not known
	Created time.Time            // of the client, where it is known
	Now     time.Time
}

// writable are the types that clients write here, with what they may do to them.
var writable = map[string]smart.Permission{
	"Consent": smart.Create | smart.Update, "Task": smart.Create | smart.Update,
}

// ofTheGateway are types that the gateway has itself, whatever systems serve.
var ofTheGateway = []string{"Consent", "Task", "Organization", "Practitioner", "PractitionerRole", "Provenance"}

const (
	writes      = smart.Create | smart.Update | smart.Delete
	idle        = 90 * 24 * time.Hour // CJIS AC-2
	longLife    = 30 * time.Minute
	strongRSA   = 3072 // bits: the strength of 128 (NIST SP 800-57, table 2)
	adviseLife  = "10m"
	everyLetter = writes | smart.Read | smart.Search
)

// Lint lists what is overbroad in one registration, in a stable order.
func Lint(c *auth.Client, w World) []Finding {
	l := &lint{Client: c, w: w}
	for _, s := range c.Scopes {
		l.wildcard(s)
		l.letters(s)
		l.served(s)
		l.granular(s)
		l.criteria(s)
	}
	l.normal()
	l.operations()
	l.purposes()
	l.app()
	l.keys()
	l.use()
	return l.out
}

type lint struct {
	*auth.Client
	w   World
	out []Finding
}

func (l *lint) add(scope, code, why, instead string) {
	l.out = append(l.out, Finding{Client: l.ID, Scope: scope, Code: code, Why: why, Instead: instead})
}

// wildcard: a scope for every type, also for those that are still to come.
func (l *lint) wildcard(s smart.Scope) {
	if s.ResourceType != "*" {
		return
	}
	why, code := "covers every resource type, also those that are added later", "wildcard-type"
	if l.OrganizationKind == auth.Police && s.Context != smart.ContextSystem {
		why, code = "gives everybody who signs in at a police agency every type, in whatever role", "police-wildcard"
	}
	s.V1 = false
	s.Permissions &= smart.Read | smart.Search
	types := l.w.Served
	if l.OrganizationKind == auth.Police {
		types = []string{"Patient", "CarePlan", "Flag", "Encounter"}
	}
	if s.Permissions == 0 || len(types) == 0 {
		l.add(scopeText(s, l.Scopes), code, why, "")
		return
	}
	var instead []string
	for _, t := range types[:min(len(types), 4)] {
		s.ResourceType = t
		instead = append(instead, s.String())
	}
	text := strings.Join(instead, " ")
	if len(types) > 4 {
		text += " … (the types that the client reads)"
	}
	l.add(scopeText(s, l.Scopes), code, why, text)
}

// scopeText is the scope as it is registered: of the same context, for "*".
func scopeText(s smart.Scope, in smart.Scopes) string {
	for _, o := range in {
		if o.Context == s.Context && o.ResourceType == "*" {
			return o.String()
		}
	}
	return s.String()
}

// letters: what can never be done with the scope.
func (l *lint) letters(s smart.Scope) {
	may := writable[s.ResourceType]
	if s.ResourceType == "*" {
		may = smart.Create | smart.Update
	}
	excess := s.Permissions & writes &^ may
	narrower := s
	narrower.V1 = false
	narrower.Permissions &^= excess
	instead := narrower.String()
	if narrower.Permissions == 0 {
		instead = ""
	}
	switch {
	case s.Permissions == everyLetter && s.ResourceType == "*":
		narrower.Permissions = smart.Read | smart.Search
		l.add(s.String(), "cruds", "every letter on every type, where reading and searching (rs) suffices", narrower.String()+", and "+s.Context+"/Consent.c or "+s.Context+"/Task.c where it writes those")
	case excess == smart.Delete:
		l.add(s.String(), "delete", "nothing can be deleted through the gateway", instead)
	case excess != 0 && may == 0:
		l.add(s.String(), "write", s.ResourceType+" cannot be written here: such resources come from their systems", instead)
	case excess != 0:
		l.add(s.String(), "write", fmt.Sprintf("of %s only the letters %s can be used to write", s.ResourceType, may), instead)
	}
}

// served: types of which there is nothing to read.
func (l *lint) served(s smart.Scope) {
	if s.ResourceType == "*" {
		return
	}
	if len(l.w.Served) > 0 && !slices.Contains(l.w.Served, s.ResourceType) {
		l.add(s.String(), "type-not-served", "the gateway does not answer for "+s.ResourceType, "")
		return
	}
	if slices.Contains(ofTheGateway, s.ResourceType) || l.w.Config == nil {
		return
	}
	for _, sys := range l.w.Config.Systems {
		if len(sys.Types) == 0 || slices.Contains(sys.Types, s.ResourceType) {
			return
		}
	}
	l.add(s.String(), "type-not-connected", "no connected system serves "+s.ResourceType, "")
}

// granular: types that hold things of very different kinds.
func (l *lint) granular(s smart.Scope) {
	if len(s.Criteria) > 0 || s.Permissions&(smart.Read|smart.Search) == 0 || s.ResourceType != "Observation" && s.ResourceType != "Condition" && s.ResourceType != "DocumentReference" {
		return
	}
	var instead []string
	for _, text := range smart.USCoreScopes(s.Context, s.ResourceType) {
		instead = append(instead, strings.Replace(text, ".rs?", "."+(s.Permissions&(smart.Read|smart.Search)).String()+"?", 1))
	}
	l.add(s.String(), "granular", "covers every "+s.ResourceType+"; those of one category may be all that the client needs", strings.Join(instead, " or "))
}

// normal: scopes that others cover already, or that could be written as one.
func (l *lint) normal() {
	plain := slices.Clone(l.Scopes)
	for i := range plain {
		plain[i].V1 = false
	}
	if short := smart.Normalize(plain); len(short) < len(plain) {
		l.add(l.Scopes.String(), "redundant", "some scopes are covered by others, or can be written as one", short.String())
	}
}

// operations: scopes of operations that could never be used.
func (l *lint) operations() {
	people := l.May(auth.GrantAuthorizationCode) || l.BelievesMFA
	for _, s := range l.Operations {
		if s == smart.ScopeExplainAccess && !people {
			l.add(s, "operation-unusable", "$explain-access is for a person who signed in with more than one factor, and the client names none whose factors are believed", "users: asserted and mfa: asserted, or an app that people sign in to")
		}
		if s == smart.ScopeRegisterLaunch && !l.appOfOrganization() {
			l.add(s, "operation-unusable", "the organisation has no app that could be launched", "")
		}
	}
}

func (l *lint) appOfOrganization() bool {
	return slices.ContainsFunc(l.w.Others, func(o *auth.Client) bool {
		return o.Organization == l.Organization && o.May(auth.GrantAuthorizationCode)
	})
}

// purposes: those for which nothing but a Consent could open anything.
func (l *lint) purposes() {
	if l.w.Purpose == nil {
		return
	}
	for _, p := range l.Purposes {
		i := strings.LastIndexByte(p, '|')
		if !l.w.Purpose(l.Organization, p[:max(i, 0)], p[i+1:]) {
			l.add("", "purpose-not-served", "no sharing agreement and no rule of law names the purpose "+p[i+1:]+" for the organisation: only a Consent could open anything for it", "")
		}
	}
}
