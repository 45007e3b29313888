package consentform

import (
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// scope says whether the Consent is one about privacy.
func (l *linter) scope() {
	root := l.r.Root()
	other := ""
	for c := range root.Get("scope").All("coding") {
		if terminology.SystemOf(c.Get("system").Text()) != terminology.ConsentScope {
			continue
		}
		switch code := c.Get("code").Text(); code {
		case "patient-privacy":
			return
		case "treatment", "research", "adr":
			other = code
		}
	}
	n := orRoot(root.Get("scope"), root)
	if other != "" {
		l.add(outcome.Warning, "scope-silent", n, "Consent.scope", "", "a Consent about %s says nothing about who may see what", other)
		return
	}
	l.add(outcome.Failure, "unknown-scope", n, "Consent.scope", "", "the scope is not patient-privacy: it can withhold and opens nothing")
}

// rule looks at one rule: its type, its conditions, and how it stands to the
// rule around it and those beside it.
func (l *linter) rule(p resource.Node, at string, parent resource.Node) {
	l.stance(p, at, parent)
	for m := range p.Members() {
		if name := m.Name(); !ruleMembers[name] {
			l.add(outcome.Failure, "modifier", m, at+"."+name, "", "it may be a condition and is not understood: the Consent opens nothing")
		}
	}
	l.period(p.Get("period"), at+".period", true)
	l.period(p.Get("dataPeriod"), at+".dataPeriod", false)
	l.actors(p, at, parent)
	l.purposes(p, at)
	l.codes(p, at)
	l.data(p, at)
	if parent.Exists() {
		l.within(p, at, parent)
	}
	l.siblings(p, at)
}

var ruleMembers = map[string]bool{
	"id": true, "extension": true, "type": true, "period": true, "actor": true, "action": true,
	"securityLabel": true, "purpose": true, "class": true, "code": true, "dataPeriod": true,
	"data": true, "provision": true, "_id": true,
}

func (l *linter) stance(p resource.Node, at string, parent resource.Node) {
	t := p.Get("type")
	switch {
	case t.Is("permit") || t.Is("deny"):
	case t.Exists():
		l.add(outcome.Failure, "unknown-type", t, at+".type", "", "the type is neither permit nor deny: the rule is read as a deny and the Consent opens nothing")
	case parent.Exists():
		l.add(outcome.Failure, "type-missing", p, at+".type", "", "a nested rule needs a type: it is read as a deny and the Consent opens nothing")
	case optsIn(l.r.Root()):
		l.add(outcome.Information, "type-by-policy", p, at, "", "the root has no type: policyRule makes it a permit")
	default:
		l.add(outcome.Information, "type-by-rules", p, at, "", "the root has no type: what it says follows from policyRule or from the rules below it; without either only its denies count")
	}
}

// period looks at when a rule holds (or the data it is about).
func (l *linter) period(n resource.Node, at string, holds bool) {
	if !n.Exists() {
		return
	}
	start, end := n.Get("start"), n.Get("end")
	from, okFrom := instant(start.Text(), l.o.At.Location(), false)
	to, okTo := instant(end.Text(), l.o.At.Location(), true)
	switch {
	case !start.Exists() && !end.Exists(), start.Exists() && !okFrom, end.Exists() && !okTo:
		l.add(outcome.Failure, "period-unreadable", n, at, "", "the period has no bound that can be read: a permit with it opens nothing, a deny holds always")
	case okFrom && okTo && to.Before(from):
		l.add(outcome.Failure, "period-reversed", n, at, "", "the end comes before the start: a permit with it opens nothing")
	case holds && okTo && to.Before(l.o.At):
		l.add(outcome.Failure, "period-over", n, at, "", "the period is over: the rule never applies again")
	case holds && okFrom && from.After(l.o.At):
		l.add(outcome.Information, "period-ahead", n, at, "", "the rule does not apply yet")
	}
}

// actors looks at whom a rule reaches.
func (l *linter) actors(p resource.Node, at string, parent resource.Node) {
	list := actors(p)
	deny := p.Get("type").Is("deny")
	reaches, custodian, tpo, named := false, false, true, false
	purposes := p.Get("purpose")
	if !purposes.Exists() {
		purposes = parent.Get("purpose")
	}
	for c := range purposes.Elements() {
		tpo, named = tpo && isTPO(c), true
	}
	for _, a := range list {
		reaches, custodian = reaches || a.recipient, custodian || a.custodian
		place := at + "." + a.at
		switch {
		case !a.known:
			l.add(outcome.Failure, "unknown-role", a.node, place+".role", "", "the role is of no system that is understood: a permit reaches nobody by it")
		case !a.identified && !a.display:
			l.add(outcome.Failure, "actor-nobody", a.node, place+".reference", "", "the entry names nobody: a permit reaches nobody by it")
		case a.recipient && a.display && len(a.roles) == 0:
			l.add(outcome.Warning, "actor-anybody", a.node, place+".reference", "", "a display alone names nobody: the entry stands for whoever asks")
		case a.recipient && !deny && named && tpo && slices.ContainsFunc(a.roles, isPoliceRole):
			l.add(outcome.Failure, "police-under-tpo", a.node, place, "42 CFR 2.31(a)(4)(i)", "police are no recipient of a consent to treatment, payment and operations: name the agency and a purpose of its own")
		}
		for _, role := range a.roles {
			if !slices.Contains(actorRoles, role) {
				l.add(outcome.Failure, "unknown-role", a.node, place+".role", "", "%.40q is no role of the actor-role system: nobody has it", role)
			}
		}
	}
	if p.Get("actor").Exists() && !reaches && !custodian {
		what := "the permit reaches nobody"
		if deny {
			what = "the deny can never apply"
		}
		l.add(outcome.Failure, "reaches-nobody", p.Get("actor"), at+".actor", "42 CFR 2.31(a)(4)", "no actor is a recipient (IRCP) or a custodian (CST): %s", what)
	}
}

var policeRoles = []string{"law-enforcement-officer", "custody-officer", "dispatcher"}

func isPoliceRole(r string) bool { return slices.Contains(policeRoles, r) }

var actorRoles = append([]string{"co-responder-clinician", "treating-clinician", "emergency-physician", "case-manager", "prosecutor", "attorney", "researcher", "marketer"}, policeRoles...)

// purposes looks at codes that nobody can declare, and at proceedings.
func (l *linter) purposes(p resource.Node, at string) {
	legal, others, i := false, false, 0
	for c := range p.All("purpose") {
		place := indexed(at+".purpose", i)
		i++
		code := c.Get("code").Text()
		switch terminology.SystemOf(c.Get("system").Text()) {
		case terminology.PurposeOfUse:
			if code != "LAWENF" && code != "CRISIS" {
				l.unknown(p, c, place, "purpose")
			}
		case terminology.ActReason:
			if !terminology.Subsumes(terminology.ActReason.URI(), "PurposeOfUse", code) {
				l.unknown(p, c, place, "purpose")
			}
		default:
			l.unknown(p, c, place, "purpose")
		}
		if code == "HLEGAL" {
			legal = true
		} else {
			others = true
		}
	}
	if legal && others && !p.Get("type").Is("deny") {
		l.add(outcome.Failure, "proceedings-combined", p.Get("purpose"), at+".purpose", "42 CFR 2.31(d)", "a consent to use in proceedings stands alone: combined with another purpose it is void for HLEGAL")
	}
}

func (l *linter) unknown(p, n resource.Node, at, what string) {
	effect := "a permit opens nothing by it"
	if p.Get("type").Is("deny") {
		effect = "the deny may never apply by it"
	}
	l.add(outcome.Failure, "unknown-"+what, n, at, "", "%s: %s|%s is not known here: %s", what, clip(n.Get("system").Text()), clip(n.Get("code").Text()), effect)
}

func clip(s string) string {
	if len(s) > 80 {
		s = s[:80] + "..."
	}
	return strings.ToValidUTF8(s, "?")
}

// codes looks at labels, classes and actions.
func (l *linter) codes(p resource.Node, at string) {
	i, notes, others := 0, false, false
	for c := range p.All("securityLabel") {
		if !knownLabel(c) {
			l.unknown(p, c, indexed(at+".securityLabel", i), "label")
		}
		isNotes := slices.Contains([]string{"PSYTHPN", "HIPAAPsyNotes"}, c.Get("code").Text())
		notes, others = notes || isNotes, others || !isNotes
		i++
	}
	if notes && others && !p.Get("type").Is("deny") {
		l.add(outcome.Failure, "notes-combined", p.Get("securityLabel"), at+".securityLabel", "45 CFR 164.508(b)(3)(ii)", "an authorization for psychotherapy notes stands alone: combined with other data it is void for the notes")
	}
	i = 0
	for c := range p.All("class") {
		place, code := indexed(at+".class", i), c.Get("code").Text()
		i++
		switch system := c.Get("system").Text(); {
		case system == "http://hl7.org/fhir/resource-types" && search.KnownType(code), system == "urn:ietf:rfc:3986" && code != "":
		case terminology.SystemOf(system) == terminology.LOINC && code != "":
		default:
			l.unknown(p, c, place, "class")
		}
	}
	i = 0
	for concept := range p.All("action") {
		known := false
		for c := range concept.All("coding") {
			known = known || terminology.SystemOf(c.Get("system").Text()) == terminology.ConsentAction &&
				slices.Contains([]string{"collect", "access", "use", "disclose", "correct"}, c.Get("code").Text())
		}
		if !known {
			l.unknown(p, concept.Get("coding"), indexed(at+".action", i), "action")
		}
		i++
	}
	i = 0
	for concept := range p.All("code") {
		if concept.Get("coding").Len() == 0 {
			l.add(outcome.Failure, "code-text", concept, indexed(at+".code", i), "", "a text is compared with nothing: give a coding")
		}
		i++
	}
}

func knownLabel(c resource.Node) bool {
	code := c.Get("code").Text()
	switch terminology.SystemOf(c.Get("system").Text()) {
	case terminology.Confidentiality:
		_, level := terminology.Rank(code)
		_, retired := terminology.Retired(code)
		return level || retired
	case terminology.ActCode, terminology.ActUSPrivacyLaw:
		_, s := terminology.Sensitivity(code)
		_, law := terminology.Law(code)
		return s || law
	case terminology.CJILabel, terminology.RecordOrigin, terminology.ObservationValue:
		return code != ""
	}
	return false
}

// data looks at the instances that a rule names.
func (l *linter) data(p resource.Node, at string) {
	i := 0
	for d := range p.All("data") {
		place := indexed(at+".data", i)
		i++
		if m := d.Get("meaning").Text(); !slices.Contains([]string{"instance", "related", "dependents", "authoredby"}, m) {
			l.add(outcome.Failure, "unknown-meaning", d, place+".meaning", "", "the meaning is none that R4 has: the Consent opens nothing")
		}
		ref := d.Path("reference", "reference").Text()
		switch {
		case ref == "" && d.Path("reference", "identifier").Exists():
		case ref == "":
			l.add(outcome.Failure, "data-nobody", d, place+".reference", "", "the entry names no resource")
		case l.o.Resolves != nil && !l.o.Resolves(ref):
			l.add(outcome.Warning, "data-unresolved", d, place+".reference", "", "%s is not among what came with the Consent", clip(ref))
		}
	}
}
