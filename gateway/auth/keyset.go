package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/handoff-health/handoff/fhir/resource"
)

// Signature algorithms that may be pinned for an issuer or a client. There is
// no "none" and nothing symmetric.
const (
	RS256 = "RS256"
	RS384 = "RS384"
	ES256 = "ES256"
	ES384 = "ES384"
)

// An algorithm is what a pinned name stands for.
type algorithm struct {
	id    jwa.SignatureAlgorithm
	kty   string
	curve string // for kty EC
}

// algorithmOf returns nothing for a name that may not be pinned.
func algorithmOf(name string) (algorithm, bool) {
	switch name {
	case RS256:
		return algorithm{jwa.RS256(), "RSA", ""}, true
	case RS384:
		return algorithm{jwa.RS384(), "RSA", ""}, true
	case ES256:
		return algorithm{jwa.ES256(), "EC", "P-256"}, true
	case ES384:
		return algorithm{jwa.ES384(), "EC", "P-384"}, true
	}
	return algorithm{}, false
}

// Limits of a key set.
const (
	maxKeySetBytes = 256 << 10
	maxKeys        = 64
	minRSABits     = 2048
	maxRSABits     = 8192 // what an unauthenticated caller may make us compute with
	maxKidBytes    = 255
)

// A KeySet is a set of public signature keys. It is immutable.
type KeySet struct{ keys []publicKey }

type publicKey struct {
	kid, alg   string // alg "" if the key does not say
	kty, curve string
	raw        any    // *rsa.PublicKey or *ecdsa.PublicKey
	thumbprint string // RFC 7638, SHA-256, hex
}

// A KeySource gives the keys of an issuer or a client at this moment; kid is
// the one looked for, so that a source may look again after a rotation ("": any). A
// *KeySet is a KeySource of itself.
type KeySource interface {
	Keys(ctx context.Context, kid string) (*KeySet, error)
}

// Keys returns the set itself.
func (ks *KeySet) Keys(context.Context, string) (*KeySet, error) { return ks, nil }

// ParseKeySet reads a JSON Web Key Set (RFC 7517) strictly. A set that holds a
// private or a symmetric key is refused whole: its owner has lost it. Keys that
// cannot verify one of the supported algorithms are left out; a set without any
// usable key is an error that says why.
func ParseKeySet(jwks []byte) (*KeySet, error) {
	if len(jwks) > maxKeySetBytes {
		return nil, fmt.Errorf("key set of %d bytes is larger than %d", len(jwks), maxKeySetBytes)
	}
	doc, err := resource.ParseDocument(jwks)
	if err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	list := doc.Root().Get("keys")
	if list.Kind() != resource.Array {
		return nil, errors.New("key set: there is no array \"keys\"")
	}
	if n := list.Len(); n > maxKeys {
		return nil, fmt.Errorf("key set: %d keys, at most %d", n, maxKeys)
	}
	var (
		ks      = new(KeySet)
		skipped []error
		i       int
	)
	for n := range list.Elements() {
		if secret := secretMember(n); secret != "" {
			return nil, fmt.Errorf("key set: key %d has the secret member %q; publish public keys only", i, secret)
		}
		k, err := parsePublicKey(n)
		if err != nil {
			skipped = append(skipped, fmt.Errorf("key %d: %w", i, err))
		} else {
			ks.keys = append(ks.keys, k)
		}
		i++
	}
	if i == 0 {
		return nil, errors.New("key set: it is empty")
	}
	if len(ks.keys) == 0 {
		return nil, fmt.Errorf("key set: no usable signature key: %w", errors.Join(skipped...))
	}
	return ks, nil
}

// secretMember names the member that makes a key private or symmetric.
func secretMember(n resource.Node) string {
	for _, name := range [...]string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if n.Get(name).Exists() {
			return name
		}
	}
	return ""
}

