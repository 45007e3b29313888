package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/compartment"
	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/parameters"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/fhir/validate"
	"github.com/handoff-health/handoff/gateway/capture"
	"github.com/handoff-health/handoff/gateway/rest"
	"github.com/handoff-health/handoff/gateway/smart"
)

// Consent/$capture: what a person said or signed on the scene becomes a Consent,
// within the ceiling of how it was captured. The ceiling is kept beside the
// Consent and holds in every decision, whatever the Consent says.

// CaptureLimits bound captured Consents. A zero value means that nothing can be
// captured.
type CaptureLimits struct {
	Verbal, Written time.Duration // how long one counts at most
	Backlog         time.Duration // how long ago the person may have been asked
}

// readCapture reads what was captured, holds it to its ceiling and builds the
// Consent. All of it depends on the body, the token and the configuration alone.
func readCapture(s *Server, x *exchange) error {
	if err := readNothing(s, x); err != nil {
		return err
	}
	r, err := s.sent(x)
	if err != nil {
		return err
	}
	c, err := capture.Read(r, s.zone())
	if err != nil {
		return err
	}
	if !s.o.Directory.Captures(x.principal.Client, c.How) {
		return outcome.Forbidden("the client is not registered to capture a %s Consent", c.How)
	}
	if c.AskedBy, err = askedBy(x, c); err != nil {
		return err
	}
	if err := c.Check(capture.Rules{
		Site: s.o.Directory, Now: x.at, Custodians: s.o.Directory.RecordsConsentFor(x.principal.Client), Skew: clockSkew,
		Verbal: s.o.Capture.Verbal, Written: s.o.Capture.Written, Backlog: s.o.Capture.Backlog,
	}); err != nil {
		return err
	}
	built, err := c.Consent()
	if err != nil {
		return err
	}
	if x.body, err = resource.Parse(built); err != nil {
		return err
	}
	x.captured = c
	if err := checkSignature(c); err != nil {
		return err
	}
	return checkConsent(x.body)
}

// checkSignature wants a Signature that is valid FHIR: it is kept as it was sent.
func checkSignature(c *capture.Capture) error {
	if !c.Signature.Given() {
		return nil
	}
	raw, err := encodeJSON(object{
		"resourceType": "Provenance", "target": []object{{"reference": c.Patient}}, "recorded": resource.FormatInstant(c.Signature.When),
		"agent": []object{{"who": object{"reference": c.Signature.Who}}}, "signature": []json.RawMessage{c.Signature.Raw},
	})
	if err != nil {
		return err
	}
	r, err := resource.Parse(raw)
	if err != nil {
		return err
	}
	if issues := validate.Resource(r); validate.Failed(issues) {
		return outcome.Unprocessable("the signature is not valid FHIR R4", validate.Outcomes(issues)...)
	}
	return nil
}

// askedBy is who asked the person: whom the token names, else whom the client
// names.
func askedBy(x *exchange, c *capture.Capture) (string, error) {
	if u := x.principal.User; u.ID != "" {
		return strings.TrimSpace(u.Name + " " + u.ID), nil
	}
	if c.AskedBy == "" {
		return "", outcome.Unprocessable("", outcome.Issue{Code: outcome.CodeRequired, Expression: "askedBy",
			Diagnostics: "who asked the person is not known: the token names nobody, so askedBy must"})
	}
	return c.AskedBy, nil
}

// actCapture writes the Consent with its Provenance, the request to call back
// and the end of what it replaces, as one unit. A replay gives what is there.
func actCapture(ctx context.Context, s *Server, x *exchange) error {
	if !s.mayRecordAbout(x) {
		return unknownPatient(x, "patient")
	}
	x.kept = nil
	if done, err := s.replayed(ctx, x); err != nil || done {
		return err
	}
	if err := s.contactKnown(ctx, x); err != nil {
		return err
	}
	err := s.captures(ctx, x)
	if !errors.Is(err, store.ErrExists) {
		return err
	}
	// The same capture came twice at once, and the other was faster.
	fresh, perr := s.pin(ctx)
	if perr != nil {
		return perr
	}
	if done, rerr := s.replayed(fresh, x); rerr != nil || done {
		return rerr
	}
	return err
}

