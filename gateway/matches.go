package gateway

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/broker"
	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/identity"
)

// Search within a type: https://hl7.org/fhir/R4/http.html#search

const (
	// maxPersonMatches bounds what one person's search holds before it is
	// decided; beyond it the caller must narrow the search.
	maxPersonMatches = 5_000
	// maxFromSystem bounds what one system may add; beyond it the answer is
	// incomplete, and the other systems' part stands.
	maxFromSystem = 2_000
	// maxScan is how many records of the store one page may look at.
	maxScan = 5_000
	// maxNamedPatients is how many Patients of the own store a Patient search may
	// find to be one answer with their linked Patients.
	maxNamedPatients = 200
	// maxAlongside is how many of them bring their linked Patients.
	maxAlongside = 20
)

// readQuery parses the parameters and, for a police caller, holds the search
// to one person. Both depend on the request and the token alone.
func readQuery(s *Server, x *exchange) error {
	var err error
	if x.params, err = x.req.Query(s.o.MaxBody); err != nil {
		return err
	}
	if x.asked, err = search.Parse(x.req.Type, x.params, s.search); err != nil {
		return err
	}
	x.event.Query = encode(x.params)
	if x.asked.Cursor() != "" {
		if x.from, err = s.seal.open(x.asked.Cursor(), binding(x)); err != nil {
			return err
		}
	}
	person, err := personOf(x.asked)
	if err != nil {
		return err
	}
	if person == "" && x.patientAlone() {
		x.narrowed = canNarrow(x.req.Type)
	}
	if person == "" && !x.narrowed && x.principal.Police && !findsOnePerson(x) && !guard.Off(guard.AccessOnePerson) {
		return outcome.Forbidden("a police caller searches within one person: give patient (or, for Patient, _id, an identifier with its system, or family, given and a full birthdate)")
	}
	if person == "" && !x.narrowed && (x.asked.CountOnly() || x.asked.Total() == search.TotalAccurate) && !guard.Off(guard.AccessCountOnePerson) {
		return outcome.NotSupported("a count is given only within one person: give patient").At("http._summary")
	}
	return nil
}

// personOf returns the one Patient reference that the query is about, "" if it
// names none.
func personOf(q *search.Query) (string, error) {
	if q.Type() == "Patient" {
		if ids := q.IDs(); len(ids) == 1 && len(ids[0]) == 1 {
			return "Patient/" + ids[0][0], nil
		}
		return "", nil
	}
	for _, name := range []string{"patient", "subject"} {
		alternatives := q.References(name)
		if len(alternatives) == 0 {
			continue
		}
		if len(alternatives) > 1 || len(alternatives[0]) != 1 {
			return "", outcome.NotSupported("a search is about one person: give %s once, with one value", name).At("http." + name)
		}
		ref := alternatives[0][0]
		if resource.ValidID(ref) { // subject=1 without a type
			ref = "Patient/" + ref
		}
		if _, typ, id, ok := resource.SplitReference(ref); ok && typ == "Patient" && ref == "Patient/"+id {
			return ref, nil
		}
		return "", nil
	}
	return "", nil
}

// findsOnePerson says whether a Patient search names somebody rather than
// looks around: an identifier with its system, or family, given and birth date.
func findsOnePerson(x *exchange) bool {
	if x.req.Type != "Patient" {
		return false
	}
	full := map[string]bool{}
	for _, p := range x.params {
		name := p.Name
		if strings.Contains(p.Value, ",") {
			continue // alternatives are several persons
		}
		switch name {
		case "identifier":
			system, value, ok := strings.Cut(p.Value, "|")
			if ok && system != "" && value != "" {
				return true
			}
		case "family", "given", "family:exact", "given:exact":
			if len([]rune(p.Value)) >= 2 {
				full[strings.TrimSuffix(name, ":exact")] = true
			}
		case "birthdate":
			if len(strings.TrimPrefix(p.Value, "eq")) == len("2006-01-02") {
				full[name] = true
			}
		}
	}
	return full["family"] && full["given"] && full["birthdate"]
}

