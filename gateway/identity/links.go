package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// Links keeps links in Facts. A link is one fact that holds all its versions,
// so that every change is one compare-and-set; a second fact under the other
// end points to it. It is safe for concurrent use, also by several processes.
type Links struct {
	facts store.Facts
	ids   *IDMap
	now   func() time.Time
	cache classes
}

// Keys of facts. Parts are escaped, so that none runs into the next.
const (
	linkPrefix    = "link/"     // link/<own id>/<system>/<remote id> → linkFact
	reversePrefix = "linkback/" // linkback/<system>/<remote id>/<own id> → {}
)

// FactChanges is the fact whose version counts changes of links. Whoever asks who a
// person is reads it.
const FactChanges = "linkepoch"

// What changing a link answers with.
var (
	ErrNoLink = errors.New("no such link")
	ErrUndone = errors.New("the link was undone by a reviewer")
)

// NewLinks makes the links over facts; ids resolves opaque Patient ids.
func NewLinks(facts store.Facts, ids *IDMap, now func() time.Time) *Links {
	return &Links{facts: facts, ids: ids, now: now}
}

// linkFact is what stands in a link's fact: its versions, oldest first.
type linkFact struct {
	Versions []Link `json:"versions"`
}

func (f linkFact) head() Link {
	if len(f.Versions) == 0 {
		return Link{}
	}
	return f.Versions[len(f.Versions)-1]
}

// Propose brings in a link by a rule or a roster, as Candidate or Confirmed.
// changed is false when the link stands already, as strong or stronger. A link
// that a reviewer has undone stays undone, with ErrUndone.
func (l *Links) Propose(ctx context.Context, link Link) (changed bool, err error) {
	if link.State == Undone {
		return false, errors.New("identity: a link cannot be proposed as undone")
	}
	return l.change(ctx, link, func(head Link, exists bool) (Link, bool, error) {
		switch {
		case !exists:
			return link, true, nil
		case head.State == Undone:
			return Link{}, false, ErrUndone
		case head.State == Confirmed, link.State == Candidate:
			return Link{}, false, nil
		}
		return link, true, nil
	})
}

// Confirm makes a link confirmed by a reviewer's word, whether it was a
// candidate, undone or not known before.
func (l *Links) Confirm(ctx context.Context, patient, system, remoteID, reviewer string) error {
	link := Link{Patient: patient, System: system, RemoteID: remoteID, State: Confirmed, Method: "manual", Reviewer: reviewer}
	if reviewer == "" {
		return errors.New("identity: a link is confirmed by somebody: name the reviewer")
	}
	_, err := l.change(ctx, link, func(head Link, exists bool) (Link, bool, error) {
		return link, !exists || head.State != Confirmed, nil
	})
	return err
}

// Undo takes a link back. Its history stays, and no rule or roster brings it
// again.
func (l *Links) Undo(ctx context.Context, patient, system, remoteID, reviewer string) error {
	link := Link{Patient: patient, System: system, RemoteID: remoteID, State: Undone, Method: "manual", Reviewer: reviewer}
	if reviewer == "" {
		return errors.New("identity: a link is undone by somebody: name the reviewer")
	}
	_, err := l.change(ctx, link, func(head Link, exists bool) (Link, bool, error) {
		if !exists {
			return Link{}, false, ErrNoLink
		}
		return link, head.State != Undone, nil
	})
	return err
}

// change appends the version that next makes of the head. It tries again when
// another writer was faster.
func (l *Links) change(ctx context.Context, link Link, next func(head Link, exists bool) (Link, bool, error)) (bool, error) {
	own, err := l.check(link)
	if err != nil {
		return false, err
	}
	key := linkKey(own, link.System, link.RemoteID)
	for range 32 {
		fact, version, err := l.get(ctx, key)
		if err != nil {
			return false, err
		}
		before := fact.head()
		v, changed, err := next(before, version > 0)
		if err != nil {
			return false, fmt.Errorf("identity: link of %s to system %q: %w", link.Patient, link.System, err)
		}
		if !changed {
			return false, nil
		}
		v.At, v.Version = l.now().UTC(), before.Version+1
		fact.Versions = append(fact.Versions, v)
		err = l.put(ctx, key, version, own, fact)
		if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrExists) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("identity: store a link: %w", err)
		}
		if before.State != Confirmed && v.State != Confirmed {
			return true, nil // no class is another: only confirmed links join
		}
		return true, l.bump(ctx)
	}
	return false, fmt.Errorf("identity: store a link: %w", store.ErrConflict)
}

// check refuses what is no link, and gives the id of the Patient here.
func (l *Links) check(link Link) (own string, err error) {
	own, ok := strings.CutPrefix(link.Patient, "Patient/")
	switch {
	case !ok || !resource.ValidID(own):
		return "", fmt.Errorf("identity: %q is not a reference to a Patient here", link.Patient)
	case !resource.ValidID(link.RemoteID):
		return "", fmt.Errorf("identity: %q is not a FHIR id", link.RemoteID)
	case link.System == "" && own == link.RemoteID:
		return "", errors.New("identity: a Patient is not linked to itself")
	case l.ids.IsOpaque(own), link.System == "" && l.ids.IsOpaque(link.RemoteID):
		return "", errors.New("identity: a link goes from a Patient of the own store; name the other end by its system and its id there")
	}
	if link.System != "" {
		if _, ok := l.ids.Slug(link.System); !ok {
			return "", fmt.Errorf("identity: system %q is not configured", link.System)
		}
	}
	return own, nil
}

