package policy

import (
	"slices"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway/policy/packs"
)

// A truth is three-valued: unknown never helps a ground and never spares one a
// restriction.
type truth uint8

const (
	no truth = iota
	unknown
	yes
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// A fact is what a condition looks at.
type fact uint8

// The facts. From firstOfData on they are known with the data only.
const (
	ofNothing fact = iota
	ofPolice
	ofRole
	ofOrganization
	ofOrganizationKind
	ofDesignation
	ofTreating
	ofMedicalPersonnel
	ofPurpose
	ofDirection
	ofJurisdiction
	ofBreakGlass
	ofNoConsentObtainable
	ofCustodianDesignation
	ofGround
	ofRule
	ofBasis
	ofAttribute

	firstOfData
	ofThrough
	ofLabel
	ofCJI
	ofLabelled
	ofSensitive
	ofConfidentiality
	ofType
	ofProfile
	ofDirectory
	ofSubject
	ofPoliceRecord
	ofPart2Program
	ofOwnRecord
	ofCustodian
)

// A condition is a compiled test of one fact.
type condition struct {
	fact  fact
	not   bool
	flag  bool
	texts []string
	codes []label.Code // roles; purposes: within

	except, exactly []label.Code // purposes
	labels          labelSet
	level           label.Level
	kinds           groundKind
	gates           gateSet
	attribute       Condition
}

// A labelSet is a list of labels by kind.
type labelSet struct {
	sensitivity, law, cji []string
	notes                 bool // psychotherapy notes, which have two names
}

func labelSetOf(codes []string) labelSet {
	var s labelSet
	for _, c := range codes {
		switch packs.Label(c) {
		case packs.Sensitivity:
			s.sensitivity = append(s.sensitivity, c)
		case packs.LawTag:
			s.law = append(s.law, c)
		case packs.CJILabel:
			s.cji = append(s.cji, c)
		}
		s.notes = s.notes || c == psychotherapy || c == psychotherapyNotes
	}
	return s
}

const (
	psychotherapy      = "PSYTHPN"
	psychotherapyNotes = "HIPAAPsyNotes"
)

// touches says whether data are labelled with one of the set, or below it.
func (s *labelSet) touches(l *label.Labels) bool {
	for _, has := range l.Sensitivity {
		for _, want := range s.sensitivity {
			if subsumes(want, has) {
				return true
			}
		}
	}
	for _, want := range s.law {
		if slices.Contains(l.Law, want) {
			return true
		}
	}
	for _, want := range s.cji {
		if slices.Contains(l.CJI, want) {
			return true
		}
	}
	return s.notes && (slices.Contains(l.Sensitivity, psychotherapy) || slices.Contains(l.Law, psychotherapyNotes))
}

// subsumes is v3-ActCode's hierarchy, with ETH read as SUD and the three names
// of mental health as one.
func subsumes(want, has string) bool {
	if want == has || mentalHealth(want) && mentalHealth(has) {
		return true
	}
	if want == "ETH" {
		want = "SUD"
	}
	if has == "ETH" {
		has = "SUD"
	}
	return terminology.Subsumes(terminology.ActCode.URI(), want, has)
}

func mentalHealth(s string) bool { return s == "MH" || s == "PSY" || s == "BH" }

// all says whether all conditions hold for a ground and, if m is not nil, its
// data. A strict question takes what is unknown for given.
func (s *Session) all(list []condition, strict bool, g *ground, m *matter) bool {
	for i := range list {
		t := s.test(&list[i], g, m)
		if t == no || t == unknown && !strict {
			return false
		}
	}
	return true
}

// test answers one condition.
func (s *Session) test(c *condition, g *ground, m *matter) truth {
	var t truth
	switch {
	case c.fact < ofGround:
		t = s.testRequest(c, g)
	case c.fact < firstOfData:
		t = s.testGround(c, g)
	case m == nil:
		t = unknown
	default:
		t = s.testData(c, m)
	}
	if c.not && t != unknown {
		t = yes - t
	}
	return t
}

// testRequest answers what is known of the request and the requester.
func (s *Session) testRequest(c *condition, g *ground) truth {
	r := &s.req.Requester
	switch c.fact {
	case ofPolice:
		return truthOf(s.police == c.flag)
	case ofRole:
		return s.hasRole(c.codes)
	case ofOrganization:
		return among(r.Organization, c.texts)
	case ofOrganizationKind:
		return among(r.OrganizationKind, c.texts)
	case ofDesignation:
		return truthOf(overlap(r.Designations, c.texts))
	case ofTreating: // law enforcement treats nobody, whatever the directory says
		return truthOf((r.TreatingProvider && !s.police) == c.flag)
	case ofMedicalPersonnel:
		return truthOf(r.MedicalPersonnel == c.flag)
	case ofPurpose:
		return s.servesPurpose(c, g)
	case ofDirection:
		return truthOf((s.req.Direction == PoliceToHealth) == c.flag)
	case ofJurisdiction:
		return s.inJurisdiction(c.texts...)
	case ofBreakGlass:
		return truthOf(s.declared == c.flag)
	case ofNoConsentObtainable:
		return truthOf((s.declared && s.req.BreakGlass.ConsentCannotBeObtained) == c.flag)
	case ofCustodianDesignation:
		return truthOf(overlap(s.req.Designations, c.texts))
	}
	return unknown
}

// among says whether a text is one of a list; one that is not known is unknown.
func among(text string, list []string) truth {
	if text == "" {
		return unknown
	}
	return truthOf(slices.Contains(list, text))
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// hasRole compares codes; systems may be spelled in any way.
func (s *Session) hasRole(want []label.Code) truth {
	roles := s.req.Requester.Roles
	if len(roles) == 0 {
		return unknown
	}
	for _, r := range roles {
		for _, w := range want {
			if r.Code == w.Code && sameSystem(r.System, w.System) {
				return yes
			}
		}
	}
	return no
}

func sameSystem(a, b string) bool {
	if a == b {
		return true
	}
	s := terminology.SystemOf(a)
	return s != terminology.Unknown && s == terminology.SystemOf(b)
}

// inJurisdiction says whether the custodian's jurisdiction is one of these, or
// within one.
func (s *Session) inJurisdiction(list ...string) truth {
	j := s.req.Jurisdiction
	if j == "" {
		return unknown
	}
	for _, w := range list {
		if j == w || len(j) > len(w) && j[:len(w)] == w && j[len(w)] == '-' {
			return yes
		}
	}
	return no
}

// servesPurpose compares the purpose of a ground, or all that are declared.
func (s *Session) servesPurpose(c *condition, g *ground) truth {
	if g != nil && g.asked != nil {
		return purposeTruth(c, g.asked.purpose)
	}
	t := yes
	for i := range s.asked {
		t = min(t, purposeTruth(c, s.asked[i].purpose))
	}
	if len(s.asked) == 0 {
		return unknown
	}
	return t
}

func purposeTruth(c *condition, p label.Code) truth {
	if p.Code == "" {
		return unknown
	}
	for _, w := range c.exactly {
		if p.Code == w.Code && sameSystem(p.System, w.System) {
			return yes
		}
	}
	return truthOf(within(p, c.codes) && !within(p, c.except))
}

func within(p label.Code, families []label.Code) bool {
	system := terminology.SystemOf(p.System)
	for _, f := range families {
		if system != terminology.Unknown && system == terminology.SystemOf(f.System) &&
			terminology.Subsumes(f.System, f.Code, p.Code) {
			return true
		}
	}
	return false
}

// testGround answers what is known of the ground that is looked at.
func (s *Session) testGround(c *condition, g *ground) truth {
	if g == nil {
		return unknown
	}
	switch c.fact {
	case ofGround:
		return truthOf(c.kinds&g.kind != 0)
	case ofRule:
		return truthOf(g.rule != nil && slices.Contains(c.texts, g.rule.id))
	case ofBasis:
		return truthOf(g.basis != nil && overlap(g.basis.row.within, c.texts))
	case ofAttribute:
		return truthOf(g.basis != nil && s.holds(c.attribute, g.basis.from))
	}
	return unknown
}

// testData answers what is known of the data.
func (s *Session) testData(c *condition, m *matter) truth {
	if m.originOnly {
		return s.testOrigin(c, m)
	}
	l := m.datum.Labels
	switch c.fact {
	case ofThrough:
		return truthOf(c.gates&m.through != 0)
	case ofLabel:
		return truthOf(c.labels.touches(l))
	case ofCJI:
		return truthOf((len(l.CJI) > 0) == c.flag)
	case ofLabelled:
		return truthOf((len(l.Sensitivity)+len(l.Law)+len(l.CJI) > 0) == c.flag)
	case ofSensitive:
		return truthOf(l.Sensitive() == c.flag)
	case ofConfidentiality:
		return truthOf(l.Level >= c.level)
	case ofType:
		return truthOf(slices.Contains(c.texts, m.subject.Resource.Type()))
	case ofProfile:
		return truthOf(slices.ContainsFunc(c.texts, func(p string) bool { return hasProfile(m.subject.Resource, p) }))
	case ofDirectory:
		return truthOf(s.directory[m.subject.Resource.Type()] == c.flag)
	case ofSubject:
		return truthOf(m.about() == c.texts[0])
	}
	return s.testCustody(c, m)
}

// testCustody answers whose the data are.
func (s *Session) testCustody(c *condition, m *matter) truth {
	switch c.fact {
	case ofPoliceRecord:
		return truthOf(m.police == c.flag)
	case ofPart2Program:
		return truthOf(m.subject.Origin.Part2 == c.flag)
	case ofOwnRecord:
		return truthOf(m.own == c.flag)
	case ofCustodian:
		return among(m.subject.Origin.Custodian, c.texts)
	}
	return unknown
}

// hasProfile says whether meta.profile has the canonical, whatever its version.
func hasProfile(r *resource.Resource, canonical string) bool {
	for n := range r.Root().Get("meta").All("profile") {
		text := n.Text()
		if text == canonical || len(text) > len(canonical) && text[:len(canonical)] == canonical && text[len(canonical)] == '|' {
			return true
		}
	}
	return false
}
