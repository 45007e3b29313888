package ndex

import (
	"slices"
	"strings"
)

// A contact is one thing that happened with the people of it: an incident, a
// call for service, a field contact.
type contact struct {
	node     *node
	call     *node   // the call for service that belongs to an incident
	arrests  []*node // that belong to it
	persons  []*node // in the order of the report
	subjects []*node
	officers []*node
	crisis   map[*node]*element // person → crisis supplement
	reported bool               // somebody is named, but nobody as the subject
}

// contacts finds what happened in a report, and whose.
func (g *graph) contacts() []*contact {
	var out []*contact
	by := func(kinds ...kind) {
		for _, n := range g.nodes {
			if slices.Contains(kinds, n.kind) {
				out = append(out, &contact{node: n, crisis: map[*node]*element{}})
			}
		}
	}
	by(kindIncident, kindContact, kindMissing)
	calls := len(out) == 0
	for _, n := range g.nodes {
		if n.kind != kindCall {
			continue
		}
		if c := g.incidentOf(n, out); c != nil && c.call == nil {
			c.call = n
		} else if calls || c == nil {
			out = append(out, &contact{node: n, crisis: map[*node]*element{}})
		}
	}
	if len(out) == 0 {
		by(kindArrest)
	}
	for _, n := range g.nodes {
		if n.kind == kindArrest {
			for _, c := range out {
				if c.node != n && (len(out) == 1 || g.tied(n, c.node)) {
					c.arrests = append(c.arrests, n)
				}
			}
		}
	}
	g.people(out)
	for _, c := range out {
		g.supplements(c)
		g.sort(c, len(out) > 1)
	}
	return out
}

// incidentOf is the contact that a call for service led to: the one it is tied
// to, or the only one of the report.
func (g *graph) incidentOf(call *node, contacts []*contact) *contact {
	for _, c := range contacts {
		if c.node.kind != kindCall && g.tied(call, c.node) {
			return c
		}
	}
	return nil
}

func (g *graph) tied(a, b *node) bool {
	return slices.ContainsFunc(g.links, func(l *link) bool { return l.has(a) && l.has(b) })
}

func (l *link) has(n *node) bool {
	return slices.ContainsFunc(l.ends, func(e end) bool { return e.node == n })
}

// people gives each contact its persons. Of several contacts in one report each
// gets who is tied to it by an association, to its call, its arrests or offenses,
// or to somebody who is and is no officer; who is tied to nothing is a finding.
func (g *graph) people(contacts []*contact) {
	var all []*node
	for _, n := range g.nodes {
		if n.kind == kindPerson {
			all = append(all, n)
		}
	}
	if len(contacts) == 1 {
		contacts[0].persons = all
		return
	}
	somewhere := map[*node]bool{}
	for _, c := range contacts {
		near := g.near(c, contacts)
		for _, n := range all {
			if near[n] {
				c.persons = append(c.persons, n)
				somewhere[n] = true
			}
		}
	}
	for _, n := range all {
		if !somewhere[n] && len(contacts) > 0 {
			g.warn(n.parts[0], "person-unattached", "the report has several incidents and ties the person to none of them: the person was left out")
		}
	}
}

// near is what belongs to a contact: not across another contact, and not across
// officers or places, which many share.
func (g *graph) near(c *contact, contacts []*contact) map[*node]bool {
	other := map[*node]bool{}
	for _, o := range contacts {
		if o != c {
			other[o.node], other[o.call] = true, true
		}
	}
	near := map[*node]bool{c.node: true}
	if c.call != nil {
		near[c.call] = true
	}
	crosses := func(n *node) bool {
		switch {
		case n.kind.activity():
			return !other[n]
		case n.kind == kindPerson:
			return !g.isOfficer(n)
		}
		return false
	}
	for grown := true; grown; {
		grown = false
		for _, l := range g.links {
			from := slices.ContainsFunc(l.ends, func(e end) bool { return near[e.node] && (crosses(e.node) || e.node == c.node) })
			if !from || slices.ContainsFunc(l.ends, func(e end) bool { return other[e.node] && !near[e.node] }) {
				continue
			}
			for _, e := range l.ends {
				if !near[e.node] && !other[e.node] && !g.elsewhere(e.node, c, contacts) {
					near[e.node], grown = true, true
				}
			}
		}
	}
	for _, l := range g.links { // what the contact itself names belongs to it, whoever else has it
		if l.has(c.node) || c.call != nil && l.has(c.call) {
			for _, e := range l.ends {
				if !other[e.node] {
					near[e.node] = true
				}
			}
		}
	}
	return near
}

