package ingest

import (
	"context"
	"fmt"

	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/mappings"
)

// tellMerges tells of a record's pairs who knows of persons.
func (p *Pipeline) tellMerges(ctx context.Context, mg *merging, res *mappings.Result) error {
	to, ok := p.Linker.(Merger)
	if !ok {
		return nil
	}
	for _, m := range mg.orders.Merges {
		kept, err := p.tellMerge(ctx, to, m.Survivor, m.Loser, mg.work[m.Loser].Joined(m.Survivor), res.Version)
		if err != nil {
			return err
		}
		if kept {
			res.Issues = append(res.Issues, mappings.Issue{Severity: mappings.Warning, Code: "merge-reviewed", Pos: m.Pos, Message: "a reviewer or a roster has decided otherwise about these two Patients: that stands"})
		}
	}
	return nil
}

func (p *Pipeline) tellMerge(ctx context.Context, to Merger, survivor, loser string, joined bool, version string) (bool, error) {
	reason := "merged by " + p.Origin.System
	if !joined {
		reason = "parted by " + p.Origin.System
	}
	if version != "" {
		reason += " at " + version
	}
	kept, err := to.Merge(ctx, survivor, loser, joined, reason)
	if err != nil {
		return false, fmt.Errorf("linking merged Patients: %w", err)
	}
	return kept, nil
}

// linkMerged links the Patients of a record's merges anew before the record is
// done: with one of them fewer or more, the rules may join others, or must not.
func (p *Pipeline) linkMerged(ctx context.Context, u *unit) error {
	if p.Linker == nil || u.merging == nil {
		return nil
	}
	for ref := range u.merging.work {
		head, err := p.live(ctx, ref)
		if err == nil && head != nil {
			err = p.Linker.Link(ctx, head)
		}
		if err != nil {
			return fmt.Errorf("linking merged Patients: %w", err)
		}
	}
	return nil
}

// tellAgain tells of the merges of a Patient whose links were forgotten.
func (p *Pipeline) tellAgain(ctx context.Context, person string, m *flow.Merged) error {
	to, ok := p.Linker.(Merger)
	if !ok || m == nil {
		return nil
	}
	for _, other := range m.Others() {
		if _, err := p.tellMerge(ctx, to, person, other, m.Joined(other), ""); err != nil {
			return err
		}
	}
	return nil
}
