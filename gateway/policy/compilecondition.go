package policy

import (
	"fmt"
	"slices"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway/policy/packs"
)

// factOf says which fact a kind of condition looks at.
var factOf = map[string]fact{
	"police": ofPolice, "role": ofRole, "organization": ofOrganization, "organizationKind": ofOrganizationKind, "designation": ofDesignation,
	"treating": ofTreating, "medicalPersonnel": ofMedicalPersonnel, "purpose": ofPurpose, "direction": ofDirection, "jurisdiction": ofJurisdiction,
	"breakGlass": ofBreakGlass, "consentCannotBeObtained": ofNoConsentObtainable, "custodianDesignation": ofCustodianDesignation,
	"ground": ofGround, "rule": ofRule, "basis": ofBasis, "through": ofThrough, "attribute": ofAttribute,
	"label": ofLabel, "cji": ofCJI, "labelled": ofLabelled, "sensitive": ofSensitive, "confidentiality": ofConfidentiality,
	"type": ofType, "profile": ofProfile, "directory": ofDirectory, "subject": ofSubject, "policeRecord": ofPoliceRecord,
	"part2Program": ofPart2Program, "ownRecord": ofOwnRecord, "custodian": ofCustodian,
}

// conditions compiles a list. The pack has been checked: every condition has
// exactly one kind, and its codes are known.
func (c *compiler) conditions(t entry, key string, list []packs.Condition) []condition {
	out := make([]condition, len(list))
	for i := range list {
		out[i] = c.condition(t, fmt.Sprintf("%s[%d]", key, i), &list[i])
	}
	return out
}

func (c *compiler) condition(t entry, key string, k *packs.Condition) condition {
	out := condition{fact: factOf[k.Kind()], not: k.Not}
	if out.fact == ofNothing {
		c.fail(t, key, "%q is no kind of condition", k.Kind())
	}
	for _, flag := range []*bool{
		k.Police, k.Treating, k.MedicalPersonnel, k.BreakGlass, k.ConsentCannotBeObtained, k.CJI, k.Labelled, k.Sensitive,
		k.Directory, k.PoliceRecord, k.Part2Program, k.OwnRecord,
	} {
		out.flag = out.flag || flag != nil && *flag
	}
	out.texts = slices.Concat(k.Organization, k.OrganizationKind, k.Designation, k.Jurisdiction, k.Rule, k.Basis, k.Type, k.Profile, k.Custodian, k.CustodianDesignation)
	out.labels = labelSetOf(k.Label)
	out.codes = codesOf(k.Role, packs.Role)
	switch out.fact {
	case ofPurpose:
		out.codes = codesOf(k.Purpose.Within, packs.PurposeOfUse)
		out.except = codesOf(k.Purpose.Except, packs.PurposeOfUse)
		out.exactly = codesOf(k.Purpose.Exactly, packs.PurposeOfUse)
	case ofDirection:
		out.flag = k.Direction == "police-to-health"
	case ofSubject:
		out.texts = []string{k.Subject}
	case ofConfidentiality:
		rank, _ := terminology.Rank(k.Confidentiality)
		out.level = label.Level(rank)
	case ofGround:
		for _, g := range k.Ground {
			out.kinds |= map[string]groundKind{"consent": byConsent, "permit": byPermit, "basis": byBasis, "emergency": byEmergency}[g]
		}
	case ofRule:
		c.exist(t, key+".rule", "rule", k.Rule)
	case ofBasis:
		c.exist(t, key+".basis", "basis", k.Basis)
	case ofThrough:
		out.gates = c.gateSet(t, key+".through", k.Through)
	case ofAttribute:
		out.attribute, out.not = attributeTest(k), false
	}
	return out
}

func codesOf(texts []string, read func(string) (label.Code, bool)) (out []label.Code) {
	for _, text := range texts {
		if code, ok := read(text); ok {
			out = append(out, code)
		}
	}
	return out
}

// tests compiles the conditions of a basis.
func (c *compiler) tests(t entry, key string, list []packs.Condition) []Condition {
	var out []Condition
	for i := range list {
		k := &list[i]
		switch {
		case k.Attribute != nil:
			out = append(out, attributeTest(k))
		case k.Role != nil && !k.Not:
			out = append(out, Condition{ID: k.ID, Test: HasRole, Values: k.Role})
		default:
			f := c.condition(t, fmt.Sprintf("%s[%d]", key, i), k)
			out = append(out, Condition{ID: k.ID, Test: Fact, fact: &f})
		}
	}
	return out
}

func attributeTest(k *packs.Condition) Condition {
	a := k.Attribute
	out := Condition{ID: k.ID, Attribute: a.Name, not: k.Not}
	switch {
	case a.Is != nil && *a.Is:
		out.Test = True
	case a.Is != nil:
		out.Test = False
	case a.Absent:
		out.Test = Null
	case a.NotBlank:
		out.Test = NotEmpty
	case a.OneOf != nil:
		out.Test, out.Values = OneOf, a.OneOf
	case a.AnyOf != nil:
		out.Test, out.Values = AnyOf, a.AnyOf
	case a.NotLater:
		out.Test = NotLater
	case a.NotOlder != "":
		out.Test, out.Values = NotOlder, []string{a.NotOlder}
	case a.Reference:
		out.Test = Reference
	case a.OutsideRequester:
		out.Test = Outside
	}
	return out
}
