package convert

import (
	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/mappings"
)

// A seen is the newest version of a record or resource.
type seen struct {
	version, digest string
	expunged        bool
	ties            []string // digests of the other contents with this version
}

// state is what is known of record keys and of resources that several records
// share.
type state struct {
	records map[string]*seen
	shared  map[string]seen
	owned   map[string][]string // key → references, only where resources are held
	without map[string]*seen    // records of an earlier survey: the expunged ones are left out
}

func newState() *state {
	return &state{records: map[string]*seen{}, shared: map[string]seen{}, owned: map[string][]string{}}
}

// judge says what becomes of an item, and remembers it.
func (s *state) judge(m *flow.Mapped) flow.Outcome {
	switch m.Item.Kind {
	case adapters.Data:
	case adapters.Header, adapters.Trailer, adapters.Blank:
		return flow.NonRecord
	default:
		return flow.Rejected
	}
	res := m.Result
	if res == nil {
		return flow.Rejected
	}
	switch res.Action {
	case mappings.Expunge:
		if old := s.records[res.Key]; old != nil && old.expunged {
			return flow.Duplicate
		}
		s.records[res.Key] = &seen{expunged: true}
		return flow.Updated
	case mappings.Upsert, mappings.Seal:
		return s.version(res)
	}
	return flow.Rejected
}

func (s *state) version(res *mappings.Result) flow.Outcome {
	old := s.records[res.Key]
	if old == nil {
		s.records[res.Key] = &seen{version: res.Version, digest: res.Digest}
		return flow.Created
	}
	o := flow.Compare(res, old.version, old.digest, old.ties)
	switch {
	case old.expunged:
		return flow.Superseded
	case o != flow.Updated:
		if o == flow.Duplicate && res.Digest == old.digest {
			old.version = max(old.version, res.Version)
		}
		if o == flow.Superseded && res.Version == old.version {
			old.ties = append(old.ties, res.Digest)
		}
		return o
	case res.Version == old.version:
		old.ties = append(old.ties, old.digest)
	default:
		old.ties = nil
	}
	old.version, old.digest = res.Version, res.Digest
	return flow.Updated
}

// supersedes says whether a shared resource is newer than the one known, and
// remembers it.
func (s *state) supersedes(x *mappings.Resource) bool {
	key := x.Type + "/" + x.ID
	old, known := s.shared[key]
	if known && !x.Supersedes(old.version, old.digest) {
		if x.Digest == old.digest && x.SourceVersion > old.version {
			old.version = x.SourceVersion
			s.shared[key] = old
		}
		return false
	}
	s.shared[key] = seen{version: x.SourceVersion, digest: x.Digest}
	return true
}

// survey is the first pass: it only remembers.
func (s *state) survey(m *flow.Mapped) error {
	o := s.judge(m)
	if o == flow.Created || o == flow.Updated {
		if was := s.without[m.Result.Key]; was != nil && was.expunged {
			return nil
		}
		for i := range m.Result.Resources {
			if x := &m.Result.Resources[i]; !x.Owned {
				s.supersedes(x)
			}
		}
	}
	return nil
}

// expunges says whether any record is expunged.
func (s *state) expunges() bool {
	for _, r := range s.records {
		if r.expunged {
			return true
		}
	}
	return false
}

// gone says whether the record is expunged in the end.
func (s *state) gone(key string) bool {
	r := s.records[key]
	return r != nil && r.expunged
}

// holds says whether the result is the final version of its record.
func (s *state) holds(res *mappings.Result) bool {
	f := s.records[res.Key]
	return f != nil && !f.expunged && f.digest == res.Digest
}

// holdsShared says whether the resource is the final one of its id.
func (s *state) holdsShared(x *mappings.Resource) bool {
	f, ok := s.shared[x.Type+"/"+x.ID]
	return ok && f.digest == x.Digest
}

func (s *state) own(key, ref string) { s.owned[key] = append(s.owned[key], ref) }

// take returns and forgets what the key owned.
func (s *state) take(key string) []string {
	refs := s.owned[key]
	delete(s.owned, key)
	return refs
}

// held keeps the resources of a stream for one Bundle, in order of arrival.
type held struct {
	order []string
	last  map[string]*mappings.Resource
	users map[string]map[string]bool // Patient → keys of the records that name it
}

// use notes that a record names a Patient.
func (h *held) use(key string, x *mappings.Resource) {
	if x.Type != "Patient" {
		return
	}
	ref := x.Type + "/" + x.ID
	if h.users == nil {
		h.users = map[string]map[string]bool{}
	}
	if h.users[ref] == nil {
		h.users[ref] = map[string]bool{}
	}
	h.users[ref][key] = true
}

// forget drops the Patients that only this record named.
func (h *held) forget(key string) {
	for ref, keys := range h.users {
		if delete(keys, key); len(keys) == 0 {
			delete(h.last, ref)
			delete(h.users, ref)
		}
	}
}

func (h *held) put(ref string, x *mappings.Resource) {
	if h.last == nil {
		h.last = map[string]*mappings.Resource{}
	}
	if _, ok := h.last[ref]; !ok {
		h.order = append(h.order, ref)
	}
	h.last[ref] = x
}

func (h *held) drop(refs []string) {
	for _, ref := range refs {
		delete(h.last, ref)
	}
}

// live lists what is left, each once.
func (h *held) live() []*mappings.Resource {
	var out []*mappings.Resource
	for _, ref := range h.order {
		if x, ok := h.last[ref]; ok {
			out = append(out, x)
			delete(h.last, ref)
		}
	}
	return out
}