// elsewhere says that a node is named by another contact and not by this one:
// a relation between two persons does not bring one into the other's incident.
func (g *graph) elsewhere(n *node, c *contact, contacts []*contact) bool {
	if g.tied(n, c.node) || c.call != nil && g.tied(n, c.call) {
		return false
	}
	return slices.ContainsFunc(contacts, func(o *contact) bool {
		return o != c && (g.tied(n, o.node) || o.call != nil && g.tied(n, o.call))
	})
}

func (g *graph) isOfficer(n *node) bool {
	for _, c := range g.classes(n, nil) {
		if c == classOfficer || c == classDispatcher {
			return true
		}
	}
	return false
}

// supplements finds the crisis supplements of a contact's persons.
func (g *graph) supplements(c *contact) {
	g.root.walk(func(e *element) bool {
		if e.family != crisis || !strings.HasSuffix(e.local, "Supplement") {
			return true
		}
		if incident := g.ids[e.attr(structure, "incident")]; incident != nil && g.of[incident] != c.node && g.of[incident] != c.call {
			return false
		}
		for _, n := range g.supplemented(e) {
			if slices.Contains(c.persons, n) && c.crisis[n] == nil {
				c.crisis[n] = e
			}
		}
		return false
	})
}

// supplemented are the persons whom a supplement names: by an attribute or a reference
// below it.
func (g *graph) supplemented(e *element) []*node {
	var out []*node
	for _, local := range []string{"subject", "person"} {
		id := e.attr(structure, local)
		if id == "" {
			id = e.attr(crisis, local)
		}
		if id == "" {
			continue
		}
		if to := g.ids[strings.TrimPrefix(id, "#")]; to != nil {
			out = append(out, g.of[to])
		} else {
			g.warn(e, "reference-dangling", "the supplement refers to an id that the report does not have")
		}
	}
	e.walk(func(k *element) bool {
		if k != e && refOf(k) != "" {
			if n := g.at(g.find(k)); n != nil && n.kind == kindPerson {
				k.used = true
				out = append(out, n)
			}
		}
		return true
	})
	return out
}

// classes are what a person is in a contact; for nil in the whole report.
func (g *graph) classes(n *node, c *contact) []class {
	var out []class
	add := func(k class) {
		if k != classNone && !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	said := map[*element]bool{} // roles of which an association says where they hold
	for _, l := range g.links {
		for _, e := range l.ends {
			if e.node != n {
				continue
			}
			for _, r := range n.roles {
				if to := g.refers(l, r.el); to {
					said[r.el] = said[r.el] || l.otherActivity(n)
				}
			}
			if c == nil || g.holds(l, c) {
				add(classIn(l, e))
			}
		}
	}
	for _, r := range n.roles {
		if c == nil || !said[r.el] || g.roleHolds(r, n, c) {
			add(classOf(r.name))
		}
	}
	return out
}

// refers says that a link names this element.
func (g *graph) refers(l *link, e *element) bool {
	return l.el == e || slices.ContainsFunc(l.el.kids, func(k *element) bool { return refOf(k) != "" && g.ids[refOf(k)] == e })
}

func (l *link) otherActivity(n *node) bool {
	return slices.ContainsFunc(l.ends, func(e end) bool { return e.node != n && e.node.kind.activity() })
}

// holds says that a link is about the contact: it names it, or no contact at all.
func (g *graph) holds(l *link, c *contact) bool {
	activity := false
	for _, e := range l.ends {
		if !e.node.kind.activity() {
			continue
		}
		activity = true
		if e.node == c.node || e.node == c.call || g.tied(e.node, c.node) || c.call != nil && g.tied(e.node, c.call) || slices.Contains(c.arrests, e.node) {
			return true
		}
	}
	return !activity
}

func (g *graph) roleHolds(r *role, n *node, c *contact) bool {
	return slices.ContainsFunc(g.links, func(l *link) bool {
		return l.has(n) && g.refers(l, r.el) && g.holds(l, c)
	})
}

// sort says who of a contact is its subject. Who has the role is; the person of a
// crisis supplement is. Where nobody is, those without any role are who was met
// or called about; of an incident only if there is just one.
func (g *graph) sort(c *contact, several bool) {
	var open []*node
	at := c
	if !several {
		at = nil
	}
	for _, n := range c.persons {
		classes := g.classes(n, at)
		switch {
		case slices.Contains(classes, classSubject), c.crisis[n] != nil:
			c.subjects = append(c.subjects, n)
		case slices.Contains(classes, classOfficer), slices.Contains(classes, classDispatcher):
			c.officers = append(c.officers, n)
		case len(classes) == 0 || len(classes) == 1 && classes[0] == classInvolved:
			open = append(open, n)
		}
	}
	if len(c.subjects) == 0 && (len(open) == 1 || c.node.kind == kindCall || c.node.kind == kindContact || c.node.kind == kindMissing) {
		c.subjects = open
	}
	if len(c.subjects) == 0 {
		c.reported = len(c.persons) > len(c.officers)
	}
}
