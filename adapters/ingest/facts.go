package ingest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/mappings"
)

// A recordState is what is kept of one record key.
type recordState struct {
	DataKey []byte   `json:"k,omitempty"` // of the record's raw text; gone with an expunge
	Version string   `json:"v,omitempty"`
	Digest  string   `json:"d,omitempty"` // "": nothing stored yet
	Ties    []string `json:"t,omitempty"`
	Owned   []owned  `json:"o,omitempty"`
	// Former are resources that the record owned and that its newer versions do not
	// have. They are deleted; an expunge takes what was stored of them, too.
	Former []string `json:"f,omitempty"`
	// Shared are the Patients and other shared resources that the record has
	// ever named.
	Shared   []string `json:"p,omitempty"`
	Expunged string   `json:"x,omitempty"` // when
	Unknown  bool     `json:"n,omitempty"` // expunged, but there was nothing of it
	// Restrictions and what belongs to them: see flow.Known.
	Restrictions flow.Restrictions `json:"q,omitempty"`
	Held         string            `json:"h,omitempty"`
	Lifted       string            `json:"l,omitempty"`
	LiftedDigest string            `json:"m,omitempty"`
	// Slots are what the record has said of resources, where it says only what
	// changes: of its own all, of shared ones its part.
	Slots map[string]mappings.Slots `json:"s,omitempty"`

	// Rejects are the records under whose keys rejected texts of this one stand:
	// an expunge destroys them too.
	Rejects []string `json:"j,omitempty"`

	fact store.Fact
}

func (st *recordState) known() flow.Known {
	return flow.Known{Version: st.Version, Digest: st.Digest, Ties: st.Ties, Restrictions: st.Restrictions,
		Held: st.Held, Lifted: st.Lifted, LiftedDigest: st.LiftedDigest}
}

func (st *recordState) learn(k *flow.Known) {
	st.Version, st.Digest, st.Ties, st.Restrictions = k.Version, k.Digest, k.Ties, k.Restrictions
	st.Held, st.Lifted, st.LiftedDigest = k.Held, k.Lifted, k.LiftedDigest
}

// own takes the record's resources after a write in place of those before.
func (st *recordState) own(now []owned) {
	has := func(ref string) bool { return slices.ContainsFunc(now, func(o owned) bool { return o.Ref == ref }) }
	for _, o := range st.Owned {
		if !has(o.Ref) && !slices.Contains(st.Former, o.Ref) {
			st.Former = append(st.Former, o.Ref)
		}
	}
	st.Former = slices.DeleteFunc(st.Former, has)
	st.Owned = now
}

// An owned resource belongs to one record alone.
type owned struct {
	Ref     string `json:"r"`
	Digest  string `json:"d"`
	Version int64  `json:"s"` // in the store
}

// A guard is the newest source version of a resource that records share.
type guard struct {
	Version string `json:"v,omitempty"`
	Digest  string `json:"d"`
	Stored  int64  `json:"s"` // its version in the store
	// Uses are the records that name it: of a Patient all, of another resource
	// the first maxUses, and then Many.
	Uses []use `json:"u,omitempty"`
	Many bool  `json:"w,omitempty"`
	// Restrictions of this version, and the record that told it (keyed hash).
	Restrictions flow.Restrictions `json:"q,omitempty"`
	By           string            `json:"b,omitempty"`
	// Slots are what all records have said of it, where they say only what
	// changes; Seals is what restricts it beyond them, for good.
	Slots mappings.Slots    `json:"l,omitempty"`
	Seals flow.Restrictions `json:"z,omitempty"`
	// Of a Patient: its merges; that it is a stub, which only a merge told of;
	// that it was expunged, so that no merge brings it back.
	Merged *flow.Merged `json:"m,omitempty"`
	Stub   bool         `json:"t,omitempty"`
	Gone   bool         `json:"x,omitempty"`

	fact store.Fact
}

const maxUses = 8

// A use says what one record contributed to a Patient; of another resource, that
// the record names it.
type use struct {
	Record  string `json:"r"` // keyed hash of the record's key
	Version string `json:"v,omitempty"`
	Digest  string `json:"d,omitempty"`
	Stored  int64  `json:"s,omitempty"` // store version with this content; 0: none
	Stub    bool   `json:"t,omitempty"` // the record named the Patient, and told nothing of it
}

// hash is a keyed hash: who lacks the site key can neither test a guess nor
// compare two sites.
func (p *Pipeline) hash(parts ...string) string {
	mac := hmac.New(sha256.New, p.SiteKey)
	for _, s := range parts {
		fmt.Fprintf(mac, "%d:%s", len(s), s)
	}
	return hex.EncodeToString(mac.Sum(nil)[:20])
}

func (p *Pipeline) factKey(kind, id string) string {
	return "ingest/" + p.Origin.System + "/" + kind + "/" + id
}

