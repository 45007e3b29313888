package peers

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// ErrKeys says that this gateway holds other keys than the store's.
var ErrKeys = errors.New("these are not the keys of the gateways that serve from this store")

const factKeys = "gateways/keys"

// Names of keys that every gateway of a store must hold.
const (
	SiteKey    = "site.key"
	IssuerKey  = "issuer.keyFile"
	IDTokenKey = "issuer.signingKeyFile"
)

// Keys are fingerprints by name.
type Keys map[string]string

// Fingerprint is a keyed hash of a key: without the site key nobody can test a
// guess.
func Fingerprint(siteKey []byte, name string, key []byte) string {
	mac := hmac.New(sha256.New, siteKey)
	fmt.Fprintf(mac, "handoff gateway key\n%s\n", name)
	mac.Write(key)
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// KnownKeys reads the fingerprints that the store keeps; none if no gateway has
// served from it yet.
func KnownKeys(ctx context.Context, facts store.Facts) (Keys, error) {
	k, _, err := knownKeys(ctx, facts)
	return k, err
}

func knownKeys(ctx context.Context, facts store.Facts) (Keys, store.Fact, error) {
	f, err := facts.Get(ctx, factKeys)
	if errors.Is(err, store.ErrNotFound) {
		return nil, f, nil
	}
	if err != nil {
		return nil, f, fmt.Errorf("keys of the gateways: %w", err)
	}
	var k Keys
	if err := json.Unmarshal(f.Value, &k); err != nil {
		return nil, f, fmt.Errorf("%w: %s: %w", store.ErrDamaged, factKeys, err)
	}
	return k, f, nil
}

// CheckKeys compares what this gateway holds with what the store keeps, and keeps
// what is new. Another site key is always refused: ids that went out, links, page
// cursors and ends of tokens would count no more. Another key of the issuer is
// refused while another gateway may serve, because each would refuse the tokens of
// the other; else it is a new key, which the operator has put in place. Who has
// entered confirms (ConfirmKeys).
func CheckKeys(ctx context.Context, facts store.Facts, id string, mine Keys) error {
	for range tries {
		known, fact, err := knownKeys(ctx, facts)
		if err != nil {
			return err
		}
		next, changed := maps.Clone(known), differing(known, mine)
		if next == nil {
			next = Keys{}
		}
		if len(changed) > 0 {
			if err := mayChange(ctx, facts, id, changed); err != nil {
				return err
			}
		}
		maps.Copy(next, mine)
		if maps.Equal(next, known) {
			return nil
		}
		if err := putKeys(ctx, facts, fact, next); err == nil || !faster(err) {
			return err
		}
	}
	return errOften
}

// CheckSite refuses a site key that is not the store's, with ErrKeys. Where the store
// knows none yet it says nothing, and with keep makes this one the store's: for who
// writes what is made with it.
func CheckSite(ctx context.Context, facts store.Facts, key []byte, keep bool) error {
	mine := Keys{SiteKey: Fingerprint(key, SiteKey, key)}
	if keep {
		return CheckKeys(ctx, facts, "", mine)
	}
	known, err := KnownKeys(ctx, facts)
	if err == nil && len(differing(known, mine)) > 0 {
		err = errSite
	}
	return err
}

// ConfirmKeys compares once more, after this gateway has entered (Join). Of two that
// start at the same time, each with an issuer key of its own, neither sees the other in
// CheckKeys. So the fact is written anew here: whoever has looked for members before
// this one entered finds another version, and looks again; whoever was faster has its
// key there, and this one is refused.
func ConfirmKeys(ctx context.Context, facts store.Facts, mine Keys) error {
	for range tries {
		known, fact, err := knownKeys(ctx, facts)
		if err != nil {
			return err
		}
		if changed := differing(known, mine); len(changed) > 0 {
			return fmt.Errorf("%w: a gateway that started at the same time has another %s, so each would refuse the other's tokens; "+
				"copy its files here and start again", ErrKeys, strings.Join(changed, ", "))
		}
		next := Keys{}
		maps.Copy(next, known)
		maps.Copy(next, mine)
		if err := putKeys(ctx, facts, fact, next); err == nil || !faster(err) {
			return err
		}
	}
	return errOften
}

// putKeys writes fingerprints in place of the fact that was read.
func putKeys(ctx context.Context, facts store.Facts, was store.Fact, k Keys) error {
	raw, err := json.Marshal(k)
	if err != nil {
		return err
	}
	if was.Key == "" {
		_, err = facts.PutIfAbsent(ctx, factKeys, raw, time.Time{})
	} else {
		_, err = facts.CompareAndSet(ctx, factKeys, was.Version, raw, time.Time{})
	}
	return err
}

var errSite = fmt.Errorf("%w: site.key is not the one with which this store was begun, so every opaque id, link and page cursor would differ; "+
	"take the site.key of a gateway of this store ('handoff gateways list' names them), or the store that this key belongs to; "+
	"if the key was changed for good: 'handoff gateways accept-keys'", ErrKeys)

var errOften = errors.New("keys of the gateways: others change them all the time")

// differing names the keys of mine that the store knows otherwise.
func differing(known, mine Keys) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(mine)) {
		if have := known[name]; have != "" && have != mine[name] {
			out = append(out, name)
		}
	}
	return out
}

func mayChange(ctx context.Context, facts store.Facts, id string, changed []string) error {
	if slices.Contains(changed, SiteKey) {
		return errSite
	}
	list, err := List(ctx, facts)
	if err != nil {
		return err
	}
	for _, m := range list {
		if m.ID != id && !m.Stopped {
			return fmt.Errorf("%w: %s is not the key of %s (started %s), so each would refuse the other's tokens; copy its files here, "+
				"or, if that gateway is gone, 'handoff gateways forget %s'", ErrKeys, strings.Join(changed, ", "), m.Name, m.Started.Format(time.RFC3339), m.ID)
		}
	}
	return nil
}

// MayMakeKeys says whether a gateway that has no issuer key yet may make one: not
// while another gateway serves with one.
func MayMakeKeys(ctx context.Context, facts store.Facts, id, name string) error {
	known, err := KnownKeys(ctx, facts)
	if err != nil || known[name] == "" {
		return err
	}
	return mayChange(ctx, facts, id, []string{name})
}

// AcceptKeys forgets the fingerprints: the next gateway to start, or whoever writes next
// with CheckSite, says which count.
func AcceptKeys(ctx context.Context, facts store.Facts) error {
	return facts.Delete(ctx, factKeys)
}

const tries = 16

// faster says that somebody else has written meanwhile.
func faster(err error) bool {
	return errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound)
}
