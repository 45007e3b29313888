package attribute

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/part2"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway/config"
)

// clientPrefix marks the Origin.System of what a client wrote: "client/<id>".
const clientPrefix = "client/"

// A Directory answers from the configuration; it is immutable.
type Directory struct {
	organizations map[string]config.Organization // by "Organization/<id>"
	systems       map[string]config.System       // by key
	clients       map[string]config.Client       // by id
	agreements    []agreement
	units         map[string]*part2.Rules // by system
}

type agreement struct {
	id, from, to string
	purposes     []label.Code // none: any
	starts, ends time.Time    // ends is exclusive
	accepts      []config.Accept
}

// NewDirectory reads a checked configuration.
func NewDirectory(c *config.Config) (*Directory, error) {
	zone, err := time.LoadLocation(c.Site.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("site.timeZone: %w", err)
	}
	d := &Directory{
		organizations: map[string]config.Organization{},
		systems:       map[string]config.System{},
		clients:       map[string]config.Client{},
		units:         map[string]*part2.Rules{},
	}
	for _, o := range c.Organizations {
		d.organizations[Reference(o.ID)] = o
	}
	for _, s := range c.Systems {
		d.systems[s.Key] = s
		d.units[s.Key] = unitRules(s)
	}
	for _, cl := range c.Clients {
		d.clients[cl.ID] = cl
	}
	for _, a := range c.Agreements {
		g, err := newAgreement(a, zone)
		if err != nil {
			return nil, err
		}
		d.agreements = append(d.agreements, g)
	}
	return d, nil
}

func newAgreement(a config.Agreement, zone *time.Location) (agreement, error) {
	g := agreement{id: a.ID, from: Reference(a.From), to: Reference(a.To), accepts: a.Accepts}
	for _, p := range a.Purposes {
		g.purposes = append(g.purposes, Purpose(p))
	}
	if a.Starts != "" {
		t, err := time.ParseInLocation(time.DateOnly, a.Starts, zone)
		if err != nil {
			return g, fmt.Errorf("agreement %s: starts: %w", a.ID, err)
		}
		g.starts = t
	}
	t, err := time.ParseInLocation(time.DateOnly, a.Ends, zone)
	if err != nil {
		return g, fmt.Errorf("agreement %s: ends: %w", a.ID, err)
	}
	g.ends = t.AddDate(0, 0, 1)
	return g, nil
}

// Reference is the reference of the organisation with this id.
func Reference(organization string) string { return "Organization/" + organization }

// Purpose reads a purpose of use from configuration: "system|code", a code of
// the project's purpose-of-use system (LAWENF, CRISIS), or one of v3-ActReason.
func Purpose(s string) label.Code {
	if system, code, ok := strings.Cut(s, "|"); ok {
		return label.Code{System: terminology.Canonical(system), Code: code}
	}
	if s == "LAWENF" || s == "CRISIS" {
		return label.Code{System: terminology.PurposeOfUse.URI(), Code: s}
	}
	return label.Code{System: terminology.ActReason.URI(), Code: s}
}

// Role reads a role from configuration: "system|code" or a code of the
// project's actor-role system.
func Role(s string) label.Code {
	if system, code, ok := strings.Cut(s, "|"); ok {
		return label.Code{System: terminology.Canonical(system), Code: code}
	}
	return label.Code{System: terminology.ActorRole.URI(), Code: s}
}

// Police says whether the organisation is a law-enforcement agency. An unknown
// organisation counts as one: that is the stricter reading for a caller.
func (d *Directory) Police(organization string) bool {
	o, ok := d.organizations[organization]
	return !ok || o.Kind == "police"
}

// Part2 says whether the reference is an organisation's that is a Part 2 program.
func (d *Directory) Part2(reference string) bool { return d.organizations[reference].Part2 }

// Designations say as what an organisation is designated.
func (d *Directory) Designations(organization string) []string {
	return d.organizations[organization].Designations
}

// Jurisdiction is the jurisdiction of a custodian, "US-TX"; "" if its state is
// not known.
func (d *Directory) Jurisdiction(custodian string) string {
	if o := d.organizations[custodian]; o.State != "" {
		return "US-" + o.State
	}
	return ""
}

// Origin says what the configuration tells of every resource that comes
// through a system. Where the system has Part 2 units, Units tells of which
// resources the origin is Part 2 besides.
func (d *Directory) Origin(key string) (resource.Origin, bool) {
	s, ok := d.systems[key]
	if !ok {
		return resource.Origin{}, false
	}
	o := d.organizations[Reference(s.Organization)]
	origin := resource.Origin{System: key, Custodian: Reference(s.Organization), Police: o.Kind == "police", Part2: o.Part2}
	if s.Part2 != nil {
		origin.Part2 = *s.Part2
	}
	return origin, true
}

// unitRules makes the rules of a system's Part 2 units.
func unitRules(s config.System) *part2.Rules {
	rules := make([]part2.Rule, len(s.Part2Units))
	for i, u := range s.Part2Units {
		place := u.Field
		if s.Kind == "fhir" {
			place = u.Element
		}
		rules[i] = part2.Rule{Place: place, Values: u.Values, Others: u.Others}
	}
	return part2.New(rules)
}

