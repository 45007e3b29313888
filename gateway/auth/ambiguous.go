package auth

import (
	"context"
	"fmt"

	"github.com/handoff-health/handoff/gateway/guard"
)

// A holder is a KeySource that knows keys without asking anybody: those of its last
// fetch, nil if there was none. It asks in the background when they are old.
type holder interface{ Held() *KeySet }

// Held returns the set itself.
func (ks *KeySet) Held() *KeySet { return ks }

func heldBy(s KeySource) *KeySet {
	if h, ok := s.(holder); ok {
		return h.Held()
	}
	return nil
}

// onlyOne refuses a token that a second issuer could have made, because it
// holds the same key: nobody could say whose word it is. No other issuer is waited
// for: what is known of its keys counts, and what becomes known ends tokens that
// were believed until then. It returns what was known.
func (v *Verifier) onlyOne(is *Issuer, key *publicKey) ([]*KeySet, error) {
	held := make([]*KeySet, len(v.order))
	for i, other := range v.order {
		held[i] = heldBy(other.Keys)
		if other != is && held[i] != nil && held[i].holds(key.thumbprint) && !guard.Off(guard.TokenAmbiguous) {
			return nil, faultf("ambiguous", "issuers %q and %q hold the same key", is.ID, other.ID)
		}
	}
	return held, nil
}

// sharedKeys refuses issuers that are known to hold the same key.
func (v *Verifier) sharedKeys() error {
	for i, a := range v.order {
		for _, b := range v.order[:i] {
			x, y := heldBy(a.Keys), heldBy(b.Keys)
			if x == nil || y == nil {
				continue
			}
			if kid := x.shared(y); kid != "" {
				return fmt.Errorf("issuers %q and %q hold the same key %q: nobody could say whose tokens are whose", b.ID, a.ID, kid)
			}
		}
	}
	return nil
}

// shared names a key that both sets hold, whatever its kid in the other one; "" if
// there is none.
func (ks *KeySet) shared(other *KeySet) string {
	for i := range ks.keys {
		if other.holds(ks.keys[i].thumbprint) {
			return ks.keys[i].kid
		}
	}
	return ""
}

// SharedKey names a key that two JSON Web Key Sets hold; "" if there is none, or a
// set cannot be read.
func SharedKey(a, b []byte) string {
	x, errX := ParseKeySet(a)
	y, errY := ParseKeySet(b)
	if errX != nil || errY != nil {
		return ""
	}
	return x.shared(y)
}

// Check fetches the keys of all issuers, for the start of a server. An issuer that
// cannot be reached is in unreachable, by id: its tokens wait for its keys. err: two
// issuers hold one key.
func (v *Verifier) Check(ctx context.Context) (unreachable map[string]error, err error) {
	unreachable = map[string]error{}
	type answer struct {
		id  string
		err error
	}
	answers := make(chan answer, len(v.order))
	for _, is := range v.order {
		go func() {
			_, err := is.Keys.Keys(ctx, "")
			answers <- answer{is.ID, err}
		}()
	}
	for range v.order {
		if a := <-answers; a.err != nil {
			unreachable[a.id] = a.err
		}
	}
	return unreachable, v.sharedKeys()
}
