package identity

import (
	"context"
	"errors"
	"fmt"

	"github.com/handoff-health/handoff/fhir/match"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// People finds Patients of the own store that may be one person. Deleted ones
// are left out.
type People interface {
	// WithBirthDate returns Patients with exactly this birthDate.
	WithBirthDate(ctx context.Context, date string) ([]*store.Record, error)
	// WithIdentifier returns Patients with this identifier.
	WithIdentifier(ctx context.Context, system, value string) ([]*store.Record, error)
}

// A Linker links a Patient that was just stored with Patients from other
// systems in the own store, by the rules of fhir/match: what is certain is
// confirmed, what is possible becomes a candidate.
//
// The rules hold again each time: an automatic link whose ground has gone,
// because a second candidate came in or the record was corrected, is a
// candidate again. A reviewer's word and a roster's are never touched.
type Linker struct {
	links  *Links
	people People
}

// NewLinker makes a linker.
func NewLinker(links *Links, people People) *Linker { return &Linker{links, people} }

// Link proposes links for one stored Patient.
func (k *Linker) Link(ctx context.Context, patient *resource.Resource, origin resource.Origin) error {
	if patient.Type() != "Patient" || patient.ID() == "" {
		return nil
	}
	people, err := k.block(ctx, match.FromPatient(patient, origin.System))
	if err != nil {
		return fmt.Errorf("identity: link %s: %w", patient.Reference(), err)
	}
	verdicts := map[Link]match.Verdict{}
	for _, p := range match.Pairs(people) {
		verdicts[between(p.A.Ref, p.B.Ref)] = p.Verdict
	}
	if err := k.demote(ctx, patient, verdicts); err != nil {
		return err
	}
	for link, v := range verdicts {
		link.Method, link.Score = v.Method, v.Score
		if v.Level == match.Certain {
			link.State = Confirmed
		}
		if _, err := k.links.settle(ctx, link); err != nil {
			return err
		}
	}
	return nil
}

// block gathers the Patient and everybody who may be compared with it.
func (k *Linker) block(ctx context.Context, p match.Person) ([]match.Person, error) {
	people, seen := []match.Person{p}, map[string]bool{p.Ref: true}
	add := func(recs []*store.Record, err error) error {
		for _, rec := range recs {
			if rec.Deleted || seen["Patient/"+rec.ID] {
				continue
			}
			r, perr := resource.Parse(rec.Raw)
			if perr != nil || r.Type() != "Patient" {
				return fmt.Errorf("a stored Patient is not readable: %w", store.ErrDamaged)
			}
			seen["Patient/"+rec.ID] = true
			q := match.FromPatient(r, rec.Origin.System)
			q.Ref = "Patient/" + rec.ID
			people = append(people, q)
		}
		return err
	}
	if p.Born != "" {
		if err := add(k.people.WithBirthDate(ctx, p.Born)); err != nil {
			return nil, err
		}
	}
	for _, id := range p.Identifiers {
		if err := add(k.people.WithIdentifier(ctx, id.System, id.Value)); err != nil {
			return nil, err
		}
	}
	return people, nil
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
