package attribute

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/identity"
)

// A Person is who an interaction is about, across systems.
type Person struct {
	References []string          // all that denote the person here, the one asked for among them
	Targets    []identity.Target // the person's Patients at connected systems
}

// Is says whether the reference denotes this person.
func (p *Person) Is(reference string) bool {
	return p != nil && slices.Contains(p.References, reference)
}

// Identity finds a person's Patients.
type Identity interface {
	For(ctx context.Context, reference string) (identity.Class, error)
}

// A Gatherer reads what decisions about a person depend on.
type Gatherer struct {
	Directory *Directory
	Store     store.Store
	Identity  Identity
	parsed    consentCache
}

// Person finds the person behind a Patient reference. A Patient that does not
// exist is a person without records: the caller cannot tell the difference.
func (g *Gatherer) Person(ctx context.Context, reference string) (*Person, error) {
	c, err := g.Identity.For(ctx, reference)
	if err != nil {
		return nil, fmt.Errorf("attribute: %w", err)
	}
	p := &Person{References: c.References, Targets: c.Targets}
	if !slices.Contains(p.References, reference) {
		p.References = append(p.References, reference)
	}
	return p, nil
}

// Linked says whether the person is a patient of one of the organisation's
// systems, by a confirmed link.
func (g *Gatherer) Linked(p *Person, organization string) bool {
	if p == nil {
		return false
	}
	return slices.ContainsFunc(p.Targets, func(t identity.Target) bool {
		o, ok := g.Directory.Origin(t.System)
		return ok && o.Custodian == organization
	})
}

// maxConsents bounds what one person can have on file; more is refused, since
// a Consent that is not read is a deny that is not heard.
const maxConsents = 10_000

// A Filed is a Consent of the own store, before it is known for whose data and
// for which requester it is judged.
type Filed struct {
	Record   *store.Record
	Resource *resource.Resource
}

// Consents reads the person's Consents from the own store, whatever their
// status: an inactive newest version ends an older one.
func (g *Gatherer) Consents(ctx context.Context, references []string) ([]Filed, error) {
	if len(references) == 0 {
		return nil, nil
	}
	where := store.Expr{Op: store.Or}
	for _, ref := range references {
		q, err := search.Parse("Consent", []search.Param{{Name: "patient", Value: ref}}, search.Options{})
		if err != nil {
			return nil, fmt.Errorf("attribute: consents of a person: %w", err)
		}
		where.Args = append(where.Args, q.Plan().Where)
	}
	var out []Filed
	plan := store.Plan{Type: "Consent", Where: where, Sort: []store.SortKey{{Param: store.ParamID}}, Limit: 200}
	for {
		page, err := g.Store.Search(ctx, plan)
		if err != nil {
			return nil, fmt.Errorf("attribute: consents of a person: %w", err)
		}
		for _, rec := range page.Records {
			r, err := resource.Parse(rec.Raw)
			if err != nil {
				return nil, fmt.Errorf("attribute: %s in the store: %w", rec.Key, err)
			}
			out = append(out, Filed{rec, r})
		}
		if page.Next == "" {
			return out, nil
		}
		if len(out) >= maxConsents {
			return nil, fmt.Errorf("attribute: more than %d Consents of one person", maxConsents)
		}
		plan.After = page.Next
	}
}

// For parses the filed Consents as they count for the data of one custodian
// and one requesting organisation: a Consent grants only if its recorder is
// registered for that custodian, and never in favour of the recorder's own
// organisation (that needs the ceilings of a capture on the scene).
func (g *Gatherer) For(filed []Filed, custodian, requester string) []*consent.Consent {
	out := make([]*consent.Consent, 0, len(filed))
	for _, f := range filed {
		o := f.Record.Origin
		entitled := slices.Contains(g.Directory.MayGrantFor(o), custodian) && (o.Custodian != requester || o.Custodian == custodian)
		out = append(out, g.parsed.get(f, entitled))
	}
	return out
}

// consentCache keeps parsed Consents by version. A version never changes, so
// an entry is never stale; a revocation is another version.
type consentCache struct {
	mu    sync.Mutex
	known map[cacheKey]*consent.Consent
}

type cacheKey struct {
	id       string
	version  int64
	entitled bool
}

const maxParsed = 20_000

func (c *consentCache) get(f Filed, entitled bool) *consent.Consent {
	k := cacheKey{f.Record.ID, f.Record.Version, entitled}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := c.known[k]; ok {
		return p
	}
	if c.known == nil || len(c.known) >= maxParsed {
		c.known = map[cacheKey]*consent.Consent{}
	}
	p := consent.Parse(f.Resource, consent.Source{Entitled: entitled, Reference: fmt.Sprintf("Consent/%s/_history/%d", f.Record.ID, f.Record.Version)})
	c.known[k] = p
	return p
}
