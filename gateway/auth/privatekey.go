package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/handoff-health/handoff/fhir/resource"
)

// A PrivateKey signs with one algorithm under one kid. It does not print its
// secret.
type PrivateKey struct {
	kid string
	alg string
	key jwk.Key
	pub jwk.Key
}

// GenerateKey makes a key for RS384, ES384, RS256 or ES256. Its kid is the
// thumbprint of the public key (RFC 7638).
func GenerateKey(alg string) (*PrivateKey, error) {
	var (
		raw any
		err error
	)
	switch alg {
	case ES256:
		raw, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ES384:
		raw, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case RS256, RS384:
		raw, err = rsa.GenerateKey(rand.Reader, 3072)
	default:
		return nil, checkAlgorithms([]string{alg})
	}
	if err != nil {
		return nil, fmt.Errorf("generate %s key: %w", alg, err)
	}
	key, err := jwk.Import(raw)
	if err != nil {
		return nil, fmt.Errorf("generate %s key: %w", alg, err)
	}
	if err := jwk.AssignKeyID(key); err != nil {
		return nil, fmt.Errorf("generate %s key: %w", alg, err)
	}
	for name, value := range map[string]any{jwk.AlgorithmKey: alg, jwk.KeyUsageKey: "sig"} {
		if err := key.Set(name, value); err != nil {
			return nil, fmt.Errorf("generate %s key: %w", alg, err)
		}
	}
	return newPrivateKey(key, alg)
}

// ParsePrivateKey reads a private JWK, or a key set that holds exactly one. The
// key must have a kid and an alg.
func ParsePrivateKey(raw []byte) (*PrivateKey, error) {
	doc, err := resource.ParseDocument(raw)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	n := doc.Root()
	if list := n.Get("keys"); list.Kind() == resource.Array {
		if list.Len() != 1 {
			return nil, fmt.Errorf("private key: the set holds %d keys, want one", list.Len())
		}
		for k := range list.Elements() {
			n = k
		}
	}
	if n.Kind() != resource.Object || !n.Get("d").Exists() {
		return nil, errors.New("private key: not a private JSON Web Key")
	}
	alg := n.Get("alg").Text()
	if n.Get("kid").Text() == "" || alg == "" {
		return nil, errors.New("private key: kid or alg is missing")
	}
	key, err := jwk.ParseKey(n.Raw())
	if err != nil {
		// The cause may quote the key.
		return nil, errors.New("private key: the JSON Web Key is damaged")
	}
	return newPrivateKey(key, alg)
}

func newPrivateKey(key jwk.Key, alg string) (*PrivateKey, error) {
	pub, err := jwk.PublicKeyOf(key)
	if err != nil {
		return nil, errors.New("private key: it has no public part")
	}
	kid, _ := key.KeyID()
	k := &PrivateKey{kid: kid, alg: alg, key: key, pub: pub}
	jwks, err := PublicKeys(k)
	if err != nil {
		return nil, err
	}
	set, err := ParseKeySet(jwks)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	if _, err := set.candidate(kid, alg); err != nil {
		return nil, fmt.Errorf("private key: the key does not fit its alg %q", alg)
	}
	return k, nil
}

// ReadPrivateKey reads a private key from a file, which nobody but its owner may
// be able to read.
func ReadPrivateKey(path string) (*PrivateKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeySetBytes {
		return nil, fmt.Errorf("private key %s: not a regular file of a key's size", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("private key %s: others can read it (mode %04o); run chmod 600", path, info.Mode().Perm())
	}
	raw := make([]byte, info.Size())
	if _, err := f.ReadAt(raw, 0); err != nil {
		return nil, fmt.Errorf("private key %s: %w", path, err)
	}
	k, err := ParsePrivateKey(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// Write stores the key in a new file with mode 0600. A file that exists is never
// overwritten: the error matches fs.ErrExist.
func (k *PrivateKey) Write(path string) error {
	raw, err := json.MarshalIndent(k.key, "", "  ")
	if err != nil {
		return errors.New("private key: cannot be encoded")
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("private key: %w", err)
	}
	_, err = f.Write(append(raw, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("private key %s: %w", path, errors.Join(err, os.Remove(path)))
	}
	return nil
}

// LoadOrGenerateKey reads the key at path, or makes one there if the file is
// absent.
func LoadOrGenerateKey(path, alg string) (*PrivateKey, error) {
	k, err := ReadPrivateKey(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if k, err = GenerateKey(alg); err != nil {
		return nil, err
	}
	if err := k.Write(path); err != nil {
		if errors.Is(err, fs.ErrExist) { // another process was faster
			return ReadPrivateKey(path)
		}
		return nil, err
	}
	return k, nil
}

// KeyID returns the kid.
func (k *PrivateKey) KeyID() string { return k.kid }

// Algorithm returns the algorithm that the key signs with.
func (k *PrivateKey) Algorithm() string { return k.alg }

// String names the key without its secret.
func (k *PrivateKey) String() string { return "private key " + k.kid + " (" + k.alg + ")" }

// GoString is String: %#v must not print the secret either.
func (k *PrivateKey) GoString() string { return k.String() }

// MarshalJSON refuses: a private key leaves the process through Write only.
func (k *PrivateKey) MarshalJSON() ([]byte, error) {
	return nil, errors.New("a private key is not to be printed")
}

// PublicKeys renders the JSON Web Key Set of the keys' public parts.
func PublicKeys(keys ...*PrivateKey) ([]byte, error) {
	set := jwk.NewSet()
	for _, k := range keys {
		if err := set.AddKey(k.pub); err != nil {
			return nil, fmt.Errorf("public keys: %w", err)
		}
	}
	raw, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("public keys: %w", err)
	}
	return raw, nil
}

// SignIDToken makes an ID Token (OpenID Connect Core 2) of its claims. Its typ
// keeps it from being taken for an access token.
func (k *PrivateKey) SignIDToken(claims any) (string, error) { return k.sign(claims, "JWT") }

// sign makes a compact JWS with the given typ.
func (k *PrivateKey) sign(claims any, typ string) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	alg, _ := algorithmOf(k.alg)
	h := jws.NewHeaders()
	if err := errors.Join(h.Set(jws.TypeKey, typ), h.Set(jws.KeyIDKey, k.kid)); err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	out, err := jws.Sign(payload, jws.WithKey(alg.id, k.key, jws.WithProtectedHeaders(h)))
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return string(out), nil
}