// replayed finds the Consent of an earlier capture under the same identifier.
func (s *Server) replayed(ctx context.Context, x *exchange) (bool, error) {
	recs, err := s.recorded(ctx, x, x.captured.Identifier.System, x.captured.Identifier.Value)
	if err != nil || len(recs) == 0 {
		return false, err
	}
	if x.patientAlone() { // what stands under it about somebody else is out of sight
		recs = slices.DeleteFunc(recs, func(rec *store.Record) bool {
			r, err := resource.Parse(rec.Raw)
			return err != nil || !x.launched.Is(compartment.Subject(r))
		})
		if len(recs) == 0 {
			return false, nil
		}
	}
	rec := recs[0]
	r, err := resource.Parse(rec.Raw)
	if err != nil {
		return false, err
	}
	if len(recs) > 1 || rec.Origin.Capture.How == "" || !x.person.Is(compartment.Subject(r)) {
		return false, outcome.Conflict("the identifier stands for another Consent that you have recorded")
	}
	x.written = rec
	return true, s.showWritten(ctx, x, rec)
}

// contactKnown wants the named contact to be an organisation of the site, or
// somebody whom the caller may see.
func (s *Server) contactKnown(ctx context.Context, x *exchange) error {
	ref := x.captured.Contact.Reference
	if ref == "" {
		return nil
	}
	unknown := outcome.Unprocessable("", outcome.Issue{Code: outcome.CodeNotFound, Expression: "contact", Diagnostics: "the contact is nobody known to you"})
	base, typ, id, ok := resource.SplitReference(ref)
	switch {
	case !ok || base != "":
		return unknown
	case typ == "Organization" && s.o.Directory.Kind(ref) != "":
		return nil
	case typ != "Practitioner" && typ != "PractitionerRole" && typ != "CareTeam" && typ != "RelatedPerson" && typ != "Organization":
		return unknown
	}
	st, err := s.stand(ctx, x, x.person)
	if err != nil {
		return err
	}
	c, err := s.fetch(ctx, x, pointer{typ, id, st})
	if err != nil {
		return err
	}
	if c == nil || !lets(s.target(x, st, c)) {
		return unknown
	}
	return nil
}

// captures writes the unit.
func (s *Server) captures(ctx context.Context, x *exchange) error {
	c := x.captured
	w := store.Write{Record: store.Record{Key: store.Key{Type: "Consent", ID: s.newID()}}, Expect: store.Absent}
	claim := x.principal.Requester.Organization + " capture " + c.Identifier.System + "|" + c.Identifier.Value
	if x.patientAlone() {
		claim += " " + s.contextPatient(x.principal)
	}
	w.Claims = []string{claim}
	raw, err := storedForm(x.body, w.ID)
	if err != nil {
		return err
	}
	if err := s.record(x, &w, raw, smart.Create, c.Ceiling()); err != nil {
		return err
	}
	more, err := s.captureRecords(x, w)
	if err != nil {
		return err
	}
	ended, err := s.replaced(ctx, x, w.Key)
	if err != nil {
		return err
	}
	recs, err := s.o.Store.Apply(ctx, append(append([]store.Write{w}, more...), ended...))
	switch {
	case errors.Is(err, store.ErrExists):
		return err
	case errors.Is(err, store.ErrConflict):
		return outcome.Conflict("the Consent that it replaces has changed meanwhile; send it again").Because(err)
	case err != nil:
		return err
	}
	recs[0].Raw = w.Raw
	x.written, x.created = recs[0], true
	return s.showConsent(ctx, x, recs[0])
}

