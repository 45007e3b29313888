package consent

import (
	"slices"

	"github.com/handoff-health/handoff/fhir/terminology"
)

// form says for which gated data a permit of rule p counts when the purpose is
// this one, by 42 CFR 2.31 and 45 CFR 164.508. Who discloses is looked at when
// the resource's custodian is known. through says that the requester is reached
// through an exchange only.
func (c *Consent) form(p *provision, purpose coding, a *asker, through bool) form {
	root := &c.rules[0]
	purposes := p.purposes
	if purposes == nil {
		purposes = root.purposes
	}
	if !c.signed || purposes == nil || len(purposes.any) == 0 || purposes.broken {
		return form{}
	}
	tpo := purposes.onlyTPO()
	named := len(p.actors.recipients) > 0 || len(root.actors.recipients) > 0
	expires := p.period != nil && p.period.hasEnd || root.period != nil && root.period.hasEnd
	f := form{psyNote: c.forPsychotherapyNotes() && (tpo || named && expires)}
	if !c.forPart2() || !purposes.coversPart2(purpose) {
		return f
	}
	if _, rootThrough := root.actors.reach(a); rootThrough {
		through = true
	}
	switch {
	case through && !a.treating: // 42 CFR 2.31(a)(4)(ii): an intermediary
	case tpo:
		f.part2 = a.treating
	default:
		f.part2 = named && expires && (p.describes() || root.describes())
	}
	return f
}

// Forms of written consent, by policyRule.
var (
	part2Forms = []string{"42CFRPart2CD", "42CFRPart2", "MDHHS-5515Part2"}
	authForms  = []string{"HIPAAAuthCD", "HIPAAAuth", "HIPAAPsyNotes"}
)

func (c *Consent) hasPolicyRule(codes []string) bool {
	return slices.ContainsFunc(c.policyRule, func(p coding) bool {
		return (p.system == terminology.ActCode || p.system == terminology.ActUSPrivacyLaw) && slices.Contains(codes, p.code)
	})
}

func (c *Consent) forPart2() bool { return c.hasPolicyRule(part2Forms) }

// forPsychotherapyNotes says whether the Consent is an authorization for
// psychotherapy notes that is not combined with another: 164.508(b)(3)(ii).
func (c *Consent) forPsychotherapyNotes() bool {
	if !c.hasPolicyRule(authForms) {
		return false
	}
	for i := range c.rules {
		if p := &c.rules[i]; p.stance == permits && !p.labels.onlyPsychotherapy() {
			return false
		}
	}
	return true
}

// onlyTPO says whether every purpose is treatment, payment or operations.
func (r *codingRule) onlyTPO() bool {
	for _, p := range r.any {
		if p.system != terminology.ActReason || p.code != "TREAT" && p.code != "HPAYMT" && p.code != "HOPERAT" {
			return false
		}
	}
	return true
}

// coversPart2 says whether the purposes cover the declared one for Part 2 data:
// treatment does not reach into an emergency override, operations not into
// legal proceedings, and proceedings need a consent of their own (2.31(d)).
func (r *codingRule) coversPart2(declared coding) bool {
	legal, others, covered := false, false, false
	for _, p := range r.any {
		if p.system == terminology.ActReason && p.code == "HLEGAL" {
			legal = true
		} else {
			others = true
		}
		broad := p.system == terminology.ActReason && (p.code == "TREAT" || p.code == "HOPERAT")
		override := declared.system == terminology.ActReason && (declared.code == "BTG" || declared.code == "HLEGAL")
		covered = covered || purposeCovers(p, declared) == yes && !(broad && override)
	}
	proceedings := declared.system == terminology.ActReason && declared.code == "HLEGAL"
	return covered && !(proceedings && legal && others)
}

// disclosesFor says whether the Consent names the custodian as discloser. An
// actor entry for the custodian has been matched before, as part of the rule.
func (c *Consent) disclosesFor(p *provision, custodian *reference) bool {
	if len(p.actors.custodians) > 0 || len(c.rules[0].actors.custodians) > 0 {
		return true
	}
	if custodian.empty() {
		return len(c.issuers) > 0
	}
	for i := range c.issuers {
		if !c.foreign && c.issuers[i].same(*custodian) == yes {
			return true
		}
	}
	return false
}
