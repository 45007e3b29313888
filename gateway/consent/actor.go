package consent

import (
	"slices"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// An Identifier is a business identifier; system and value both count.
type Identifier struct{ System, Value string }

// An Actor is who asks: facts that the gateway has verified.
type Actor struct {
	Reference        string // "Practitioner/…"
	Organization     string // for which it acts
	Identifiers      []Identifier
	CareTeams        []string // of which it is a verified member
	Groups           []string
	Networks         []string     // exchanges of which its organisation is a participant
	Roles            []label.Code // empty: unknown
	TreatingProvider bool
}

// An asker is an Actor made ready to be compared.
type asker struct {
	members     []reference // itself, its organisation, its teams and groups
	networks    []reference
	identifiers []Identifier
	roles       []coding
	treating    bool
}

func newAsker(a *Actor) asker {
	out := asker{identifiers: a.Identifiers, treating: a.TreatingProvider}
	for _, s := range slices.Concat([]string{a.Reference, a.Organization}, a.CareTeams, a.Groups) {
		if s != "" {
			out.members = append(out.members, parseReference(s))
		}
	}
	for _, s := range a.Networks {
		out.networks = append(out.networks, parseReference(s))
	}
	for _, r := range a.Roles {
		out.roles = append(out.roles, codingOf(r))
	}
	return out
}

// A party is one entry of provision.actor.
type party struct {
	ref        reference
	identifier Identifier
	alike      []Identifier // identifiers of a contained resource that it refers to
	opaque     bool         // ref is of a form that says nothing here: "#a", a URN
	foreign    bool         // ref was written for another system's ids
	display    bool         // the reference has a display and nothing else
	roles      []string     // codes of the project's actor-role system: one of them must be held
}

// parties is provision.actor, sorted by what the entries say.
type parties struct {
	stated     bool
	broken     bool // an entry that cannot be read
	others     bool // participation roles that make nobody a recipient
	recipients []party
	custodians []party
}

func (c *Consent) readActors(n resource.Node) parties {
	out := parties{stated: true}
	for a := range n.Elements() {
		p, recipient, custodian, ok := c.readActor(a)
		switch {
		case !ok:
			out.broken = true
		case recipient || custodian:
			if recipient {
				out.recipients = append(out.recipients, p)
			}
			if custodian {
				out.custodians = append(out.custodians, p)
			}
		default:
			out.others = true
		}
	}
	out.broken = out.broken || n.Kind() == resource.Array && n.Len() == 0
	return out
}

func (c *Consent) readActor(a resource.Node) (p party, recipient, custodian, ok bool) {
	role, ref := a.Get("role"), a.Get("reference")
	if a.Get("modifierExtension").Exists() {
		c.void("an actor has a modifier extension")
	}
	if a.Kind() != resource.Object || role.Kind() != resource.Object || ref.Kind() != resource.Object || a.Get("modifierExtension").Exists() {
		return p, false, false, false
	}
	any := false
	for n := range role.All("coding") {
		cd := readCoding(n)
		any = any || cd.code != "" && cd.hasSystem()
		switch {
		case cd.system == terminology.ActorRole:
			p.roles, recipient = append(p.roles, cd.code), true
		case cd.system == terminology.ParticipationType && (cd.code == "IRCP" || cd.code == "PRCP"):
			recipient = true
		case cd.system == terminology.ParticipationType && cd.code == "CST":
			custodian = true
		}
	}
	literal, logical := ref.Get("reference"), ref.Get("identifier")
	p.ref, p.foreign = c.reference(literal.Text()), c.foreign
	if p.opaque = !p.ref.empty() && p.ref.local == ""; p.opaque {
		p.alike = c.containedIdentifiers(p.ref.raw)
	}
	p.identifier = Identifier{logical.Get("system").Text(), logical.Get("value").Text()}
	named := !p.ref.empty() || p.identifier.System != "" && p.identifier.Value != ""
	p.display = !named && !literal.Exists() && !logical.Exists() && ref.Get("display").Text() != ""
	return p, recipient, custodian, any && (named || p.display)
}

// containedIdentifiers lists the identifiers of the contained resource at "#id".
func (c *Consent) containedIdentifiers(ref string) []Identifier {
	for n := range c.contained.Elements() {
		if id := n.Get("id").Text(); id == "" || ref != "#"+id {
			continue
		}
		return identifiersOf(n)
	}
	return nil
}

// identifiersOf lists what has both a system and a value.
func identifiersOf(n resource.Node) (out []Identifier) {
	for i := range n.All("identifier") {
		if id := (Identifier{i.Get("system").Text(), i.Get("value").Text()}); id.System != "" && id.Value != "" {
			out = append(out, id)
		}
	}
	return out
}

// matches says whether the party is the asker, by one of refs or an identifier.
// A reference that has only a display is anybody: then the role decides.
func (p *party) matches(a *asker, refs []reference) truth {
	t := no
	switch {
	case p.display && p.foreign: // it may have had a reference that could not be carried over
		t = unknown
	case p.display:
		t = yes
	}
	for i := range refs {
		t = max(t, p.is(refs[i]))
	}
	if p.identifier.System != "" && p.identifier.Value != "" && slices.Contains(a.identifiers, p.identifier) {
		t = yes
	}
	if slices.ContainsFunc(p.alike, func(id Identifier) bool { return slices.Contains(a.identifiers, id) }) {
		t = yes
	}
	if p.opaque {
		t = max(t, unknown)
	}
	if len(p.roles) > 0 {
		t = min(t, a.holds(p.roles))
	}
	return t
}

// is compares the literal reference.
func (p *party) is(r reference) truth {
	if p.foreign && !p.ref.empty() && !r.empty() {
		return unknown
	}
	return p.ref.same(r)
}

// holds says whether the asker has one of the roles.
func (a *asker) holds(codes []string) truth {
	if len(a.roles) == 0 {
		return unknown
	}
	for _, r := range a.roles {
		if r.system == terminology.ActorRole && slices.Contains(codes, r.code) {
			return yes
		}
	}
	return no
}

// reach says whether the rule's recipients include the asker; intermediary,
// that they do only through an exchange.
func (ps *parties) reach(a *asker) (t truth, intermediary bool) {
	if !ps.stated {
		return yes, false
	}
	if len(ps.recipients) == 0 {
		switch {
		case ps.broken:
			return unknown, false
		case len(ps.custodians) == 0: // AUT and the like: nobody
			return no, false
		case ps.others:
			return unknown, false
		}
		return yes, false
	}
	direct, through := no, no
	for i := range ps.recipients {
		p := &ps.recipients[i]
		direct = max(direct, p.matches(a, a.members))
		through = max(through, p.matches(a, a.networks))
	}
	if ps.broken {
		direct = max(direct, unknown)
	}
	return max(direct, through), through > direct
}

// names says whether a recipient is the asker itself, or a class of which it is
// known to be one: not anybody, and not somebody who cannot be told.
func (ps *parties) names(a *asker) bool {
	for i := range ps.recipients {
		if p := &ps.recipients[i]; (!p.display || len(p.roles) > 0) && p.matches(a, a.members) == yes {
			return true
		}
	}
	return false
}

// keeps says whether the rule is about data of this custodian.
func (ps *parties) keeps(custodian *reference) truth {
	if len(ps.custodians) == 0 {
		return yes
	}
	if custodian.empty() {
		return unknown
	}
	t := no
	for i := range ps.custodians {
		p := &ps.custodians[i]
		if p.ref.empty() || p.opaque { // a display or an identifier: whose cannot be told here
			t = max(t, unknown)
			continue
		}
		t = max(t, p.is(*custodian))
	}
	if ps.broken {
		t = max(t, unknown)
	}
	return t
}
