package ndex

import (
	"slices"
	"strings"

	"github.com/handoff-health/handoff/mappings"
)

// A kind says what a node is. The zero value is something that is only referred
// to: a vehicle, an item.
type kind uint8

const (
	kindOther kind = iota
	kindPerson
	kindLocation
	kindOrganization
	kindPhone
	kindIncident
	kindCall
	kindContact
	kindMissing
	kindArrest
	kindOffense
)

// activity says that a node is something that happened.
func (k kind) activity() bool { return k >= kindIncident }

// kinds are the names of elements that are nodes.
var kinds = map[string]kind{
	"Person": kindPerson, "Location": kindLocation, "Organization": kindOrganization, "TelephoneNumber": kindPhone, "ContactInformation": kindPhone,
	"Incident": kindIncident, "ServiceCall": kindCall, "FieldContact": kindContact, "FieldInterview": kindContact,
	"MissingPersonOccurrence": kindMissing, "Arrest": kindArrest, "Booking": kindArrest, "Offense": kindOffense, "Activity": kindOther,
}

// activityNames are what nc:ActivityCategoryText of a digest says.
var activityNames = map[string]kind{
	"SERVICE CALL": kindCall, "INCIDENT": kindIncident, "FIELD CONTACT": kindContact, "FIELD INTERVIEW": kindContact,
	"MISSING PERSON": kindMissing, "MISSING PERSON OCCURRENCE": kindMissing, "ARREST": kindArrest, "BOOKING": kindArrest, "OFFENSE": kindOffense,
}

// A node is one thing of a report, with all elements that speak of it: in N-DEx
// 2 one of the digest and one of the structured payload.
type node struct {
	kind  kind
	parts []*element
	roles []*role
}

// A role is one that a person has: a Subject, a Victim.
type role struct {
	name string
	el   *element
}

// A link is an association, with the nodes that it ties.
type link struct {
	name string
	el   *element
	ends []end
}

type end struct {
	name string // of the part: "Subject", "Person"
	node *node
}

// A graph is a report with its references resolved.
type graph struct {
	root   *element
	ids    map[string]*element
	of     map[*element]*node
	nodes  []*node
	links  []*link
	issues []mappings.Issue
}

func (g *graph) warn(e *element, code, message string) {
	is := mappings.Issue{Severity: mappings.Warning, Code: code, Message: message, Field: e.local, Pos: e.pos}
	if len(g.issues) < 100 && !slices.Contains(g.issues, is) {
		g.issues = append(g.issues, is)
	}
}

// newGraph resolves a report.
func newGraph(root *element) *graph {
	g := &graph{root: root, ids: map[string]*element{}, of: map[*element]*node{}}
	root.walk(func(e *element) bool { g.identify(e); return true })
	root.walk(func(e *element) bool { g.entity(e); return true })
	root.walk(func(e *element) bool { g.same(e); return true })
	root.walk(func(e *element) bool { g.role(e); return true })
	root.walk(func(e *element) bool { g.link(e); return true })
	return g
}

// refOf is what an element refers to: s:ref, or structures:uri where it has no
// content of its own, or lexslib:ref.
func refOf(e *element) string {
	ref := e.attr(structure, "ref")
	if ref == "" && len(e.kids) == 0 && strings.TrimSpace(e.text) == "" {
		ref = e.attr(structure, "uri")
	}
	if ref == "" {
		ref = e.attr(lexs, "ref")
	}
	return strings.TrimPrefix(ref, "#")
}

// identify notes an element's id.
func (g *graph) identify(e *element) {
	id := e.attr(structure, "id")
	if id == "" && refOf(e) == "" {
		id = strings.TrimPrefix(e.attr(structure, "uri"), "#")
	}
	if id == "" || e.family == foreign {
		return
	}
	if g.ids[id] != nil {
		g.warn(e, "id-twice", "two elements of the report have one id: the first counts")
		return
	}
	g.ids[id] = e
}

// find resolves a reference; a dangling one is a finding.
func (g *graph) find(e *element) *element {
	ref := refOf(e)
	to := g.ids[ref]
	if to == nil && ref != "" {
		g.warn(e, "reference-dangling", "the element refers to an id that the report does not have")
	}
	return to
}

// entity makes a node of an element that is something.
func (g *graph) entity(e *element) {
	k, known := kinds[e.local]
	if !known || e.family == foreign || refOf(e) != "" || isLink(e.parent) && len(e.kids) == 0 {
		return
	}
	if e.parent == nil || strings.HasPrefix(e.parent.local, "RoleOf") {
		return
	}
	if k == kindPhone && e.parent.local == "ContactInformation" {
		return // the number of a node that is one already
	}
	if k == kindLocation && g.of[e.parent] != nil && g.of[e.parent].kind == kindLocation {
		return
	}
	if k == kindOther {
		k = activityNames[strings.ToUpper(strings.TrimSpace(e.first("ActivityCategoryText").raw()))]
	}
	if k == kindPerson && len(e.kids) == 0 {
		return
	}
	g.add(k, e)
}

// raw is the text of an element without marking it as used.
func (e *element) raw() string {
	if e == nil {
		return ""
	}
	return strings.TrimSpace(e.text)
}

func (g *graph) add(k kind, e *element) *node {
	n := &node{kind: k, parts: []*element{e}}
	g.nodes = append(g.nodes, n)
	g.of[e] = n
	return n
}