// captureRecords makes the Provenance of the capture and the request to call
// back.
func (s *Server) captureRecords(x *exchange, w store.Write) ([]store.Write, error) {
	c := x.captured
	consent := versionedAs(w.Key, 1)
	agents := s.agents(x)
	if c.Witness != "" {
		agents = append(agents, object{"type": concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "WIT"), "who": object{"display": c.Witness}})
	}
	p := object{
		"resourceType": "Provenance", "id": s.newID(), "target": []object{{"reference": consent}, {"reference": c.Patient}},
		"occurredDateTime": resource.FormatInstant(c.AskedAt), "recorded": resource.FormatInstant(x.at),
		"activity": concept("http://terminology.hl7.org/CodeSystem/v3-DataOperation", "CREATE"), "agent": agents,
	}
	if c.Signature.Given() {
		p["signature"] = []json.RawMessage{c.Signature.Raw}
		p["extension"] = []object{{"url": terminology.Base + "/StructureDefinition/signed-sha256", "valueString": c.Digest()}}
	}
	pw, err := s.provenanceOf(x, p)
	if err != nil {
		return nil, err
	}
	out := []store.Write{pw}
	id := s.newID()
	raw, err := c.CallBack(id, w.Key.String(), x.principal.Requester.Organization, x.at)
	if err != nil || raw == nil || !c.Effective() {
		return out, err
	}
	call := store.Write{Record: store.Record{Key: store.Key{Type: "ServiceRequest", ID: id}}, Expect: store.Absent}
	x.callBack = raw
	err = s.record(x, &call, raw, 0, resource.Capture{})
	return append(out, call), err
}

// replaced ends the Consent that the capture takes the place of, which the
// caller's organisation must have recorded about the same person.
func (s *Server) replaced(ctx context.Context, x *exchange, by store.Key) ([]store.Write, error) {
	if x.captured.Replaces == "" {
		return nil, nil
	}
	unknown := outcome.Unprocessable("", outcome.Issue{Code: outcome.CodeNotFound, Expression: "replaces",
		Diagnostics: "replaces names no Consent in force that your organisation has recorded about this person"})
	base, typ, id, ok := resource.SplitReference(x.captured.Replaces)
	if !ok || base != "" || typ != "Consent" {
		return nil, unknown
	}
	rec, err := s.o.Store.Read(ctx, store.Key{Type: typ, ID: id})
	if errors.Is(err, store.ErrNotFound) || err == nil && (rec.Deleted || rec.Origin.Custodian != x.principal.Requester.Organization) {
		return nil, unknown
	}
	if err != nil {
		return nil, err
	}
	r, err := resource.Parse(rec.Raw)
	if err != nil {
		return nil, err
	}
	if !r.Root().Get("status").Is("active") || !x.person.Is(compartment.Subject(r)) {
		return nil, unknown
	}
	return s.end(x, rec, r, ending{activity: "OBSOLETE", at: x.captured.AskedAt, replacedBy: by.String()})
}

// renderCaptured answers with the Consent, the request to call back, and what
// the Consent does and lacks.
func renderCaptured(s *Server, x *exchange) (*rest.Response, error) {
	rec := x.written
	if rec == nil {
		return nil, errors.New("nothing was captured and no error was given")
	}
	h := http.Header{}
	h.Set("ETag", etagOf(rec))
	h.Set("Last-Modified", rec.LastUpdated.UTC().Format(http.TimeFormat))
	h.Set("Location", s.o.Base+"/"+versioned(rec))
	answer := &rest.Response{Status: http.StatusOK, Header: h}
	if x.created {
		answer.Status = http.StatusCreated
	}
	var w parameters.Writer
	if len(x.kept) == 1 {
		w.Resource("consent", x.kept[0].raw)
	}
	if x.callBack != nil && x.created {
		w.Resource("callBack", x.callBack)
	}
	body, err := s.analysed(x, rec.Origin)
	if err != nil {
		return nil, err
	}
	w.Resource("outcome", body)
	answer.Body = w.Bytes()
	return answer, nil
}
