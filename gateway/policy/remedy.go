package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/smart"
)

type node = resource.Node

// Bounds on what is tried, so that a person with thousands of Consents is
// explained in bounded time.
const (
	maxEnded   = 16
	maxMoments = 16
)

// opening tries what could let more out: first each change by itself, then, if
// none does, one that lifts an obstacle with one that gives a ground, and last
// all obstacles with one that gives a ground.
func (x *explainer) opening() {
	grounds, obstacles := x.grounds(), x.obstacles()
	found := false
	for _, c := range slices.Concat(grounds, obstacles) {
		found = x.try(true, c...) || found
	}
	if found {
		return
	}
	if !x.s.req.Requester.TreatingProvider { // a Consent for treatment alone reaches treating providers
		obstacles = append(obstacles, []Change{treating()})
	}
	for _, o := range obstacles {
		for _, g := range grounds {
			found = x.try(true, slices.Concat(o, g)...) || found
		}
	}
	if ends := x.ending("deny"); !found && len(ends) > 0 {
		for _, g := range append(grounds, nil) {
			x.try(true, slices.Concat(ends, []Change{x.scope()}, g)...)
		}
	}
}

// grounds are changes that give the requester a ground that it has not.
func (x *explainer) grounds() [][]Change {
	out := x.drafts()
	if !x.s.req.Requester.TreatingProvider {
		out = append(out, []Change{treating()})
	}
	for _, c := range x.acceptances() {
		out = append(out, []Change{c})
	}
	if len(x.s.req.Agreements) == 0 {
		out = append(out, []Change{{
			Code: AddAgreement, Detail: "a sharing agreement between the custodian and the requester's organisation is in force for these purposes",
			apply: func(q *Request) { q.Agreements = []string{"(an agreement)"} },
		}})
	}
	if c, ok := x.emergency(); ok {
		out = append(out, c)
	}
	return out
}

func treating() Change {
	return Change{
		Code: AddTreating, Detail: "the requester has a treating provider relationship with the person",
		apply: func(q *Request) { q.Requester.TreatingProvider = true },
	}
}

// obstacles are changes that take away what stands in the way.
func (x *explainer) obstacles() [][]Change {
	var out [][]Change
	if ends := x.ending("deny"); len(ends) > 0 {
		out = append(out, ends)
	}
	out = append(out, []Change{x.scope()})
	for _, p := range x.purposes() {
		out = append(out, []Change{instead(p)})
	}
	return out
}

// ending ends the Consents that the decision names as having denied (or
// permitted) it, one after the other, until it names no more.
func (x *explainer) ending(effect string) []Change {
	var ends []Change
	d := x.now
	for len(ends) < maxEnded {
		i := slices.IndexFunc(d.Reasons, func(r Reason) bool {
			return r.Consent != "" && (r.Effect == effect || effect == "deny" && r.Effect == "redact") &&
				!slices.ContainsFunc(ends, func(c Change) bool { return c.Consent == r.Consent })
		})
		if i < 0 {
			return ends
		}
		ends = append(ends, endOf(d.Reasons[i].Consent))
		d = x.decide(ends...)
		if d.compare(&x.now) != 0 {
			return ends
		}
	}
	return ends
}

func endOf(name string) Change {
	return Change{
		Code: EndConsent, Consent: name, Detail: name + " is ended",
		apply: func(q *Request) {
			list := make([]*consent.Consent, len(q.Consents))
			for i, c := range q.Consents {
				if list[i] = c; c.Reference() == name {
					list[i] = c.Ended()
				}
			}
			q.Consents = list
		},
	}
}

// scope adds the smallest scope that covers the resource's type.
func (x *explainer) scope() Change {
	level := smart.ContextSystem
	if len(x.s.req.Scopes) > 0 && len(x.s.req.Scopes.In(level)) == 0 { // a person's token
		level = smart.ContextUser
	}
	sc := smart.Scope{Context: level, ResourceType: x.subject.Resource.Type(), Permissions: smart.Read | smart.Search}
	return Change{
		Code: AddScope, Scope: sc.String(), Detail: "the token has the scope " + sc.String(),
		apply: func(q *Request) { q.Scopes = append(slices.Clip(slices.Clone(q.Scopes)), sc) },
	}
}

// purposes are those that could be declared instead: each of the declared ones
// alone, those that Consents name, and the usual ones.
func (x *explainer) purposes() []label.Code {
	reason := func(code string) label.Code { return label.Code{System: terminology.ActReason.URI(), Code: code} }
	own := func(code string) label.Code { return label.Code{System: terminology.PurposeOfUse.URI(), Code: code} }
	candidates := slices.Clone(x.s.req.Purposes)
	for _, c := range x.s.req.Consents[:min(len(x.s.req.Consents), 4*maxEnded)] {
		candidates = append(candidates, c.Purposes()...)
	}
	candidates = append(candidates, reason("TREAT"), reason("ETREAT"), reason("HPAYMT"), reason("HOPERAT"), own("CRISIS"), own("LAWENF"))
	var out []label.Code
	for _, p := range candidates {
		same := len(x.s.req.Purposes) == 1 && x.s.req.Purposes[0] == p
		if p.Code != "" && !same && !slices.Contains(out, p) && len(out) < maxEnded {
			out = append(out, p)
		}
	}
	return out
}

