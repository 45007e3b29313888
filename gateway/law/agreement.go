package law

import (
	"fmt"
	"maps"
	"slices"

	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/policy/packs"
)

// Agreement turns a sharing agreement of the configuration into a pack: a rule
// that shares an agency's own contact data. What it accepts in advance is no rule:
// a rule cannot say for how long (attribute.Directory.AcceptedInAdvance does).
func Agreement(a *config.Agreement) (*packs.Pack, error) {
	p := &packs.Pack{
		ID: a.ID, Version: "config", Title: fmt.Sprintf("sharing agreement %s: data of %s to %s", a.ID, a.From, a.To), Kind: packs.Agreement,
		Jurisdiction: "US", Combining: "deny-overrides", Period: &packs.Period{Start: a.Starts, End: a.Ends},
		Sources: []packs.Source{{ID: "configuration", Title: "the site's configuration"}},
	}
	share := packs.Rule{
		ID: "share", Effect: "permit", Within: "baseline/agreement", Citation: "sharing agreement " + a.ID,
		When: parties(a, a.Roles, a.Types),
	}
	share.When = append(share.When, packs.Condition{ID: "purpose", Purpose: purposes(a.Purposes)})
	if len(a.Elements) > 0 {
		share.Extent = elements(a.Elements)
	}
	p.Rules = append(p.Rules, share)
	return packs.Make("agreement "+a.ID, p)
}

// parties are the conditions on whose data go to whom.
func parties(a *config.Agreement, roles, types []string) []packs.Condition {
	out := []packs.Condition{
		{ID: "from", Custodian: []string{"Organization/" + a.From}},
		{ID: "to", Organization: []string{"Organization/" + a.To}},
	}
	if len(roles) > 0 {
		out = append(out, packs.Condition{ID: "role", Role: roles})
	}
	if len(types) > 0 {
		out = append(out, packs.Condition{ID: "type", Type: types})
	}
	return out
}

// purposes are those of the agreement; an agreement that names none is for any,
// but not for a request that declares none.
func purposes(list []string) *packs.Purpose {
	if len(list) == 0 {
		return &packs.Purpose{Within: []string{"PurposeOfUse"}, Exactly: []string{"LAWENF", "CRISIS"}}
	}
	return &packs.Purpose{Within: list}
}

// elements are the types that the agreement limits; of the others nothing goes.
func elements(of map[string][]string) *packs.Extent {
	x := &packs.Extent{}
	for _, t := range slices.Sorted(maps.Keys(of)) {
		x.Elements = append(x.Elements, packs.Elements{Type: t, Only: of[t]})
	}
	return x
}
