package gateway

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/parameters"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/gateway/crisis"
	"github.com/handoff-health/handoff/gateway/enforce"
	"github.com/handoff-health/handoff/gateway/identity"
	"github.com/handoff-health/handoff/gateway/rest"
)

// Patient/$crisis-summary: the one question on the scene in one call. It goes
// through the same steps as a search; every resource is decided by itself, and
// none goes beyond the minimum-necessary profile, whatever its ground.

// Crisis is what the operation offers whoever is asked about.
type Crisis struct {
	Site crisis.Site
	// Pace makes every answer leave at a multiple of it after the question came,
	// so that the time taken tells less of what was looked at. 0: at once.
	Pace time.Duration
}

// crisisTypes are what a summary is made of, all of them in the profile of
// minimum necessary for a crisis response.
var crisisTypes = []string{"AllergyIntolerance", "CarePlan", "CareTeam", "Encounter", "Flag"}

// maxFollowed is how many of the staff and organisations that plans name are
// looked up.
const maxFollowed = 24

// maxAlike is how many Patients of one name are looked at to see whether they
// are one person.
const maxAlike = 20

var crisisSpec = parameters.Spec{
	{Name: "identifier", Value: "valueIdentifier"},
	{Name: "family", Value: "valueString"},
	{Name: "given", Value: "valueString"},
	{Name: "birthDate", Value: "valueDate"},
}

// readCrisis reads whom the question is about: the Patient in the address, or
// who the Parameters name.
func readCrisis(s *Server, x *exchange) error {
	if err := readNothing(s, x); err != nil {
		return err
	}
	if x.req.HTTP.Method == http.MethodGet {
		return nil
	}
	set, err := s.parameters(x, crisisSpec)
	if err != nil {
		return err
	}
	if x.req.ID != "" {
		for _, p := range crisisSpec {
			if set.Has(p.Name) {
				return outcome.BadRequest(outcome.CodeInvalid, "the Patient stands in the address; %s is for asking without one", p.Name).At("Parameters.parameter")
			}
		}
		return nil
	}
	if x.params, err = namesOne(set); err != nil {
		return err
	}
	x.asked, err = search.Parse("Patient", x.params, s.search)
	return err
}

// namesOne turns the Parameters into a search that names one person: an
// identifier with its system, or family, given and full birth date.
func namesOne(set parameters.Set) ([]search.Param, error) {
	if set.Has("identifier") {
		for _, name := range [...]string{"family", "given", "birthDate"} {
			if set.Has(name) {
				return nil, outcome.BadRequest(outcome.CodeInvalid, "give identifier, or family, given and the full birthDate, not both: %s stands beside identifier", name).At(set.One(name).At)
			}
		}
		id := set.One("identifier").Node
		system, value := id.Get("system").Text(), id.Get("value").Text()
		if system == "" || value == "" {
			return nil, outcome.BadRequest(outcome.CodeRequired, "an identifier needs its system and value").At(set.One("identifier").At)
		}
		return []search.Param{{Name: "identifier", Value: escape(system) + "|" + escape(value)}}, nil
	}
	out := []search.Param{}
	for _, p := range [...]struct{ name, param string }{{"family", "family"}, {"given", "given"}, {"birthDate", "birthdate"}} {
		v := strings.TrimSpace(set.Text(p.name))
		if v == "" || p.name == "birthDate" && len(v) != len(time.DateOnly) {
			return nil, outcome.BadRequest(outcome.CodeRequired, "give identifier, or family, given and the full birthDate: %s is missing", p.name).At("Parameters.parameter")
		}
		out = append(out, search.Param{Name: p.param, Value: escape(v)})
	}
	return out, nil
}

// escape hides what separates values in a search parameter.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `,`, `\,`, `|`, `\|`, `$`, `\$`).Replace(s)
}

// locateCrisis finds the person. A name that several persons have finds nobody,
// and nobody is asked about in the same way.
func locateCrisis(ctx context.Context, s *Server, x *exchange) error {
	ref := nobody
	switch {
	case x.asked != nil:
		var err error
		if ref, err = s.onlyOne(ctx, x); err != nil {
			return err
		}
	case resource.ValidID(x.req.ID):
		ref = "Patient/" + x.req.ID
	}
	var err error
	if x.person, err = s.whom(ctx, x, ref); err != nil {
		return err
	}
	if ref != nobody {
		x.note(ref)
		x.note(x.person.References...)
	}
	return nil
}

// onlyOne finds the person whom a search in the own store names, or nobody.
func (s *Server) onlyOne(ctx context.Context, x *exchange) (string, error) {
	plan := x.asked.Plan()
	plan.Limit = maxAlike
	page, err := s.o.Store.Search(ctx, plan)
	if err != nil || len(page.Records) == 0 || page.Next != "" {
		return nobody, err
	}
	first, err := s.gatherer.Person(ctx, page.Records[0].Key.String())
	if err != nil {
		return nobody, err
	}
	for _, rec := range page.Records[1:] {
		if !first.Is(rec.Key.String()) {
			return nobody, nil
		}
	}
	return page.Records[0].Key.String(), nil
}

