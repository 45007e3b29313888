// Package relabel brings the labels that a store keeps up to the label set in
// use.
//
// It turns records whose labels were computed with another label set into new
// versions with the labels of this one, where they differ: as served, the
// resource has changed. It decides nothing: decisions label what they judge
// anew, so that a store that was not swept is no less safe. It leaves Consents
// alone, whose versions say who has written last. The command line calls it,
// after a release or new value sets.
package relabel

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// A Sweep is one run over a store.
type Sweep struct {
	Store    store.Store
	Labeller *label.Labeller
	Types    []string // resource types to look through
	DryRun   bool     // count, write nothing
}

// A Report counts what a sweep has seen.
type Report struct {
	Seen    int // live resources
	Stale   int // of these labelled with another label set
	Changed int // of these with other labels now; written, unless it was a dry run
	Busy    int // of these changed by somebody else meanwhile: labelled by that write
}

const pageSize = 200

// Run looks through every live resource of the types. On error the report says
// how far it came; a run may be repeated.
func (s *Sweep) Run(ctx context.Context) (Report, error) {
	var r Report
	for _, typ := range s.Types {
		if typ == "Consent" {
			continue
		}
		plan := store.Plan{Type: typ, Where: store.Expr{Op: store.All}, Sort: []store.SortKey{{Param: store.ParamID}}, Limit: pageSize}
		for {
			page, err := s.Store.Search(ctx, plan)
			if err != nil {
				return r, fmt.Errorf("relabel %s: %w", typ, err)
			}
			for _, rec := range page.Records {
				if err := s.one(ctx, rec, &r); err != nil {
					return r, fmt.Errorf("relabel %s: %w", rec.Key, err)
				}
			}
			if plan.After = page.Next; plan.After == "" {
				break
			}
		}
	}
	return r, nil
}

// one labels a record anew if its labels are stale.
func (s *Sweep) one(ctx context.Context, rec *store.Record, r *Report) error {
	r.Seen++
	if rec.LabelSet == s.Labeller.Version() {
		return nil
	}
	r.Stale++
	res, err := resource.Parse(rec.Raw)
	if err != nil {
		return fmt.Errorf("%w: %w", store.ErrDamaged, err)
	}
	var labels label.Labels
	s.Labeller.Label(res, rec.Origin, &labels)
	texts := labels.Texts()
	if slices.Equal(texts, rec.Labels) {
		return nil
	}
	r.Changed++
	if s.DryRun {
		return nil
	}
	head, err := s.Store.Read(ctx, rec.Key) // a search leaves the index out
	if errors.Is(err, store.ErrNotFound) || err == nil && (head.Deleted || head.Version != rec.Version) {
		r.Changed--
		r.Busy++
		return nil
	}
	if err != nil {
		return err
	}
	head.Labels, head.LabelSet = texts, labels.Version
	_, err = s.Store.Write(ctx, store.Write{Record: *head, Expect: head.Version})
	if errors.Is(err, store.ErrConflict) {
		r.Changed--
		r.Busy++
		return nil
	}
	return err
}
