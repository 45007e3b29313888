package gateway

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

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
// from the site key. A sealed place is good for one caller and one query alone;
// each page is decided anew, so it carries no rights.
type seal struct{ aead cipher.AEAD }

func newSeal(siteKey []byte) (*seal, error) {
	if len(siteKey) < 32 {
		return nil, errors.New("gateway: the site key is shorter than 32 bytes")
	}
	key, err := hkdf.Key(sha256.New, siteKey, nil, "handoff paging cursor 1", 32)
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
	return &seal{aead}, nil
}

// binding ties a place to who asked what: client, user, patient in context and
// purposes.
func binding(x *exchange) []byte {
	p := x.principal
	who := fmt.Sprintf("%q %q %q %q", p.Client, p.User.ID, p.Patient, p.Purposes)
	query := x.req.Type + "?" + x.asked.Self()
	if guard.Off(guard.AccessPageOwner) {
		who = ""
	}
	if guard.Off(guard.AccessPageQuery) {
		query = ""
	}
	return []byte(who + "\n" + query)
}

func (s *seal) close(p place, binding []byte) (string, error) {
	plain, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, plain, binding)), nil
}

func (s *seal) open(text string, binding []byte) (place, error) {
	var p place
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		var plain []byte
		if plain, err = s.aead.Open(nil, nil, sealed, binding); err == nil {
			err = json.Unmarshal(plain, &p)
		}
	}
	if err != nil {
		return place{}, outcome.BadRequest(outcome.CodeValue, "%s is not a cursor of this search; follow the next link as it was given", cursorParam).At("http." + cursorParam)
	}
	return p, nil
}

// newResourceID makes the id of a resource that is created here.
func newResourceID() string { return rand.Text() }
