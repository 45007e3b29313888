package auth

import (
	"crypto/rsa"
)

// A KeyInfo is what a review of keys asks.
type KeyInfo struct {
	ID         string // kid
	Type       string // RSA or EC
	Bits       int    // of the modulus or the curve
	Thumbprint string // RFC 7638, SHA-256, hex
}

// KeysOf lists the usable keys of a JSON Web Key Set, nil if it has none.
func KeysOf(jwks []byte) []KeyInfo {
	set, err := ParseKeySet(jwks)
	if err != nil {
		return nil
	}
	out := make([]KeyInfo, len(set.keys))
	for i, k := range set.keys {
		out[i] = KeyInfo{ID: k.kid, Type: k.kty, Thumbprint: k.thumbprint}
		switch k.curve {
		case "P-256":
			out[i].Bits = 256
		case "P-384":
			out[i].Bits = 384
		default:
			if pub, ok := k.raw.(*rsa.PublicKey); ok {
				out[i].Bits = pub.N.BitLen()
			}
		}
	}
	return out
}
