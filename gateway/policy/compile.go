package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/policy/packs"
)

// A Selected pack is one that is in force, with the unverified rules of it that
// are turned on by name.
type Selected struct {
	Pack   *packs.Pack
	Enable []string
}

// Compile makes a Law of packs. The order of packs matters only among federal
// ones. The error joins a *packs.Fault for each reference that leads nowhere.
func Compile(selected ...Selected) (*Law, error) {
	c := compiler{law: &Law{fills: map[*rule][]*rule{}, agreements: map[string]bool{}}, gates: map[string]gateSet{}, ids: map[string]*rule{}, known: map[string]bool{}}
	c.law.obligations = slices.Clone(known)
	order := []string{packs.Federal, packs.State, packs.Agreement}
	slices.SortStableFunc(selected, func(a, b Selected) int {
		if d := slices.Index(order, a.Pack.Kind) - slices.Index(order, b.Pack.Kind); d != 0 || a.Pack.Kind == packs.Federal {
			return d
		}
		return strings.Compare(a.Pack.ID, b.Pack.ID)
	})
	for i := range selected {
		c.take(&selected[i])
	}
	for _, t := range c.todo {
		if t.source.Effect == "gate" {
			c.declareGate(t)
		}
	}
	for _, t := range c.todo {
		c.compile(t)
	}
	if len(c.todo) > 0 {
		if x, ok := c.profile(c.todo[0].pack, minimumProfile); ok {
			c.law.minimum = extentOf(&x, nil)
		}
	}
	if len(c.faults) > 0 {
		return nil, errors.Join(c.faults...)
	}
	return c.law, nil
}

// known are the obligations that have a bit whether a pack uses them or not; a
// decision lists them in this order, then those of packs.
var known = []Obligation{Audit, Part2Notice, Part2Copy, NoRedisclosure, Part2Emergency, NoReuse, Account, MinimumNeeded, HumanApproval}

// Bits of obligations that the engine itself needs.
const (
	auditing      dutySet = 1 << 0
	humanApproval dutySet = 1 << 8
)

// minimumProfile is the profile to which a request for the minimum necessary is
// held.
const minimumProfile = "crisis-response"

// A entry is one rule that is on.
type entry struct {
	pack   *packs.Pack
	at     string
	source *packs.Rule
	rule   *rule
}

type compiler struct {
	law    *Law
	todo   []entry
	gates  map[string]gateSet // by id
	ids    map[string]*rule   // federal rules by id
	known  map[string]bool    // "rule <id>" and "basis <type>" of all rules, on or off
	faults []error
}

func (c *compiler) fail(t entry, key, format string, args ...any) {
	c.faults = append(c.faults, t.pack.Fault(t.at+"."+key, format, args...))
}

// take notes a pack and those of its rules that are on.
func (c *compiler) take(s *Selected) {
	p := s.Pack
	if slices.ContainsFunc(c.law.packs, func(i PackInfo) bool { return i.ID == p.ID }) {
		c.faults = append(c.faults, p.Fault("id", "two packs are named %q", p.ID))
		return
	}
	if c.law.sources == nil {
		c.law.sources = map[string][]byte{}
	}
	c.law.sources[p.Hash()] = p.Bytes()
	info := PackInfo{ID: p.ID, Version: p.Version, Title: p.Title, Kind: p.Kind, Jurisdiction: p.Jurisdiction, Hash: p.Hash()}
	for _, id := range s.Enable {
		if !slices.ContainsFunc(p.Rules, func(r packs.Rule) bool { return r.ID == id }) {
			c.faults = append(c.faults, p.Fault("rules", "there is no rule %q to enable", id))
		}
	}
	for i := range p.Rules {
		r := &p.Rules[i]
		c.known["rule "+r.ID], c.known["basis "+r.Type] = true, true
		if r.Unverified && !slices.Contains(s.Enable, r.ID) {
			info.Off = append(info.Off, r.ID)
			continue
		}
		if r.Unverified {
			info.Enabled = append(info.Enabled, r.ID)
		}
		t := entry{pack: p, at: fmt.Sprintf("rules[%d]", i), source: r}
		t.rule = &rule{
			id: r.ID, pack: p.Versioned(), citation: r.Citation, says: r.Says, effect: r.Effect,
			kind: p.Kind, jurisdiction: p.Jurisdiction, period: p.Period, abstract: r.Abstract, named: r.Agreement,
		}
		if p.Kind == packs.Federal {
			if c.ids[r.ID] != nil {
				c.fail(t, "id", "another federal pack has a rule %q", r.ID)
			}
			c.ids[r.ID] = t.rule
		}
		c.todo = append(c.todo, t)
	}
	c.law.packs = append(c.law.packs, info)
	if p.Kind == packs.Agreement {
		c.law.agreements[p.ID] = true
	}
	c.law.police = append(c.law.police, p.Police...)
	for typ, times := range p.Times {
		if c.law.times == nil {
			c.law.times = map[string]consent.Times{}
		}
		c.law.times[typ] = consent.Times{Clinical: times.Clinical, Recorded: times.Recorded}
	}
}

