package gateway

import (
	"context"
	"errors"
	"slices"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/enforce"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/rest"
)

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
		if cs == nil { // enough; an empty stretch only has nothing new
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
		if st != nil && !c.subject.Internal && (st.deaf || slices.Contains(st.unheard, c.origin.System)) {
			x.incomplete = true
			c.decision = policy.Decision{Effect: policy.Indeterminate, Reasons: []policy.Reason{{Rule: "consent/unheard", Effect: "deny"}}}
		} else {
			p := s.pose(x, st, c.origin)
			c.decision, c.question = p.session.Decide(&c.subject), p.question
			if guard.Off(guard.AccessDecision) {
				c.decision = policy.Decision{Effect: policy.Permit}
			}
		}
		x.seen[c.reference()] = lets(c.decision.Effect)
		x.partial[c.reference()] = c.decision.Effect == policy.Redact
		x.note(c.subject.Patient)
	}
	if err := s.lookAhead(ctx, x, cs); err != nil {
		return err
	}
	for _, c := range cs {
		if err := s.carryOut(x, c); err != nil {
			return err
		}
	}
	return nil
}

func lets(e policy.Effect) bool { return e == policy.Permit || e == policy.Redact }

// carryOut enforces one decision and keeps the resource if its returned form
// still is what was asked for.
func (s *Server) carryOut(x *exchange, c *candidate) error {
	if !lets(c.decision.Effect) {
		x.judged(c, "deny")
		return nil
	}
	v := visibility{s: s, x: x, st: x.people[c.subject.Patient], own: x.recorded(c)}
	result, err := enforce.Apply(&c.subject, c.decision, v)
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
	c.result, c.raw, c.final = result, result.Body, result.Form
	if x.query != nil && !x.query.Match(c.final) && !guard.Off(guard.AccessReturnedForm) && !guard.Off(guard.AccessPerson) {
		x.judged(c, "deny") // a redacted element finds nothing
		return nil
	}
	// A scope's criteria hold on the form in which it goes out, too.
	if !s.session(x, x.people[c.subject.Patient], c.origin).InScope(c.final, c.subject.Patient) {
		x.judged(c, "deny")
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

// judged notes how a candidate was decided, for the event.
func (x *exchange) judged(c *candidate, how string) {
	c.how = how
	if how == "deny" {
		x.denied = append(x.denied, c)
	}
}

// visibility answers enforce: may the caller see what this reference points at?
// Everything that had to be looked up was, before (lookAhead).
type visibility struct {
	s  *Server
	x  *exchange
	st *standing
	// own: a Consent that the caller's organisation recorded, or a record that
	// the gateway keeps for it. Its references are the caller's own words, or meant
	// for it; cutting them would keep a Consent from being revoked.
	own bool
}

// recorded says whether the candidate is a Consent of this store that the
// caller's organisation recorded, or a record kept for it.
func (x *exchange) recorded(c *candidate) bool {
	return (c.resource.Type() == "Consent" || c.subject.Internal) && c.record != nil && c.origin.Custodian == x.principal.Requester.Organization
}

var _ enforce.Partial = visibility{}

// Visible is false unless the target is known to be visible.
func (v visibility) Visible(reference string) bool {
	if v.own || guard.Off(guard.AccessReferences) {
		return true
	}
	base, typ, id, ok := resource.SplitReference(reference)
	if !ok {
		return false
	}
	if base != "" && base != v.s.o.Base {
		return false
	}
	reference = typ + "/" + id // without server and version
	if known, ok := v.x.seen[reference]; ok {
		return known
	}
	switch typ {
	case "Patient": // the person asked about is no news to the caller; anybody else is
		return v.st != nil && v.st.person.Is(reference)
	}
	if openlyNamed(typ) {
		return true
	}
	return false // what was not looked up is not known to be visible
}

// Partial implements enforce.Partial: is what the reference points at seen only
// in part? Its display could tell the rest.
func (v visibility) Partial(reference string) bool {
	_, typ, id, ok := resource.SplitReference(reference)
	return ok && v.x.partial[typ+"/"+id]
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
