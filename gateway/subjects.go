package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/store"
)

// subjectPrefix starts the facts that say whom a connected system's resource is
// about. They are written when a resource goes out for the first time, so that
// a later read of its id is judged for its person before the system is asked.
const subjectPrefix = "subject/"

// subjects remembers facts that are written already.
type subjects struct {
	mu   sync.Mutex
	seen map[string]string
}

const maxSubjects = 1 << 16

func (m *subjects) get(ref string) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.seen[ref]
	return v, ok
}

func (m *subjects) put(ref, patient string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen == nil || len(m.seen) >= maxSubjects {
		m.seen = map[string]string{}
	}
	m.seen[ref] = patient
}

// subjectOf returns the Patient reference of the person that a connected
// system's resource is about. An id that never went out is absent.
func (s *Server) subjectOf(ctx context.Context, typ, id string) (string, error) {
	ref := typ + "/" + id
	if typ == "Patient" {
		return ref, nil
	}
	if p, ok := s.subjects.get(ref); ok {
		return p, nil
	}
	f, err := s.o.Facts.Get(ctx, subjectPrefix+ref)
	if errors.Is(err, store.ErrNotFound) {
		return "", outcome.NotFound(err)
	}
	if err != nil {
		return "", fmt.Errorf("subject of an id: %w", err)
	}
	s.subjects.put(ref, string(f.Value))
	return string(f.Value), nil
}

// remember stores whom the kept resources of connected systems are about.
func (s *Server) remember(ctx context.Context, x *exchange) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(32) // side by side, so that the store may commit them together
	for _, c := range x.kept {
		ref, patient := c.reference(), c.subject.Patient
		if c.record != nil || patient == "" || c.resource.Type() == "Patient" {
			continue
		}
		if known, ok := s.subjects.get(ref); ok && known == patient {
			continue
		}
		g.Go(func() error {
			_, err := s.o.Facts.PutIfAbsent(ctx, subjectPrefix+ref, []byte(patient), time.Time{})
			if err != nil && !errors.Is(err, store.ErrExists) {
				return fmt.Errorf("subject of an id: %w", err)
			}
			s.subjects.put(ref, patient)
			return nil
		})
	}
	return g.Wait()
}