// declareGate gives a gate its bit.
func (c *compiler) declareGate(t entry) {
	if len(c.law.gates) == 32 {
		c.fail(t, "effect", "there are more than 32 gates")
		return
	}
	if c.gates[t.source.ID] != 0 {
		c.fail(t, "id", "two gates are named %q", t.source.ID)
		return
	}
	t.rule.bit = 1 << len(c.law.gates)
	c.gates[t.source.ID] = t.rule.bit
	c.law.gates = append(c.law.gates, t.rule)
}

// compile fills the rule in and puts it where it is looked for.
func (c *compiler) compile(t entry) {
	r, s := t.rule, t.source
	for _, k := range c.conditions(t, "when", s.When) {
		if k.fact < firstOfData {
			r.static = append(r.static, k)
		} else {
			r.dynamic = append(r.dynamic, k)
		}
	}
	if s.Effect != "basis" {
		r.require = c.conditions(t, "require", s.Require)
		for i, a := range s.Alternatives {
			r.alternatives = append(r.alternatives, c.conditions(t, fmt.Sprintf("alternatives[%d].require", i), a.Require))
		}
	}
	r.passes = c.gateSet(t, "passes", s.Passes)
	r.duties = c.duties(t, s.Obligations)
	if s.Extent != nil {
		r.extents = []*Extent{c.extent(t, s.Extent)}
	}
	law := c.law
	switch s.Effect {
	case "permit":
		c.permit(t)
	case "deny":
		if r.kind == packs.Federal {
			law.grounds = append(law.grounds, r)
		} else {
			law.restricts = append(law.restricts, r)
		}
	case "require", "limit":
		law.restricts = append(law.restricts, r)
	case "oblige":
		law.obliges = append(law.obliges, r)
	case "emergency":
		c.emergency(t)
	case "gate":
		r.need = map[string]consent.Need{"part2": consent.Part2, "psychotherapy-notes": consent.PsychotherapyNote}[s.Consent]
	case "basis":
		c.basis(t)
	case "accept":
		r.types = s.Basis
		c.exist(t, "basis", "basis", s.Basis)
		law.accepts = append(law.accepts, r)
	}
}

func (c *compiler) permit(t entry) {
	r := t.rule
	for i, o := range t.source.Overrides {
		switch o {
		case "patient-deny":
			r.overrides |= anyDeny
		case "unnamed-deny":
			r.overrides |= unnamedDeny
		case "residual":
			r.overrides |= residual
		default:
			c.fail(t, fmt.Sprintf("overrides[%d]", i), "%q is none of patient-deny, unnamed-deny, residual", o)
		}
	}
	if r.kind == packs.Federal {
		c.law.grounds = append(c.law.grounds, r)
		return
	}
	on := c.ids[t.source.Within]
	if on == nil || on.effect != "permit" || !on.abstract {
		c.fail(t, "within", "%q is no abstract permit of a federal pack that is in force", t.source.Within)
		return
	}
	c.law.fills[on] = append(c.law.fills[on], r)
}

func (c *compiler) emergency(t entry) {
	for i, o := range t.source.Overrides {
		if o == "patient-deny" {
			t.rule.overrides |= anyDeny
			continue
		}
		t.rule.opens |= c.gateSet(t, fmt.Sprintf("overrides[%d]", i), []string{o})
	}
	c.law.emergencies = append(c.law.emergencies, t.rule)
}