func instead(p label.Code) Change {
	return Change{
		Code: OtherPurpose, Purpose: p.String(), Detail: "the request is for " + p.Code + " alone",
		apply: func(q *Request) { q.Purposes = []label.Code{p} },
	}
}

// emergency declares one, as medical personnel can: for a purpose for which the
// glass may be broken.
func (x *explainer) emergency() ([]Change, bool) {
	if !x.s.req.Requester.MedicalPersonnel || x.s.declared && x.s.req.BreakGlass.ConsentCannotBeObtained {
		return nil, false
	}
	declare := Change{
		Code: BreakTheGlass, Detail: "medical personnel declare an emergency with its nature, and that consent cannot be obtained",
		apply: func(q *Request) {
			q.BreakGlass = &BreakGlass{Declared: true, Reason: "an emergency", ConsentCannotBeObtained: true}
		},
	}
	etreat := label.Code{System: terminology.ActReason.URI(), Code: "ETREAT"}
	if len(x.s.req.Purposes) == 1 && (x.s.req.Purposes[0] == etreat || x.s.req.Purposes[0].Code == "BTG") {
		return []Change{declare}, true
	}
	return []Change{instead(etreat), declare}, true
}

// closing tries what would withhold more.
func (x *explainer) closing() {
	q := x.s.req
	x.try(false, x.ending("permit")...)
	one := func(code ChangeCode, detail string, apply func(*Request)) {
		x.try(false, Change{Code: code, Detail: detail, apply: apply})
	}
	if q.Requester.TreatingProvider {
		one(RemoveTreating, "the requester has no treating provider relationship with the person", func(q *Request) { q.Requester.TreatingProvider = false })
	}
	if len(q.Agreements) > 0 {
		one(RemoveAgreement, "the sharing agreement "+strings.Join(q.Agreements, ", ")+" is not in force", func(q *Request) { q.Agreements = nil })
	}
	if q.Requester.MedicalPersonnel {
		one(RemoveMedical, "the requester is not medical personnel", func(q *Request) { q.Requester.MedicalPersonnel = false })
	}
	if q.BreakGlass != nil {
		one(RemoveBreakGlass, "no emergency is declared", func(q *Request) { q.BreakGlass = nil })
	}
	if r := &q.Requester; len(r.CareTeams)+len(r.Groups)+len(r.Networks) > 0 {
		one(RemoveMemberships, "the requester is a member of none of its care teams, groups and networks", func(q *Request) {
			q.Requester.CareTeams, q.Requester.Groups, q.Requester.Networks = nil, nil, nil
		})
	}
	for i, b := range q.LegalBases {
		id := b.ID
		if id == "" {
			id = b.Type
		}
		x.try(false, Change{
			Code: WithdrawBasis, Basis: id, Detail: "the acceptance of " + id + " is withdrawn",
			apply: func(q *Request) { q.LegalBases = slices.Delete(slices.Clone(q.LegalBases), i, i+1) },
		})
	}
}

// moments finds the first instant at which the answer changes by itself,
// because a period of a Consent begins or ends: of the Consents that spoke, and
// then of the others.
func (x *explainer) moments() {
	at := x.s.req.At
	type turn struct {
		at      time.Time
		consent string
	}
	var spoke, others []turn
	for _, c := range x.s.req.Consents {
		named := slices.ContainsFunc(x.now.Reasons, func(r Reason) bool { return r.Consent == c.Reference() })
		for _, t := range c.Turns(at.Location()) {
			switch {
			case !t.After(at):
			case named:
				spoke = append(spoke, turn{t, c.Reference()})
			default:
				others = append(others, turn{t, c.Reference()})
			}
		}
	}
	early := func(list []turn) []turn {
		slices.SortStableFunc(list, func(a, b turn) int { return a.at.Compare(b.at) })
		return list[:min(len(list), maxMoments)]
	}
	all := append(early(spoke), early(others)...)
	slices.SortStableFunc(all, func(a, b turn) int { return a.at.Compare(b.at) })
	for _, t := range all {
		c := Change{
			Code: ConsentPeriod, Consent: t.consent, At: &t.at,
			Detail: fmt.Sprintf("a period of %s begins or ends: from %s on", t.consent, t.at.Format(time.RFC3339)),
			apply:  func(q *Request) { q.At = t.at },
		}
		if x.try(true, c) || x.try(false, c) {
			return
		}
	}
}
