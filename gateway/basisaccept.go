package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/parameters"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway/emergency"
	"github.com/handoff-health/handoff/gateway/legalbasis"
	"github.com/handoff-health/handoff/gateway/policy"
)

// Deciding on a declared legal basis: accept, reject and withdraw are the
// custodian's, cancel is the declarer's.

func acceptSpec(law *policy.Engine) parameters.Spec {
	return parameters.Spec{
		{Name: "covers", Value: "valueReference", Many: true},
		{Name: "attributes", Value: "part", Parts: attributeParts(law)},
		{Name: "validUntil", Value: "value[x]", Required: true},
		{Name: "patient", Value: "valueReference"},
		{Name: "role", Value: "valueCode", Many: true},
		{Name: "client", Value: "valueString"},
		{Name: "note", Value: "valueString"},
	}
}

func readAcceptance(s *Server, x *exchange) error { return s.readGiven(x, acceptSpec(s.o.Policy)) }

// openCase reads the case of the Task in the address with both its Tasks.
func (s *Server) openCase(ctx context.Context, c *candidate) (*caseFile, error) {
	if !legalbasis.Is(c.resource) {
		return nil, outcome.Unprocessable("the Task is no legal basis")
	}
	id := c.resource.Root().Path("groupIdentifier", "value").Text()
	recs, err := s.found(ctx, "Task", indexCase, id)
	if err != nil {
		return nil, err
	}
	f := &caseFile{}
	for _, rec := range recs {
		t, err := s.own(rec)
		if err != nil {
			return nil, err
		}
		if rec.ID == c.record.ID && rec.Version != c.record.Version {
			return nil, outcome.Conflict("somebody else has just taken a step; read the Task again")
		}
		if t.resource.Root().Path("owner", "reference").Text() != rec.Origin.Custodian {
			f.other = taskAt{rec.ID, rec.Version}
			continue
		}
		f.custodian = taskAt{rec.ID, rec.Version}
		if f.Case, err = legalbasis.Read(t.resource); err != nil {
			return nil, err
		}
	}
	if f.Case == nil {
		return nil, fmt.Errorf("%s: the custodian's Task of the case is missing", c.record.Key)
	}
	return f, nil
}

// decided opens the case for a step of the custodian.
func (s *Server) decided(ctx context.Context, x *exchange) (*caseFile, error) {
	c, err := s.opened(x, basisRecords)
	if err != nil {
		return nil, err
	}
	f, err := s.openCase(ctx, c)
	if err != nil {
		return nil, err
	}
	if f.custodian.id != c.record.ID {
		return nil, notYours("the custodian decides on a legal basis, nobody whom it favours")
	}
	return f, nil
}

// refusedStep gives a step that does not fit the state its status.
func refusedStep(err error) error {
	var wrong *legalbasis.StateError
	if errors.As(err, &wrong) {
		return outcome.Conflict("%s", wrong.Error())
	}
	return err
}

func actAccept(ctx context.Context, s *Server, x *exchange) error {
	f, err := s.decided(ctx, x)
	if err != nil {
		return err
	}
	if f.State != legalbasis.Requested {
		return refusedStep(&legalbasis.StateError{Step: "accepted", State: f.State})
	}
	form, ok := s.o.Policy.BasisForm(f.Type)
	if !ok { // the law has changed since
		return outcome.Unprocessable("the law that is in force here has no legal basis of this type any more")
	}
	a, err := s.acceptance(x, f, form)
	if err != nil {
		return err
	}
	if issues := legalbasis.CheckAcceptance(f.Case, a, form, s.o.Bases.longest(f.Type)); len(issues) > 0 {
		return outcome.Unprocessable("the legal basis cannot be accepted so", atParameters(issues)...)
	}
	if issues, err := s.strangers(ctx, f.Case, a); err != nil {
		return err
	} else if len(issues) > 0 {
		return outcome.Unprocessable("covers names what is not yours about this person", atParameters(issues)...)
	}
	if f.Case, err = f.Accept(*a); err != nil {
		return refusedStep(err)
	}
	if void := s.void(x, f.Case); len(void) > 0 {
		return outcome.Unprocessable("the legal basis would not hold: "+void[0].Detail, outcome.Issue{
			Code: outcome.CodeInvariant, Expression: "Parameters.attributes", Diagnostics: f.Type + ": " + void[0].Detail,
		})
	}
	if issues, err := s.barred(ctx, x, f.Case); err != nil {
		return err
	} else if len(issues) > 0 {
		return outcome.Unprocessable("the legal basis would reach nothing under the law that is in force for the custodian", issues...)
	}
	return s.fileCase(ctx, x, f)
}

// acceptance reads what the custodian determines. What it is to state by itself
// and did not is stated for it: that it made the determination, and when.
func (s *Server) acceptance(x *exchange, f *caseFile, form policy.BasisForm) (*legalbasis.Acceptance, error) {
	g := x.given
	a := &legalbasis.Acceptance{Step: legalbasis.Step{By: actor(x), At: x.at}, Limits: limits(g)}
	a.Note = g.Text("note")
	var err error
	if a.Covers, err = s.allNamed(g, "covers"); err != nil {
		return nil, err
	}
	if a.Patient, err = s.named(g, "patient", "Patient"); err != nil {
		return nil, err
	}
	if a.ValidUntil, err = s.moment(g, "validUntil"); err != nil {
		return nil, err
	}
	if a.Attributes, err = attributesOf(g, form); err != nil {
		return nil, err
	}
	if a.Attributes == nil {
		a.Attributes = map[string]any{}
	}
	for _, at := range form.Attributes {
		if _, stated := a.Attributes[at.Name]; stated {
			continue
		}
		switch at.Name {
		case "attestedBy", "initiatedBy":
			a.Attributes[at.Name] = f.Custodian
		case "attestedAt":
			a.Attributes[at.Name] = resource.FormatInstant(x.at)
		}
	}
	return a, nil
}

