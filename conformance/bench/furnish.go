package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/handoff-health/handoff/conformance/loopback"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/identity"
)

const benchKey = "bench-0123456789abcdef0123456789abcdef"

// settings is the configuration of the measured gateway: as a site would write
// one, with nothing turned off.
const settings = `server: {listen: "%s"}
site: {key: %s, timeZone: America/Chicago}
organizations:
  - {id: clinic, name: Clinic, kind: health}
  - {id: hospital, name: Hospital, kind: health}
clients:
  - {id: ward, organization: hospital, roles: [treating-clinician], purposes: [TREAT], scopes: "system/*.rs", jwks: ${file:ward.jwks}}
systems:
  - {key: adt, kind: feed, organization: clinic, adapter: ehr/hl7v2, recordsConsentFor: [clinic]}
  - {key: ehr, kind: fhir, slug: k, organization: clinic, base: "http://%s%s"}
  - {key: lab, kind: fhir, slug: w, organization: clinic, base: "http://%s%s", consents: none}
telemetry: {level: warn}
limits: {requests: -1, users: -1, tokens: -1} # the bench asks as fast as it can
`

// furnish writes keys, configuration and records.
func (w *world) furnish(ctx context.Context) error {
	key, err := auth.GenerateKey(auth.ES384)
	if err != nil {
		return err
	}
	jwks, err := auth.PublicKeys(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(w.dir, "ward.jwks"), jwks, 0o600); err != nil {
		return err
	}
	if w.signer, err = auth.NewSigner("ward", key, 0, nil); err != nil {
		return err
	}
	if w.listen, err = loopback.Address(); err != nil {
		return err
	}
	text := fmt.Sprintf(settings, w.listen, benchKey, w.source, ehr.path, w.source, laboratory.path)
	if err := os.WriteFile(filepath.Join(w.dir, "handoff.yaml"), []byte(text), 0o600); err != nil {
		return err
	}
	return w.fillStore(ctx)
}

// fillStore puts every person with a Consent into the own store and links those
// who have records elsewhere.
func (w *world) fillStore(ctx context.Context) (err error) {
	db, err := backend.Open(ctx, filepath.Join(w.dir, "handoff.db"), backend.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	ids, err := identity.NewIDMap(db, []byte(benchKey), map[string]string{ehr.key: "k", laboratory.key: "w"})
	if err != nil {
		return err
	}
	links := identity.NewLinks(db, ids, time.Now)
	for _, g := range []group{ehr, laboratory, stored} {
		for n := range people {
			own := g.own(n)
			for _, raw := range [][]byte{patient(own), consentFor(own, "hospital", 0)} {
				if err := put(ctx, db, raw); err != nil {
					return err
				}
			}
			if g.key == "" {
				continue
			}
			if err := links.Confirm(ctx, "Patient/"+own, g.key, g.remote(n), "bench"); err != nil {
				return err
			}
		}
	}
	return nil
}

func put(ctx context.Context, db store.Store, raw []byte) error {
	w, err := writeOf(raw, store.Absent)
	if err != nil {
		return err
	}
	_, err = db.Write(ctx, w)
	return err
}
