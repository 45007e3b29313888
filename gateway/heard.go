package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// Consents that connected systems keep are heard and not stored. A disclosure
// that relied on one must be explainable for years, though, so what was heard is
// kept under its digest, apart from all that is searched, and goes with the
// person when the person is expunged.
const (
	heardPrefix   = "heard/"    // + digest: the Consent as it appeared here
	heardOfPrefix = "heard-of/" // + id of a Patient + "/" + digest: whose it is
)

// keepHeard stores the Consents that were brought for this request, each once.
func (s *Server) keepHeard(ctx context.Context, x *exchange) error {
	for _, st := range x.people {
		for digest, raw := range st.copies {
			if err := s.keepCopy(ctx, st.person.References, digest, raw); err != nil {
				return fmt.Errorf("keep a Consent that was heard: %w", err)
			}
		}
	}
	return nil
}

// keepCopy writes whose it is first, so that nothing is kept that an expunge
// would not find.
func (s *Server) keepCopy(ctx context.Context, references []string, digest string, raw []byte) error {
	for _, ref := range references {
		if err := s.putOnce(ctx, heardOfPrefix+strings.TrimPrefix(ref, "Patient/")+"/"+digest, nil); err != nil {
			return err
		}
	}
	return s.putOnce(ctx, heardPrefix+digest, raw)
}

func (s *Server) putOnce(ctx context.Context, key string, value []byte) error {
	if s.subjects.has(key) {
		return nil
	}
	if _, err := s.o.Facts.PutIfAbsent(ctx, key, value, time.Time{}); err != nil && !errors.Is(err, store.ErrExists) {
		return err
	}
	s.subjects.put(key)
	return nil
}

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

// ForgetHeard removes what connected systems' Consents about a Patient
// ("Patient/…") are kept, for an expunge of the person.
func ForgetHeard(ctx context.Context, facts store.Facts, patient string) error {
	prefix := heardOfPrefix + strings.TrimPrefix(patient, "Patient/") + "/"
	for {
		found, err := facts.Scan(ctx, prefix, "", 200)
		if err != nil {
			return fmt.Errorf("forget Consents that were heard: %w", err)
		}
		for _, f := range found {
			digest := strings.TrimPrefix(f.Key, prefix)
			for _, key := range [...]string{heardPrefix + digest, f.Key} {
				if err := facts.Delete(ctx, key); err != nil {
					return fmt.Errorf("forget Consents that were heard: %w", err)
				}
			}
		}
		if len(found) < 200 {
			return nil
		}
	}
}
