package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/compartment"
	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/validate"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/rest"
	"github.com/handoff-health/handoff/gateway/smart"
)

// Create and update of Consent: https://hl7.org/fhir/R4/http.html#create

// readBody reads and checks the Consent that is to be written.
func readBody(s *Server, x *exchange) error {
	if err := readNothing(s, x); err != nil {
		return err
	}
	r, err := s.sent(x)
	if err != nil {
		return err
	}
	if r.Type() != x.req.Type && !guard.Off(guard.ParserAddress) {
		return outcome.BadRequest(outcome.CodeInvalid, "the body is a %s, the address says %s", r.Type(), x.req.Type).At("resourceType")
	}
	if x.req.Interaction == rest.Update {
		if r.ID() != x.req.ID && !guard.Off(guard.ParserAddress) {
			return outcome.BadRequest(outcome.CodeInvalid, "the body's id must be the one in the address").At("Consent.id")
		}
		match, err := precondition(x, "If-Match")
		if err != nil {
			return err
		}
		if match == "" {
			return outcome.New(http.StatusPreconditionRequired, outcome.CodeRequired, "an update needs If-Match with the version that it replaces").At("http.If-Match")
		}
	}
	if x.req.HTTP.Header.Get("If-None-Match") != "" {
		return outcome.NotSupported("If-None-Match is not supported on writes").At("http.If-None-Match")
	}
	if _, err := createCondition(x); err != nil {
		return err
	}
	if isPart(r) && !guard.Off(guard.AccessPartialWrite) {
		return outcome.Unprocessable("what was received in part (meta.tag SUBSETTED) cannot be written: read it whole first",
			outcome.Issue{Code: outcome.CodeIncomplete, Diagnostics: "marks a part", Expression: "Consent.meta.tag"})
	}
	if err := checkConsent(r); err != nil {
		return err
	}
	x.body = r
	return nil
}

// isPart says whether a resource is marked as received without some of its
// elements. To write it would lose them.
func isPart(r *resource.Resource) bool {
	for t := range r.Root().Get("meta").Get("tag").Elements() {
		if t.Get("code").Is("SUBSETTED") || t.Get("code").Is("REDACTED") {
			return true
		}
	}
	return false
}

// checkConsent validates the structure, and what a Consent needs here to be
// judged: whom it is about.
func checkConsent(r *resource.Resource) error {
	if issues := validate.Resource(r); validate.Failed(issues) {
		return outcome.Unprocessable("the Consent is not valid FHIR R4", validate.Outcomes(issues)...)
	}
	if ref := compartment.Subject(r); !strings.HasPrefix(ref, "Patient/") {
		return outcome.Unprocessable("a Consent is about one Patient here: Consent.patient.reference must be Patient/<id>",
			outcome.Issue{Code: outcome.CodeRequired, Diagnostics: "not a literal reference to a Patient", Expression: "Consent.patient"})
	}
	return nil
}

// locateSubject loads the Patient that a new Consent is about; it must be one
// that the caller may see.
func locateSubject(ctx context.Context, s *Server, x *exchange) error {
	ref := compartment.Subject(x.body)
	var err error
	if x.person, err = s.whom(ctx, x, ref); err != nil {
		return err
	}
	x.note(ref)
	return nil
}

// gatherSubject makes the Patient the candidate that is judged before anything
// is written. An unknown one and one out of sight give the same answer.
func gatherSubject(ctx context.Context, s *Server, x *exchange) error {
	st, err := s.stand(ctx, x, x.person)
	if err != nil {
		return err
	}
	_, id, _ := strings.Cut(compartment.Subject(x.body), "/")
	if s.o.IDs.IsOpaque(id) {
		key, _, _, err := s.o.IDs.Resolve(ctx, "Patient", id)
		if err != nil {
			return err
		}
		if o, ok := s.o.Directory.Origin(key); ok && s.session(x, st, o).Possible(o) {
			x.asks(key)
			if err := s.bring(ctx, x, st, []string{key}); err != nil {
				return err
			}
			x.resetSessions()
		}
	}
	c, err := s.fetch(ctx, x, pointer{"Patient", id, st})
	if err != nil {
		return err
	}
	if c != nil {
		x.candidates = []*candidate{c}
	}
	return nil
}

// actCreate writes the new Consent. Policy has judged the Patient by then.
func actCreate(ctx context.Context, s *Server, x *exchange) error {
	if !s.mayRecordAbout(x) && !guard.Off(guard.AccessKnownSubject) {
		return unknownPatient(x, "Consent.patient")
	}
	x.kept = nil
	var claims []string
	condition, err := createCondition(x)
	if err != nil {
		return err
	}
	if condition != "" {
		done, claim, err := s.conditional(ctx, x, condition)
		if err != nil || done {
			return err
		}
		claims = append(claims, claim)
	}
	err = s.write(ctx, x, store.Write{
		Record: store.Record{Key: store.Key{Type: "Consent", ID: s.newID()}}, Expect: store.Absent, Claims: claims,
	})
	if condition == "" || !errors.Is(err, store.ErrExists) {
		return err
	}
	// Another create under the same condition was faster: its Consent is the answer.
	fresh, perr := s.pin(ctx)
	if perr != nil {
		return perr
	}
	if done, _, cerr := s.conditional(fresh, x, condition); cerr != nil || done {
		return cerr
	}
	return err
}

