package gateway

import (
	"context"
	"errors"
	"slices"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store/epoch"
	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/rest"
	"github.com/handoff-health/handoff/gateway/smart"
)

// A standing is what is known of one person for the length of one request.
type standing struct {
	person *attribute.Person
	filed  []*attribute.Filed
	// brought are Consents that a connected system keeps of this person: those
	// of a registry count for all data, the others for that system's own.
	brought map[string][]*consent.Consent
	shared  []*consent.Consent
	copies  map[string][]byte // brought Consents as they appeared here, by digest
	graph   consent.Graph     // what the instances that Consents name refer to
	asked   []string          // systems that policy let be asked
	unheard []string          // systems whose Consents could not be read: nothing of theirs goes out
	deaf    bool              // a registry's could not be read: nothing goes out at all
	bases   []*filedCase      // accepted legal bases, whomever they favour
	glass   *declared         // the declaration of an emergency that stands for the caller
}

// sessionKey tells apart what a decision depends on besides the resource.
type sessionKey struct {
	person, system, custodian string
	police                    bool
}

// attribute reads what decisions depend on: it runs after locate, before any
// system is asked.
func attributes(ctx context.Context, s *Server, x *exchange) error {
	if x.person != nil {
		_, err := s.stand(ctx, x, x.person)
		return err
	}
	return s.standAll(ctx, x, x.candidates)
}

// stand loads one person's standing, once a request.
func (s *Server) stand(ctx context.Context, x *exchange, p *attribute.Person) (*standing, error) {
	if len(p.References) > 0 {
		if st, ok := x.people[p.References[0]]; ok {
			return st, nil
		}
	}
	s.renew(p.AsOf)
	st := &standing{person: p, brought: map[string][]*consent.Consent{}}
	if err := s.refile(ctx, st); err != nil {
		return nil, err
	}
	if err := s.open(ctx, x, st); err != nil {
		return nil, err
	}
	if err := s.oneMoment(ctx, x, st); err != nil {
		return nil, err
	}
	x.stands(st)
	return st, nil
}

// refile reads the person's Consents.
func (s *Server) refile(ctx context.Context, st *standing) (err error) {
	if st.filed, err = s.gatherer.Consents(ctx, st.person.References); err != nil {
		return err
	}
	st.graph, err = s.graphOf(ctx, st.filed)
	return err
}

// open reads what opens without a Consent: accepted legal bases, and the caller's
// declaration of an emergency.
func (s *Server) open(ctx context.Context, x *exchange, st *standing) (err error) {
	if st.bases, err = s.basesAbout(ctx, st.person.References); err != nil {
		return err
	}
	st.glass, err = s.declaredFor(ctx, x, st.person.References)
	return err
}

// momentTries is how often Consents, legal bases and declarations of one person may
// change under a request.
const momentTries = 8

// oneMoment makes what is known of a person's Consents and of what opens without them
// that of one moment: they are read one after the other, and a Consent that ends before a
// basis begins must not be joined with it. All are read again from the store until none
// has changed; then all stood so when the bases were read. Bases and declarations only
// open, so where there are none the Consents are a moment by themselves, and nothing is
// read again.
func (s *Server) oneMoment(ctx context.Context, x *exchange, st *standing) error {
	ctx = epoch.Unpinned(ctx)
	for range momentTries {
		if len(st.bases) == 0 && st.glass == nil {
			return nil
		}
		bases, glass, filed := st.bases, st.glass, st.filed
		if err := s.open(ctx, x, st); err != nil {
			return err
		}
		if err := s.refile(ctx, st); err != nil {
			return err
		}
		if slices.EqualFunc(bases, st.bases, func(a, b *filedCase) bool { return a.name == b.name }) &&
			slices.EqualFunc(filed, st.filed, func(a, b *attribute.Filed) bool { return a.Key == b.Key && a.Version == b.Version }) &&
			glass.same(st.glass) {
			return nil
		}
	}
	return errors.New("the Consents and legal bases of a person change all the time")
}

