package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/config"
)

// The organisations and practitioners of the configuration as FHIR resources, so
// that an app can follow fhirUser and the actors of a Consent. They are records of
// the own store: found, judged, redacted and audited like all others. They say
// what the configuration says: id, identifiers and an organisation's name.

// configuredRecords is their Origin.System, and the prefix of the facts that say
// which there are. No connected system has a key like it.
const configuredRecords = "configuration/"

// KeepConfigured brings the store's copies of the configured organisations and
// practitioners up to date. It is called at the start; what has not changed is not
// written again, and what is no longer configured goes.
func (s *Server) KeepConfigured(ctx context.Context) error {
	wanted := map[string]bool{}
	for _, o := range s.o.Directory.Organizations() {
		for _, w := range configured(o) {
			wanted[w.Key.String()] = true
			if err := s.keepConfigured(ctx, w); err != nil {
				return fmt.Errorf("gateway: %s of the configuration: %w", w.Key, err)
			}
		}
	}
	return s.dropConfigured(ctx, wanted)
}

// configured makes the resources of one organisation. That there is such an agency
// or program is no secret; who works there is its own, as its records are.
func configured(o config.Organization) []store.Write {
	ref := attribute.Reference(o.ID)
	write := func(typ, id string, body object, origin resource.Origin) store.Write {
		body["resourceType"], body["id"], body["active"] = typ, id, true
		raw, err := encodeJSON(body)
		if err != nil {
			panic("gateway: a configured resource cannot be encoded: " + err.Error()) // it is made of texts
		}
		origin.System, origin.Custodian = configuredRecords, ref
		return store.Write{Record: store.Record{Key: store.Key{Type: typ, ID: id}, Raw: raw, Origin: origin}}
	}
	body := object{"name": o.Name}
	identify(body, o.Identifiers)
	out := []store.Write{write("Organization", o.ID, body, resource.Origin{})}
	for _, p := range o.Practitioners {
		body := object{}
		identify(body, p.Identifiers)
		out = append(out, write("Practitioner", p.ID, body, resource.Origin{Police: o.Kind == "police", Part2: o.Part2}))
	}
	return out
}

func identify(body object, ids []config.Identifier) {
	var list []object
	for _, id := range ids {
		list = append(list, object{"system": id.System, "value": id.Value})
	}
	if len(list) > 0 {
		body["identifier"] = list
	}
}

// keepConfigured writes one, if it differs from what is there. A resource that came
// from elsewhere under the same id stands.
func (s *Server) keepConfigured(ctx context.Context, w store.Write) error {
	head, err := s.o.Store.Read(ctx, w.Key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		w.Expect = store.Absent
	case err != nil:
		return err
	case head.Deleted:
		w.Expect = store.Absent
	case head.Origin.System != configuredRecords:
		s.o.Logger.Warn("a resource of the configuration has the id of one that a system sent, which stands", "resource", w.Key.String())
		return nil
	case bytes.Equal(head.Raw, w.Raw) && head.Origin == w.Origin:
		return nil
	default:
		w.Expect = head.Version
	}
	r, err := resource.Parse(w.Raw)
	if err != nil {
		return err
	}
	s.file(&w, r, w.Origin)
	// The fact first: what is not noted could not be dropped later.
	if _, err := s.o.Facts.PutIfAbsent(ctx, configuredRecords+w.Key.String(), nil, time.Time{}); err != nil && !errors.Is(err, store.ErrExists) {
		return err
	}
	if _, err := s.o.Store.Write(ctx, w); err != nil && !errors.Is(err, store.ErrConflict) { // another node was faster
		return err
	}
	return nil
}

// dropConfigured deletes what was written for a former configuration.
func (s *Server) dropConfigured(ctx context.Context, wanted map[string]bool) error {
	for after := ""; ; {
		facts, err := s.o.Facts.Scan(ctx, configuredRecords, after, 200)
		if err != nil || len(facts) == 0 {
			return err
		}
		for _, f := range facts {
			after = f.Key
			name := strings.TrimPrefix(f.Key, configuredRecords)
			if wanted[name] {
				continue
			}
			if err := s.drop(ctx, name); err != nil {
				return fmt.Errorf("gateway: %s, which is no longer configured: %w", name, err)
			}
			if err := s.o.Facts.Delete(ctx, f.Key); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
	}
}

func (s *Server) drop(ctx context.Context, name string) error {
	typ, id, _ := strings.Cut(name, "/")
	head, err := s.o.Store.Read(ctx, store.Key{Type: typ, ID: id})
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil || head.Deleted || head.Origin.System != configuredRecords {
		return err
	}
	_, err = s.o.Store.Write(ctx, store.Write{Record: store.Record{Key: head.Key, Origin: head.Origin, Deleted: true}, Expect: head.Version})
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}
