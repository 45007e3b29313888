package consent

import (
	"fmt"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// maxNesting is the deepest nesting of provisions that is followed. A Consent
// with more cannot grant.
const maxNesting = 24

// A stance is what a rule says where it matches.
type stance uint8

const (
	unstated stance = iota // a root without a type, of which only the denies count
	permits
	denies
)

// A provision is one rule, with what it inherits from the rule that it adds to.
type provision struct {
	path     string
	stance   stance
	parent   int // index, -1 for the root
	children []int
	own      limits
	limits   // own, and what is inherited where own says nothing
}

// limits are the conditions of a rule. What is not stated limits nothing.
type limits struct {
	period     *span
	actors     parties
	purposes   *codingRule
	actions    *codingRule
	labels     labelRule
	classes    *codingRule
	codes      *codingRule
	dataPeriod *span
	data       []dataRule
	hasData    bool
}

// A codingRule is a list of alternatives.
type codingRule struct {
	any    []coding
	broken bool // an alternative that cannot be read
}

// A dataRule is one entry of provision.data.
type dataRule struct {
	meaning string // "" if it is none that R4 has
	ref     reference
	id      Identifier // for a logical reference
}

// describes says whether any data element limits the rule.
func (l *limits) describes() bool {
	return l.labels.stated || l.classes != nil || l.codes != nil || l.dataPeriod != nil || l.hasData
}

// inherit fills what l does not state from the rule that it adds to. The
// custodian of a permit is kept apart from its recipients, so that naming
// another recipient does not open other custodians' data.
func (l limits) inherit(from *limits, s stance) limits {
	if l.period == nil {
		l.period = from.period
	}
	switch {
	case !l.actors.stated:
		l.actors = from.actors
	case s == permits && len(l.actors.custodians) == 0:
		l.actors.custodians = from.actors.custodians
	case s == permits && len(l.actors.recipients) == 0 && !l.actors.others && !l.actors.broken:
		l.actors.recipients, l.actors.others = from.actors.recipients, from.actors.others
		l.actors.broken = from.actors.broken
	}
	if l.purposes == nil {
		l.purposes = from.purposes
	}
	if l.actions == nil {
		l.actions = from.actions
	}
	if !l.labels.stated {
		l.labels = from.labels
	}
	if l.classes == nil {
		l.classes = from.classes
	}
	if l.codes == nil {
		l.codes = from.codes
	}
	if l.dataPeriod == nil {
		l.dataPeriod = from.dataPeriod
	}
	if !l.hasData {
		l.data, l.hasData = from.data, from.hasData
	}
	return l
}

// members are the elements of a provision. One that is not here could be a
// condition, so a Consent with it cannot grant.
var members = map[string]bool{
	"id": true, "extension": true, "type": true, "period": true, "actor": true, "action": true,
	"securityLabel": true, "purpose": true, "class": true, "code": true, "dataPeriod": true,
	"data": true, "provision": true, "_id": true, "fhir_comments": true,
}

// read adds a provision and those below it to c.
func (c *Consent) read(n resource.Node, parent, depth int, path string) {
	if n.Kind() != resource.Object || depth > maxNesting {
		// Whatever it says, it may be a deny.
		c.void(fmt.Sprintf("%s is no provision, or nested deeper than %d", path, maxNesting))
		c.add(provision{path: path, parent: parent, stance: denies})
		return
	}
	for m := range n.Members() {
		if !members[m.Name()] {
			c.void(fmt.Sprintf("%s.%s is not known", path, m.Name()))
		}
	}
	p := provision{path: path, parent: parent, own: c.readLimits(n)}
	p.stance = c.readStance(n.Get("type"), parent, path)
	p.limits = p.own
	if parent >= 0 && c.rules[parent].stance == p.stance && p.stance != unstated {
		p.limits = p.own.inherit(&c.rules[parent].limits, p.stance)
	}
	at := c.add(p)
	if n.Get("provision").Kind() == resource.Object {
		c.void(path + ".provision is not a list")
	}
	i := 0
	if parent < 0 && p.stance == unstated {
		c.rules[at].stance = c.rootStance(n)
	}
	for child := range n.All("provision") {
		c.read(child, at, depth+1, fmt.Sprintf("%s.provision[%d]", path, i))
		i++
	}
}

// add adds a rule below its parent and returns its index.
func (c *Consent) add(p provision) int {
	at := len(c.rules)
	c.rules = append(c.rules, p)
	if p.parent >= 0 {
		c.rules[p.parent].children = append(c.rules[p.parent].children, at)
	}
	return at
}

// readStance reads type. Below the root it is required; what is not understood
// can only be a deny.
func (c *Consent) readStance(n resource.Node, parent int, path string) stance {
	switch {
	case n.Is("permit"):
		return permits
	case n.Is("deny"):
		return denies
	case !n.Exists() && parent < 0:
		return unstated
	}
	c.void(path + ".type is neither permit nor deny")
	return denies
}

// rootStance finds the stance of a root without a type: policyRule says it, or
// the rules below do by being exceptions from it.
func (c *Consent) rootStance(root resource.Node) stance {
	in, out := false, false
	for _, p := range c.policyRule {
		if p.system == terminology.ActCode {
			in = in || p.code == "OPTIN" || p.code == "OPTINR"
			out = out || p.code == "OPTOUT" || p.code == "OPTOUTE"
		}
	}
	switch {
	case out:
		return denies
	case in:
		return permits
	}
	all := root.Get("provision").Kind() == resource.Array
	for child := range root.All("provision") {
		all = all && child.Get("type").Is("permit")
	}
	if all {
		return denies
	}
	return unstated
}

func (c *Consent) readLimits(n resource.Node) limits {
	var l limits
	if p := n.Get("period"); p.Exists() {
		s := parseSpan(p)
		l.period = &s
	}
	if p := n.Get("dataPeriod"); p.Exists() {
		s := parseSpan(p)
		l.dataPeriod = &s
	}
	if a := n.Get("actor"); a.Exists() {
		l.actors = c.readActors(a)
	}
	if s := n.Get("securityLabel"); s.Exists() {
		l.labels = parseLabels(s)
	}
	l.purposes = readCodings(n.Get("purpose"))
	l.classes = readCodings(n.Get("class"))
	l.actions = readConcepts(n.Get("action"))
	l.codes = readConcepts(n.Get("code"))
	if d := n.Get("data"); d.Exists() {
		l.hasData = true
		for e := range d.Elements() {
			l.data = append(l.data, c.readData(e))
		}
	}
	return l
}

func (c *Consent) readData(n resource.Node) dataRule {
	d := dataRule{
		ref: c.reference(n.Path("reference", "reference").Text()),
		id:  Identifier{n.Path("reference", "identifier", "system").Text(), n.Path("reference", "identifier", "value").Text()},
	}
	if strings.HasPrefix(d.ref.raw, "#") { // it says what it names within the Consent only
		d.ref = reference{}
	}
	switch m := n.Get("meaning").Text(); m {
	case "instance", "related", "dependents", "authoredby":
		d.meaning = m
	default:
		c.void("a data meaning is not known")
	}
	if n.Get("modifierExtension").Exists() {
		c.void("a data entry has a modifier extension")
	}
	return d
}

func readCodings(n resource.Node) *codingRule {
	if !n.Exists() {
		return nil
	}
	r := new(codingRule)
	for c := range n.Elements() {
		r.add(c)
	}
	r.broken = r.broken || len(r.any) == 0
	return r
}

func readConcepts(n resource.Node) *codingRule {
	if !n.Exists() {
		return nil
	}
	r := new(codingRule)
	for concept := range n.Elements() {
		before := len(r.any)
		for c := range concept.All("coding") {
			r.add(c)
		}
		r.broken = r.broken || len(r.any) == before // a text alone
	}
	r.broken = r.broken || len(r.any) == 0
	return r
}

func (r *codingRule) add(n resource.Node) {
	c := readCoding(n)
	if c.code == "" {
		r.broken = true
		return
	}
	r.any = append(r.any, c)
}
