package policy

import (
	"github.com/handoff-health/handoff/gateway/consent"
)

// ordinary looks for the ground of every day: for each declared purpose a
// Consent, or where no Consent speaks the baseline.
func (s *Session) ordinary(c *matter, g consent.Need) verdict {
	v := verdict{permitted: len(s.asked) > 0}
	for i := range s.asked {
		p := s.forPurpose(c, &s.asked[i], g)
		v.reasons = append(v.reasons, p.reason)
		v.duties |= p.duties
		v.permitted = v.permitted && p.permitted
	}
	if !v.permitted {
		v.duties = 0
	}
	return v
}

// A finding is what holds for one declared purpose.
type finding struct {
	permitted bool
	reason    Reason
	duties    duty
	effect    consent.Effect
}

// forPurpose combines what the Consents state, deny overrides, and falls back
// to the baseline.
func (s *Session) forPurpose(c *matter, a *asked, g consent.Need) finding {
	st := a.consents.Strictest(&c.datum)
	f := finding{effect: st.Effect}
	switch st.Effect {
	case consent.Deny:
		if s.sparesOwn(c, a) && s.ownBaseline(c, g, &f) {
			return f
		}
		f.reason = stated("consent/deny", "deny", st)
	case consent.Residual:
		if s.ownBaseline(c, g, &f) {
			return f
		}
		f.reason = stated("consent/residual", "deny", st)
	case consent.Permit:
		f.permitted, f.reason, f.duties = true, stated("consent/permit", "permit", st), onConsent
		if g != 0 {
			s.passGates(c, a, g, &f)
		}
	default:
		s.baseline(c, a, g, &f)
	}
	return f
}

func stated(rule, effect string, st consent.Statement) Reason {
	return Reason{Rule: rule, Effect: effect, Consent: st.Consent(), Path: st.Path()}
}

// passGates asks for a Consent that is valid in the form that the gate wants.
func (s *Session) passGates(c *matter, a *asked, g consent.Need, f *finding) {
	if g&consent.Part2 != 0 && !(c.own && f.permitted) {
		st, ok := a.consents.Qualified(&c.datum, consent.Part2)
		if !ok {
			*f = finding{effect: f.effect, reason: gatePart2}
			return
		}
		f.reason = stated("consent/permit", "permit", st)
		f.reason.Citation = "42 CFR 2.31, 2.33"
		f.duties |= onPart2Consent
	}
	if g&consent.PsychotherapyNote != 0 {
		st, ok := a.consents.Qualified(&c.datum, consent.PsychotherapyNote)
		if !ok {
			*f = finding{effect: f.effect, reason: gatePsychotherapy}
			return
		}
		f.reason = stated("consent/permit", "permit", st)
		f.reason.Citation = "45 CFR 164.508(a)(2)"
	}
}

var (
	gatePart2         = Reason{Rule: "gate/part2", Effect: "deny", Citation: "42 CFR 2.13(a), 2.31", Detail: "no consent valid under Part 2 reaches it"}
	gatePsychotherapy = Reason{Rule: "gate/psychotherapy-notes", Effect: "deny", Citation: "45 CFR 164.508(a)(2)", Detail: "no authorization for psychotherapy notes alone reaches it"}
)

// sparesOwn says whether the denies leave the custodian its own record: a
// patient's opt-out restricts disclosure, and only one that names the custodian
// as recipient is about its own look. A Consent stays readable to whoever keeps
// it in any case.
func (s *Session) sparesOwn(c *matter, a *asked) bool {
	return c.own && (c.subject.Resource.Type() == "Consent" || !a.consents.DeniesByName(&c.datum))
}

// ownBaseline: an organisation's look at its own records is no disclosure.
// Psychotherapy notes stay with their author.
func (s *Session) ownBaseline(c *matter, g consent.Need, f *finding) bool {
	if !c.own || g&consent.PsychotherapyNote != 0 {
		return false
	}
	f.permitted = true
	f.reason = Reason{Rule: "baseline/own-record", Effect: "permit", Detail: "the requester's organisation is the custodian"}
	return true
}

// baseline decides where no Consent speaks.
func (s *Session) baseline(c *matter, a *asked, g consent.Need, f *finding) {
	l := c.datum.Labels
	switch {
	case s.ownBaseline(c, g, f):
	case s.directory[c.subject.Resource.Type()] && !c.subject.Origin.Part2 && !c.police && c.subject.Patient == "" && !l.Sensitive():
		f.permitted = true
		f.reason = Reason{Rule: "baseline/directory", Effect: "permit", Detail: "it is about nobody in particular"}
	case c.police:
		if s.req.Direction == PoliceToHealth && len(s.req.Agreements) > 0 && !s.police &&
			len(l.CJI)+len(l.Sensitivity)+len(l.Law) == 0 {
			f.permitted = true
			f.reason = Reason{Rule: "baseline/agreement", Effect: "permit", Citation: s.law.Baseline.Agreement, Detail: s.req.Agreements[0]}
			return
		}
		f.reason = Reason{Rule: "baseline/police-record", Effect: "deny", Citation: s.law.Baseline.Agreement, Detail: "no agreement or Consent opens it"}
	case s.police:
		f.reason = Reason{Rule: "baseline/police", Effect: "deny", Citation: "45 CFR 164.502(a), 164.512(f)", Detail: "no Consent and no legal basis"}
	case !a.baseline || !s.req.Requester.TreatingProvider:
		f.reason = Reason{Rule: "baseline/none", Effect: "deny", Citation: "45 CFR 164.502(a)", Detail: "not a treating provider asking for treatment, payment or operations"}
	case c.datum.PersonUnknown():
		f.reason = Reason{Rule: "baseline/unknown-person", Effect: "deny", Citation: "45 CFR 164.502(a)", Detail: "whom it is about is not known, so neither is a treatment relationship"}
	case g&consent.Part2 != 0:
		f.reason = gatePart2
	case g&consent.PsychotherapyNote != 0:
		f.reason = gatePsychotherapy
	default:
		f.permitted = true
		f.reason = Reason{Rule: "baseline/treatment", Effect: "permit", Citation: s.law.Baseline.Citation}
	}
}

// breakGlass overrides a patient's deny for emergency treatment, and opens Part
// 2 data to medical personnel where consent cannot be obtained. Every purpose
// that has no other ground must be one for which the glass may be broken.
func (s *Session) breakGlass(c *matter, g consent.Need) (v verdict, ok bool) {
	if !s.glass || c.police || g&consent.PsychotherapyNote != 0 || len(c.datum.Labels.CJI) > 0 {
		return v, false
	}
	part2 := g&consent.Part2 != 0
	for i := range s.asked {
		a := &s.asked[i]
		f := s.forPurpose(c, a, g)
		denied := f.effect == consent.Deny || f.effect == consent.Residual
		switch {
		case f.permitted:
			v.duties |= f.duties
			continue
		case !a.override, denied && a.consents.RulesBreakGlass(&c.datum),
			part2 && !s.req.BreakGlass.ConsentCannotBeObtained, !part2 && !denied:
			return verdict{}, false
		}
		if denied {
			v.duties |= onOverride
		}
		if part2 {
			v.duties |= onEmergency
		}
	}
	v.permitted = true
	r := Reason{Rule: "break-glass/override", Effect: "permit", Citation: "45 CFR 164.522(a)(1)(iii)", Detail: "emergency treatment against the patient's deny"}
	if part2 {
		r = Reason{Rule: "break-glass/part2", Effect: "permit", Citation: "42 CFR 2.51", Detail: "medical emergency; consent cannot be obtained"}
	}
	v.reasons = []Reason{r}
	return v, true
}
