package attribute

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway/config"
)

// Organization returns what the configuration says of an organisation,
// "Organization/<id>".
func (d *Directory) Organization(reference string) (config.Organization, bool) {
	o, ok := d.organizations[reference]
	return o, ok
}

// Accepts lists every acceptance in advance of the agreements.
func (d *Directory) Accepts() []config.Accept {
	var out []config.Accept
	for i := range d.agreements {
		out = append(out, d.agreements[i].accepts...)
	}
	return out
}

// An Advance is how an agreement accepts a declaration of a legal basis.
type Advance struct {
	config.Accept
	Agreement string    // its id
	Until     time.Time // end of the agreement, exclusive
}

// AcceptedInAdvance finds the agreement by which custodian accepts a declaration
// of this type by recipient, for somebody of these roles and these purposes.
func (d *Directory) AcceptedInAdvance(custodian, recipient, typ string, roles, purposes []label.Code, at time.Time) (Advance, bool) {
	ids := d.Agreements(custodian, recipient, purposes, at)
	for i := range d.agreements {
		g := &d.agreements[i]
		if g.from != custodian || g.to != recipient || !slices.Contains(ids, g.id) {
			continue
		}
		for _, a := range g.accepts {
			if a.Type == typ && holds(roles, a.Roles) {
				return Advance{a, g.id, g.ends}, true
			}
		}
	}
	return Advance{}, false
}

// holds says whether one of the roles is among codes of the actor-role system.
func holds(roles []label.Code, codes []string) bool {
	return slices.ContainsFunc(roles, func(r label.Code) bool {
		return terminology.SystemOf(r.System) == terminology.ActorRole && slices.Contains(codes, r.Code)
	})
}

// Organizations lists the configured organisations by id.
func (d *Directory) Organizations() []config.Organization {
	out := slices.Collect(maps.Values(d.organizations))
	slices.SortFunc(out, func(a, b config.Organization) int { return strings.Compare(a.ID, b.ID) })
	return out
}
