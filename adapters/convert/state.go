package convert

import (
	"bytes"
	"crypto/sha256"
	"unique"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/mappings"
)

// A name is a hash of a record's key or of a resource's reference. A million of
// them collide with a chance of one in 10^26.
type name [16]byte

func named(s string) name {
	sum := sha256.Sum256([]byte(s))
	return name(sum[:16])
}

// A seen is the newest version of a record or resource, kept small: a run holds
// one for each.
type seen struct {
	version  unique.Handle[string]
	digest   string32
	expunged bool
	mute     bool // sealed by its key alone: nothing of it comes out
	out      bool // written already: a content can come back
	stub     bool // only merges name this Patient so far
	// restrictions, until when they hold, and what was lifted: see flow.Known
	restrictions flow.Restrictions
	held, lifted unique.Handle[string]
	liftedDigest string32
	by           name // of a shared resource: the record that told it
}

func (x *seen) known(ties []string) flow.Known {
	k := flow.Known{Version: x.version.Value(), Digest: x.digest.String(), Ties: ties, Restrictions: x.restrictions, LiftedDigest: x.liftedDigest.String()}
	if k.Restrictions != 0 {
		k.Held = x.held.Value()
	}
	if k.LiftedDigest != "" {
		k.Lifted = x.lifted.Value()
	}
	return k
}

func kept(k *flow.Known) seen {
	x := seen{version: unique.Make(k.Version), digest: short(k.Digest), restrictions: k.Restrictions, liftedDigest: short(k.LiftedDigest)}
	if k.Restrictions != 0 {
		x.held = unique.Make(k.Held)
	}
	if k.LiftedDigest != "" {
		x.lifted = unique.Make(k.Lifted)
	}
	return x
}

// A string32 is the beginning of a digest in hex, enough to tell two apart and
// to order them.
type string32 [32]byte

func short(digest string) (s string32) {
	copy(s[:], digest)
	return s
}

func (s *string32) String() string { return string(bytes.TrimRight(s[:], "\x00")) }

// state is what is known of record keys and of resources that several records
// share.
type state struct {
	records map[name]seen
	ties    map[name][]string // digests of the other contents with a record's newest version
	shared  map[name]seen
	owned   map[string][]string // key → references, only where resources are held
	groups  map[name][]string   // group → keys of its records
	without map[name]seen       // records of an earlier survey: the expunged ones are left out
	lost    map[name]bool       // persons that those told of
	merges  merges
	updates updates
	// surveying: only who has the last word is of interest.
	surveying bool
}

func newState() *state {
	return &state{records: map[name]seen{}, ties: map[name][]string{}, shared: map[name]seen{}, owned: map[string][]string{}, groups: map[name][]string{}, lost: map[name]bool{},
		updates: newUpdates()}
}

// judge says what becomes of an item, and remembers it.
func (s *state) judge(m *flow.Mapped) (flow.Outcome, error) {
	switch m.Item.Kind {
	case adapters.Data:
	case adapters.Header, adapters.Trailer, adapters.Blank:
		return flow.NonRecord, nil
	default:
		return flow.Rejected, nil
	}
	res := m.Result
	if res == nil {
		return flow.Rejected, nil
	}
	switch {
	case res.Scope != "":
		return s.group(m), nil
	case res.Action == mappings.Expunge:
		key := named(res.Key)
		if s.records[key].expunged {
			return flow.Duplicate, nil
		}
		if _, known := s.records[key]; !known {
			res.Issues = append(res.Issues, mappings.Issue{Severity: mappings.Warning, Code: "expunge-unknown", Pos: m.Item.Pos,
				Message: "nothing before this row has its key; if the key is misspelt, the record that is meant stays"})
		}
		s.records[key] = seen{version: unique.Make(""), expunged: true}
		return flow.Updated, nil
	case res.Action == mappings.Upsert, res.Action == mappings.Seal, res.Action == mappings.Keep:
		return s.versionOrMerge(res)
	}
	return flow.Rejected, nil
}

// group expunges or mutes all records of a scope that are known so far.
func (s *state) group(m *flow.Mapped) flow.Outcome {
	res := m.Result
	keys := s.groups[named(res.Scope)]
	if len(keys) == 0 {
		res.Reason = res.Action.String() + "-unknown"
		res.Issues = append([]mappings.Issue{{Severity: mappings.Error, Code: res.Reason, Pos: m.Item.Pos,
			Message: "nothing before this row is of the incident or group that it means"}}, res.Issues...)
		return flow.Rejected
	}
	o := flow.Duplicate
	for _, key := range keys {
		x := s.records[named(key)]
		if x.hidden() {
			continue
		}
		o = flow.Updated
		if res.Action == mappings.Expunge {
			x = seen{version: unique.Make(""), expunged: true}
		} else {
			x.mute = true
			x.restrictions |= flow.Sealed
			x.held = unique.Make(max(x.version.Value(), res.Version))
		}
		s.records[named(key)] = x
	}
	return o
}

