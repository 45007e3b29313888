package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/handoff-health/handoff/fhir/compartment"
	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway/consent"
)

// The Consent registry: what a new Consent ends, and who and when, as
// Provenance, in one unit of the store with the Consent itself.

const (
	// maxTries is how often a unit is put together anew because something in it
	// has changed meanwhile.
	maxTries = 8
	// clockSkew is how far the clock of a device may run ahead.
	clockSkew = 5 * time.Minute
)

// unit writes a Consent together with what it supersedes, or nothing at all.
func (s *Server) unit(ctx context.Context, x *exchange, w store.Write, more ...store.Write) (*store.Record, error) {
	for try := 1; ; try++ {
		ws, err := s.supersede(ctx, x, w)
		if err != nil {
			return nil, err
		}
		ws = append(append([]store.Write{w}, ws...), more...)
		recs, err := s.o.Store.Apply(ctx, ws)
		var failed *store.WriteError
		switch {
		case err == nil:
			recs[0].Raw = w.Raw
			return recs[0], nil
		case errors.As(err, &failed) && failed.Index > 0 && errors.Is(err, store.ErrConflict) && try < maxTries:
			if ctx, err = s.pin(ctx); err != nil { // what it would have ended has changed
				return nil, err
			}
		case errors.Is(err, store.ErrExists):
			return nil, outcome.PreconditionFailed(outcome.CodeDuplicate, "a Consent was created under this condition already").Because(err)
		case errors.Is(err, store.ErrConflict):
			return nil, outcome.PreconditionFailed(outcome.CodeConflict, "the Consent has changed meanwhile; read it again").Because(err)
		default:
			return nil, err
		}
	}
}

// supersede makes the writes that end what a new Consent replaces: older
// Consents about the person under the same business identifier that the same
// organisation recorded. Somebody else's stay: an identifier is no secret.
func (s *Server) supersede(ctx context.Context, x *exchange, w store.Write) ([]store.Write, error) {
	r, err := resource.Parse(w.Raw)
	if err != nil || w.Expect != store.Absent || len(w.Claims) > 0 {
		return nil, err // under a claim an equal identifier means a replay
	}
	if !consent.Parse(r, consent.Source{Base: s.o.Base}).Understood() || !replacing(r.Root().Get("status").Text()) {
		return nil, nil
	}
	made, ok := instantOf(r.Root().Get("dateTime").Text(), s.zone())
	if !ok || made.After(x.at.Add(clockSkew)) {
		return nil, nil // which is newer cannot be told: they stand side by side
	}
	var out []store.Write
	for id := range r.Root().All("identifier") {
		recs, err := s.alike(ctx, x, id.Get("system").Text(), id.Get("value").Text())
		if err != nil {
			return nil, err
		}
		for _, rec := range recs {
			old, err := resource.Parse(rec.Raw)
			if err != nil {
				return nil, err
			}
			since, dated := instantOf(old.Root().Get("dateTime").Text(), s.zone())
			if !dated || since.After(made) || rec.ID == w.ID || listed(out, rec.Key) {
				continue
			}
			ws, err := s.end(x, rec, old, ending{activity: "OBSOLETE", at: x.at, replacedBy: w.Key.String()})
			if err != nil {
				return nil, err
			}
			out = append(out, ws...)
		}
	}
	return out, nil
}

// replacing says whether a Consent of this status takes the place of another.
func replacing(status string) bool {
	return status == "active" || status == "inactive" || status == "rejected"
}

func listed(ws []store.Write, k store.Key) bool {
	for i := range ws {
		if ws[i].Key == k {
			return true
		}
	}
	return false
}

// alike finds the Consents in force under a business identifier that the
// caller's organisation has recorded about the same person.
func (s *Server) alike(ctx context.Context, x *exchange, system, value string) ([]*store.Record, error) {
	recs, err := s.recorded(ctx, x, system, value)
	if err != nil {
		return nil, err
	}
	var out []*store.Record
	for _, rec := range recs {
		r, err := resource.Parse(rec.Raw)
		if err != nil {
			return nil, err
		}
		if r.Root().Get("status").Is("active") && x.person.Is(compartment.Subject(r)) {
			out = append(out, rec)
		}
	}
	return out, nil
}

