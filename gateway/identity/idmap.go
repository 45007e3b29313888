package identity

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// An IDMap gives resources of connected systems their ids on this gateway:
// `<slug>-<HMAC>`, an HMAC-SHA-256 with the site key over system, type and the
// system's id, cut to 128 bits, in lower-case base32. Without the key nobody
// can tell or forge which resource an id stands for; the way back is a mapping
// stored in Facts.
//
// It is safe for concurrent use.
type IDMap struct {
	facts   store.Facts
	key     []byte
	slugs   map[string]string // system → slug
	systems map[string]string // slug → system
	known   *known
}

// MinKey is the shortest site key accepted, in bytes.
const MinKey = 32

const (
	hashBytes = 16
	hashChars = 26 // of 16 bytes in base32
	idPrefix  = "id/"
)

var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// remote is what an opaque id stands for.
type remote struct {
	System string `json:"system"`
	Type   string `json:"type"`
	ID     string `json:"id"`
}

// NewIDMap makes a map for systems and their slugs. It refuses a short key, a
// slug that is not 1 to 8 lower-case letters, and one that two systems share.
func NewIDMap(facts store.Facts, key []byte, slugs map[string]string) (*IDMap, error) {
	if len(key) < MinKey {
		return nil, fmt.Errorf("identity: the site key has %d bytes, it needs at least %d", len(key), MinKey)
	}
	m := &IDMap{facts: facts, key: append([]byte(nil), key...), slugs: map[string]string{}, systems: map[string]string{}, known: newKnown()}
	for system, slug := range slugs {
		if !validSlug(slug) {
			return nil, fmt.Errorf("identity: system %s: slug %q is not 1 to 8 lower-case letters", system, slug)
		}
		if other, ok := m.systems[slug]; ok {
			return nil, fmt.Errorf("identity: systems %s and %s share the slug %q", other, system, slug)
		}
		m.slugs[system], m.systems[slug] = slug, system
	}
	return m, nil
}

func validSlug(s string) bool {
	for i := range len(s) {
		if s[i] < 'a' || s[i] > 'z' {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 8
}

// Given says whether an id of the form that this map gives is mapped, whatever system
// it is of.
func (m *IDMap) Given(ctx context.Context, typ, opaque string) (bool, error) {
	_, err := m.facts.Get(ctx, factKey(typ, opaque))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Slug returns a system's slug; ok is false for a system without one.
func (m *IDMap) Slug(system string) (slug string, ok bool) {
	slug, ok = m.slugs[system]
	return slug, ok
}

// Source returns what stands in meta.source of a system's resources: a URN that
// names the slug, not the system.
func (m *IDMap) Source(system string) string { return "urn:handoff:system:" + m.slugs[system] }

// Opaque computes the id without storing the way back, for comparing only. ok
// is false for a system without a slug.
func (m *IDMap) Opaque(system, typ, id string) (opaque string, ok bool) {
	slug, ok := m.slugs[system]
	if !ok || !resource.ValidType(typ) || !resource.ValidID(id) {
		return "", false
	}
	return slug + "-" + m.hash(remote{system, typ, id}), true
}

func (m *IDMap) hash(r remote) string {
	h := hmac.New(sha256.New, m.key)
	var n [4]byte
	for _, part := range []string{"handoff id 1", r.System, r.Type, r.ID} { // lengths keep the parts apart
		binary.BigEndian.PutUint32(n[:], uint32(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	return encoding.EncodeToString(h.Sum(nil)[:hashBytes])
}

// Forward returns the opaque id of one resource, with its way back stored.
func (m *IDMap) Forward(ctx context.Context, system, typ, id string) (string, error) {
	b := m.Batch(system)
	opaque, ok := b.Forward(typ, id)
	if !ok {
		return "", fmt.Errorf("identity: system %s has no slug, or the %s has no FHIR id", system, typ)
	}
	return opaque, b.Save(ctx)
}

// Resolve returns what an opaque id stands for. ok is false, without an error,
// for an id that this gateway did not give, that is of another type, or whose
// system is no longer configured.
func (m *IDMap) Resolve(ctx context.Context, typ, opaque string) (system, id string, ok bool, err error) {
	slug, hash, cut := strings.Cut(opaque, "-")
	if !cut || len(hash) != hashChars || m.systems[slug] == "" {
		return "", "", false, nil
	}
	since, err := m.Forgotten(ctx)
	if err != nil {
		return "", "", false, err
	}
	if r, ok := m.known.backward(typ, opaque); ok {
		return r.System, r.ID, true, nil
	}
	f, err := m.facts.Get(ctx, factKey(typ, opaque))
	if errors.Is(err, store.ErrNotFound) {
		return "", "", false, nil
	}
	if err != nil {
		return "", "", false, fmt.Errorf("identity: read the id map: %w", err)
	}
	var r remote
	if err := json.Unmarshal(f.Value, &r); err != nil {
		return "", "", false, fmt.Errorf("identity: entry of the id map: %w", store.ErrDamaged)
	}
	// A mapping that the key does not confirm was not written by this gateway.
	if r.Type != typ || m.slugs[r.System] != slug || !hmac.Equal([]byte(m.hash(r)), []byte(hash)) {
		return "", "", false, nil
	}
	m.known.addBack(since, r, opaque)
	return r.System, r.ID, true, nil
}

// IsOpaque says whether an id has the form of one that this map gives: a
// configured slug and a hash. Nothing may be written under such an id.
func (m *IDMap) IsOpaque(id string) bool {
	slug, hash, ok := strings.Cut(id, "-")
	if !ok || len(hash) != hashChars || m.systems[slug] == "" {
		return false
	}
	_, err := encoding.DecodeString(hash)
	return err == nil
}

func factKey(typ, opaque string) string { return idPrefix + typ + "/" + opaque }
