package consent

import (
	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
)

// A Datum is the resource that is judged. The same Datum may be judged against
// several Sets of one person; what is found out about it is kept.
type Datum struct {
	Resource *resource.Resource
	Labels   *label.Labels
	// Graph answers the data meaning "related"; nil: nothing is known.
	Graph Graph
	// PoliceToHealth says that it is a law-enforcement agency's record on its way
	// to somebody who is not law enforcement: all that a verbal Consent opens.
	PoliceToHealth bool

	custodian reference
	patient   reference
	self      reference
	personal  bool // its type is about a person, though which is not known
	dated     bool
	when      dating
	coded     bool // codes were collected
	codes     []resource.Node
	aspects   aspects
}

// NewDatum makes a Datum. patient is the reference of the person whom the
// resource is about, "" if none is known; custodian the organisation that
// answers for it, "" if unknown.
func NewDatum(r *resource.Resource, l *label.Labels, patient, custodian string, g Graph) Datum {
	var d Datum
	d.Reset(r, l, patient, custodian, g)
	return d
}

// Reset makes d the Datum of another resource, as [NewDatum] does, in d's own
// memory: nothing is allocated once d has seen a resource of about the size.
func (d *Datum) Reset(r *resource.Resource, l *label.Labels, patient, custodian string, g Graph) {
	*d = Datum{Resource: r, Labels: l, Graph: g, codes: d.codes[:0], aspects: aspects{ids: d.aspects.ids, text: d.aspects.text}}
	d.custodian, d.patient = parseReference(custodian), parseReference(patient)
	d.personal = patient == "" && !impersonal[r.Type()]
}

// PersonUnknown says whether the resource is about a person of whom it is not
// known who.
func (d *Datum) PersonUnknown() bool { return d.personal }

// Impersonal says whether resources of the type are about nobody in particular.
func Impersonal(resourceType string) bool { return impersonal[resourceType] }

// impersonal are the types that are about nobody in particular: without a
// patient, no Consent speaks of them.
var impersonal = map[string]bool{
	"Organization": true, "Practitioner": true, "PractitionerRole": true, "Location": true,
	"HealthcareService": true, "Endpoint": true, "Medication": true, "Substance": true,
	"Questionnaire": true, "ValueSet": true, "CodeSystem": true, "StructureDefinition": true,
	"PlanDefinition": true, "ActivityDefinition": true, "InsurancePlan": true,
}

// A Need restricts which permits count, for data behind a gate. The zero value
// restricts nothing.
type Need uint8

// The needs.
const (
	Part2             Need = 1 << iota // valid by 42 CFR 2.31 and reaching the requester
	PsychotherapyNote                  // an authorization for psychotherapy notes alone
)

// An Effect is what a Consent states about a resource.
type Effect uint8

// The effects. Residual is the deny of a permit whose context matched and whose
// data did not ("nothing but"): it replaces the baseline and yields to a permit
// of another Consent.
const (
	None Effect = iota
	Permit
	Residual
	Deny
)

// A Statement is what one Consent says about one resource.
type Statement struct {
	Effect  Effect
	consent *Consent
	rule    int
}

// Consent returns the name of the Consent that spoke, with its version.
func (s Statement) Consent() string { return s.consent.name }

// Path returns the rule that spoke: "provision.provision[0]".
func (s Statement) Path() string { return s.consent.rules[s.rule].path }

// Len returns the number of Consents that may state something.
func (s *Set) Len() int { return len(s.bound) }

// Judge says what the i-th Consent states about the resource.
func (s *Set) Judge(i int, d *Datum, need Need) Statement {
	b := &s.bound[i]
	e := evaluation{set: s, b: b, d: d, need: need}
	e.outer = s.concerns(b, d)
	if e.outer == no {
		return Statement{}
	}
	out := e.rule(0, e.outer)
	switch {
	case out.effect == Permit && b.c.rules[0].stance == unstated:
		return Statement{} // only its denies count
	case out.effect != None:
		return Statement{out.effect, b.c, out.rule}
	}
	if need == 0 && s.leaves(i, d) {
		return Statement{Residual, b.c, 0}
	}
	return Statement{}
}

// leaves says whether the i-th Consent leaves a residual deny where none of its
// rules permits or denies.
func (s *Set) leaves(i int, d *Datum) bool {
	b := &s.bound[i]
	root := &b.c.rules[0]
	return root.stance == permits && b.grants && min(s.concerns(b, d), b.context[0], root.actors.keeps(&d.custodian)) == yes
}