func parsePublicKey(n resource.Node) (publicKey, error) {
	if n.Kind() != resource.Object {
		return publicKey{}, errors.New("is no object")
	}
	k := publicKey{kid: n.Get("kid").Text(), alg: n.Get("alg").Text(), kty: n.Get("kty").Text(), curve: n.Get("crv").Text()}
	if k.kid == "" || len(k.kid) > maxKidBytes {
		return publicKey{}, errors.New("has no usable kid")
	}
	if use := n.Get("use"); use.Exists() && !use.Is("sig") {
		return publicKey{}, errors.New("is not for signatures (use)")
	}
	if ops := n.Get("key_ops"); ops.Exists() {
		var names []string
		for op := range ops.Elements() {
			names = append(names, op.Text())
		}
		if !slices.Contains(names, "verify") {
			return publicKey{}, errors.New("is not for verifying (key_ops)")
		}
	}
	if k.kty != "RSA" && k.kty != "EC" {
		return publicKey{}, fmt.Errorf("key type %q is not supported", k.kty)
	}
	parsed, err := jwk.ParseKey(n.Raw())
	if err != nil {
		return publicKey{}, fmt.Errorf("kid %q: %w", k.kid, err)
	}
	if err := k.take(parsed); err != nil {
		return publicKey{}, fmt.Errorf("kid %q: %w", k.kid, err)
	}
	return k, nil
}

// take fills in the key material and checks its strength.
func (k *publicKey) take(parsed jwk.Key) error {
	switch k.kty {
	case "RSA":
		var pub rsa.PublicKey
		if err := jwk.Export(parsed, &pub); err != nil {
			return err
		}
		if bits := pub.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return fmt.Errorf("RSA key of %d bits, want %d to %d", bits, minRSABits, maxRSABits)
		}
		k.raw, k.curve = &pub, ""
	case "EC":
		var pub ecdsa.PublicKey
		if err := jwk.Export(parsed, &pub); err != nil {
			return err
		}
		k.raw, k.curve = &pub, pub.Curve.Params().Name
		if k.curve != "P-256" && k.curve != "P-384" {
			return fmt.Errorf("curve %s is not supported", k.curve)
		}
	}
	sum, err := parsed.Thumbprint(crypto.SHA256)
	if err != nil {
		return err
	}
	k.thumbprint = hex.EncodeToString(sum)
	return nil
}

// fits says whether the key may verify this algorithm.
func (k *publicKey) fits(name string) bool {
	a, ok := algorithmOf(name)
	return ok && k.kty == a.kty && k.curve == a.curve && (k.alg == "" || k.alg == name)
}

// candidate returns the one key with this kid whose type fits the algorithm:
// none or several is an error (SMART 2.2, asymmetric client authentication).
func (ks *KeySet) candidate(kid, alg string) (*publicKey, error) {
	var found *publicKey
	for i := range ks.keys {
		k := &ks.keys[i]
		if k.kid != kid || !k.fits(alg) {
			continue
		}
		if found != nil {
			return nil, faultf("key", "several keys have kid %.40q and fit %s", kid, alg)
		}
		found = k
	}
	if found == nil {
		return nil, faultf("key", "no key has kid %.40q and fits %s", kid, alg)
	}
	return found, nil
}

// has says whether some key has this kid.
func (ks *KeySet) has(kid string) bool {
	return slices.ContainsFunc(ks.keys, func(k publicKey) bool { return k.kid == kid })
}

// holds says whether the set has this very key, whatever its kid.
func (ks *KeySet) holds(thumbprint string) bool {
	return slices.ContainsFunc(ks.keys, func(k publicKey) bool { return k.thumbprint == thumbprint })
}

// checkAlgorithms refuses an empty list and names that may not be pinned.
func checkAlgorithms(algs []string) error {
	if len(algs) == 0 {
		return errors.New("no signature algorithm")
	}
	for _, a := range algs {
		if _, ok := algorithmOf(a); !ok {
			return fmt.Errorf("signature algorithm %q is not one of %s", a, strings.Join([]string{RS384, ES384, RS256, ES256}, ", "))
		}
	}
	return nil
}