// basis makes the row of a basis; one of a state takes over the conditions and
// extents of the one it stands on.
func (c *compiler) basis(t entry) {
	r, s := t.rule, t.source
	row := Basis{Type: s.Type, Citation: s.Citation, rule: r, within: []string{s.Type}}
	ways := [][]Condition{{}}
	duties := []dutySet{0}
	if s.Within != "" {
		on := c.federalBasis(s.Within)
		if on == nil {
			c.fail(t, "within", "%q is no type of basis of a federal pack that is in force", s.Within)
			return
		}
		row.on, row.within = on.rule, append(row.within, on.Type)
		ways, duties = on.Any, on.duties
		r.passes = on.rule.passes
		r.duties |= on.rule.duties
		r.extents = append(slices.Clone(on.rule.extents), r.extents...)
	}
	own, ownDuties := c.ways(t)
	for i, w := range ways {
		for k, o := range own {
			row.Any = append(row.Any, slices.Concat(w, o))
			row.duties = append(row.duties, duties[i]|ownDuties[k])
		}
	}
	for _, x := range r.extents {
		row.Extent.Covers = row.Extent.Covers || x.Covers
	}
	if c.law.basis(s.Type) != nil {
		c.fail(t, "type", "two bases are declared as %q", s.Type)
		return
	}
	c.law.Bases = append(c.law.Bases, row)
}

func (c *compiler) federalBasis(typ string) *Basis {
	b := c.law.basis(typ)
	if b == nil || b.rule.kind != packs.Federal {
		return nil
	}
	return b
}

// ways are the alternatives of a basis with what all of them require.
func (c *compiler) ways(t entry) (ways [][]Condition, duties []dutySet) {
	all := c.tests(t, "require", t.source.Require)
	if len(t.source.Alternatives) == 0 {
		return [][]Condition{all}, []dutySet{0}
	}
	for i, a := range t.source.Alternatives {
		ways = append(ways, slices.Concat(all, c.tests(t, fmt.Sprintf("alternatives[%d].require", i), a.Require)))
		duties = append(duties, c.duties(t, a.Obligations))
	}
	return ways, duties
}

func (c *compiler) extent(t entry, x *packs.Extent) *Extent {
	if x.Profile == "" {
		return extentOf(x, nil)
	}
	p, ok := c.profile(t.pack, x.Profile)
	if !ok {
		c.fail(t, "extent.profile", "no profile %q in this pack or a federal one", x.Profile)
		return extentOf(x, nil)
	}
	return extentOf(x, &p)
}

// profile finds a profile in the pack itself, else in those before it.
func (c *compiler) profile(p *packs.Pack, name string) (packs.Extent, bool) {
	if x, ok := p.Profiles[name]; ok {
		return x, true
	}
	for _, t := range c.todo {
		if t.pack.Kind == packs.Federal {
			if x, ok := t.pack.Profiles[name]; ok {
				return x, true
			}
		}
	}
	return packs.Extent{}, false
}

func (c *compiler) gateSet(t entry, key string, ids []string) (set gateSet) {
	for i, id := range ids {
		bit := c.gates[id]
		if bit == 0 {
			if !strings.HasSuffix(key, "]") {
				key = fmt.Sprintf("%s[%d]", key, i)
			}
			c.fail(t, key, "there is no gate %q", id)
		}
		set |= bit
	}
	return set
}

// exist refuses names that no pack has.
func (c *compiler) exist(t entry, key, what string, names []string) {
	for i, n := range names {
		if !c.known[what+" "+n] {
			c.fail(t, fmt.Sprintf("%s[%d]", key, i), "no pack that is in force has a %s %q", what, n)
		}
	}
}

// duties gives obligations their bits.
func (c *compiler) duties(t entry, names []string) (set dutySet) {
	for i, n := range names {
		k := slices.Index(c.law.obligations, Obligation(n))
		if k < 0 {
			if len(c.law.obligations) == 64 {
				c.fail(t, fmt.Sprintf("obligations[%d]", i), "there are more than 64 obligations")
				return set
			}
			k = len(c.law.obligations)
			c.law.obligations = append(c.law.obligations, Obligation(n))
		}
		set |= 1 << k
	}
	return set
}
