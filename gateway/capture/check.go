package capture

import (
	"slices"
	"time"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
)

// A Site is what the configuration says.
type Site interface {
	Kind(organization string) string // police, health, exchange; "" if unknown
	Part2(organization string) bool
}

// Rules are the bounds that a capture is held to.
type Rules struct {
	Site       Site
	Now        time.Time
	Custodians []string // for whose data the recorder may record Consents
	Verbal     time.Duration
	Written    time.Duration
	Backlog    time.Duration
	Skew       time.Duration // of the device's clock
}

// refuse is a capture that must not be.
func refuse(expression, text string) error {
	return outcome.Unprocessable("", outcome.Issue{Code: outcome.CodeInvalid, Diagnostics: text, Expression: expression})
}

func missing(expression, text string) error {
	return outcome.Unprocessable("", outcome.Issue{Code: outcome.CodeRequired, Diagnostics: text, Expression: expression})
}

// Check holds a capture to the ceilings and fills in what follows from them.
func (c *Capture) Check(r Rules) error {
	if _, typ, _, ok := resource.SplitReference(c.Patient); !ok || typ != "Patient" {
		return refuse("patient", "patient must be Patient/<id>")
	}
	switch {
	case c.AskedAt.After(r.Now.Add(r.Skew)):
		return refuse("askedAt", "askedAt lies in the future")
	case c.AskedAt.Before(r.Now.Add(-r.Backlog)):
		return refuse("askedAt", "the person was asked too long ago: beyond what a device may hold back")
	case !c.Ends.IsZero() && !c.Ends.After(c.AskedAt):
		return refuse("expires", "it would end before the person was asked")
	}
	if err := c.codes(); err != nil {
		return err
	}
	if c.Refused {
		return c.checkRefusal(r)
	}
	if !slices.Contains([]string{"capable", "doubtful", "incapable"}, c.Capacity) {
		return missing("capacity", "capacity is missing: capable, doubtful or incapable, as it was observed")
	}
	if c.How == resource.CapturedVerbal {
		return c.checkVerbal(r)
	}
	return c.checkWritten(r)
}

// codes wants codes that are understood.
func (c *Capture) codes() error {
	for _, p := range c.Purposes {
		if purposeSystem(p) == "" {
			return refuse("purpose", "purpose is none that a Consent can be for here: CRISIS, LAWENF, TREAT, ETREAT, CAREMGT, HPAYMT, HOPERAT")
		}
	}
	for _, w := range c.What {
		if whats[w] == nil {
			return refuse("what", "what is none of crisis-plan, care-team, medication, diagnosis, allergy, contact-data")
		}
	}
	for _, s := range c.Sensitivities {
		if sensitivities[s] == nil {
			return refuse("sensitivity", "sensitivity is none of mental-health, substance-use, hiv, domestic-violence, sexual-health")
		}
	}
	return nil
}

// checkRefusal: a refusal withholds what was asked for. It needs no form, no
// capacity and no end, and anybody may record one about any data.
func (c *Capture) checkRefusal(r Rules) error {
	if c.Contact.Asked() {
		return refuse("contact", "a refusal asks nobody to call: leave contact out")
	}
	if len(c.Custodians) == 0 {
		c.Custodians = slices.DeleteFunc(slices.Clone(r.Custodians), func(o string) bool { return c.How == resource.CapturedVerbal && r.Site.Kind(o) != "police" })
	}
	return c.organizations(r, nil, nil)
}

// checkVerbal: what was only said opens a law-enforcement agency's contact data
// to health organisations, for a short time.
func (c *Capture) checkVerbal(r Rules) error {
	if len(c.Custodians) == 0 {
		for _, o := range r.Custodians {
			if r.Site.Kind(o) == "police" {
				c.Custodians = append(c.Custodians, o)
			}
		}
	}
	if c.Part2 || slices.Contains(c.Sensitivities, "substance-use") {
		return refuse("how", "what is only said opens nothing about substance use (42 CFR 2.31 asks for a written consent)")
	}
	if err := c.organizations(r, []string{"police"}, []string{"health"}); err != nil {
		return err
	}
	latest := c.AskedAt.Add(r.Verbal)
	if c.Ends.IsZero() {
		c.Ends = latest
	}
	if c.Ends.After(latest) {
		return refuse("expires", "what is only said counts for "+hours(r.Verbal)+" at most")
	}
	if len(c.Purposes) == 0 {
		c.Purposes = []string{"TREAT", "CRISIS"}
	}
	if len(c.Sensitivities) == 0 {
		c.Sensitivities = []string{"mental-health"}
	}
	return nil
}

