package gateway

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/compartment"
	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/smart"
)

// Levels: patient/, user/ and system/ scopes are never put together. An
// interaction is open at each level that allows it by itself, and what it
// returns or writes is judged by the scopes of these levels alone, each with its
// own conditions. docs/tokens.md says so to those who ask for scopes.

// levelsOf lists the levels that count for whom a token speaks: a client's own
// is system/; a person's are user/ and, with a patient in context, patient/.
func levelsOf(p *auth.Principal) []string {
	switch {
	case guard.Off(guard.ScopeLevel):
		return []string{smart.ContextSystem, smart.ContextUser, smart.ContextPatient}
	case !p.ForPerson():
		return []string{smart.ContextSystem}
	}
	return []string{smart.ContextUser, smart.ContextPatient}
}

// allow asks the scopes before any data is touched: its answer depends on the
// token and the path alone. It notes the levels at which the interaction is open.
func (s *Server) allow(x *exchange) error {
	d, known := demands[x.req.Interaction]
	switch {
	case !known: // a route without a row opens for nobody
		return beyondScope("no scope opens this interaction")
	case d.open:
		return nil
	case d.scope != "":
		return allowOperation(x, d.scope)
	}
	typ := d.on
	if typ == "" {
		typ = x.req.Type
	}
	if !search.KnownType(typ) {
		return outcome.New(http.StatusNotFound, outcome.CodeNotSupported, "unknown resource type")
	}
	if d.letters()&(smart.Create|smart.Update) != 0 && !isOperation(x.req.Interaction) && typ != "Consent" {
		return outcome.MethodNotAllowed("only Consent can be written here; other resources come from their systems")
	}
	open := openAt(x.principal, d, typ)
	x.demand, x.levels = d, open
	if s.contextPatient(x.principal) == "" { // patient/ scopes are about nobody then
		x.levels = slices.DeleteFunc(slices.Clone(open), func(l string) bool { return l == smart.ContextPatient })
	}
	switch {
	case len(x.levels) > 0:
		return nil
	case len(open) > 0:
		return beyondScope("the token has patient/ scopes and no patient in context: ask for launch/patient, or start from the patient's record")
	case guard.Off(guard.ScopeInteraction):
		x.levels = levelsOf(x.principal)
		return nil
	}
	return beyondScope("the scopes of the token do not cover this interaction on %s: it needs %s", typ, d.example(levelsOf(x.principal)[0], typ))
}

// allowOperation asks for the scope of an operation of its own, which law
// enforcement may never hold, whatever its token says.
func allowOperation(x *exchange, scope string) error {
	if _, police := smart.OperationScope(scope); !police && (x.principal.Police || x.principal.Requester.Police) {
		return outcome.Forbidden("%s is never open to law enforcement", x.req.Interaction)
	}
	if !x.principal.MayUse(scope) && !guard.Off(guard.ScopeOperation) {
		return beyondScope("the token has not the scope %s", scope)
	}
	return nil
}

// openAt lists the levels at which the scopes fulfil the demand by themselves.
func openAt(p *auth.Principal, d demand, typ string) []string {
	var out []string
	for _, level := range levelsOf(p) {
		if len(d.levels) > 0 && !slices.Contains(d.levels, level) {
			continue
		}
		if d.fulfilledBy(p.Scopes.In(level), typ) {
			out = append(out, level)
		}
	}
	return out
}

// scopes are those of the levels at which the interaction is open.
func (x *exchange) scopes() smart.Scopes { return x.principal.Scopes.In(x.levels...) }

// allows says whether a level at which the interaction is open has the letter
// on a type.
func (x *exchange) allows(typ string, p smart.Permission) bool {
	return len(x.levels) > 0 && x.principal.Scopes.Allows(typ, p, x.levels...)
}

// covers says whether one level covers each of the resources with one of the
// letters: one scope per resource with all its criteria, and at the patient
// level what is about the patient in context alone.
func (x *exchange) covers(p smart.Permission, rs ...*resource.Resource) bool {
	if guard.Off(guard.ScopeWritten) {
		return true
	}
	return slices.ContainsFunc(x.levels, func(level string) bool {
		scopes := x.principal.Scopes.In(level)
		return !slices.ContainsFunc(rs, func(r *resource.Resource) bool {
			return !scopes.CoversAny(r, p) || level == smart.ContextPatient && !x.launched.Is(compartment.Subject(r))
		})
	})
}

// reaches says whether the levels at which the interaction is open can be about
// this person: at the patient level alone, only the patient in context.
func (x *exchange) reaches(p *attribute.Person) bool {
	if !x.patientAlone() {
		return true
	}
	return x.launched != nil && p != nil && slices.ContainsFunc(p.References, x.launched.Is)
}

// patientAlone says whether patient/ scopes alone open the interaction: it is
// then about the patient in context.
func (x *exchange) patientAlone() bool {
	return len(x.levels) == 1 && x.levels[0] == smart.ContextPatient && !guard.Off(guard.ScopePatient)
}

// contextPatient is the token's patient as the gateway writes a reference,
// "Patient/…"; "" if there is none, or none of this server.
func (s *Server) contextPatient(p *auth.Principal) string {
	ref := strings.TrimPrefix(p.Patient, s.o.Base+"/")
	id := strings.TrimPrefix(ref, "Patient/")
	if !resource.ValidID(id) {
		return ""
	}
	return "Patient/" + id
}

// launch finds the person in the token's context, where patient/ scopes count.
// One whose Patient is no longer there is nobody, whatever still names it.
func launch(ctx context.Context, s *Server, x *exchange) error {
	if !slices.Contains(x.levels, smart.ContextPatient) {
		return nil
	}
	ref := s.contextPatient(x.principal)
	there, err := s.hasPatient(ctx, ref)
	if err != nil || !there {
		return err
	}
	x.launched, err = s.gatherer.Person(ctx, ref)
	return err
}

// hasPatient says whether a Patient reference leads to anybody: to a Patient of
// the own store, or to an id that was given to one of a connected system.
func (s *Server) hasPatient(ctx context.Context, ref string) (bool, error) {
	_, id, _ := strings.Cut(ref, "/")
	if s.o.IDs.IsOpaque(id) {
		system, _, ok, err := s.o.IDs.Resolve(ctx, "Patient", id)
		if err != nil || !ok {
			return false, err
		}
		_, known := s.o.Directory.Origin(system)
		return known, nil
	}
	rec, err := s.o.Store.Read(ctx, store.Key{Type: "Patient", ID: id})
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil && !rec.Deleted, err
}

// whom finds the person behind a reference. Who is out of the token's reach is
// nobody, for whom no system is asked.
func (s *Server) whom(ctx context.Context, x *exchange, ref string) (*attribute.Person, error) {
	p, err := s.gatherer.Person(ctx, ref)
	if err != nil || x.reaches(p) {
		return p, err
	}
	return s.gatherer.Person(ctx, nobody)
}

// inContext is the patient of the token for policy, "" if patient/ scopes do not
// count or their patient is no longer there.
func (x *exchange) inContext(s *Server) string {
	if x.launched == nil {
		return ""
	}
	return s.contextPatient(x.principal)
}
