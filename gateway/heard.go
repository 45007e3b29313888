package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/attribute"
)

// Consents that connected systems keep are heard and not stored. A disclosure
// that relied on one must be explainable for years, though, so what was heard is
// kept under its digest, apart from all that is searched, and goes with the
// person when the person is expunged.
const (
	heardPrefix   = "heard/"    // + digest: the Consent as it appeared here
	heardOfPrefix = "heard-of/" // + id of a Patient + "/" + digest: whose it is, with the ids of all the person's Patients
)

// keepHeard stores the Consents that were brought for this request, each once.
func (s *Server) keepHeard(ctx context.Context, x *exchange) error {
	for _, st := range x.people {
		for digest, raw := range st.copies {
			if err := s.keepCopy(ctx, st.person, digest, raw); err != nil {
				return fmt.Errorf("keep a Consent that was heard: %w", err)
			}
		}
	}
	return nil
}

// keepCopy writes whose it is first, so that nothing is kept that an expunge
// would not find.
func (s *Server) keepCopy(ctx context.Context, of *attribute.Person, digest string, raw []byte) error {
	ids := make([]string, len(of.References))
	for i, ref := range of.References {
		ids[i] = strings.TrimPrefix(ref, "Patient/")
	}
	all, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.putOnce(ctx, of.AsOf, heardOf(id, digest), all); err != nil {
			return err
		}
	}
	return s.putOnce(ctx, of.AsOf, heardPrefix+digest, raw)
}

func (s *Server) putOnce(ctx context.Context, asOf int64, key string, value []byte) error {
	if s.subjects.has(asOf, key) {
		return nil
	}
	if _, err := s.o.Facts.PutIfAbsent(ctx, key, value, time.Time{}); err != nil && !errors.Is(err, store.ErrExists) {
		return err
	}
	s.subjects.put(asOf, key)
	return nil
}

func heardOf(id, digest string) string { return heardOfPrefix + id + "/" + digest }

// ErrNotKept says that a Consent of a connected system is not kept (any more).
var ErrNotKept = errors.New("the Consent is not kept here")

// HeardConsent returns a connected system's Consent, as it appeared here, by its
// digest; ErrNotKept if it is not there.
func HeardConsent(ctx context.Context, facts store.Facts, digest string) ([]byte, error) {
	f, err := facts.Get(ctx, heardPrefix+digest)
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrNotKept
	}
	return f.Value, err
}
