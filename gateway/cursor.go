package gateway

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/gateway/guard"
)

// cursorParam is the paging parameter. Callers follow next links; they never
// make one.
const cursorParam = "_cursor"

// A place is where a page of a search starts.
type place struct {
	After  string            `json:"a,omitempty"` // the store's place, for a search over all persons
	Passed string            `json:"p,omitempty"` // the last record after it that the page before held
	Last   *search.SortValue `json:"l,omitempty"` // last entry of the page before, for a search that is held whole
}

// A seal makes places unreadable and unforgeable: AES-256-GCM under a key made
// from the site key. A sealed place is good for one query of one client, and of
// one person with one role and purpose there; each page is decided anew, so it
// carries no rights.
type seal struct {
	id   []byte // of the key; leads every sealed place
	aead cipher.AEAD
}

const sealIDBytes = 4

func newSeal(siteKey []byte) (*seal, error) {
	if len(siteKey) < 32 {
		return nil, errors.New("gateway: the site key is shorter than 32 bytes")
	}
	key, err := hkdf.Key(sha256.New, siteKey, nil, "handoff paging cursor 2", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(key)
	return &seal{id[:sealIDBytes], aead}, nil
}

// binding ties a place to who asked what: the client, the person there with role
// and purposes, the patient in context, and the query.
func binding(x *exchange) []byte {
	p := x.principal
	client, query := []string{p.Client}, []string{x.req.Type, x.asked.Self()}
	person := []any{
		p.Requester.Organization, p.Requester.Reference, p.User.ID, p.User.Subject, p.Authorization,
		p.Patient, p.Encounter, p.Requester.Roles, p.Purposes,
	}
	if guard.Off(guard.AccessPageOwner) {
		client, person = nil, nil
	}
	if guard.Off(guard.AccessPageQuery) {
		query = nil
	}
	raw, err := json.Marshal([]any{client, person, query})
	if err != nil {
		panic("gateway: names cannot be written: " + err.Error()) // they are strings
	}
	return raw
}

func (s *seal) close(p place, binding []byte) (string, error) {
	plain, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(slices.Clone(s.id), nil, plain, s.bound(binding))), nil
}

func (s *seal) open(text string, binding []byte) (place, error) {
	var p place
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	rest, ours := bytes.CutPrefix(sealed, s.id)
	if err == nil && !ours {
		err = errors.New("sealed under another key")
	}
	if err == nil {
		var plain []byte
		if plain, err = s.aead.Open(nil, nil, rest, s.bound(binding)); err == nil {
			err = json.Unmarshal(plain, &p)
		}
	}
	if err != nil {
		return place{}, outcome.BadRequest(outcome.CodeValue, "%s is not a cursor of this search; follow the next link as it was given", cursorParam).At("http." + cursorParam)
	}
	return p, nil
}

// bound adds the key's id to what a place is bound to.
func (s *seal) bound(binding []byte) []byte { return slices.Concat(s.id, binding) }

// newResourceID makes the id of a resource that is created here.
func newResourceID() string { return rand.Text() }
