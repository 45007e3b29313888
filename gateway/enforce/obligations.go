package enforce

import (
	"fmt"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/gateway/policy"
)

// A duty says what an obligation asks of the enforcement point.
type duty struct {
	label  string // v3-ActCode to put on the resource, a duty of the recipient
	notice bool   // the notice of 42 CFR 2.32(a)
	scope  bool   // an explanation of the consent, 2.32(b)
	// Otherwise a duty of the discloser that audit discharges: the event is
	// written from Result.Duties before the answer goes out.
}

// known are the obligations that can be carried out (design consent.md 3.7).
var known = map[policy.Obligation]duty{
	policy.Audit:          {},
	policy.Account:        {}, // accounting of disclosures, 45 CFR 164.528
	policy.MinimumNeeded:  {}, // carried out by the decision's Remove
	policy.HumanApproval:  {}, // a person's determination, recorded
	policy.Part2Emergency: {},
	policy.NoReuse:        {label: "NOREUSE"},
	policy.NoRedisclosure: {label: "NORDSCLCD"},
	policy.Part2Notice:    {notice: true},
	policy.Part2Copy:      {scope: true},
}

// Unknown are those of the list that cannot be carried out here. Whatever a
// decision permits together with one of them is withheld: who loads the law
// tells of it at the start.
func Unknown(list []policy.Obligation) []policy.Obligation {
	return slices.DeleteFunc(slices.Clone(list), func(o policy.Obligation) bool {
		_, ok := known[named(o)]
		return ok
	})
}

// named is an obligation without its code system.
func named(o policy.Obligation) policy.Obligation {
	return policy.Obligation(strings.TrimPrefix(string(o), label.ActCode+"|"))
}

// owed is what a decision's obligations add up to.
type owed struct {
	all    []policy.Obligation
	labels []label.Code
	notice bool
	scope  string
}

// duties reads the obligations. One that is not known, or that cannot be
// carried out, is an error: the decision permits only together with it.
func duties(d *policy.Decision) (owed, error) {
	var o owed
	for i, given := range d.Obligations {
		name := named(given)
		what, ok := known[name]
		if !ok {
			return owed{}, &ObligationError{name, "it is not known here"}
		}
		if slices.Contains(o.all, name) {
			continue
		}
		// While each is given once and as it is named here, the list is the decision's.
		if len(o.all) == i && given == name {
			o.all = d.Obligations[: i+1 : i+1]
		} else {
			o.all = append(o.all, name)
		}
		if what.label != "" {
			o.labels = append(o.labels, label.Code{System: label.ActCode, Code: what.label})
		}
		o.notice = o.notice || what.notice
		if what.scope {
			if o.scope = scopeOf(d.Reasons); o.scope == "" {
				return owed{}, &ObligationError{name, "no reason of the decision names the consent"}
			}
		}
	}
	return o, nil
}

// scopeOf explains the consents that the decision rests on.
func scopeOf(reasons []policy.Reason) string {
	var consents []string
	for _, permitOnly := range [...]bool{true, false} {
		for _, r := range reasons {
			if r.Consent == "" || permitOnly && r.Effect != "permit" {
				continue
			}
			c := r.Consent
			if r.Path != "" {
				c = fmt.Sprintf("%s (%s)", c, r.Path)
			}
			if !slices.Contains(consents, c) {
				consents = append(consents, c)
			}
		}
		if len(consents) > 0 {
			break
		}
	}
	if len(consents) == 0 {
		return ""
	}
	return "Disclosed on the patient's written consent " + strings.Join(consents, ", ") +
		". The consent covers the purposes, recipients and information that it names, and nothing else."
}
