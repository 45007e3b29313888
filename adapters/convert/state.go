package convert

import (
	"crypto/sha256"
	"encoding/binary"

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

func (x *seen) known(ties []string) flow.Known {
	return flow.Known{Version: x.version, Digest: x.digest, Ties: ties, Restrictions: x.restrictions, Held: x.held, Lifted: x.lifted, LiftedDigest: x.liftedDigest}
}

func kept(k *flow.Known) seen {
	x := seen{version: k.Version, digest: short(k.Digest), restrictions: k.Restrictions, liftedDigest: short(k.LiftedDigest)}
	if k.Restrictions != 0 {
		x.held = k.Held
	}
	if k.LiftedDigest != "" {
		x.lifted = k.Lifted
	}
	return x
}

// state is what is known of record keys and of resources that several records
// share.
type state struct {
	records *table
	ties    map[name][]string // digests of the other contents with a record's newest version
	shared  *table
	owned   map[name][]string // record → references, only where resources are held
	groups  groups
	without map[name]bool // records that an earlier survey found expunged: they are left out
	lost    map[name]bool // persons that those told of
	merges  merges
	updates updates
	// surveying: only who has the last word is of interest.
	surveying bool
	tape      tape   // of a survey without records that say only what changes
	effect    effect // of the record that is judged
}

func newState() *state {
	w := &words{}
	return &state{records: newTable(w), ties: map[name][]string{}, shared: newTable(w), owned: map[name][]string{}, lost: map[name]bool{}, updates: newUpdates()}
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
		x, known := s.records.get(key)
		if x.expunged {
			return flow.Duplicate, nil
		}
		if !known {
			unknownKey(m)
			s.effect.unknown = true
		}
		s.records.put(key, &seen{expunged: true})
		return flow.Updated, nil
	case res.Action == mappings.Upsert, res.Action == mappings.Seal, res.Action == mappings.Keep:
		return s.versionOrMerge(res)
	}
	return flow.Rejected, nil
}

// group expunges or mutes all records of a scope that are known so far.
func (s *state) group(m *flow.Mapped) flow.Outcome {
	res := m.Result
	places := s.groups.of(named(res.Scope))
	if len(places) == 0 {
		unknownGroup(m)
		return flow.Rejected
	}
	o := flow.Duplicate
	for _, place := range places {
		key := s.records.row(place).name
		x, _ := s.records.get(key)
		if x.hidden() {
			continue
		}
		o = flow.Updated
		if res.Action == mappings.Expunge {
			x = seen{expunged: true}
		} else {
			x.mute = true
			x.restrictions |= flow.Sealed
			x.held = max(x.version, res.Version)
		}
		s.records.put(key, &x)
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
	old, known := s.records.get(key)
	cut := mappings.Result{Action: res.Action, Version: res.Version, Digest: short(res.Digest), Resources: res.Resources}
	r := flow.OfResult(res)
	switch {
	case !known:
		first := flow.First(&cut, r, "")
		x := kept(&first)
		x.mute = silent(res)
		s.records.put(key, &x)
		s.join(res)
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
	s.records.put(key, &x)
	if len(next.Ties) > 0 {
		s.ties[key] = next.Ties
	} else {
		delete(s.ties, key)
	}
	s.effect.impose = impose
	return o, flow.Impose(res, impose)
}

// join notes the groups of a record that was just put in.
func (s *state) join(res *mappings.Result) {
	place := s.records.place(named(res.Key))
	for _, g := range res.Groups {
		if g != "" {
			s.groups.join(named(g), place)
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
	key, place := named(x.Type+"/"+x.ID), s.records.place(named(record))
	by := teller(place)
	old, known := s.shared.get(key)
	digest := short(x.Digest)
	cut := mappings.Resource{Type: x.Type, SourceVersion: x.SourceVersion, Digest: digest, Raw: x.Raw}
	have := flow.Shared{By: teller(old.by)}
	if known {
		have.Version, have.Digest, have.Restrictions = old.version, old.digest, old.restrictions
	}
	replaces, _ := flow.Replaces(&cut, by, have)
	if x.Stub && s.updates.told(x.Type+"/"+x.ID) {
		return false
	}
	if x.Stub || old.stub {
		replaces = !x.Stub
	}
	if known && !replaces {
		if digest == old.digest {
			have.Repeat(x.SourceVersion, by)
			old.version, old.held = have.Version, ""
			if have.By == "" {
				old.by = 0
			} else if have.By == by {
				old.by = place
			}
			s.shared.put(key, &old)
		}
		return false
	}
	s.shared.put(key, &seen{version: x.SourceVersion, digest: digest, restrictions: flow.Told(x), by: place, stub: x.Stub})
	return true
}

// teller writes the place of a record that told a shared resource as flow.Shared
// has it; of none it is like no other.
func teller(place uint32) string {
	if place == 0 {
		return "none"
	}
	return string(binary.BigEndian.AppendUint32(nil, place))
}

// survey is the first pass: it only remembers.
func (s *state) survey(m *flow.Mapped) error {
	s.effect = effect{}
	o, err := s.judge(m)
	if err != nil {
		return err
	}
	s.tape.record(o, s.effect)
	if !m.Partial() && (o == flow.Created || o == flow.Updated) {
		if s.without[named(m.Result.Key)] {
			s.lose(m.Result)
			return nil
		}
		for i := range m.Result.Resources {
			if x := &m.Result.Resources[i]; !x.Owned {
				s.tape.win(s.supersedes(m.Result.Key, x))
			}
		}
	}
	return nil
}

// gone says whether nothing of the record comes out in the end.
func (s *state) gone(key string) bool {
	x, _ := s.records.get(named(key))
	return x.hidden()
}

// holds says, once, whether the result is the final version of its record.
func (s *state) holds(res *mappings.Result) bool { return s.records.once(named(res.Key), res.Digest) }

// holdsShared says, once, whether the resource is the final one of its id.
func (s *state) holdsShared(x *mappings.Resource) bool {
	ref := x.Type + "/" + x.ID
	return !s.updates.told(ref) && s.present(ref) && s.shared.once(named(ref), x.Digest)
}

func (s *state) own(key, ref string) { s.owned[named(key)] = append(s.owned[named(key)], ref) }

// take returns and forgets what a record owned.
func (s *state) take(record name) []string {
	refs := s.owned[record]
	delete(s.owned, record)
	return refs
}

// held keeps the resources of a stream for one Bundle, in order of arrival.
type held struct {
	order []string
	last  map[string]*mappings.Resource
	users map[string]map[name]bool // Patient → the records that name it
}

// use notes that a record names a Patient.
func (h *held) use(key string, x *mappings.Resource) {
	if x.Type != "Patient" {
		return
	}
	ref := x.Type + "/" + x.ID
	if h.users == nil {
		h.users = map[string]map[name]bool{}
	}
	if h.users[ref] == nil {
		h.users[ref] = map[name]bool{}
	}
	h.users[ref][named(key)] = true
}

// forget drops the Patients that only this record named.
func (h *held) forget(record name) {
	for ref, records := range h.users {
		if delete(records, record); len(records) == 0 {
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
