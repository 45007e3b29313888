package attack

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash"
	"math/big"
	"os"
)

// The suite signs with the standard library alone: what it forges must not
// depend on the code that judges it.

// A Key is a private signature key as an attacker holds it.
type Key struct {
	KID, Alg string
	private  crypto.Signer
}

type object = map[string]any

func b64(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// NewKey makes a key for ES256, ES384, RS256 or RS384.
func NewKey(kid, alg string) (*Key, error) {
	k := &Key{KID: kid, Alg: alg}
	var err error
	switch alg {
	case "ES256":
		k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		k.private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "RS256", "RS384":
		k.private, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		return nil, fmt.Errorf("no key for %q", alg)
	}
	return k, err
}

// Public is the public JSON Web Key.
func (k *Key) Public() object {
	switch p := k.private.Public().(type) {
	case *ecdsa.PublicKey:
		raw, err := p.Bytes()
		if err != nil { // a key of a named curve always has them
			return nil
		}
		size := (len(raw) - 1) / 2
		return object{"kty": "EC", "use": "sig", "kid": k.KID, "alg": k.Alg, "crv": p.Curve.Params().Name, "x": b64(raw[1 : 1+size]), "y": b64(raw[1+size:])}
	case *rsa.PublicKey:
		return object{"kty": "RSA", "use": "sig", "kid": k.KID, "alg": k.Alg, "n": b64(p.N.Bytes()), "e": b64(big.NewInt(int64(p.E)).Bytes())}
	}
	return nil
}

// JWKS is a key set of the public keys.
func JWKS(keys ...*Key) string {
	var all []object
	for _, k := range keys {
		all = append(all, k.Public())
	}
	raw, _ := json.Marshal(object{"keys": all}) // strings only
	return string(raw)
}

// write stores the private key as handoff reads one.
func (k *Key) write(path string) error {
	jwk := k.Public()
	switch p := k.private.(type) {
	case *ecdsa.PrivateKey:
		raw, err := p.Bytes()
		if err != nil {
			return err
		}
		jwk["d"] = b64(raw)
	case *rsa.PrivateKey:
		p.Precompute()
		jwk["d"], jwk["p"], jwk["q"] = b64(p.D.Bytes()), b64(p.Primes[0].Bytes()), b64(p.Primes[1].Bytes())
		jwk["dp"], jwk["dq"], jwk["qi"] = b64(p.Precomputed.Dp.Bytes()), b64(p.Precomputed.Dq.Bytes()), b64(p.Precomputed.Qinv.Bytes())
	}
	raw, err := json.Marshal(jwk)
	if err != nil {
		return err
	}
	return os.WriteFile(path, raw, 0o600)
}

// ReadKey reads a private JSON Web Key from a file.
func ReadKey(path string) (*Key, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var j struct{ Kty, Kid, Alg, Crv, D, N, E, P, Q string }
	if err := json.Unmarshal(raw, &j); err != nil {
		return nil, fmt.Errorf("%s: not a JSON Web Key", path)
	}
	number := func(s string) *big.Int {
		b, _ := base64.RawURLEncoding.DecodeString(s)
		return new(big.Int).SetBytes(b)
	}
	k := &Key{KID: j.Kid, Alg: j.Alg}
	switch j.Kty {
	case "EC":
		curve := elliptic.P256()
		if j.Crv == "P-384" {
			curve = elliptic.P384()
		}
		d, err := base64.RawURLEncoding.DecodeString(j.D)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		k.private, err = ecdsa.ParseRawPrivateKey(curve, d)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	case "RSA":
		p := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: number(j.N), E: int(number(j.E).Int64())}, D: number(j.D), Primes: []*big.Int{number(j.P), number(j.Q)}}
		if err := p.Validate(); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		k.private = p
	default:
		return nil, fmt.Errorf("%s: key type %q", path, j.Kty)
	}
	return k, nil
}

// hashOf is the hash of an algorithm by its last three digits.
func hashOf(alg string) (crypto.Hash, func() hash.Hash) {
	switch alg[len(alg)-3:] {
	case "384":
		return crypto.SHA384, sha512.New384
	case "512":
		return crypto.SHA512, sha512.New
	}
	return crypto.SHA256, sha256.New
}

// signature signs a text under alg, which need not be the key's own.
func (k *Key) signature(alg, text string) ([]byte, error) {
	id, h := hashOf(alg)
	sum := h()
	sum.Write([]byte(text))
	digest := sum.Sum(nil)
	switch p := k.private.(type) {
	case *rsa.PrivateKey:
		return rsa.SignPKCS1v15(rand.Reader, p, id, digest)
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, p, digest)
		if err != nil {
			return nil, err
		}
		size := (p.Curve.Params().BitSize + 7) / 8
		out := make([]byte, 2*size)
		r.FillBytes(out[:size])
		s.FillBytes(out[size:])
		return out, nil
	}
	return nil, fmt.Errorf("cannot sign with %T", k.private)
}

// A forgery is a compact JWS in the making. Header and claims may be text, for
// what no encoder writes.
type forgery struct {
	header, claims any
	key            *Key   // nil: no signature
	secret         []byte // of an HMAC, in place of a key
}

func segment(v any) (string, error) {
	if s, ok := v.(string); ok {
		return b64([]byte(s)), nil
	}
	raw, err := json.Marshal(v)
	return b64(raw), err
}

// token signs under the header's alg.
func (f forgery) token() (string, error) {
	header, err := segment(f.header)
	if err != nil {
		return "", err
	}
	claims, err := segment(f.claims)
	if err != nil {
		return "", err
	}
	text := header + "." + claims
	alg := "ES256"
	if h, ok := f.header.(object); ok {
		alg, _ = h["alg"].(string)
	} else if f.key != nil {
		alg = f.key.Alg
	}
	switch {
	case f.secret != nil:
		_, h := hashOf(alg)
		mac := hmac.New(h, f.secret)
		mac.Write([]byte(text))
		return text + "." + b64(mac.Sum(nil)), nil
	case f.key == nil:
		return text + ".", nil
	}
	sig, err := f.key.signature(alg, text)
	return text + "." + b64(sig), err
}
