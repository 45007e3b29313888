package registration

import (
	"fmt"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/fhir/validate"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/smart"
)

// app: how long it is let in, and on what devices.
func (l *lint) app() {
	if !l.May(auth.GrantAuthorizationCode) {
		return
	}
	offline := slices.Contains(l.ContextScopes, smart.ScopeOffline)
	if offline && l.Public {
		l.add(smart.ScopeOffline, "public-offline", "a public app has nothing to prove its name with when it refreshes for months: whoever gets hold of the refresh token is the app", smart.ScopeOnline+", or a client with a key")
	}
	if offline && l.w.Config != nil {
		for _, p := range l.w.Config.SignIn.Providers {
			if p.Exempt && slices.Contains(l.Providers, p.ID) {
				l.add(smart.ScopeOffline, "shared-device-offline", "people sign in at provider "+p.ID+", which is for devices that several people use: the app would stay let in for the one before", smart.ScopeOnline)
			}
		}
	}
	life := l.Life
	if life == 0 {
		life = auth.MaxPersonTokenLife
	}
	if life > longLife && l.May(auth.GrantRefreshToken) {
		l.add("", "long-lifetime", fmt.Sprintf("access tokens live for %v, though the app can refresh them", life), "lifetime: "+adviseLife)
	}
}

// keys: weaker than 128 bits (CJIS SC-13), or not the client's alone.
func (l *lint) keys() {
	mine := auth.KeysOf(l.JWKS)
	for _, k := range mine {
		if k.Type == "RSA" && k.Bits < strongRSA {
			l.add("", "weak-key", fmt.Sprintf("the RSA key %.40q has %d bits: less than a strength of 128", k.ID, k.Bits), "ES384, or RSA of 3072 bits ('handoff token keygen')")
		}
	}
	for _, o := range l.w.Others {
		if o.ID == l.ID {
			continue
		}
		same := l.JWKSURL != "" && l.JWKSURL == o.JWKSURL || slices.ContainsFunc(auth.KeysOf(o.JWKS), func(k auth.KeyInfo) bool {
			return slices.ContainsFunc(mine, func(m auth.KeyInfo) bool { return m.Thumbprint == k.Thumbprint })
		})
		if same {
			l.add("", "shared-key", "client "+o.ID+" has the same key: who holds it is both", "a key for each client")
		}
		if slices.ContainsFunc(l.SecretHashes, func(h string) bool { return slices.Contains(o.SecretHashes, h) }) {
			l.add("", "shared-secret", "client "+o.ID+" has the same secret: who knows it is both", "a secret for each client ('handoff token secret')")
		}
	}
}

// use: accounts that nobody uses any more (CJIS AC-2).
func (l *lint) use() {
	if l.Disabled || l.w.Used == nil || l.w.Now.IsZero() {
		return
	}
	last, known := l.w.Used[l.ID]
	switch {
	case known && l.w.Now.Sub(last) > idle:
		l.add("", "unused", "was last used on "+last.Format("2006-01-02")+", more than 90 days ago", "disable it: 'handoff clients disable "+l.ID+"'")
	case !known && !l.w.Created.IsZero() && l.w.Now.Sub(l.w.Created) > idle:
		l.add("", "unused", "was registered more than 90 days ago and never used", "disable it: 'handoff clients disable "+l.ID+"'")
	}
}

// categories are the codes of systems in which a criterion can name what is not
// there. Source: HL7 terminology (observation-category, condition-category).
var categories = map[string][]string{
	"http://terminology.hl7.org/CodeSystem/observation-category": {"social-history", "vital-signs", "imaging", "laboratory", "procedure", "survey", "exam", "therapy", "activity"},
	"http://terminology.hl7.org/CodeSystem/condition-category":   {"problem-list-item", "encounter-diagnosis"},
}

// criteria: those that no valid resource can meet.
func (l *lint) criteria(s smart.Scope) {
	if s.ResourceType == "*" {
		return
	}
	single := map[string]string{}
	for _, c := range s.Criteria {
		possible := false
		for value := range strings.SplitSeq(c.Value, ",") {
			possible = possible || canMatch(s.ResourceType, c.Param, value)
		}
		if !possible {
			l.add(s.String(), "criterion-never-matches", fmt.Sprintf("no valid %s has %s=%.80s", s.ResourceType, c.Param, c.Value), "")
		}
		before, again := single[c.Param]
		if again && before != c.Value && oneCode(s.ResourceType, c.Param) && !strings.Contains(before+c.Value, ",") {
			l.add(s.String(), "criterion-never-matches", fmt.Sprintf("%s has one value, and cannot be %.40s and %.40s", c.Param, before, c.Value), s.Context+"/"+s.ResourceType+"."+s.Permissions.String()+"?"+c.Param+"="+before+","+c.Value)
		}
		single[c.Param] = c.Value
	}
}

// canMatch says whether one token can stand where the parameter looks, as far as is
// known here.
func canMatch(typ, param, value string) bool {
	system, code, bar := strings.Cut(value, "|")
	if !bar {
		code = value
	}
	if codes := categories[terminology.Canonical(system)]; bar && codes != nil && code != "" {
		return slices.Contains(codes, code)
	}
	return !oneCode(typ, param) || !refusedCode(typ, param, code)
}

// oneCode says whether the parameter looks at an element of the same name that is
// one code: status, intent, gender.
func oneCode(typ, param string) bool { return refusedCode(typ, param, "no-such-code") }

// refusedCode asks the definitions of R4 whether the element takes the code.
func refusedCode(typ, element, code string) bool {
	raw := fmt.Appendf(nil, `{"resourceType":%s,%s:%s}`, resource.Quote(typ), resource.Quote(element), resource.Quote(code))
	for _, i := range validate.Bytes(raw) {
		if i.Code == "code-invalid" && i.Expression == typ+"."+element {
			return true
		}
	}
	return false
}
