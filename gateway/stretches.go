package gateway

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/identity"
)

// Searches that are not about one person are answered from the own store.

// nobody is a person without records, for work that must take as long when
// nothing was found as when what was found is hidden.
const nobody = "Patient/none"

// gatherNamed collects the answer to a Patient search that names somebody: all
// matches of the own store and the Patients of connected systems that are
// linked to them. If the own store finds many, they alone are searched.
func (s *Server) gatherNamed(ctx context.Context, x *exchange) error {
	plan := x.query.Plan()
	plan.Limit = maxNamedPatients
	page, err := s.o.Store.Search(ctx, plan)
	if err != nil {
		return err
	}
	if page.Next != "" || x.from.After != "" {
		return s.gatherStretches(ctx, x)
	}
	if len(page.Records) == 0 {
		if err := s.asIfSomebody(ctx, x); err != nil {
			return err
		}
	}
	own, err := s.stretch(ctx, x, page.Records)
	if err != nil {
		return err
	}
	linked, err := s.linkedPatients(ctx, x, own)
	if err != nil {
		return err
	}
	x.whole, x.candidates = true, append(own, linked...)
	return nil
}

// asIfSomebody does what is done for a Patient that was found, so that the time
// of an answer tells less of whether there is a hidden one.
func (s *Server) asIfSomebody(ctx context.Context, x *exchange) error {
	p, err := s.gatherer.Person(ctx, nobody)
	if err != nil {
		return err
	}
	_, err = s.stand(ctx, x, p)
	return err
}

// linkedPatients asks the systems for the Patients there of the persons found.
func (s *Server) linkedPatients(ctx context.Context, x *exchange, own []*candidate) ([]*candidate, error) {
	var targets []identity.Target
	g, gctx := errgroup.WithContext(ctx)
	seen := map[*standing]bool{}
	for _, c := range own {
		st := x.people[c.subject.Patient]
		if st == nil || seen[st] || len(seen) >= maxAlongside {
			continue
		}
		seen[st] = true
		var keys []string
		for _, t := range st.person.Targets {
			if o, ok := s.o.Directory.Origin(t.System); ok && s.serves(t.System, x.req.Type) && s.session(x, st, o).Possible(o) {
				targets, keys = append(targets, t), append(keys, t.System)
				x.asks(t.System)
			}
		}
		if len(keys) > 0 {
			g.Go(func() error { return s.bring(gctx, x, st, keys) })
		}
	}
	var out []*candidate
	g.Go(func() (err error) {
		out, err = s.askedMatches(gctx, x, asking{x.req.Type, x.query, x.params}, targets)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	x.resetSessions()
	return out, nil
}

// gatherStretches prepares a search over all persons, stretch by stretch.
func (s *Server) gatherStretches(ctx context.Context, x *exchange) error {
	plan := x.query.Plan()
	plan.After = x.from.After
	skip := x.from.Passed
	scanned := 0
	x.more = func(ctx context.Context) ([]*candidate, error) {
		// One permitted match beyond the page tells whether there is a next page:
		// a link that could lead to nothing would tell of what is hidden.
		missing := x.query.Count() + 1 - len(x.kept)
		if missing <= 0 {
			return nil, nil
		}
		if scanned >= maxScan {
			x.next = &place{After: plan.After}
			return nil, nil
		}
		plan.Limit = min(max(missing, 20), maxScan-scanned)
		from := plan.After
		page, err := s.o.Store.Search(ctx, plan)
		if err != nil {
			return nil, err
		}
		scanned += len(page.Records)
		plan.After = page.Next
		if page.Next == "" {
			x.more = nil
		}
		out, err := s.stretch(ctx, x, after(page.Records, skip))
		skip = ""
		for _, c := range out {
			c.from = from
		}
		return out, err
	}
	cs, err := x.more(ctx)
	x.candidates = cs
	return err
}

// after leaves out the records up to the one with this id, if it is among them.
func after(records []*store.Record, id string) []*store.Record {
	for i, r := range records {
		if id != "" && r.ID == id {
			return records[i+1:]
		}
	}
	return records
}

// stretch makes candidates of records.
func (s *Server) stretch(ctx context.Context, x *exchange, records []*store.Record) ([]*candidate, error) {
	out := make([]*candidate, 0, len(records))
	for _, rec := range records {
		c, err := s.own(rec)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, s.standAll(ctx, x, out)
}
