package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// Keys of facts by which what is kept of a Patient is found again, and forgotten.
const (
	ofPrefix      = "id-of/"   // id-of/<opaque Patient>/<type>/<opaque id>: an id that was mapped for a Patient of a system
	partingPrefix = "parting/" // parting/<own id>: to whom an expunged Patient was linked, until it is forgotten
)

// FactForgotten is the fact whose version counts expunges. It is read with FactChanges.
const FactForgotten = "idforgotten"

func ofKey(patient, typ, opaque string) string { return ofPrefix + patient + "/" + typ + "/" + opaque }

// counts reads how often links have changed and how often something was forgotten,
// in one step: what is remembered of either holds for one count.
func counts(ctx context.Context, facts store.Facts) (links, forgotten int64, err error) {
	fs, err := store.Gather(ctx, facts, []string{FactChanges, FactForgotten})
	if err != nil {
		return 0, 0, fmt.Errorf("identity: read links: %w", err)
	}
	for _, f := range fs {
		switch f.Key {
		case FactChanges:
			links = f.Version
		case FactForgotten:
			forgotten = f.Version
		}
	}
	return links, forgotten, nil
}

// Forgotten counts how often something was forgotten, as the store has it now, or as
// a pinned request has read it. Another count means that something was; it has no
// order. What is remembered as of another is dropped.
func (m *IDMap) Forgotten(ctx context.Context) (int64, error) {
	_, count, err := counts(ctx, m.facts)
	if err == nil {
		m.known.renew(count)
	}
	return count, err
}

// Part takes an expunged Patient ("Patient/…") out of all links, with their
// history. It returns the Patients of connected systems whom no other Patient here
// is linked to any more: what is kept of them is to be forgotten, and then Parted is
// called. If that does not come about, the next Part returns them again.
func (l *Links) Part(ctx context.Context, patient string) ([]Target, error) {
	own := strings.TrimPrefix(patient, "Patient/")
	links, err := l.all(ctx, own)
	if err != nil {
		return nil, err
	}
	targets, err := l.notePart(ctx, own, links)
	if err != nil {
		return nil, err
	}
	for _, link := range links {
		id := strings.TrimPrefix(link.Patient, "Patient/")
		for _, key := range []string{linkKey(id, link.System, link.RemoteID), reverseKey(link.System, link.RemoteID, id)} {
			if err := l.drop(ctx, key); err != nil {
				return nil, err
			}
		}
	}
	// Before anything is looked for: who writes about the person after that, and
	// began before, finds another count and undoes it.
	if err := l.countForgotten(ctx); err != nil {
		return nil, err
	}
	var alone []Target
	for _, t := range targets {
		owners, err := l.owners(ctx, t.System, t.ID)
		if err != nil {
			return nil, err
		}
		if len(owners) == 0 {
			alone = append(alone, t)
		}
	}
	return alone, nil
}

// Parted ends what Part began. Memories that were filled meanwhile are dropped.
func (l *Links) Parted(ctx context.Context, patient string) error {
	if err := l.countForgotten(ctx); err != nil {
		return err
	}
	return l.drop(ctx, partingKey(strings.TrimPrefix(patient, "Patient/")))
}

// all lists the links of a Patient here from both ends, in any state.
func (l *Links) all(ctx context.Context, own string) ([]Link, error) {
	links, err := l.List(ctx, "Patient/"+own)
	if err != nil {
		return nil, err
	}
	back, err := l.owners(ctx, "", own)
	if err != nil {
		return nil, err
	}
	for _, id := range back {
		links = append(links, Link{Patient: "Patient/" + id, RemoteID: own})
	}
	return links, nil
}

func partingKey(own string) string { return partingPrefix + url.PathEscape(own) }