// Units returns the rules that tell the records of a system's Part 2 units;
// empty ones where the system has none.
func (d *Directory) Units(key string) *part2.Rules { return d.units[key] }

// ClientOrigin is the origin of what a client writes: its own organisation.
func (d *Directory) ClientOrigin(client string) (resource.Origin, bool) {
	cl, ok := d.clients[client]
	if !ok {
		return resource.Origin{}, false
	}
	o := d.organizations[Reference(cl.Organization)]
	return resource.Origin{System: clientPrefix + client, Custodian: Reference(cl.Organization), Police: o.Kind == "police", Part2: o.Part2}, true
}

// Agreements lists the ids of the agreements under which from gives its data to
// to, for all of these purposes, at this instant.
func (d *Directory) Agreements(from, to string, purposes []label.Code, at time.Time) []string {
	var ids []string
	for _, a := range d.agreements {
		if a.from != from || a.to != to || at.Before(a.starts) || !at.Before(a.ends) || len(purposes) == 0 {
			continue
		}
		if len(a.purposes) > 0 && slices.ContainsFunc(purposes, func(p label.Code) bool { return !a.serves(p) }) {
			continue
		}
		ids = append(ids, a.id)
	}
	return ids
}

// serves says whether the agreement names the purpose or one above it.
func (a *agreement) serves(p label.Code) bool {
	return slices.ContainsFunc(a.purposes, func(q label.Code) bool {
		return q == p || q.System == p.System && terminology.Subsumes(q.System, q.Code, p.Code)
	})
}

// MayGrantFor lists the custodians for whose data a Consent of this origin may
// grant; empty: it can only deny. The recorder's own organisation is listed
// only where the configuration says so.
func (d *Directory) MayGrantFor(o resource.Origin) []string {
	var ids []string
	if client, ok := strings.CutPrefix(o.System, clientPrefix); ok {
		if cl, ok := d.clients[client]; ok && !cl.Disabled && (o.Capture.How == "" || captures(cl, o.Capture.How)) {
			ids = cl.RecordsConsentFor
		}
	} else if s, ok := d.systems[o.System]; ok && (s.Kind == "feed" || s.Consents == "registry") {
		ids = s.RecordsConsentFor
	}
	refs := make([]string, len(ids))
	for i, id := range ids {
		refs[i] = Reference(id)
	}
	return refs
}

// captures says whether the client may capture Consents in this way: whoever may
// take a signature may also note what was said.
func captures(cl config.Client, how string) bool {
	return cl.Captures != "" && (how == cl.Captures || how == resource.CapturedVerbal)
}

// Captures says whether the client may capture Consents on the scene in this way.
func (d *Directory) Captures(client, how string) bool {
	cl, ok := d.clients[client]
	return ok && !cl.Disabled && captures(cl, how)
}

// RecordsConsentFor lists the custodians for whose data a Consent that the
// client writes may grant.
func (d *Directory) RecordsConsentFor(client string) []string {
	o, ok := d.ClientOrigin(client)
	if !ok {
		return nil
	}
	return d.MayGrantFor(o)
}

// RecordsFor lists the custodians for whose data some client or feed of the
// organisation may record Consents that grant.
func (d *Directory) RecordsFor(organization string) []string {
	var out []string
	add := func(owner string, ids []string) {
		for _, id := range ids {
			if ref := Reference(id); Reference(owner) == organization && !slices.Contains(out, ref) {
				out = append(out, ref)
			}
		}
	}
	for _, cl := range d.clients {
		if !cl.Disabled {
			add(cl.Organization, cl.RecordsConsentFor)
		}
	}
	for _, s := range d.systems {
		add(s.Organization, s.RecordsConsentFor)
	}
	slices.Sort(out)
	return out
}

// PassesOnRevocations says whether the client passes on what patients revoke
// themselves.
func (d *Directory) PassesOnRevocations(client string) bool {
	cl, ok := d.clients[client]
	return ok && !cl.Disabled && cl.PassesOnRevocations
}

// Kind returns an organisation's kind (police, health, exchange), "" if it is
// not known.
func (d *Directory) Kind(organization string) string { return d.organizations[organization].Kind }

// Name returns an organisation's name, "" if it is not known.
func (d *Directory) Name(organization string) string { return d.organizations[organization].Name }

// TreatsLinked says whether the client's organisation counts as treating a
// person who is linked to a patient of one of its systems.
func (d *Directory) TreatsLinked(client string) bool {
	cl, ok := d.clients[client]
	return ok && cl.TreatingProvider == "linked"
}

// Upstreams lists the systems that can be asked, in the file's order of keys.
func (d *Directory) Upstreams() []config.System {
	var out []config.System
	for _, s := range d.systems {
		if s.Kind == "fhir" {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b config.System) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// System returns a connected system by its key.
func (d *Directory) System(key string) (config.System, bool) {
	s, ok := d.systems[key]
	return s, ok
}
