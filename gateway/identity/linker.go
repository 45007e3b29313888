package identity

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/handoff-health/handoff/fhir/match"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// People finds Patients of the own store that may be one person, the ones that
// changed longest ago first. Deleted ones are left out. What is not wanted any
// more is not read.
type People interface {
	// WithBirthDate yields Patients with exactly this birthDate.
	WithBirthDate(ctx context.Context, date string) iter.Seq2[*store.Record, error]
	// WithName yields Patients with exactly this birthDate whose family name begins so.
	WithName(ctx context.Context, date, family string) iter.Seq2[*store.Record, error]
	// WithIdentifier yields Patients with this identifier.
	WithIdentifier(ctx context.Context, system, value string) iter.Seq2[*store.Record, error]
}

// A Linker links a Patient that was just stored with Patients from other
// systems in the own store, by the rules of fhir/match: what is certain is
// confirmed, what is possible becomes a candidate.
//
// The rules hold again each time: an automatic link whose ground has gone,
// because a second candidate came in or the record was corrected, is a
// candidate again. A reviewer's word and a roster's are never touched.
//
// What one Patient costs is bounded. Above a small number of equals, as many have
// one name and birth date, nobody can be told from the others: then automatic
// links among them become candidates, new ones are made for a shared identifier
// alone, and Link says so with a [Crowd].
type Linker struct {
	links  *Links
	people People
}

// NewLinker makes a linker.
func NewLinker(links *Links, people People) *Linker { return &Linker{links, people} }

const (
	// maxEquals is how many candidates of one Patient, of all systems, are looked
	// at in full.
	maxEquals = 24
	// spareEquals more are looked at, so that the records which make it too many
	// at the same time see the links that were there before.
	spareEquals = 8
	// maxBorn and maxVague bound the Patients of one birth date that are compared;
	// vague is a date by which no link is made alone (1 January, a year). Beyond,
	// only those of one family name are.
	maxBorn  = 300 // in a state of nine million persons
	maxVague = 100
)

// A Crowd is the error for a Patient who is like too many others to be linked.
type Crowd struct{ Patient string }

func (c *Crowd) Error() string {
	return fmt.Sprintf("%s is like %d other Patients or more; no link is made of name and birth date", c.Patient, maxEquals)
}

// Code is the code of the finding.
func (c *Crowd) Code() string { return "link-crowd" }

// Link proposes links for one stored Patient. Its error is a [Crowd] if nothing
// failed but too many are like it.
func (k *Linker) Link(ctx context.Context, patient *resource.Resource, origin resource.Origin) error {
	if patient.Type() != "Patient" || patient.ID() == "" {
		return nil
	}
	b := block{people: k.people, of: patient, seen: map[string]bool{patient.Reference(): true}, all: []match.Person{match.FromPatient(patient, origin.System)}}
	if err := b.gather(ctx); err != nil {
		return fmt.Errorf("identity: link %s: %w", patient.Reference(), err)
	}
	verdicts := b.verdicts()
	if err := k.demote(ctx, patient, verdicts); err != nil {
		return err
	}
	for link, v := range verdicts {
		link.Method, link.Score = v.Method, v.Score
		if v.Level == match.Certain {
			link.State = Confirmed
		}
		if b.crowded() && (v.Method != "identifier" || b.shared >= maxEquals) {
			link.Method = "" // it is made weaker, and not made
		}
		if _, err := k.links.settle(ctx, link); err != nil && !errors.Is(err, ErrNoLink) {
			return err
		}
	}
	if b.crowded() {
		return &Crowd{patient.Reference()}
	}
	return nil
}

// demote takes automatic links of the Patient back to candidates that the rules
// no longer give.
func (k *Linker) demote(ctx context.Context, patient *resource.Resource, verdicts map[Link]match.Verdict) error {
	links, err := k.links.List(ctx, patient.Reference())
	if err != nil {
		return err
	}
	owners, err := k.links.owners(ctx, "", patient.ID())
	if err != nil {
		return err
	}
	for _, own := range owners {
		links = append(links, Link{Patient: "Patient/" + own, RemoteID: patient.ID()})
	}
	for _, link := range links {
		key := Link{Patient: link.Patient, RemoteID: link.RemoteID}
		if v, ok := verdicts[key]; link.System != "" || ok && v.Level > match.None {
			continue
		}
		if _, err := k.links.settle(ctx, key); err != nil && !errors.Is(err, ErrNoLink) {
			return err
		}
	}
	return nil
}

// between names the link of two Patients here, the same for either order.
func between(a, b string) Link {
	if a > b {
		a, b = b, a
	}
	_, _, id, _ := resource.SplitReference(b)
	return Link{Patient: a, RemoteID: id}
}

// settle makes an automatic link what the rules now say. A link that a person
// or a roster has decided on stays as it is; one with no ground at all and no
// history is not made.
func (l *Links) settle(ctx context.Context, link Link) (bool, error) {
	return l.change(ctx, link, func(head Link, exists bool) (Link, bool, error) {
		switch {
		case !exists:
			return link, link.Method != "", nil
		case head.State == Undone, head.Method != "identifier" && head.Method != "demographics":
			return Link{}, false, nil
		}
		if link.Method == "" {
			link.Method = head.Method
		}
		return link, head.State != link.State, nil
	})
}