// version judges a version of a record and adds to its resources what restricts
// the record already.
func (s *state) version(res *mappings.Result) (flow.Outcome, error) {
	if res.Partial {
		return s.update(res)
	}
	key := named(res.Key)
	old, known := s.records[key]
	digest := short(res.Digest)
	cut := mappings.Result{Action: res.Action, Version: res.Version, Digest: digest.String(), Resources: res.Resources}
	r := flow.OfResult(res)
	switch {
	case !known:
		s.join(res)
		first := flow.First(&cut, r, "")
		x := kept(&first)
		x.mute = silent(res)
		s.records[key] = x
		return flow.Created, nil
	case old.expunged:
		return flow.Superseded, nil
	}
	o, impose, next := flow.Judge(&cut, r, old.known(s.ties[key]), "")
	x := kept(&next)
	x.mute, x.out = old.mute, old.out
	if o == flow.Updated {
		// What a record said before it was sealed by its key stays unsaid until
		// something newer lifts the seal.
		x.mute = silent(res) || old.mute && impose != 0
	}
	s.records[key] = x
	if len(next.Ties) > 0 {
		s.ties[key] = next.Ties
	} else {
		delete(s.ties, key)
	}
	return o, flow.Impose(res, impose)
}

// join notes the groups of a new record.
func (s *state) join(res *mappings.Result) {
	for _, g := range res.Groups {
		if g != "" {
			s.groups[named(g)] = append(s.groups[named(g)], res.Key)
		}
	}
}

// silent says that a seal names its record and tells nothing of it.
func silent(res *mappings.Result) bool {
	return res.Action == mappings.Seal && len(res.Resources) == 0
}

// supersedes says whether a shared resource is newer than the one known, and
// remembers it.
func (s *state) supersedes(record string, x *mappings.Resource) bool {
	key, by := named(x.Type+"/"+x.ID), named(record)
	old, known := s.shared[key]
	digest := short(x.Digest)
	cut := mappings.Resource{Type: x.Type, SourceVersion: x.SourceVersion, Digest: digest.String(), Raw: x.Raw}
	have := flow.Shared{By: string(old.by[:])}
	if known {
		have.Version, have.Digest, have.Restrictions = old.version.Value(), old.digest.String(), old.restrictions
	}
	replaces, r := flow.Replaces(&cut, string(by[:]), have)
	if x.Stub && s.updates.told(x.Type+"/"+x.ID) {
		return false
	}
	if x.Stub || old.stub {
		replaces = !x.Stub
	}
	if known && !replaces {
		if digest == old.digest {
			have.Repeat(x.SourceVersion, string(by[:]))
			old.version, old.by = unique.Make(have.Version), name{}
			copy(old.by[:], have.By)
			s.shared[key] = old
		}
		return false
	}
	s.shared[key] = seen{version: unique.Make(x.SourceVersion), digest: digest, restrictions: r, by: by, stub: x.Stub}
	return true
}

// survey is the first pass: it only remembers.
func (s *state) survey(m *flow.Mapped) error {
	o, err := s.judge(m)
	if err != nil {
		return err
	}
	if !m.Partial() && (o == flow.Created || o == flow.Updated) {
		if s.without[named(m.Result.Key)].hidden() {
			s.lose(m.Result)
			return nil
		}
		for i := range m.Result.Resources {
			if x := &m.Result.Resources[i]; !x.Owned {
				s.supersedes(m.Result.Key, x)
			}
		}
	}
	return nil
}

// hidden says that nothing of the record comes out.
func (x seen) hidden() bool { return x.expunged || x.mute }

// hides says whether any record is expunged, or sealed by its key.
func (s *state) hides() bool {
	for _, r := range s.records {
		if r.hidden() {
			return true
		}
	}
	return false
}

// gone says whether nothing of the record comes out in the end.
func (s *state) gone(key string) bool { return s.records[named(key)].hidden() }

// holds says, once, whether the result is the final version of its record.
func (s *state) holds(res *mappings.Result) bool { return once(s.records, res.Key, res.Digest) }

// holdsShared says, once, whether the resource is the final one of its id.
func (s *state) holdsShared(x *mappings.Resource) bool {
	ref := x.Type + "/" + x.ID
	return !s.updates.told(ref) && s.present(ref) && once(s.shared, x.Type+"/"+x.ID, x.Digest)
}

func once(m map[name]seen, key, digest string) bool {
	k := named(key)
	f, ok := m[k]
	if !ok || f.expunged || f.out || f.digest != short(digest) {
		return false
	}
	f.out = true
	m[k] = f
	return true
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