// recordHash names a record by its key without telling it.
func (p *Pipeline) recordHash(key string) string { return p.hash("record", key) }

// groupKey is the prefix of the facts that say which records are in a group.
func (p *Pipeline) groupKey(group string) string {
	return p.factKey("grp", p.hash("group", group)) + "/"
}

func (p *Pipeline) cursorKey(source string) string {
	if abs, err := filepath.Abs(source); err == nil {
		source = abs
	}
	return p.factKey("cur", p.hash("cursor", source))
}

func joinCursor(sha string, done flow.Before, c adapters.Cursor) []byte {
	return fmt.Appendf(nil, "%s|%d|%d\n%s", sha, done.Records, done.Rejects, c)
}

func splitCursor(b []byte) (sha string, done flow.Before, cursor string) {
	s, c, _ := strings.Cut(string(b), "\n")
	sha, counts, counted := strings.Cut(s, "|")
	if counted {
		if _, err := fmt.Sscanf(counts, "%d|%d", &done.Records, &done.Rejects); err != nil {
			done = flow.Before{}
		}
	}
	return sha, done, c
}

// load reads a record's state by its hash; nil if there is none.
func (p *Pipeline) load(ctx context.Context, record string) (*recordState, error) {
	fact, err := p.Facts.Get(ctx, p.factKey("rec", record))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	st := &recordState{fact: fact}
	if err := json.Unmarshal(fact.Value, st); err != nil {
		return nil, fmt.Errorf("%w: the state of a record: %w", store.ErrDamaged, err)
	}
	return st, nil
}

// save writes a record's state back over the one that was loaded.
func (p *Pipeline) save(ctx context.Context, record string, st *recordState) error {
	raw, err := json.Marshal(st)
	if err != nil {
		return err
	}
	if st.fact.Key == "" {
		st.fact, err = p.Facts.PutIfAbsent(ctx, p.factKey("rec", record), raw, time.Time{})
	} else {
		st.fact, err = p.Facts.CompareAndSet(ctx, st.fact.Key, st.fact.Version, raw, time.Time{})
	}
	return err
}

// put sets a fact whatever its version.
func put(ctx context.Context, f store.Facts, key string, value []byte) error {
	for {
		_, err := f.PutIfAbsent(ctx, key, value, time.Time{})
		if !errors.Is(err, store.ErrExists) {
			return err
		}
		old, err := f.Get(ctx, key)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if _, err = f.CompareAndSet(ctx, key, old.Version, value, time.Time{}); !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
}

// guards remembers guards that were read or written: a cache, never the truth.
type guards struct {
	mu sync.Mutex
	m  map[string]guard
}

// maxGuards is enough for the staff and the facilities of a source. The Patients
// of a long run are many, and each comes seldom.
const maxGuards = 2_000

func (g *guards) get(ref string) (guard, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	x, ok := g.m[ref]
	return x, ok
}

func (g *guards) set(ref string, x guard) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.m == nil {
		g.m = map[string]guard{}
	}
	for k := range g.m { // any: what is needed again comes back
		if len(g.m) < maxGuards {
			break
		}
		delete(g.m, k)
	}
	g.m[ref] = x
}

func (g *guards) forget(ref string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.m, ref)
}

// guard returns the guard of a shared resource.
func (p *Pipeline) guard(ctx context.Context, ref string) (guard, bool, error) {
	if g, ok := p.guards.get(ref); ok {
		return g, true, nil
	}
	fact, err := p.Facts.Get(ctx, p.factKey("res", ref))
	if errors.Is(err, store.ErrNotFound) {
		return guard{}, false, nil
	}
	if err != nil {
		return guard{}, false, err
	}
	g := guard{fact: fact}
	if err := json.Unmarshal(fact.Value, &g); err != nil {
		return guard{}, false, fmt.Errorf("%w: the guard of a resource: %w", store.ErrDamaged, err)
	}
	p.guards.set(ref, g)
	return g, true, nil
}

// setGuard writes a guard; change is applied to the newest one, several times
// if others write too.
func (p *Pipeline) setGuard(ctx context.Context, ref string, change func(*guard)) error {
	for {
		g, known, err := p.guard(ctx, ref)
		if err != nil {
			return err
		}
		g.Uses = append([]use(nil), g.Uses...)
		change(&g)
		raw, err := json.Marshal(g)
		if err != nil {
			return err
		}
		if known {
			if bytes.Equal(raw, g.fact.Value) {
				return nil
			}
			g.fact, err = p.Facts.CompareAndSet(ctx, g.fact.Key, g.fact.Version, raw, time.Time{})
		} else {
			g.fact, err = p.Facts.PutIfAbsent(ctx, p.factKey("res", ref), raw, time.Time{})
		}
		if err == nil {
			p.guards.set(ref, g)
			return nil
		}
		p.guards.forget(ref)
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
}
