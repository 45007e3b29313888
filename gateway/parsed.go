package gateway

import (
	"fmt"
	"sync"
	"time"

	"github.com/handoff-health/handoff/fhir/compartment"
	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/audit"
)

// A parsed is what is worked out once for one version of a resource of the own
// store: its form with version and time, its labels, whom it is about. None of
// it changes, so all requests share it.
type parsed struct {
	resource *resource.Resource
	labels   *label.Labels
	patient  string
	digest   string // of the content
	labelled string // digest of the labels
}

// parsedKey names one version. A resource that was expunged and made anew has
// another time.
type parsedKey struct {
	store.Key
	version int64
	at      time.Time
}

// versions remembers parsed versions, up to a size in bytes.
type versions struct {
	mu   sync.Mutex
	size int
	kept map[parsedKey]*parsed
}

// maxParsedBytes counts the raw bytes; an index of about the same size comes on
// top.
const maxParsedBytes = 4 << 20

func (v *versions) get(k parsedKey) *parsed {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.kept[k]
}

func (v *versions) put(k parsedKey, p *parsed) {
	n := len(p.resource.Raw())
	v.mu.Lock()
	defer v.mu.Unlock()
	if n > maxParsedBytes/16 {
		return
	}
	if v.kept == nil || v.size+n > maxParsedBytes {
		v.kept, v.size = map[parsedKey]*parsed{}, 0
	}
	if v.kept[k] == nil {
		v.kept[k] = p
		v.size += n
	}
}

// drop lets go of all that is kept.
func (v *versions) drop() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.kept, v.size = nil, 0
}

// own makes a candidate of a record of the own store, with version and time in
// its meta as they go out.
func (s *Server) own(rec *store.Record) (*candidate, error) {
	k := parsedKey{rec.Key, rec.Version, rec.LastUpdated}
	p := s.versions.get(k)
	if p == nil {
		r, err := StoredForm(rec)
		if err != nil {
			return nil, err
		}
		p = s.work(r, rec.Origin)
		p.digest = resource.Digest(rec.Raw) // as it is stored
		s.versions.put(k, p)
	}
	return p.candidate(rec.Origin, rec), nil
}

// StoredForm reads a record as it is decided on and goes out: with its version
// and time in meta. `handoff audit replay` decides on the same form.
func StoredForm(rec *store.Record) (*resource.Resource, error) {
	r, err := resource.Parse(rec.Raw)
	if err != nil {
		return nil, fmt.Errorf("%s in the store: %w", rec.Key, err)
	}
	if r, err = resource.Parse(stamp(r, rec.Version, resource.FormatInstant(rec.LastUpdated))); err != nil {
		return nil, fmt.Errorf("%s in the store: %w", rec.Key, err)
	}
	return r, nil
}

// work labels a resource and finds whom it is about.
func (s *Server) work(r *resource.Resource, o resource.Origin) *parsed {
	p := &parsed{resource: r, labels: new(label.Labels), patient: compartment.Subject(r)}
	s.o.Labeller.Label(r, o, p.labels)
	p.labelled = audit.LabelDigest(r, p.labels)
	return p
}

func (p *parsed) candidate(o resource.Origin, rec *store.Record) *candidate {
	c := &candidate{resource: p.resource, origin: o, record: rec, digest: p.digest, labelled: p.labelled}
	c.subject.Resource, c.subject.Origin, c.subject.Labels, c.subject.Patient = p.resource, o, p.labels, p.patient
	c.subject.Internal = isInternal(o)
	return c
}

// candidate makes one of a connected system's resource, or of one just sent.
func (s *Server) candidate(r *resource.Resource, o resource.Origin, rec *store.Record) *candidate {
	p := s.work(r, o)
	p.digest = audit.ContentDigest(r.Raw())
	return p.candidate(o, rec)
}