// gatherCrisis collects the person's plans, flags and teams from here and from
// the systems that may be asked, all at once, and then whom they name.
func gatherCrisis(ctx context.Context, s *Server, x *exchange) error {
	st, err := s.stand(ctx, x, x.person)
	if err != nil {
		return err
	}
	var keys []string
	var targets []identity.Target
	for _, t := range x.person.Targets {
		if o, ok := s.o.Directory.Origin(t.System); ok && s.session(x, st, o).Possible(o) {
			targets = append(targets, t)
			if !slices.Contains(keys, t.System) {
				keys = append(keys, t.System)
			}
		}
	}
	x.event.Systems = keys
	found := make([][]*candidate, 2*len(crisisTypes))
	g, gctx := errgroup.WithContext(ctx)
	for i, typ := range crisisTypes {
		a, err := s.askingFor(typ, x.person.References)
		if err != nil {
			return err
		}
		g.Go(func() (err error) {
			found[2*i], err = s.ownMatches(gctx, a)
			return err
		})
		serving := slices.DeleteFunc(slices.Clone(targets), func(t identity.Target) bool { return !s.serves(t.System, typ) })
		g.Go(func() (err error) {
			found[2*i+1], err = s.askedMatches(gctx, x, a, serving)
			return err
		})
	}
	g.Go(func() error { return s.bring(gctx, x, st, keys) })
	if err := g.Wait(); err != nil {
		return err
	}
	x.resetSessions() // Consents that came along count from here on
	x.candidates = slices.Concat(found...)
	x.more = s.whomTheyName(x, st)
	return nil
}

// askingFor is the search for all of a person's resources of a type.
func (s *Server) askingFor(typ string, references []string) (asking, error) {
	params := []search.Param{{Name: "patient", Value: strings.Join(references, ",")}}
	q, err := search.Parse(typ, params, s.search)
	return asking{typ, q, params}, err
}

// whomTheyName returns, once, the staff and organisations that what was kept
// refers to; they are judged like everything else.
func (s *Server) whomTheyName(x *exchange, st *standing) func(context.Context) ([]*candidate, error) {
	done := map[string]bool{}
	rounds := 0
	return func(ctx context.Context) ([]*candidate, error) {
		if rounds++; rounds > 2 { // a role names a practitioner
			return nil, nil
		}
		pointers := s.staffIn(x, st, done)
		found, err := s.fetchAll(ctx, x, pointers)
		if err != nil {
			return nil, err
		}
		out := slices.DeleteFunc(found, func(c *candidate) bool { return c == nil })
		if len(out) == 0 {
			return nil, nil
		}
		return out, nil
	}
}

// staffIn lists references to staff and organisations in what was kept.
func (s *Server) staffIn(x *exchange, st *standing, done map[string]bool) []pointer {
	var out []pointer
	for _, c := range x.kept {
		c.final.Root().Descend(func(n resource.Node) bool {
			if n.Kind() != resource.Object {
				return true
			}
			base, typ, id, ok := resource.SplitReference(n.Get("reference").Text())
			ref := typ + "/" + id
			if ok && (base == "" || base == s.o.Base) && openlyNamed(typ) && !done[ref] && len(done) < maxFollowed {
				done[ref] = true
				out = append(out, pointer{typ, id, st})
			}
			return true
		})
	}
	return out
}

// renderCrisis writes the summary. It waits for the pace, so that the record of
// it is written afterwards and the answer leaves then.
func renderCrisis(s *Server, x *exchange) (*rest.Response, error) {
	in := crisis.Input{At: x.at, Base: s.o.Base, Site: s.o.Crisis.Site, Incomplete: x.incomplete}
	if s.o.Location != nil {
		in.At = in.At.In(s.o.Location)
	}
	// A police contact says nothing of whom to call: it does not leave.
	x.kept = slices.DeleteFunc(x.kept, func(c *candidate) bool { return c.origin.Police && c.resource.Type() == "Encounter" })
	for _, c := range x.kept {
		in.Resources = append(in.Resources, c.final)
		if c.result.Notice && !slices.Contains(in.Notices, enforce.FullNotice) {
			in.Notices = append(in.Notices, enforce.FullNotice)
		}
		if c.result.Scope != "" && !slices.Contains(in.Notices, c.result.Scope) {
			in.Notices = append(in.Notices, c.result.Scope)
		}
	}
	body := crisis.Summarise(in)
	if pace := s.o.Crisis.Pace; pace > 0 {
		time.Sleep(pace - time.Since(x.started)%pace)
	}
	return &rest.Response{Status: http.StatusOK, Header: http.Header{}, Body: body}, nil
}
