package packs

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A checker finds what is wrong in a pack that could be read.
type checker struct {
	*Pack
	faults
}

// Fault says what is wrong at a path of the pack, and where that is.
func (p *Pack) Fault(at, format string, args ...any) *Fault {
	f := &Fault{File: p.name, At: at, Reason: fmt.Sprintf(format, args...)}
	for path := at; f.Line == 0; path = path[:max(0, strings.LastIndexAny(path, ".["))] {
		f.Pos = p.at[path]
		if path == "" {
			break
		}
	}
	return f
}

func (c *checker) fail(at, format string, args ...any) { c.add(c.Fault(at, format, args...)) }

// A shape says what a rule of one effect may have.
type shape struct {
	kinds []string // of packs in which it may stand
	keys  []string // that it may have beside those that every rule has
	needs []string // of which it must have one
	when  scope    // what its conditions may test
	must  scope    // what those in require and alternatives may test
}

// A scope is a set of families of conditions.
type scope uint8

const (
	ofRequester scope = 1 << iota // and of the request
	ofData
	ofGround
	ofAttribute

	facts = ofRequester | ofData
	all   = facts | ofGround | ofAttribute
)

var shapes = map[string]shape{
	"permit":    {[]string{Federal, Agreement}, []string{"when", "within", "abstract", "agreement", "passes", "overrides", "extent", "obligations"}, nil, facts, 0},
	"basis":     {[]string{Federal, State}, []string{"require", "alternatives", "type", "within", "abstract", "passes", "extent", "obligations"}, []string{"type"}, 0, ofRequester | ofAttribute},
	"emergency": {[]string{Federal}, []string{"when", "overrides", "obligations"}, []string{"overrides"}, facts, 0},
	"accept":    {[]string{Agreement}, []string{"when", "basis", "extent", "obligations"}, []string{"basis"}, facts, 0},
	"deny":      {[]string{Federal, State, Agreement}, []string{"when"}, nil, all, 0},
	"require":   {[]string{Federal, State, Agreement}, []string{"when", "require", "alternatives"}, []string{"require", "alternatives"}, all, all},
	"limit":     {[]string{Federal, State, Agreement}, []string{"when", "extent"}, []string{"extent"}, all, 0},
	"gate":      {[]string{Federal, State}, []string{"when", "require", "alternatives", "consent", "obligations"}, []string{"when"}, facts, all},
	"oblige":    {[]string{Federal, State, Agreement}, []string{"when", "obligations"}, []string{"obligations"}, all, 0},
}

// check checks what the kinds of values do not tell.
func (p *Pack) check() error {
	c := &checker{Pack: p}
	c.head()
	c.period()
	for _, t := range sortedKeys(p.Times) {
		c.resourceType("times."+t, t)
	}
	for _, name := range sortedKeys(p.Profiles) {
		at := "profiles." + name
		if p.Profiles[name].Profile != "" || p.Profiles[name].Covers || p.Profiles[name].Custodian != "" {
			c.fail(at, "a profile lists elements and labels only")
		}
		x := p.Profiles[name]
		c.extent(at, &x)
	}
	for i, r := range p.Police {
		if _, ok := Role(r); !ok {
			c.fail(fmt.Sprintf("police[%d]", i), "%.80q is no role", r)
		}
	}
	seen := map[string]bool{}
	for i := range p.Rules {
		at := fmt.Sprintf("rules[%d]", i)
		if seen[p.Rules[i].ID] {
			c.fail(at+".id", "%q stands twice", p.Rules[i].ID)
		}
		seen[p.Rules[i].ID] = true
		c.rule(at, &p.Rules[i])
	}
	for i, e := range p.Elsewhere {
		c.row(fmt.Sprintf("elsewhere[%d].row", i), e.Row)
	}
	return c.join()
}

// rows is how many the decision table has.
const rows = 43

func (c *checker) row(at string, n int) {
	if n < 1 || n > rows {
		c.fail(at, "the decision table has rows 1 to %d", rows)
	}
}

func (c *checker) head() {
	want := "deny-overrides"
	if c.Kind == Federal {
		want = "first-applicable"
	}
	if c.Combining != want {
		c.fail("combining", "a pack of kind %s combines its rules by %s", c.Kind, want)
	}
	country, state, _ := strings.Cut(c.Jurisdiction, "-")
	if (state != "") != (c.Kind == State) && !(c.Kind == Agreement && country != "") {
		c.fail("jurisdiction", "%q does not fit the kind %s: a state's pack has US-TX, a federal one US", c.Jurisdiction, c.Kind)
	}
	if c.Kind != Federal && len(c.Police) > 0 {
		c.fail("police", "is for federal packs")
	}
	if c.Kind != Federal && len(c.Times) > 0 {
		c.fail("times", "is for federal packs")
	}
	seen := map[string]bool{}
	for i, s := range c.Sources {
		if seen[s.ID] {
			c.fail(fmt.Sprintf("sources[%d].id", i), "%q stands twice", s.ID)
		}
		seen[s.ID] = true
	}
}