// void asks policy whether the basis would be valid for whom it favours.
func (s *Server) void(x *exchange, c *legalbasis.Case) []policy.Reason {
	return s.sessionOf(x, c).VoidBases()
}

// sessionOf judges for whom the basis favours, with it as the one that is accepted.
func (s *Server) sessionOf(x *exchange, c *legalbasis.Case) *policy.Session {
	q := s.asFor(x, c)
	q.LegalBases = []*policy.LegalBasis{c.Basis("")}
	if c.Accepted.Rule == "" {
		roles := slices.Clone(c.Roles)
		if c.Declared.By.Organization == c.Custodian {
			for _, code := range append(slices.Clone(c.Limits.Roles), c.Accepted.Limits.Roles...) {
				roles = append(roles, label.Code{System: terminology.ActorRole.URI(), Code: code})
			}
		}
		q.Requester = policy.Requester{Organization: c.Recipient, Roles: roles, Police: s.o.Directory.Police(c.Recipient)}
	}
	q.Requester.OrganizationKind, q.Requester.Designations = s.o.Directory.Kind(q.Requester.Organization), s.o.Directory.Designations(q.Requester.Organization)
	return s.o.Policy.Begin(q)
}

// strangers lists the covers that are not the custodian's, or not about the
// person. Absent and another's look the same.
func (s *Server) strangers(ctx context.Context, c *legalbasis.Case, a *legalbasis.Acceptance) ([]outcome.Issue, error) {
	var about []string
	persons := []string{c.Patient}
	if a.Patient != "" {
		persons = append(persons, a.Patient)
	}
	for _, ref := range persons {
		p, err := s.gatherer.Person(ctx, ref)
		if err != nil {
			return nil, err
		}
		about = append(about, p.References...)
	}
	var out []outcome.Issue
	for i, ref := range a.Covers {
		ok, err := s.holdsRecord(ctx, c.Custodian, ref, about)
		if err != nil {
			return nil, err
		}
		if !ok {
			out = append(out, outcome.Issue{
				Code: outcome.CodeNotFound, Expression: fmt.Sprintf("covers[%d]", i),
				Diagnostics: "is no record of yours about this person that you have looked at here; give patient if you know the person by another id",
			})
		}
	}
	return out, nil
}

// holdsRecord says whether a reference is to a record of the custodian's about one of
// these references of a person.
func (s *Server) holdsRecord(ctx context.Context, custodian, ref string, about []string) (bool, error) {
	_, typ, id, ok := resource.SplitReference(ref)
	if !ok {
		return false, nil
	}
	if !s.o.IDs.IsOpaque(id) {
		c, err := s.fromStore(ctx, store.Key{Type: typ, ID: id})
		return c != nil && !isInternal(c.origin) && c.origin.Custodian == custodian && slices.Contains(about, c.subject.Patient), err
	}
	key, _, ok, err := s.o.IDs.Resolve(ctx, typ, id)
	if err != nil || !ok {
		return false, err
	}
	if o, known := s.o.Directory.Origin(key); !known || o.Custodian != custodian {
		return false, nil
	}
	subjects, err := s.subjectsOf(ctx, typ, id)
	if err != nil {
		if outcome.As(err).Status == http.StatusNotFound {
			return false, nil
		}
		return false, err
	}
	return slices.ContainsFunc(subjects, func(p string) bool { return slices.Contains(about, p) }), nil
}

// step is what was given of who does it, when and why.
func stepOf(x *exchange) legalbasis.Step {
	return legalbasis.Step{By: actor(x), At: x.at.Truncate(time.Millisecond), Note: x.given.Text("reason")}
}

func actReject(ctx context.Context, s *Server, x *exchange) error {
	return s.endCase(ctx, x, func(c *legalbasis.Case, st legalbasis.Step) (*legalbasis.Case, error) { return c.Reject(st) })
}

func actWithdraw(ctx context.Context, s *Server, x *exchange) error {
	return s.endCase(ctx, x, func(c *legalbasis.Case, st legalbasis.Step) (*legalbasis.Case, error) { return c.Withdraw(st) })
}

func (s *Server) endCase(ctx context.Context, x *exchange, how func(*legalbasis.Case, legalbasis.Step) (*legalbasis.Case, error)) error {
	f, err := s.decided(ctx, x)
	if err != nil {
		return err
	}
	if f.Case, err = how(f.Case, stepOf(x)); err != nil {
		return refusedStep(err)
	}
	return s.fileCase(ctx, x, f)
}

// actCancel takes back what the caller's organisation has declared.
func actCancel(ctx context.Context, s *Server, x *exchange) error {
	c, err := s.opened(x, "")
	if err != nil {
		return err
	}
	switch {
	case emergency.IsDeclaration(c.resource):
		return s.endEmergency(ctx, x, c)
	case !legalbasis.Is(c.resource):
		return outcome.Unprocessable("the Task is no declaration: it cannot be cancelled")
	}
	f, err := s.openCase(ctx, c)
	if err != nil {
		return err
	}
	if f.Declared.By.Organization != x.principal.Requester.Organization {
		return notYours("who declared a legal basis cancels it; the custodian rejects or withdraws")
	}
	if f.Case, err = f.Cancel(stepOf(x)); err != nil {
		return refusedStep(err)
	}
	return s.fileCase(ctx, x, f)
}