// unknownPatient refuses a Patient that is not there or out of sight. If the
// token sees no Patient at all, it says so, whoever is named.
func unknownPatient(x *exchange, at string) error {
	text := at + " is not a Patient known to you"
	if !x.allows("Patient", smart.Read) {
		text += ": the scopes of the token do not let it read a Patient"
	}
	return outcome.Unprocessable(text, outcome.Issue{Code: outcome.CodeNotFound, Diagnostics: "not found", Expression: at})
}

// mayRecordAbout says whether the Patient is one that the caller may see. A
// patient of the recorder's own is known to it whatever the person's Consents
// withhold: otherwise nobody could consent again after an opt-out.
func (s *Server) mayRecordAbout(x *exchange) bool {
	return len(x.kept) == 1 || s.gatherer.Linked(x.person, x.principal.Requester.Organization)
}

// locateStanding loads the Consent that an update replaces.
func locateStanding(ctx context.Context, s *Server, x *exchange) error {
	if s.o.IDs.IsOpaque(x.req.ID) {
		return outcome.NotFound(errors.New("connected systems are not written to"))
	}
	return locateInstance(ctx, s, x)
}

// gatherStanding has nothing to add: the standing Consent is the candidate.
func gatherStanding(context.Context, *Server, *exchange) error { return nil }

// actUpdate replaces the standing Consent, if the caller sees it whole, wrote
// for the organisation that recorded it, and names its version.
func actUpdate(ctx context.Context, s *Server, x *exchange) error {
	if len(x.kept) != 1 {
		return outcome.NotFound(errors.New("not permitted"))
	}
	c := x.kept[0]
	x.kept = nil
	if c.result.Redacted {
		return outcome.Conflict("the Consent was returned without some of its elements and cannot be replaced")
	}
	if c.origin.Custodian != x.principal.Requester.Organization {
		return outcome.Forbidden("a Consent is changed by the organisation that recorded it")
	}
	if compartment.Subject(x.body) != c.subject.Patient && !guard.Off(guard.AccessSameSubject) {
		return outcome.Unprocessable("a Consent stays with its Patient",
			outcome.Issue{Code: outcome.CodeInvalid, Diagnostics: "differs from the standing version", Expression: "Consent.patient"})
	}
	match, err := precondition(x, "If-Match")
	if err != nil {
		return err
	}
	version, err := matchVersion(match)
	if err != nil {
		return err
	}
	if version != c.record.Version {
		return staleVersion(c.record.Version)
	}
	if !x.covers(smart.Update, c.resource, x.body) {
		return beyondScope("the scopes of the token do not cover this Consent")
	}
	return s.write(ctx, x, store.Write{Record: store.Record{Key: c.record.Key}, Expect: version})
}

// write stores the body under the write's key and expectation, labelled, and
// notes it for the answer. What it supersedes ends in the same unit. It is in
// force for every request that starts after the answer has left.
func (s *Server) write(ctx context.Context, x *exchange, w store.Write) error {
	raw, err := storedForm(x.body, w.ID)
	if err != nil {
		return err
	}
	if err := s.record(x, &w, raw, x.demand.all, resource.Capture{}); err != nil {
		return err
	}
	rec, err := s.unit(ctx, x, w)
	if err != nil {
		return err
	}
	x.written, x.created = rec, w.Expect == store.Absent
	return s.showConsent(ctx, x, rec)
}

// record completes a write of what the caller's organisation records. needs is
// the letter that a scope of the token must have for just this resource; 0: it
// is the gateway's own record.
func (s *Server) record(x *exchange, w *store.Write, raw []byte, needs smart.Permission, how resource.Capture) error {
	r, err := resource.Parse(raw)
	if err != nil {
		return err
	}
	origin, ok := s.o.Directory.ClientOrigin(x.principal.Client)
	if !ok {
		return fmt.Errorf("client %q is not in the directory", x.principal.Client)
	}
	// What names a Part 2 program tells that the person is its patient.
	origin.Part2 = origin.Part2 || slices.ContainsFunc(references(r), s.o.Directory.Part2)
	origin.Capture = how
	s.file(w, r, origin)
	if needs != 0 && !x.covers(needs, r) {
		return beyondScope("the scopes of the token do not cover this Consent")
	}
	return nil
}

// file sets what is kept beside a resource.
func (s *Server) file(w *store.Write, r *resource.Resource, origin resource.Origin) {
	c := s.candidate(r, origin, nil)
	w.Raw, w.Origin = r.Raw(), origin
	w.Labels, w.LabelSet = c.subject.Labels.Texts(), c.subject.Labels.Version
	w.Index = search.Index(r)
}

// references lists every literal reference of a resource.
func references(r *resource.Resource) []string {
	var out []string
	r.Root().Descend(func(n resource.Node) bool {
		if n.Kind() == resource.Object {
			if ref := n.Get("reference"); ref.Kind() == resource.String {
				out = append(out, ref.Text())
			}
		}
		return true
	})
	return out
}

// storedForm sets the id and leaves version and time to the store; all else
// stays as it was sent.
func storedForm(r *resource.Resource, id string) ([]byte, error) {
	if !resource.ValidID(id) {
		return nil, fmt.Errorf("%q is not an id", id)
	}
	e := r.Edit()
	e.Set(r.Root(), "id", resource.Quote(id))
	meta := r.Root().Get("meta")
	e.RemoveMember(meta, "versionId")
	e.RemoveMember(meta, "lastUpdated")
	return bytes.Clone(e.Bytes()), nil
}

// newID makes the id of a new resource that cannot be taken for one of a
// connected system.
func (s *Server) newID() string {
	for {
		if id := newResourceID(); !s.o.IDs.IsOpaque(id) {
			return id
		}
	}
}