// stands notes a person's standing for the rest of the request.
func (x *exchange) stands(st *standing) {
	for _, ref := range st.person.References {
		x.people[ref] = st
	}
}

// standAll loads the standing of every person that the candidates are about.
func (s *Server) standAll(ctx context.Context, x *exchange, cs []*candidate) error {
	for _, c := range cs {
		ref := c.subject.Patient
		if ref == "" || x.people[ref] != nil {
			continue
		}
		p, err := s.gatherer.Person(ctx, ref)
		if err != nil {
			return err
		}
		if _, err := s.stand(ctx, x, p); err != nil {
			return err
		}
	}
	return nil
}

// A posed question is one put to the decision point, with the point itself.
type posed struct {
	session  *policy.Session
	question *policy.Request
}

// session returns the decision point for one person's data of one origin. st is
// nil for what is about nobody.
func (s *Server) session(x *exchange, st *standing, o resource.Origin) *policy.Session {
	return s.pose(x, st, o).session
}

// pose asks once for each person and origin.
func (s *Server) pose(x *exchange, st *standing, o resource.Origin) posed {
	k := sessionKey{system: o.System, custodian: o.Custodian, police: o.Police}
	if st != nil {
		k.person = st.person.References[0]
	}
	if v, ok := x.sessions[k]; ok {
		return v
	}
	q := s.question(x, st, o)
	v := posed{s.o.Policy.Begin(q), q}
	x.sessions[k] = v
	return v
}

// question puts a request to the decision point together from verified facts.
func (s *Server) question(x *exchange, st *standing, o resource.Origin) *policy.Request {
	p := x.principal
	q := &policy.Request{
		At: x.at, Action: "access", DenyActions: []string{"use", "disclose"}, Requester: p.Requester, Scopes: effective(x),
		Purposes: purposes(p.Purposes), LaunchPatient: x.inContext(s), OwnRecords: true, MinimumNecessary: x.req.Interaction == rest.CrisisSummary,
	}
	q.Agreements = s.o.Directory.Agreements(o.Custodian, p.Requester.Organization, q.Purposes, x.at)
	q.Jurisdiction, q.Designations = s.o.Directory.Jurisdiction(o.Custodian), s.o.Directory.Designations(o.Custodian)
	q.Requester.OrganizationKind = s.o.Directory.Kind(p.Requester.Organization)
	q.Requester.Designations = s.o.Directory.Designations(p.Requester.Organization)
	if o.Police && !p.Police {
		q.Direction = policy.PoliceToHealth
	}
	if st == nil {
		return q
	}
	q.Person, q.Graph = st.person.References, st.graph
	if s.o.Directory.TreatsLinked(p.Client) && s.gatherer.Linked(st.person, p.Requester.Organization) {
		q.Requester.TreatingProvider = true
	}
	q.Consents = append(q.Consents, s.gatherer.For(st.filed, o.Custodian, p.Requester.Organization)...)
	q.Consents = append(q.Consents, st.shared...)
	q.Consents = append(q.Consents, st.brought[o.System]...)
	q.LegalBases = basesOn(st.bases, o.Custodian, q)
	if st.glass != nil && st.glass.Binds(p.Client, p.User.ID) {
		q.BreakGlass = st.glass.BreakGlass()
	}
	return q
}

// effective returns the scopes as policy's gate reads them: it asks for r, and
// a search is covered by s (SMART 2.2, scopes: s allows searching and with it
// the matches).
func effective(x *exchange) smart.Scopes {
	if x.req.Interaction != rest.SearchType {
		return x.scopes()
	}
	var out smart.Scopes
	for _, sc := range x.scopes() {
		if sc.Permissions&smart.Search != 0 {
			sc.Permissions |= smart.Read
			out = append(out, sc)
		}
	}
	return out
}

func purposes(codes []string) []label.Code {
	out := make([]label.Code, len(codes))
	for i, c := range codes {
		out[i] = attribute.Purpose(c)
	}
	return out
}
