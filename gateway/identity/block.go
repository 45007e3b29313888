package identity

import (
	"context"
	"fmt"
	"iter"

	"github.com/handoff-health/handoff/fhir/match"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// A block is a Patient and everybody who may be compared with it.
type block struct {
	people People
	of     *resource.Resource
	all    []match.Person // the Patient first
	alike  []match.Person // of all: its candidates, also of its own system
	seen   map[string]bool
	shared int // of alike: how many share an identifier
	// partial says that not everybody was looked at: who else there is may be a
	// second candidate, and nothing is certain.
	partial bool
}

// crowded says that too many are like the Patient.
func (b *block) crowded() bool { return len(b.alike) >= maxEquals }

// full says that no more are looked at.
func (b *block) full() bool { return len(b.alike) >= maxEquals+spareEquals }

func (b *block) gather(ctx context.Context) error {
	p := b.all[0]
	for _, id := range p.Identifiers {
		if err := b.add(b.people.WithIdentifier(ctx, id.System, id.Value), maxBorn); err != nil {
			return err
		}
	}
	b.shared = len(b.alike)
	if p.Born == "" {
		return nil
	}
	most := maxBorn
	if p.BirthDate == "" {
		most = maxVague
	}
	if err := b.add(b.people.WithBirthDate(ctx, p.Born), most); err != nil || !b.partial || b.crowded() {
		return err
	}
	for n := range b.of.Root().All("name") {
		if family := n.Get("family").Text(); family != "" {
			if err := b.add(b.people.WithName(ctx, p.Born, family), most); err != nil {
				return err
			}
		}
	}
	return nil
}

// add reads Patients until there are enough of them.
func (b *block) add(records iter.Seq2[*store.Record, error], most int) error {
	for rec, err := range records {
		switch {
		case err != nil:
			return err
		case rec.Deleted || b.seen["Patient/"+rec.ID]:
			continue
		case b.full() || most == 0:
			b.partial = true
			return nil
		}
		most--
		r, err := resource.Parse(rec.Raw)
		if err != nil || r.Type() != "Patient" {
			return fmt.Errorf("a stored Patient is not readable: %w", store.ErrDamaged)
		}
		b.seen["Patient/"+rec.ID] = true
		q := match.FromPatient(r, rec.Origin.System)
		q.Ref = "Patient/" + rec.ID
		b.all = append(b.all, q)
		if match.Judge(b.all[0], q).Level > match.None {
			b.alike = append(b.alike, q)
		}
	}
	return nil
}

// verdicts says what the rules say of the pairs in the block.
func (b *block) verdicts() map[Link]match.Verdict {
	people := b.all
	if b.crowded() {
		people = append(people[:1:1], b.alike...)
	}
	out := map[Link]match.Verdict{}
	for _, p := range match.Around(people) {
		if b.partial || b.crowded() {
			p.Level = match.Possible
		}
		out[between(p.A.Ref, p.B.Ref)] = p.Verdict
	}
	return out
}
