package gateway

import (
	"context"
	"errors"
	"slices"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/enforce"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/rest"
	"github.com/handoff-health/handoff/gateway/upstream"
)

// maxLookups is how many references of one answer are looked up to find whether
// the caller may see what they point at. Beyond it a reference is removed.
const maxLookups = 64

// judge decides every candidate and keeps what may go out, asking for further
// candidates until the page is full. An error decides for no answer at all.
func judge(ctx context.Context, s *Server, x *exchange) error {
	for {
		if err := s.decide(ctx, x, x.candidates); err != nil {
			return err
		}
		if x.more == nil {
			break
		}
		cs, err := x.more(ctx)
		if err != nil {
			return err
		}
		if len(cs) == 0 {
			break
		}
		x.candidates = cs
	}
	return s.remember(ctx, x)
}

// decide judges one lot: first every decision, so that each knows which of the
// others may be seen, then the forms in which they go out.
func (s *Server) decide(ctx context.Context, x *exchange, cs []*candidate) error {
	if err := s.standAll(ctx, x, cs); err != nil {
		return err
	}
	for _, c := range cs {
		st := x.people[c.subject.Patient]
		if st != nil && (st.deaf || slices.Contains(st.unheard, c.origin.System)) {
			x.incomplete = true
			c.decision = policy.Decision{Effect: policy.Indeterminate, Reasons: []policy.Reason{{Rule: "consent/unheard", Effect: "deny"}}}
		} else {
			c.decision = s.session(x, st, c.origin).Decide(&c.subject)
		}
		x.seen[c.reference()] = lets(c.decision.Effect)
		x.note(c.subject.Patient)
	}
	for _, c := range cs {
		if err := s.carryOut(ctx, x, c); err != nil {
			return err
		}
	}
	return nil
}

func lets(e policy.Effect) bool { return e == policy.Permit || e == policy.Redact }

// carryOut enforces one decision and keeps the resource if its returned form
// still is what was asked for.
func (s *Server) carryOut(ctx context.Context, x *exchange, c *candidate) error {
	if !lets(c.decision.Effect) {
		x.judged(c, "deny")
		return nil
	}
	v := &visibility{ctx: ctx, s: s, x: x, st: x.people[c.subject.Patient]}
	result, err := enforce.Apply(&c.subject, c.decision, v)
	if v.err != nil {
		return v.err
	}
	if errors.Is(err, enforce.ErrStructure) || errors.Is(err, enforce.ErrResidue) {
		// This one cannot be cut safely; the rest of the answer stands.
		s.o.Logger.Warn("a resource could not be redacted and was left out", "request", x.event.ID, "error", err)
		x.judged(c, "deny")
		return nil
	}
	if err != nil {
		return err
	}
	if result.Body == nil { // nothing useful or valid would be left
		x.judged(c, "deny")
		return nil
	}
	if c.final, err = returned(c.resource, result.Body); err != nil {
		return err
	}
	c.result, c.raw = result, result.Body
	if x.query != nil && !x.query.Match(c.final) {
		x.judged(c, "deny") // a redacted element finds nothing
		return nil
	}
	if x.query != nil {
		c.sort = x.query.SortKey(c.final)
	}
	how := "permit"
	if result.Redacted {
		how = "redact"
	}
	x.judged(c, how)
	x.kept = append(x.kept, c)
	return nil
}

// returned reads the form in which a resource goes out; most go out as they are.
func returned(r *resource.Resource, body []byte) (*resource.Resource, error) {
	if raw := r.Raw(); len(raw) == len(body) && &raw[0] == &body[0] {
		return r, nil
	}
	return resource.Parse(body)
}

// judged puts a decision into the event.
func (x *exchange) judged(c *candidate, how string) {
	j := audit.Judged{Reference: c.reference(), Decision: how, Reasons: c.decision.Reasons}
	if c.record != nil {
		j.Reference = versioned(c.record)
	}
	if l := c.subject.Labels; l != nil {
		j.Labels = slices.Concat(l.Sensitivity, l.Law, l.CJI)
	}
	x.event.Resources = append(x.event.Resources, j)
	if how == "deny" {
		return
	}
	for _, o := range c.decision.Obligations {
		if !slices.Contains(x.event.Obligations, string(o)) {
			x.event.Obligations = append(x.event.Obligations, string(o))
		}
	}
}

// visibility answers enforce: may the caller see what this reference points at?
type visibility struct {
	ctx context.Context
	s   *Server
	x   *exchange
	st  *standing
	err error
}

// Visible is false unless the target is known to be visible.
func (v *visibility) Visible(reference string) bool {
	if v.err != nil {
		return false
	}
	base, typ, id, ok := resource.SplitReference(reference)
	if !ok {
		return false
	}
	if base != "" {
		if base != v.s.o.Base {
			return false
		}
		reference = typ + "/" + id
	}
	if known, ok := v.x.seen[reference]; ok {
		return known
	}
	switch typ {
	case "Patient": // the person asked about is no news to the caller; anybody else is
		return v.st != nil && v.st.person.Is(reference)
	case "Practitioner", "PractitionerRole", "Organization", "Location":
		// An opaque id of staff or a place tells nothing; following it is judged.
		return true
	}
	visible, err := v.lookUp(typ, id)
	if err != nil {
		v.err = err
		return false
	}
	v.x.seen[reference] = visible
	return visible
}

// lookUp reads the target and decides on it. It is not part of the answer.
func (v *visibility) lookUp(typ, id string) (bool, error) {
	if !search.KnownType(typ) || v.x.lookups >= maxLookups || !v.x.principal.Scopes.Allows(typ, scopeFor(v.x)) {
		return false, nil
	}
	v.x.lookups++
	c, err := v.fetch(typ, id)
	if err != nil || c == nil {
		return false, err
	}
	if v.st == nil || (c.record == nil && !aboutPerson(c, v.st.person)) || (c.subject.Patient != "" && !v.st.person.Is(c.subject.Patient)) {
		return false, nil
	}
	return lets(v.s.session(v.x, v.st, c.origin).Decide(&c.subject).Effect), nil
}

func (v *visibility) fetch(typ, id string) (*candidate, error) {
	if v.s.o.IDs.IsOpaque(id) {
		key, remote, ok, err := v.s.o.IDs.Resolve(v.ctx, typ, id)
		if err != nil || !ok || v.st == nil {
			return nil, err
		}
		o, ok := v.s.o.Directory.Origin(key)
		if !ok || slices.Contains(v.st.unheard, key) || !v.s.session(v.x, v.st, o).Possible(o) {
			return nil, nil
		}
		e, err := v.s.o.Broker.Read(v.ctx, key, typ, remote, v.x.share())
		for _, quiet := range []error{upstream.ErrNotFound, upstream.ErrFailed, upstream.ErrRefused, upstream.ErrSuppressed} {
			if errors.Is(err, quiet) { // not known to be visible
				return nil, nil
			}
		}
		if err != nil {
			return nil, err
		}
		return v.s.candidate(e.Resource, e.Origin, nil), nil
	}
	rec, err := v.s.o.Store.Read(v.ctx, store.Key{Type: typ, ID: id})
	if errors.Is(err, store.ErrNotFound) || (err == nil && rec.Deleted) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return v.s.own(rec)
}

// versioned names one version of a record.
func versioned(rec *store.Record) string {
	return rec.Key.String() + "/_history/" + formatVersion(rec.Version)
}

// scopeFor is the letter by which this interaction's answers are covered.
func scopeFor(x *exchange) permission {
	if x.req.Interaction == rest.SearchType {
		return searchLetter
	}
	return readLetter
}