func (l *Links) get(ctx context.Context, key string) (f linkFact, version int64, err error) {
	got, err := l.facts.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return linkFact{}, 0, nil
	}
	if err != nil {
		return linkFact{}, 0, fmt.Errorf("identity: read a link: %w", err)
	}
	if err := json.Unmarshal(got.Value, &f); err != nil || len(f.Versions) == 0 {
		return linkFact{}, 0, fmt.Errorf("identity: read a link: %w", store.ErrDamaged)
	}
	return f, got.Version, nil
}

// put writes the pointer first: one that points nowhere is skipped, whereas a
// link without its pointer would join in one direction only.
func (l *Links) put(ctx context.Context, key string, version int64, own string, f linkFact) error {
	value, err := json.Marshal(f)
	if err != nil {
		return err
	}
	if version > 0 {
		_, err = l.facts.CompareAndSet(ctx, key, version, value, time.Time{})
		return err
	}
	head := f.head()
	_, err = l.facts.PutIfAbsent(ctx, reverseKey(head.System, head.RemoteID, own), []byte("{}"), time.Time{})
	if err != nil && !errors.Is(err, store.ErrExists) {
		return err
	}
	_, err = l.facts.PutIfAbsent(ctx, key, value, time.Time{})
	return err
}

// bump counts a change, so that every process drops the classes it remembers. It
// is called when the change is stored: if another is counted meanwhile, that
// count is younger than this change too, and stands for both.
func (l *Links) bump(ctx context.Context) error {
	return raise(ctx, l.facts, FactChanges)
}

// raise gives a counting fact another version.
func raise(ctx context.Context, facts store.Facts, key string) error {
	f, err := facts.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		_, err = facts.PutIfAbsent(ctx, key, []byte("{}"), time.Time{})
	} else if err == nil {
		_, err = facts.CompareAndSet(ctx, key, f.Version, []byte("{}"), time.Time{})
	}
	if err != nil && !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrExists) {
		return fmt.Errorf("identity: count a change of links: %w", err)
	}
	return nil
}

// List returns the newest version of the links of one Patient here
// ("Patient/…"), or of all for "". It is for reviewers: candidates are in it.
func (l *Links) List(ctx context.Context, patient string) ([]Link, error) {
	prefix := linkPrefix
	if patient != "" {
		prefix += url.PathEscape(strings.TrimPrefix(patient, "Patient/")) + "/"
	}
	var out []Link
	err := l.scan(ctx, prefix, func(f store.Fact) error {
		var v linkFact
		if err := json.Unmarshal(f.Value, &v); err != nil || len(v.Versions) == 0 {
			return fmt.Errorf("identity: read a link: %w", store.ErrDamaged)
		}
		out = append(out, v.head())
		return nil
	})
	return out, err
}

// History returns all versions of one link, oldest first.
func (l *Links) History(ctx context.Context, patient, system, remoteID string) ([]Link, error) {
	f, version, err := l.get(ctx, linkKey(strings.TrimPrefix(patient, "Patient/"), system, remoteID))
	if err == nil && version == 0 {
		err = ErrNoLink
	}
	return f.Versions, err
}

func (l *Links) scan(ctx context.Context, prefix string, each func(store.Fact) error) error {
	const batch = 200
	for after := ""; ; {
		fs, err := l.facts.Scan(ctx, prefix, after, batch)
		if err != nil {
			return fmt.Errorf("identity: read links: %w", err)
		}
		for _, f := range fs {
			if err := each(f); err != nil {
				return err
			}
			after = f.Key
		}
		if len(fs) < batch {
			return nil
		}
	}
}

// owners returns the ids of Patients here that some link, of any state, joins
// to a Patient elsewhere.
func (l *Links) owners(ctx context.Context, system, id string) ([]string, error) {
	prefix := reversePrefix + url.PathEscape(system) + "/" + url.PathEscape(id) + "/"
	var out []string
	err := l.scan(ctx, prefix, func(f store.Fact) error {
		own, err := url.PathUnescape(strings.TrimPrefix(f.Key, prefix))
		if err != nil {
			return fmt.Errorf("identity: read a link: %w", store.ErrDamaged)
		}
		out = append(out, own)
		return nil
	})
	return out, err
}

func linkKey(own, system, id string) string {
	return linkPrefix + url.PathEscape(own) + "/" + url.PathEscape(system) + "/" + url.PathEscape(id)
}

func reverseKey(system, id, own string) string {
	return reversePrefix + url.PathEscape(system) + "/" + url.PathEscape(id) + "/" + url.PathEscape(own)
}