// locatePerson finds the person, and lets the query match each of the person's
// Patients: a search for one reaches the others.
func locatePerson(ctx context.Context, s *Server, x *exchange) error {
	x.query = x.asked
	if x.narrowed {
		return s.narrow(ctx, x)
	}
	ref, err := personOf(x.asked)
	if err != nil || ref == "" {
		return err
	}
	if x.person, err = s.whom(ctx, x, ref); err != nil {
		return err
	}
	x.note(ref)
	x.note(x.person.References...)
	if x.req.Type == "Patient" {
		return nil
	}
	params := slices.Clone(x.params)
	for i, p := range params {
		if s.denotes(x, p) {
			params[i] = search.Param{Name: strings.TrimSuffix(p.Name, ":Patient"), Value: strings.Join(x.person.References, ",")}
		}
	}
	x.query, err = search.Parse(x.req.Type, params, s.search)
	return err
}

// denotes says whether a parameter asks for the person by one of the person's
// references. One that names somebody else stays as it is and finds nothing.
func (s *Server) denotes(x *exchange, p search.Param) bool {
	name := strings.TrimSuffix(p.Name, ":Patient")
	if name != "patient" && name != "subject" {
		return false
	}
	q, err := search.Parse(x.req.Type, []search.Param{p}, s.search)
	if err != nil {
		return false
	}
	ref, err := personOf(q)
	return err == nil && x.person.Is(ref)
}

// encode writes parameters as a query string, for the audit trail.
func encode(params []search.Param) string {
	parts := make([]string, len(params))
	for i, p := range params {
		parts[i] = url.QueryEscape(p.Name) + "=" + url.QueryEscape(p.Value)
	}
	return strings.Join(parts, "&")
}

// gatherMatches collects candidates: within one person from the own store and
// from each system that may be asked, all at once; else from the own store,
// stretch by stretch.
func gatherMatches(ctx context.Context, s *Server, x *exchange) error {
	if x.person == nil {
		if x.req.Type == "Patient" && !x.query.Empty() {
			return s.gatherNamed(ctx, x)
		}
		return s.gatherStretches(ctx, x)
	}
	st, err := s.stand(ctx, x, x.person)
	if err != nil {
		return err
	}
	var targets []identity.Target
	var keys []string
	for _, t := range x.person.Targets {
		o, ok := s.o.Directory.Origin(t.System)
		if ok && s.serves(t.System, x.req.Type) && s.session(x, st, o).Possible(o) {
			targets = append(targets, t)
			if !slices.Contains(keys, t.System) {
				keys = append(keys, t.System)
			}
		}
	}
	x.event.Systems = keys
	var mine, theirs []*candidate
	a := asking{x.req.Type, x.query, x.params}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		mine, err = s.ownMatches(gctx, a)
		return err
	})
	g.Go(func() (err error) {
		theirs, err = s.askedMatches(gctx, x, a, targets)
		return err
	})
	g.Go(func() error { return s.bring(gctx, x, st, keys) })
	if err := g.Wait(); err != nil {
		return err
	}
	x.resetSessions() // Consents that came along count from here on
	x.candidates = append(mine, theirs...)
	return nil
}

// serves says whether a system has resources of this type at all.
func (s *Server) serves(key, typ string) bool {
	sys, ok := s.o.Directory.System(key)
	return ok && !keptHere(typ) && (len(sys.Types) == 0 || slices.Contains(sys.Types, typ))
}

// An asking is one search within a type, as part of what a request needs.
type asking struct {
	typ    string
	query  *search.Query  // as it is matched
	params []search.Param // as they go to connected systems
}