// recorded finds the Consents under a business identifier that the caller's
// organisation has recorded.
func (s *Server) recorded(ctx context.Context, x *exchange, system, value string) ([]*store.Record, error) {
	if system == "" || value == "" {
		return nil, nil
	}
	q, err := search.Parse("Consent", []search.Param{{Name: "identifier", Value: escape(system) + "|" + escape(value)}}, s.search)
	if err != nil {
		return nil, err
	}
	plan := q.Plan()
	plan.Sort, plan.Limit = []store.SortKey{{Param: store.ParamID}}, 200
	var out []*store.Record
	for {
		page, err := s.o.Store.Search(ctx, plan)
		if err != nil {
			return nil, err
		}
		for _, rec := range page.Records {
			if rec.Origin.Custodian == x.principal.Requester.Organization {
				out = append(out, rec)
			}
		}
		if page.Next == "" {
			return out, nil
		}
		plan.After = page.Next
	}
}

// An ending is why, when and how a Consent ends.
type ending struct {
	activity   string    // v3-DataOperation: ABORT for a revocation, OBSOLETE for a newer one
	at         time.Time // when it was asked for
	how        string    // in what way the person asked
	reason     string
	replacedBy string // reference of the Consent that takes its place
}

// end makes the writes that make a Consent inactive: the new version, which
// keeps its origin and all else, and the Provenance of who and when.
func (s *Server) end(x *exchange, rec *store.Record, r *resource.Resource, why ending) ([]store.Write, error) {
	e := r.Edit()
	e.Set(r.Root(), "status", []byte(`"inactive"`))
	ended, err := resource.Parse(bytes.Clone(e.Bytes()))
	if err != nil {
		return nil, err
	}
	w := store.Write{Record: store.Record{Key: rec.Key}, Expect: rec.Version}
	s.file(&w, ended, rec.Origin)
	p, err := s.provenance(x, versionedAs(rec.Key, rec.Version+1), compartment.Subject(r), why)
	if err != nil {
		return nil, err
	}
	return []store.Write{w, p}, nil
}

func versionedAs(k store.Key, version int64) string {
	return k.String() + "/_history/" + formatVersion(version)
}

// provenance makes the write of the record of who did something to a Consent.
func (s *Server) provenance(x *exchange, target, patient string, why ending) (store.Write, error) {
	p := object{
		"resourceType": "Provenance", "id": s.newID(),
		"target":           []object{{"reference": target}, {"reference": patient}},
		"occurredDateTime": resource.FormatInstant(why.at),
		"recorded":         resource.FormatInstant(x.at),
		"activity":         concept("http://terminology.hl7.org/CodeSystem/v3-DataOperation", why.activity),
		"agent":            s.agents(x),
	}
	if why.reason != "" {
		p["reason"] = []object{{"text": why.reason}}
	}
	if why.how != "" {
		p["extension"] = []object{{"url": terminology.Base + "/StructureDefinition/revocation-channel", "valueCode": why.how}}
	}
	if why.replacedBy != "" {
		p["entity"] = []object{{"role": "revision", "what": object{"reference": why.replacedBy}}}
	}
	return s.provenanceOf(x, p)
}

// provenanceOf files a Provenance.
func (s *Server) provenanceOf(x *exchange, p object) (store.Write, error) {
	id, _ := p["id"].(string)
	w := store.Write{Record: store.Record{Key: store.Key{Type: "Provenance", ID: id}}, Expect: store.Absent}
	raw, err := encodeJSON(p)
	if err != nil {
		return w, err
	}
	return w, s.record(x, &w, raw, 0, resource.Capture{})
}

// agents are the organisation, and the person at it whom the token names.
func (s *Server) agents(x *exchange) []object {
	enterer := concept("http://terminology.hl7.org/CodeSystem/provenance-participant-type", "enterer")
	who := object{"reference": x.principal.Requester.Organization}
	if u := x.principal.User; u.ID != "" {
		who = object{"identifier": object{"value": u.ID}}
		if u.Name != "" {
			who["display"] = u.Name
		}
		return []object{{"type": enterer, "who": who, "onBehalfOf": object{"reference": x.principal.Requester.Organization}}}
	}
	return []object{{"type": enterer, "who": who}}
}

func concept(system, code string) object {
	return object{"coding": []object{{"system": system, "code": code}}}
}

// encodeJSON writes what is built here, without HTML escapes.
func encodeJSON(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

// zone is that of dates without one.
func (s *Server) zone() *time.Location {
	if s.o.Location == nil {
		return time.UTC
	}
	return s.o.Location
}

// instantOf reads a FHIR dateTime as the first instant that it covers.
func instantOf(s string, zone *time.Location) (time.Time, bool) {
	for _, form := range [...]string{time.RFC3339Nano, time.DateOnly, "2006-01", "2006"} {
		if t, err := time.ParseInLocation(form, s, zone); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
