package resource

import (
	"crypto/sha256"
	"encoding/base64"
)

// Digest names a content byte for byte: the first 16 bytes of its SHA-256 in
// base64url, 22 characters.
func Digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
