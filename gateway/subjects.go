package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// subjectPrefix starts the facts that say whom a connected system's resource is
// about. They are written when a resource goes out for the first time, so that
// a later read of its id is judged for a person before the system is asked.
const subjectPrefix = "subject/"

// subjects remembers which facts are written already, as of a count of expunges
// (identity.Class.AsOf): by another, somebody may have taken them out again.
type subjects struct {
	mu   sync.Mutex
	asOf int64
	seen map[string]bool
}

const maxSubjects = 1 << 16

func (m *subjects) has(asOf int64, key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asOf == asOf && m.seen[key]
}

func (m *subjects) put(asOf int64, key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen == nil || m.asOf != asOf || len(m.seen) >= maxSubjects {
		m.asOf, m.seen = asOf, map[string]bool{}
	}
	m.seen[key] = true
}

// maxStaffed bounds how many persons are tried for one staff member or place.
const maxStaffed = 32

// subjectsOf returns the Patient references of the persons under whom a
// connected system's resource has gone out, or a reference to it: one for a
// resource about somebody, several for staff and places. An id that never went out is absent.
func (s *Server) subjectsOf(ctx context.Context, typ, id string) ([]string, error) {
	ref := typ + "/" + id
	if typ == "Patient" {
		return []string{ref}, nil
	}
	facts, err := s.o.Facts.Scan(ctx, subjectPrefix+ref+"/", "", maxStaffed)
	if err != nil {
		return nil, fmt.Errorf("subject of an id: %w", err)
	}
	if len(facts) == 0 {
		return nil, outcome.NotFound(errors.New("the id never went out"))
	}
	var out []string
	for _, f := range facts {
		out = append(out, "Patient/"+strings.TrimPrefix(f.Key, subjectPrefix+ref+"/"))
	}
	return out, nil
}

// remember stores under whom the kept resources of connected systems, and the
// resources that they refer to, have gone out.
func (s *Server) remember(ctx context.Context, x *exchange) error {
	err := s.keep(ctx, x)
	// Also where the caller has gone: what was begun ends.
	if late := s.notForgotten(context.WithoutCancel(ctx), x); err == nil {
		err = late
	}
	return err
}

func (s *Server) keep(ctx context.Context, x *exchange) error {
	if err := s.keepHeard(ctx, x); err != nil {
		return err
	}
	keys := map[string]int64{} // with the count as of which the person was found
	for _, c := range x.kept {
		if c.record != nil || c.subject.Patient == "" {
			continue
		}
		patient, asOf := strings.TrimPrefix(c.subject.Patient, "Patient/"), int64(0)
		if st := x.people[c.subject.Patient]; st != nil {
			asOf = st.person.AsOf
		}
		note := func(ref string) {
			if key := subjectPrefix + ref + "/" + patient; !s.subjects.has(asOf, key) {
				keys[key] = asOf
			}
		}
		if c.resource.Type() != "Patient" {
			note(c.reference())
		}
		c.final.Root().Descend(func(n resource.Node) bool {
			if n.Kind() == resource.Object {
				_, typ, id, ok := resource.SplitReference(n.Get("reference").Text())
				if ok && typ != "Patient" && s.o.IDs.IsOpaque(id) {
					note(typ + "/" + id)
				}
			}
			return true
		})
	}
	return s.subjects.store(ctx, s.o.Facts, keys)
}

// store writes the facts side by side, so that the store may commit them
// together.
func (m *subjects) store(ctx context.Context, facts store.Facts, keys map[string]int64) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(32)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		g.Go(func() error {
			_, err := facts.PutIfAbsent(ctx, key, nil, time.Time{})
			if err != nil && !errors.Is(err, store.ErrExists) {
				return fmt.Errorf("subject of an id: %w", err)
			}
			m.put(keys[key], key)
			return nil
		})
	}
	return g.Wait()
}
