package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/convert"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/adapters/ingest"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway"
	"github.com/handoff-health/handoff/gateway/identity"
)

// storedPeople finds Patients of the own store for the linker and for rosters.
type storedPeople struct{ store store.Store }

// WithBirthDate implements identity.People.
func (p storedPeople) WithBirthDate(ctx context.Context, date string) iter.Seq2[*store.Record, error] {
	return p.find(ctx, search.Param{Name: "birthdate", Value: date})
}

// WithName implements identity.People.
func (p storedPeople) WithName(ctx context.Context, date, family string) iter.Seq2[*store.Record, error] {
	return p.find(ctx, search.Param{Name: "birthdate", Value: date}, search.Param{Name: "family", Value: search.Escape(family)})
}

// WithIdentifier implements identity.People.
func (p storedPeople) WithIdentifier(ctx context.Context, system, value string) iter.Seq2[*store.Record, error] {
	return p.find(ctx, search.Param{Name: "identifier", Value: search.Escape(system) + "|" + search.Escape(value)})
}

// find reads a few at first: there are seldom more.
func (p storedPeople) find(ctx context.Context, params ...search.Param) iter.Seq2[*store.Record, error] {
	return func(yield func(*store.Record, error) bool) {
		q, err := search.Parse("Patient", append(params, search.Param{Name: "_sort", Value: "_lastUpdated"}), search.Options{})
		if err != nil {
			yield(nil, err)
			return
		}
		plan := q.Plan()
		for plan.Limit = 50; ; plan.Limit = 200 {
			page, err := p.store.Search(ctx, plan)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, rec := range page.Records {
				r, err := resource.Parse(rec.Raw)
				if err != nil {
					yield(nil, fmt.Errorf("%s in the store: %w", rec.Key, err))
					return
				}
				if q.Match(r) && !yield(rec, nil) { // the plan may find too much
					return
				}
			}
			if page.Next == "" {
				return
			}
			plan.After = page.Next
		}
	}
}

// references is what a roster asks: the Patients with an identifier.
func (p storedPeople) references(ctx context.Context, system, value string) ([]string, error) {
	var refs []string
	for rec, err := range p.WithIdentifier(ctx, system, value) {
		if err != nil {
			return nil, err
		}
		refs = append(refs, rec.Key.String())
	}
	return refs, nil
}

// feedLinker lets ingest tell the linker of stored Patients.
type feedLinker struct {
	linker *identity.Linker
	links  *identity.Links
	ids    *identity.IDMap
	facts  store.Facts
}

// Link implements ingest.Linker.
func (l feedLinker) Link(ctx context.Context, patient *store.Record) error {
	r, err := resource.Parse(patient.Raw)
	if err != nil {
		return err
	}
	return l.linker.Link(ctx, r, patient.Origin)
}

// Forget implements ingest.Forgetter.
func (l feedLinker) Forget(ctx context.Context, k store.Key) error {
	if k.Type != "Patient" {
		return nil
	}
	return gateway.Forget(ctx, l.facts, l.links, l.ids, k.String())
}

// Merge implements ingest.Merger.
func (l feedLinker) Merge(ctx context.Context, survivor, loser string, joined bool, reason string) (bool, error) {
	return l.links.Merge(ctx, survivor, loser, joined, reason)
}

var (
	_ ingest.Forgetter = feedLinker{}
	_ ingest.Merger    = feedLinker{}
)

func (g *running) linker() feedLinker {
	return feedLinker{identity.NewLinker(g.links, storedPeople{g.store}), g.links, g.ids, g.store}
}

// readRoster links persons as a roster file says.
func readRoster(ctx context.Context, g *running, path string) (identity.RosterResult, error) {
	f, err := os.Open(path)
	if err != nil {
		return identity.RosterResult{}, err
	}
	defer f.Close()
	result, err := g.links.ReadRoster(ctx, f, storedPeople{g.store}.references)
	if err != nil {
		return result, fmt.Errorf("%s: %w", path, err)
	}
	var bad []error
	for _, line := range result.Rejected {
		bad = append(bad, fmt.Errorf("%s: %w", path, line))
	}
	return result, errors.Join(bad...)
}

// ingestFile brings one file into the store of a running gateway, as records of
// one of its feeds.
func ingestFile(ctx context.Context, g *running, system, path string) (*flow.Report, error) {
	s, ok := g.directory.System(system)
	origin, known := g.directory.Origin(system)
	if !ok || !known {
		return nil, fmt.Errorf("system %s is not in the configuration", system)
	}
	fd, err := configuredFeed(g.config, s)
	if err != nil {
		return nil, err
	}
	reports, err := ingestInto(ctx, ingestTarget{
		Store: g.store, Facts: g.store, Log: g.store, Origin: origin, Units: g.directory.Units(system), SiteKey: []byte(g.config.Site.Key.Reveal()), Clock: g.store.Now,
		Adapter: s.Adapter, Profile: profileOf(g.config, s), Linker: g.linker(), Eraser: eraserOf(g.store),
	}, fd, []convert.Path{{Name: path, Open: func() (adapters.Input, io.Closer, error) { return adapters.OpenFile(path) }}})
	if err != nil {
		return nil, err
	}
	return reports[0], nil
}
