package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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
func (p storedPeople) WithBirthDate(ctx context.Context, date string) ([]*store.Record, error) {
	return p.find(ctx, search.Param{Name: "birthdate", Value: date})
}

// WithIdentifier implements identity.People.
func (p storedPeople) WithIdentifier(ctx context.Context, system, value string) ([]*store.Record, error) {
	return p.find(ctx, search.Param{Name: "identifier", Value: search.Escape(system) + "|" + search.Escape(value)})
}

func (p storedPeople) find(ctx context.Context, param search.Param) ([]*store.Record, error) {
	q, err := search.Parse("Patient", []search.Param{param}, search.Options{})
	if err != nil {
		return nil, err
	}
	plan := q.Plan()
	plan.Limit = 200
	var out []*store.Record
	for {
		page, err := p.store.Search(ctx, plan)
		if err != nil {
			return nil, err
		}
		for _, rec := range page.Records {
			r, err := resource.Parse(rec.Raw)
			if err != nil {
				return nil, fmt.Errorf("%s in the store: %w", rec.Key, err)
			}
			if q.Match(r) { // the plan may find too much
				out = append(out, rec)
			}
		}
		if page.Next == "" {
			return out, nil
		}
		plan.After = page.Next
	}
}

// references is what a roster asks: the Patients with an identifier.
func (p storedPeople) references(ctx context.Context, system, value string) ([]string, error) {
	records, err := p.WithIdentifier(ctx, system, value)
	var refs []string
	for _, rec := range records {
		refs = append(refs, rec.Key.String())
	}
	return refs, err
}

// feedLinker lets ingest tell the linker of stored Patients.
type feedLinker struct {
	linker *identity.Linker
	links  *identity.Links
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
	if err := gateway.ForgetHeard(ctx, l.facts, k.String()); err != nil {
		return err
	}
	return l.links.Expunge(ctx, k.String())
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
	return feedLinker{identity.NewLinker(g.links, storedPeople{g.store}), g.links, g.store}
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
	profile := s.Profile
	if profile != "" {
		profile = g.config.Path(profile)
	}
	reports, err := ingestInto(ctx, ingestTarget{
		Store: g.store, Facts: g.store, Log: g.store, Origin: origin, Units: g.directory.Units(system), SiteKey: []byte(g.config.Site.Key.Reveal()),
		Adapter: s.Adapter, Profile: profile, Linker: g.linker(),
	}, []convert.Path{{Name: path, Open: func() (adapters.Input, io.Closer, error) { return adapters.OpenFile(path) }}})
	if err != nil {
		return nil, err
	}
	return reports[0], nil
}