func (c *checker) period() {
	switch {
	case c.Kind == Agreement && c.Period == nil:
		c.fail("period", "is missing: agreements expire")
	case c.Kind != Agreement && c.Period != nil:
		c.fail("period", "is for agreements; law is in force")
	case c.Period == nil:
		return
	}
	if c.Period == nil {
		return
	}
	end := c.day("period.end", c.Period.End)
	if c.Period.Start != "" && end.Before(c.day("period.start", c.Period.Start)) {
		c.fail("period.end", "is before its start")
	}
}

func (c *checker) day(at, text string) time.Time {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		c.fail(at, "%q is no date", text)
	}
	return t
}

// rule checks one rule against the shape of its effect.
func (c *checker) rule(at string, r *Rule) {
	s := shapes[r.Effect]
	if !slices.Contains(s.kinds, c.Kind) {
		c.fail(at+".effect", "a pack of kind %s has no rule that is a %s", c.Kind, r.Effect)
		return
	}
	c.keys(at, r, s)
	switch marked := r.Verified != nil || r.Unverified; {
	case c.Kind == Agreement && !marked: // an agreement is its own text
	case (r.Verified == nil) == !r.Unverified:
		c.fail(at, "exactly one of verified and unverified: true is needed")
	}
	if v := r.Verified; v != nil {
		c.day(at+".verified.on", v.On)
		if !strings.Contains(v.Where, "://") && !slices.ContainsFunc(c.Sources, func(s Source) bool { return s.ID == v.Where }) {
			c.fail(at+".verified.where", "%.80q is neither a source of this pack nor an address", v.Where)
		}
	}
	for i, n := range r.Rows {
		c.row(fmt.Sprintf("%s.rows[%d]", at, i), n)
	}
	c.kindOfRule(at, r)
	if r.Extent != nil {
		c.extent(at+".extent", r.Extent)
	}
	ids := map[string]bool{}
	c.conditions(at+".when", r.When, s.when, ids)
	c.conditions(at+".require", r.Require, s.must, ids)
	for i, a := range r.Alternatives {
		at := fmt.Sprintf("%s.alternatives[%d]", at, i)
		c.once(at, a.ID, ids)
		c.conditions(at+".require", a.Require, s.must, ids)
		if len(a.Obligations) > 0 && r.Effect != "basis" {
			c.fail(at+".obligations", "only an alternative of a basis has obligations")
		}
	}
}

func (c *checker) once(at, id string, seen map[string]bool) {
	if seen[id] {
		c.fail(at+".id", "%q stands twice in the rule", id)
	}
	seen[id] = true
}

// keys refuses keys that mean nothing for the effect, and asks for those that
// it needs.
func (c *checker) keys(at string, r *Rule, s shape) {
	has := map[string]bool{
		"when": r.When != nil, "require": r.Require != nil, "alternatives": r.Alternatives != nil, "type": r.Type != "",
		"within": r.Within != "", "abstract": r.Abstract, "agreement": r.Agreement, "basis": r.Basis != nil, "passes": r.Passes != nil,
		"consent": r.Consent != "", "overrides": r.Overrides != nil, "extent": r.Extent != nil, "obligations": r.Obligations != nil,
	}
	for _, key := range sortedKeys(has) {
		if has[key] && !slices.Contains(s.keys, key) {
			c.fail(at+"."+key, "means nothing for a rule that is a %s", r.Effect)
		}
	}
	if len(s.needs) > 0 && !slices.ContainsFunc(s.needs, func(k string) bool { return has[k] }) {
		c.fail(at, "a rule that is a %s needs %s", r.Effect, strings.Join(s.needs, " or "))
	}
}

// kindOfRule checks what a rule needs in a pack of its kind.
func (c *checker) kindOfRule(at string, r *Rule) {
	switch {
	case r.Effect == "gate" && r.Consent == "" && len(r.Obligations) > 0:
		c.fail(at+".obligations", "go with a Consent that opens the gate, and this one has no consent: to open it by; write a rule that is an oblige")
	case c.Kind == State && r.Effect == "basis" && r.Within == "":
		c.fail(at, "a state's basis needs within: the type of the federal basis that it stands on")
	case c.Kind == Agreement && r.Effect == "permit" && r.Within == "":
		c.fail(at, "an agreement's permit needs within: the federal permit that it fills")
	case c.Kind == Federal && r.Within != "":
		c.fail(at+".within", "federal rules stand on their own")
	case c.Kind != Federal && r.Abstract:
		c.fail(at+".abstract", "is for federal rules")
	case c.Kind != Federal && (r.Passes != nil || r.Overrides != nil):
		c.fail(at, "only federal rules pass gates or override anything")
	case r.Agreement && !r.Abstract:
		c.fail(at+".agreement", "is for an abstract permit")
	case r.Effect == "basis" && !r.Abstract && r.Within == "" && (r.Extent == nil || !r.Extent.Covers && len(r.Extent.Elements) == 0 && r.Extent.Profile == ""):
		c.fail(at, "a basis needs an extent: what it covers, a profile or elements")
	}
}