// same ties an element of the structured payload to its digest.
func (g *graph) same(e *element) {
	if e.local != "SameAsDigestReference" || e.family != lexs {
		return
	}
	e.used = true
	owner := e.parent
	for owner != nil && strings.HasSuffix(owner.local, "Augmentation") {
		owner = owner.parent
	}
	to := g.find(e)
	if to == nil || owner == nil {
		return
	}
	n := g.of[to]
	if n == nil {
		n = g.add(kindOther, to)
	}
	if old := g.of[owner]; old != nil && old != n {
		g.merge(n, old)
	} else if old == nil {
		n.parts = append(n.parts, owner)
		g.of[owner] = n
	}
	if k := kinds[owner.local]; n.kind == kindOther && k != kindOther {
		n.kind = k
	}
}

func (g *graph) merge(into, from *node) {
	into.parts = append(into.parts, from.parts...)
	into.roles = append(into.roles, from.roles...)
	if into.kind == kindOther {
		into.kind = from.kind
	}
	for e, n := range g.of {
		if n == from {
			g.of[e] = into
		}
	}
	g.nodes = slices.DeleteFunc(g.nodes, func(n *node) bool { return n == from })
}

// role ties an element that says a role to the person who has it.
func (g *graph) role(e *element) {
	if e.family == foreign {
		return
	}
	if e.parent != nil && e.parent.local == "EntityPerson" && e.local != "Person" && e.local != "Metadata" {
		for _, p := range e.parent.all("Person") {
			if n := g.of[p]; n != nil {
				g.has(n, e)
			}
		}
		return
	}
	for _, k := range e.kids {
		if !strings.HasPrefix(k.local, "RoleOf") || k.family == foreign || strings.HasPrefix(k.local, "RoleOfOrganization") || strings.HasPrefix(k.local, "RoleOfItem") {
			continue
		}
		if n := g.person(k, map[*element]bool{}); n != nil {
			g.has(n, e)
		}
		return
	}
	// A role with the person written into it.
	if g.of[e] == nil && classOf(e.local) != classNone && !isLink(e) && e.first("PersonName") != nil {
		g.has(g.add(kindPerson, e), e)
	}
}

func (g *graph) has(n *node, e *element) {
	if old := g.of[e]; old != nil && old != n {
		g.merge(n, old)
	}
	g.of[e] = n
	if !slices.ContainsFunc(n.roles, func(r *role) bool { return r.el == e }) {
		n.roles = append(n.roles, &role{e.local, e})
	}
}

// person follows a RoleOfPerson to the person: by reference, through other
// roles, or written into it.
func (g *graph) person(e *element, seen map[*element]bool) *node {
	for {
		if seen[e] {
			g.warn(e, "reference-cycle", "roles refer to each other in a circle")
			return nil
		}
		seen[e] = true
		if refOf(e) == "" {
			if n := g.of[e]; n != nil {
				return n
			}
			if e.first("PersonName") == nil && len(e.kids) == 0 {
				return nil
			}
			return g.add(kindPerson, e)
		}
		to := g.find(e)
		if to == nil {
			return nil
		}
		if n := g.of[to]; n != nil && n.kind == kindPerson {
			return n
		}
		var next *element
		for _, k := range to.kids {
			if strings.HasPrefix(k.local, "RoleOf") && k.family != foreign {
				next = k
				break
			}
		}
		if next == nil {
			g.warn(e, "reference-dangling", "the element refers to something that is no person")
			return nil
		}
		e = next
	}
}

func isLink(e *element) bool { return e != nil && strings.HasSuffix(e.local, "Association") }

// link reads an association, or a reference inside an activity or a supplement.
func (g *graph) link(e *element) {
	switch {
	case e.family == foreign:
	case isLink(e):
		l := &link{name: e.local, el: e}
		for _, k := range e.kids {
			if n := g.end(k); n != nil {
				l.ends = append(l.ends, end{strings.TrimSuffix(k.local, "Reference"), n})
			}
		}
		g.links = append(g.links, l)
	case isLink(e.parent), strings.HasPrefix(e.local, "RoleOf"), e.local == "SameAsDigestReference":
	default:
		g.implied(e)
	}
}

// end is the node that a part of an association names.
func (g *graph) end(k *element) *node {
	if k.family == foreign {
		return nil
	}
	if n := g.of[k]; n != nil {
		return n
	}
	if refOf(k) == "" {
		return nil
	}
	k.used = true
	return g.at(g.find(k))
}

// at is the node of an element: its own, or of the nearest around it.
func (g *graph) at(e *element) *node {
	for ; e != nil; e = e.parent {
		if n := g.of[e]; n != nil {
			return n
		}
	}
	return nil
}

// implied ties what stands inside an activity to it: <j:ArrestSubject s:ref=…>,
// a role inside an incident's augmentation.
func (g *graph) implied(e *element) {
	owner := g.at(e.parent)
	n := g.of[e]
	if n == nil && owner != nil && refOf(e) != "" {
		n = g.at(g.find(e))
		e.used = n != nil
	}
	if n == nil || owner == nil || n == owner || !owner.kind.activity() {
		return
	}
	g.links = append(g.links, &link{name: owner.parts[0].local + e.local, el: e, ends: []end{{"Activity", owner}, {strings.TrimSuffix(e.local, "Reference"), n}}})
}
