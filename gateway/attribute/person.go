package attribute

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/identity"
)

// A Person is who an interaction is about, across systems.
type Person struct {
	References []string          // all that denote the person here, the one asked for among them
	Targets    []identity.Target // the person's Patients at connected systems
	AsOf       int64             // identity.Class.AsOf
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
	Base      string // the gateway's own FHIR base URL
	filed     filedCache
}

// Person finds the person behind a Patient reference. A Patient that does not
// exist is a person without records: the caller cannot tell the difference.
func (g *Gatherer) Person(ctx context.Context, reference string) (*Person, error) {
	c, err := g.Identity.For(ctx, reference)
	if err != nil {
		return nil, fmt.Errorf("attribute: %w", err)
	}
	p := &Person{References: c.References, Targets: c.Targets, AsOf: c.AsOf}
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
// for which requester it is judged. It is shared by requests.
type Filed struct {
	Key     store.Key
	Version int64
	Origin  resource.Origin
	Named   []string // references in provision.data, at any depth

	granting, denying *consent.Consent // as of an entitled recorder, or of another
}

// Consents reads the person's Consents from the own store, whatever their
// status: an inactive newest version ends an older one.
func (g *Gatherer) Consents(ctx context.Context, references []string) ([]*Filed, error) {
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
	var out []*Filed
	plan := store.Plan{Type: "Consent", Where: where, Sort: []store.SortKey{{Param: store.ParamID}}, Limit: 200}
	for {
		page, err := g.Store.Search(ctx, plan)
		if err != nil {
			return nil, fmt.Errorf("attribute: consents of a person: %w", err)
		}
		for _, rec := range page.Records {
			f, err := g.filed.get(rec, g.Base)
			if err != nil {
				return nil, err
			}
			out = append(out, f)
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
// registered for that custodian, and in favour of the recorder's own
// organisation only if it was captured, within the ceiling of its capture.
func (g *Gatherer) For(filed []*Filed, custodian, requester string) []*consent.Consent {
	out := make([]*consent.Consent, 0, len(filed))
	for _, f := range filed {
		o := f.Origin
		entitled := slices.Contains(g.Directory.MayGrantFor(o), custodian) || guard.Off(guard.AccessRecorder)
		if entitled && MayFavour(o, custodian, requester) {
			out = append(out, f.granting)
		} else {
			out = append(out, f.denying)
		}
	}
	return out
}

// filedCache keeps parsed Consents by version. A version never changes, so an
// entry is never stale; a revocation is another version. One that was expunged
// and made anew has another time.
type filedCache struct {
	mu    sync.Mutex
	known map[filedKey]*Filed
}

type filedKey struct {
	id      string
	version int64
	at      time.Time
}

const maxFiled = 10_000

// Drop lets go of all Consents that are kept parsed: somebody was expunged.
func (g *Gatherer) Drop() {
	g.filed.mu.Lock()
	defer g.filed.mu.Unlock()
	g.filed.known = nil
}

func (c *filedCache) get(rec *store.Record, base string) (*Filed, error) {
	k := filedKey{rec.ID, rec.Version, rec.LastUpdated}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, ok := c.known[k]; ok {
		return f, nil
	}
	r, err := resource.Parse(rec.Raw)
	if err != nil {
		return nil, fmt.Errorf("attribute: %s in the store: %w", rec.Key, err)
	}
	name := fmt.Sprintf("%s/_history/%d", rec.Key, rec.Version)
	from := consent.Source{Reference: name, Version: rec.Version, Base: base, Recorder: rec.Origin.Custodian, Ceiling: Ceiling(rec.Origin), Digest: resource.Digest(rec.Raw)}
	f := &Filed{Key: rec.Key, Version: rec.Version, Origin: rec.Origin, Named: named(r), denying: consent.Parse(r, from)}
	from.Entitled = true
	f.granting = consent.Parse(r, from)
	if c.known == nil || len(c.known) >= maxFiled {
		c.known = map[filedKey]*Filed{}
	}
	c.known[k] = f
	return f, nil
}

// MayFavour says whether a Consent of this origin may grant its custodian's data
// to the requesting organisation: one in favour of its recorder only if it was
// captured, except for the recorder's own data.
func MayFavour(o resource.Origin, custodian, requester string) bool {
	return o.Custodian != requester || o.Custodian == custodian || o.Capture.How != ""
}

// Ceiling is the most that a Consent of this origin may open.
func Ceiling(o resource.Origin) consent.Ceiling {
	if o.Capture.How == "" {
		return consent.Ceiling{}
	}
	// What is not known to be written counts as said.
	return consent.Ceiling{Verbal: o.Capture.How != resource.CapturedWritten, Until: time.Unix(o.Capture.Until, 0)}
}

// named lists the references in provision.data, nested provisions included.
func named(r *resource.Resource) []string {
	var out []string
	r.Root().Get("provision").Descend(func(n resource.Node) bool {
		if n.Name() != "data" {
			return true
		}
		for d := range n.Elements() {
			if ref := d.Path("reference", "reference"); ref.Exists() {
				out = append(out, ref.Text())
			}
		}
		return false
	})
	return out
}