// concerns says whether the Consent is about the person of the resource.
func (s *Set) concerns(b *bound, d *Datum) truth {
	switch {
	case b.c.patient.empty():
		return unknown
	case d.patient.empty():
		if d.personal {
			return unknown
		}
		return no
	}
	t := b.c.patient.same(d.patient)
	if t != yes && b.person && about(d.patient, s.person) {
		t = yes
	}
	return t
}

// An evaluation judges one resource against one Consent.
type evaluation struct {
	set   *Set
	b     *bound
	d     *Datum
	need  Need
	outer truth
}

// An outcome is what a rule and those below it come to, and where its own and
// its additions' conditions hold.
type outcome struct {
	effect Effect
	rule   int
	region truth
}

// rule evaluates the rule at index i. outer is whether the rules that it is an
// exception from match.
//
// A rule below of the same type adds to this one: it stands for itself. One of
// the opposite type is an exception: it counts where this one matches, and then
// instead of it. Between rules side by side a deny wins.
func (e *evaluation) rule(i int, outer truth) outcome {
	p := &e.b.c.rules[i]
	m := no
	if outer != no {
		m = min(outer, e.matches(i))
	}
	own := outcome{rule: i, region: m}
	switch {
	case p.stance == permits && m == yes && e.counts(i):
		own.effect = Permit
	case p.stance == denies && m != no:
		own.effect = Deny
	}
	if len(p.children) == 0 {
		return own
	}
	return e.below(p, own, outer)
}

func (e *evaluation) below(p *provision, own outcome, outer truth) outcome {
	var added outcome
	region := own.region
	for _, k := range p.children {
		if e.b.c.rules[k].stance == p.stance {
			o := e.rule(k, outer)
			region = max(region, o.region)
			added = stricter(added, o)
		}
	}
	// Exceptions from a permit reach what was added to it, too; those from a
	// deny do not: each errs on the side of denying.
	within := own.region
	if p.stance == permits {
		within = region
	}
	var exception outcome
	for _, k := range p.children {
		if within != no && e.b.c.rules[k].stance != p.stance {
			exception = stricter(exception, e.rule(k, within))
		}
	}
	if exception.effect != None {
		own.effect, own.rule = exception.effect, exception.rule
	}
	out := stricter(own, added)
	out.region = region
	return out
}

// stricter combines rules side by side: a deny wins over a permit, and anything
// over nothing.
func stricter(a, b outcome) outcome {
	if b.effect > a.effect {
		return b
	}
	return a
}

// counts says whether a permit of the rule may be relied on for this need.
func (e *evaluation) counts(i int) bool {
	if !e.b.grants || e.b.c.ceiling.Verbal && !e.d.PoliceToHealth {
		return false
	}
	f := e.b.forms[i]
	if e.need&Part2 != 0 && !f.part2 || e.need&PsychotherapyNote != 0 && !f.psyNote {
		return false
	}
	return e.need == 0 || e.b.c.disclosesFor(&e.b.c.rules[i], &e.d.custodian)
}

// matches answers all elements of a rule for the resource.
func (e *evaluation) matches(i int) truth {
	p := &e.b.c.rules[i]
	t := min(e.b.context[i], p.actors.keeps(&e.d.custodian))
	if t == no || !p.describes() {
		return t
	}
	if p.labels.stated {
		if p.stance == permits {
			t = min(t, p.labels.permits(e.d.Labels))
		} else {
			t = min(t, p.labels.denies(e.d.Labels))
		}
	}
	if t != no && p.classes != nil {
		t = min(t, p.classes.isClass(e.d.Resource))
	}
	if t != no && p.dataPeriod != nil {
		t = min(t, e.inPeriod(p))
	}
	if t != no && p.hasData {
		t = min(t, e.isData(p))
	}
	if t != no && p.codes != nil {
		t = min(t, p.codes.in(e.d))
	}
	return t
}

// inPeriod answers dataPeriod: a permit reaches what lies wholly inside, a deny
// what lies partly inside.
func (e *evaluation) inPeriod(p *provision) truth {
	if p.stance == permits {
		return p.dataPeriod.inside(e.d.date(e.set))
	}
	return p.dataPeriod.overlaps(e.d.date(e.set))
}

// date finds out when the resource's content happened, once.
func (d *Datum) date(s *Set) *dating {
	if !d.dated {
		d.dated = true
		if names, ok := s.times[d.Resource.Type()]; ok {
			d.when = dateOf(d.Resource, names, s.loc)
		}
	}
	return &d.when
}

// reference returns what a literal reference to the resource is.
func (d *Datum) reference() reference {
	if d.self.empty() {
		d.self = parseReference(d.Resource.Reference())
	}
	return d.self
}

func (r *codingRule) in(d *Datum) truth {
	t := d.has(r.any)
	if r.broken {
		t = max(t, unknown)
	}
	return t
}
