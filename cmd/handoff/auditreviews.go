package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/emergency"
)

// An openReview is a review of a broken glass that nobody has closed.
type openReview struct {
	Task      string    `json:"task"`
	Custodian string    `json:"custodian"`
	Contact   string    `json:"contact,omitempty"`
	Record    string    `json:"record"`
	By        string    `json:"by"` // the personnel, and of which organisation
	Since     time.Time `json:"since"`
	Due       time.Time `json:"due"`
	Overdue   bool      `json:"overdue"`
}

// reviewsOf reads the reviews that are open in the store of a configuration, the
// one that is due first at the top.
func reviewsOf(cmd *cobra.Command, path string, now time.Time) (out []openReview, err error) {
	c, err := loadConfig(path)
	if err != nil {
		return nil, err
	}
	db, err := storeFor(cmd, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return openReviews(cmd.Context(), db, now)
}

func openReviews(ctx context.Context, db store.Store, now time.Time) ([]openReview, error) {
	q, err := search.Parse("Task", []search.Param{{Name: "status", Value: "requested"}}, search.Options{})
	if err != nil {
		return nil, err
	}
	plan := q.Plan()
	plan.Sort, plan.Limit = []store.SortKey{{Param: store.ParamID}}, 200
	out := []openReview{}
	for {
		page, err := db.Search(ctx, plan)
		if err != nil {
			return nil, fmt.Errorf("open reviews: %w", err)
		}
		for _, rec := range page.Records {
			r, err := resource.Parse(rec.Raw)
			if err != nil {
				return nil, fmt.Errorf("open reviews: %s: %w", rec.Key, err)
			}
			if rec.Origin.System != "gateway/emergency" || !emergency.IsReview(r) {
				continue
			}
			v, err := emergency.ReadReview(r)
			if err != nil {
				return nil, err
			}
			out = append(out, openReview{
				rec.Key.String(), v.Custodian, v.Contact, v.Record, v.Of.Name + ", " + v.Of.Organization, v.At, v.Due, !now.Before(v.Due),
			})
		}
		if page.Next == "" {
			slices.SortStableFunc(out, func(a, b openReview) int { return a.Due.Compare(b.Due) })
			return out, nil
		}
		plan.After = page.Next
	}
}

func printReviews(w io.Writer, list []openReview) error {
	fmt.Fprintf(w, "open reviews of emergencies: %d\n", len(list))
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range list {
		state := "due"
		if r.Overdue {
			state = "OVERDUE since"
		}
		fmt.Fprintf(tw, "  %s\t%s %s\t%s\t%s\tby %s\t%s\n", r.Task, state, stamp(r.Due), r.Custodian, printable(r.Contact), printable(r.By), r.Record)
	}
	return tw.Flush()
}