// ownMatches reads all of a person's matches from the own store.
func (s *Server) ownMatches(ctx context.Context, a asking) ([]*candidate, error) {
	plan := a.query.Plan()
	plan.Limit = 500
	var out []*candidate
	for {
		page, err := s.o.Store.Search(ctx, plan)
		if err != nil {
			return nil, err
		}
		for _, rec := range page.Records {
			c, err := s.own(rec)
			if err != nil {
				return nil, err
			}
			out = append(out, c)
		}
		if page.Next == "" {
			return out, nil
		}
		if len(out) >= maxPersonMatches {
			return nil, outcome.TooCostly("the search finds too much; narrow it")
		}
		plan.After = page.Next
	}
}

// askedMatches asks the connected systems. What failed makes the answer
// incomplete; it is noted per system in the audit event alone.
func (s *Server) askedMatches(ctx context.Context, x *exchange, a asking, targets []identity.Target) ([]*candidate, error) {
	if len(targets) == 0 {
		return nil, nil
	}
	values := map[string][]string{}
	for _, p := range a.params {
		values[p.Name] = append(values[p.Name], p.Value)
	}
	var out []*candidate
	incomplete := false
	from := map[string]int{}
	answer, err := s.o.Broker.Search(ctx, broker.Query{Type: a.typ, Params: values, Targets: targets, Share: x.share()}, func(e broker.Entry) bool {
		if !a.query.Match(e.Resource) && !guard.Off(guard.AccessPerson) { // a cheap first look; the returned form is matched again
			return true
		}
		if from[e.System]++; from[e.System] > maxFromSystem {
			incomplete = true
			return true
		}
		out = append(out, s.candidate(e.Resource, e.Origin, nil))
		return true
	})
	if err != nil {
		return nil, err
	}
	if incomplete || answer.Incomplete {
		x.lacks()
	}
	for _, r := range answer.Reports {
		if r.Err != nil {
			s.o.Logger.Warn("a connected system did not answer in full", "request", x.event.ID, "system", r.System, "error", r.Err)
		}
	}
	return out, nil
}

// bring reads the Consents that the systems keep of the person. Without them a
// deny would go unheard, so a system whose Consents cannot be read fails whole.
func (s *Server) bring(ctx context.Context, x *exchange, st *standing, keys []string) error {
	var mu sync.Mutex
	st.asked = keys
	g, ctx := errgroup.WithContext(ctx)
	for _, t := range st.person.Targets {
		sys, ok := s.o.Directory.System(t.System)
		if !ok || keptHere(x.req.Type) || sys.Consents == "none" || (sys.Consents == "deny" && !slices.Contains(keys, t.System)) {
			continue
		}
		g.Go(func() error {
			var found []*consent.Consent
			copies := map[string][]byte{}
			answer, err := s.o.Broker.Search(ctx, broker.Query{Type: "Consent", Targets: []identity.Target{t}, Share: x.share()}, func(e broker.Entry) bool {
				digest := audit.ContentDigest(e.Resource.Raw())
				copies[digest] = e.Resource.Raw()
				found = append(found, consent.Parse(e.Resource, consent.Source{Entitled: sys.Consents == "registry", Foreign: true, Recorder: "system " + e.Origin.System, Digest: digest}))
				return true
			})
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if st.copies == nil {
				st.copies = map[string][]byte{}
			}
			maps.Copy(st.copies, copies)
			for _, r := range answer.Reports {
				if r.Err != nil {
					s.o.Logger.Warn("a connected system's Consents could not be read; nothing of it goes out", "request", x.event.ID, "system", r.System, "error", r.Err)
				}
			}
			if answer.Incomplete {
				st.unheard = append(st.unheard, t.System)
				st.deaf = st.deaf || sys.Consents == "registry"
			}
			if sys.Consents == "registry" {
				st.shared = append(st.shared, found...)
			} else {
				st.brought[t.System] = append(st.brought[t.System], found...)
			}
			return nil
		})
	}
	return g.Wait()
}

// share is the key under which equal requests to a system may use one answer:
// one token (and with it one purpose).
func (x *exchange) share() string { return x.principal.TokenID }