// checkWritten: what was signed opens health data, if it says what a written
// authorization must say.
func (c *Capture) checkWritten(r Rules) error {
	if err := c.organizations(r, []string{"police", "health"}, []string{"police", "health"}); err != nil {
		return err
	}
	switch latest := c.AskedAt.Add(r.Written); {
	case c.Ends.IsZero():
		return missing("expires", "expires is missing (45 CFR 164.508(c)(1)(v))")
	case c.Ends.After(latest):
		return refuse("expires", "a signed Consent counts for "+hours(r.Written)+" at most")
	case !c.Signature.Given():
		return missing("signature", "signature is missing (45 CFR 164.508(c)(1)(vi))")
	case c.Signature.When.After(r.Now.Add(r.Skew)), c.Signature.When.Before(c.AskedAt.Add(-r.Skew)):
		return refuse("signature", "it was signed before the person was asked, or in the future")
	case len(c.Purposes) == 0:
		return missing("purpose", "purpose is missing (45 CFR 164.508(c)(1)(iv))")
	case len(c.What) == 0:
		return missing("what", "what is missing: a description of the data (45 CFR 164.508(c)(1)(i))")
	case !c.Informed:
		return missing("informed", "the person must have been told the right to revoke and the consequences of refusal (45 CFR 164.508(c)(2), 42 CFR 2.31(a)(6))")
	}
	if err := c.signer(); err != nil {
		return err
	}
	return c.checkPart2(r)
}

// signer wants the person, or somebody who may sign for them.
func (c *Capture) signer() error {
	_, typ, _, ok := resource.SplitReference(c.Signature.Who)
	if c.Signature.Who == c.Patient || ok && typ == "RelatedPerson" {
		return nil
	}
	return refuse("signature", "who signed is neither the person nor a representative (RelatedPerson)")
}

// checkPart2 asks for what 42 CFR 2.31 adds. All that it names must be a Part 2
// program's or nothing may be: one form is for one kind of record.
func (c *Capture) checkPart2(r Rules) error {
	programs := 0
	for _, o := range c.Custodians {
		if r.Site.Part2(o) {
			programs++
		}
	}
	switch {
	case !c.Part2 && programs > 0:
		return missing("part2", "a custodian is a Part 2 program: its records must be named (part2 true; 42 CFR 2.31(a)(3))")
	case !c.Part2 && slices.Contains(c.Sensitivities, "substance-use"):
		return nil // of a custodian that is no program
	case c.Part2 && programs == 0:
		return refuse("custodian", "no custodian is a Part 2 program")
	case c.Part2 && slices.Contains(c.Purposes, "LAWENF"):
		return refuse("purpose", "records of a Part 2 program are not opened for enforcement (42 CFR 2.12(d)(1))")
	}
	return nil
}

// organizations wants known ones, of a kind that may stand there, whose data the
// recorder may record for.
func (c *Capture) organizations(r Rules, from, to []string) error {
	if len(c.Custodians) == 0 {
		return missing("custodian", "custodian is missing: whose data it is about")
	}
	for _, o := range c.Custodians {
		kind := r.Site.Kind(o)
		switch {
		case kind == "":
			return refuse("custodian", "a custodian is not an organisation of this site")
		case from != nil && !slices.Contains(r.Custodians, o):
			return refuse("custodian", "you record no Consents for a custodian that it names")
		case from != nil && !slices.Contains(from, kind):
			return refuse("custodian", "what is only said opens police contact data, and no other organisation's")
		}
	}
	if len(c.Recipients) == 0 && to != nil {
		return missing("recipient", "recipient is missing: who may see it")
	}
	for _, o := range c.Recipients {
		kind := r.Site.Kind(o)
		switch {
		case kind == "":
			return refuse("recipient", "a recipient is not an organisation of this site")
		case to != nil && !slices.Contains(to, kind):
			return refuse("recipient", "what is only said opens data to health organisations; name the organisation itself, not an exchange")
		}
	}
	return nil
}

func hours(d time.Duration) string { return d.Round(time.Hour).String() }
