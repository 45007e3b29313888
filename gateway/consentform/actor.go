package consentform

import (
	"slices"
	"strconv"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// An actor is an entry of provision.actor.
type actor struct {
	node                 resource.Node
	at                   string
	recipient, custodian bool
	known                bool     // some role code is understood
	roles                []string // codes of the project's actor-role system
	reference            string
	identified, display  bool
}

// actors reads the entries of a rule; at is relative to the rule.
func actors(p resource.Node) []actor {
	var out []actor
	i := 0
	for n := range p.All("actor") {
		a := actor{node: n, at: indexed("actor", i)}
		i++
		for c := range n.Get("role").All("coding") {
			code := c.Get("code").Text()
			switch terminology.SystemOf(c.Get("system").Text()) {
			case terminology.ActorRole:
				a.roles = append(a.roles, code)
				a.recipient, a.known = true, true
			case terminology.ParticipationType:
				a.known = a.known || slices.Contains(participations, code)
				a.recipient = a.recipient || code == "IRCP" || code == "PRCP"
				a.custodian = a.custodian || code == "CST"
			}
		}
		ref := n.Get("reference")
		a.reference = ref.Get("reference").Text()
		a.identified = a.reference != "" || ref.Path("identifier", "system").Text() != "" && ref.Path("identifier", "value").Text() != ""
		a.display = !a.identified && ref.Get("display").Text() != ""
		out = append(out, a)
	}
	return out
}

// participations are the codes of v3-ParticipationType that stand in Consents:
// https://hl7.org/fhir/R4/valueset-security-role-type.html
var participations = []string{"IRCP", "PRCP", "CST", "AUT", "INF", "DIST", "TRC", "VRF", "WIT", "ENT", "RESP", "SBJ", "PART", "CON", "REF", "LA", "AUTHEN"}

// A Party is somebody whom a Consent names as recipient or custodian.
type Party struct {
	Reference  string // literal, "" if it is named otherwise
	System     string // of its identifier
	Value      string
	Roles      []string // codes of the actor-role system that are asked for
	AnyOfRoles bool     // a display alone: whoever has one of the roles
}

// Recipients lists whom the Consent names as recipients, each once.
func Recipients(r *resource.Resource) []Party {
	return parties(r, func(a actor) bool { return a.recipient })
}

// Custodians lists whose data the Consent names.
func Custodians(r *resource.Resource) []Party {
	return parties(r, func(a actor) bool { return a.custodian })
}

func parties(r *resource.Resource, wanted func(actor) bool) []Party {
	var out []Party
	eachRule(r.Root().Get("provision"), "provision", func(p resource.Node, _ string, _ resource.Node) {
		for _, a := range actors(p) {
			if !wanted(a) {
				continue
			}
			id := a.node.Path("reference", "identifier")
			party := Party{Reference: a.reference, System: id.Get("system").Text(), Value: id.Get("value").Text(), Roles: a.roles, AnyOfRoles: a.display}
			same := func(o Party) bool {
				return o.Reference == party.Reference && o.System == party.System && o.Value == party.Value && slices.Equal(o.Roles, party.Roles)
			}
			if !slices.ContainsFunc(out, same) {
				out = append(out, party)
			}
		}
	})
	return out
}

func indexed(at string, i int) string { return at + "[" + strconv.Itoa(i) + "]" }