// notePart keeps to whom links go before they are removed, with what an earlier
// Part left.
func (l *Links) notePart(ctx context.Context, own string, links []Link) ([]Target, error) {
	key := partingKey(own)
	var targets []Target
	f, err := l.facts.Get(ctx, key)
	switch {
	case err == nil:
		if err := json.Unmarshal(f.Value, &targets); err != nil {
			return nil, fmt.Errorf("identity: read a link: %w", store.ErrDamaged)
		}
	case !errors.Is(err, store.ErrNotFound):
		return nil, fmt.Errorf("identity: expunge a link: %w", err)
	}
	before := len(targets)
	for _, link := range links {
		if t := (Target{link.System, link.RemoteID}); t.System != "" && !slices.Contains(targets, t) {
			targets = append(targets, t)
		}
	}
	if len(targets) == before {
		return targets, nil
	}
	raw, err := json.Marshal(targets)
	if err != nil {
		return nil, err
	}
	if f.Version == 0 {
		_, err = l.facts.PutIfAbsent(ctx, key, raw, time.Time{})
	} else {
		_, err = l.facts.CompareAndSet(ctx, key, f.Version, raw, time.Time{})
	}
	if err != nil {
		return nil, fmt.Errorf("identity: expunge a link: %w", err)
	}
	return targets, nil
}

func (l *Links) countForgotten(ctx context.Context) error {
	if err := raise(ctx, l.facts, FactForgotten); err != nil {
		return err
	}
	return l.bump(ctx)
}

func (l *Links) drop(ctx context.Context, key string) error {
	if err := l.facts.Delete(ctx, key); err != nil {
		return fmt.Errorf("identity: expunge a link: %w", err)
	}
	return nil
}

// A Mapped is an id that was mapped in an answer about a Patient of a system.
type Mapped struct{ Type, Opaque string }

// MappedFor returns ids that were mapped for a Patient, by its opaque id, at most
// limit.
func (m *IDMap) MappedFor(ctx context.Context, patient string, limit int) ([]Mapped, error) {
	prefix := ofPrefix + patient + "/"
	fs, err := m.facts.Scan(ctx, prefix, "", limit)
	if err != nil {
		return nil, fmt.Errorf("identity: read the id map: %w", err)
	}
	var out []Mapped
	for _, f := range fs {
		typ, opaque, ok := strings.Cut(strings.TrimPrefix(f.Key, prefix), "/")
		if !ok {
			return nil, fmt.Errorf("identity: %s: %w", f.Key, store.ErrDamaged)
		}
		out = append(out, Mapped{typ, opaque})
	}
	return out, nil
}

// OpaqueOf is the opaque id of a Patient of a system, also of one that is no longer
// configured; "" if none was ever mapped. It reads much for the latter.
func (m *IDMap) OpaqueOf(ctx context.Context, t Target) (string, error) {
	if opaque, ok := m.Opaque(t.System, "Patient", t.ID); ok {
		return opaque, nil
	}
	const page = 500
	for prefix, after := factKey("Patient", ""), ""; ; {
		fs, err := m.facts.Scan(ctx, prefix, after, page)
		if err != nil {
			return "", fmt.Errorf("identity: read the id map: %w", err)
		}
		for _, f := range fs {
			after = f.Key
			var r remote
			if json.Unmarshal(f.Value, &r) == nil && r == (remote{t.System, "Patient", t.ID}) {
				return strings.TrimPrefix(f.Key, prefix), nil
			}
		}
		if len(fs) < page {
			return "", nil
		}
	}
}

// Forget removes a mapping, when what it stands for is expunged. Other processes
// remember it until Parted is called.
func (m *IDMap) Forget(ctx context.Context, typ, opaque string) error {
	err := m.drop(ctx, factKey(typ, opaque))
	m.known.drop()
	return err
}

// ForgetMapped removes that an id was mapped for a Patient: the last thing that is
// removed of it, since it is found by that.
func (m *IDMap) ForgetMapped(ctx context.Context, patient string, x Mapped) error {
	return m.drop(ctx, ofKey(patient, x.Type, x.Opaque))
}

func (m *IDMap) drop(ctx context.Context, key string) error {
	if err := m.facts.Delete(ctx, key); err != nil {
		return fmt.Errorf("identity: forget an id: %w", err)
	}
	return nil
}
