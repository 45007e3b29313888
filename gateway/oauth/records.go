package oauth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/auth"
)

// Keys of facts. What a thief of the store could use is hashed.
const (
	requestFacts       = "oauth/request/"
	codeFacts          = "oauth/code/"
	refreshFacts       = "oauth/refresh/"
	authorizationFacts = "oauth/authorization/"
)

// pending is an authorization request that waits for a person.
type pending struct {
	Request   Request `json:"request"`
	State     string  `json:"state"`
	Nonce     string  `json:"nonce,omitempty"`
	Challenge string  `json:"challenge"`
	Answered  bool    `json:"answered,omitempty"`
}

// A family is what a person authorised, with all the tokens that come of it.
type family struct {
	Authorization auth.Authorization `json:"authorization"`
	Nonce         string             `json:"nonce,omitempty"`
	Context       map[string]any     `json:"context,omitempty"`
	Began         time.Time          `json:"began"`
	// Ends is when the last of its tokens has expired.
	Ends time.Time `json:"ends"`
}

// A ticket is a code or a refresh token, as the store knows it.
type ticket struct {
	Authorization string    `json:"authorization"`
	Client        string    `json:"client"`
	RedirectURI   string    `json:"redirectUri,omitempty"` // of a code
	Challenge     string    `json:"challenge,omitempty"`   // of a code
	Expires       time.Time `json:"expires"`
	Used          bool      `json:"used,omitempty"`
}

// newSecret makes an id that nobody can guess: 128 bits or more.
func newSecret() string { return rand.Text() + rand.Text()[:6] }

// secretKey is where a secret's record lies.
func secretKey(prefix, secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return prefix + hex.EncodeToString(sum[:])
}

// keyStore reads and writes records.
type keyStore struct{ facts store.Facts }

// errTaken says that somebody else changed the record first.
var errTaken = errors.New("the record was changed by somebody else")

// get reads a record into v; store.ErrNotFound if there is none.
func (k keyStore) get(ctx context.Context, key string, v any) (version int64, err error) {
	f, err := k.facts.Get(ctx, key)
	if err != nil {
		return 0, err
	}
	if err := json.Unmarshal(f.Value, v); err != nil {
		return 0, fmt.Errorf("record of the authorization server: %w", err)
	}
	return f.Version, nil
}

func (k keyStore) put(ctx context.Context, key string, v any, until time.Time) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("record of the authorization server: %w", err)
	}
	if _, err := k.facts.PutIfAbsent(ctx, key, raw, until); err != nil {
		return fmt.Errorf("record of the authorization server: %w", err)
	}
	return nil
}

// replace writes a record over the version that was read; errTaken if another
// came between.
func (k keyStore) replace(ctx context.Context, key string, version int64, v any, until time.Time) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("record of the authorization server: %w", err)
	}
	_, err = k.facts.CompareAndSet(ctx, key, version, raw, until)
	switch {
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrNotFound):
		return errTaken
	case err != nil:
		return fmt.Errorf("record of the authorization server: %w", err)
	}
	return nil
}

// family reads what an authorization is; nil if it is over.
func (k keyStore) family(ctx context.Context, id string) (*family, error) {
	f := &family{}
	switch _, err := k.get(ctx, authorizationFacts+id, f); {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return f, nil
}

// end ends a family with all its tokens.
func (s *Server) end(ctx context.Context, f *family) error {
	return auth.EndAuthorization(ctx, s.o.Facts, f.Authorization.ID, later(f.Ends, s.o.Now().Add(time.Minute)))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
