package mappings

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"strings"
)

// TestKey is the documented key of `handoff convert` and of tests. It is public:
// ids made with it hide nothing, so no store may use it.
const TestKey = "handoff-convert-fixed-test-key-not-for-production"

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewIDs makes ids as HMAC-SHA-256 over resource type, system and key, cut to
// 160 bits, base32 in lower case: 32 characters. Whoever lacks the site key can
// neither make an id from a source key nor test a guess. The key needs at least
// 16 bytes.
func NewIDs(key []byte) (IDFunc, error) {
	if len(key) < 16 {
		return nil, errors.New("mappings: the site key needs at least 16 bytes")
	}
	key = append([]byte(nil), key...)
	return func(resourceType, system, sourceKey string) string {
		mac := hmac.New(sha256.New, key)
		for _, s := range []string{resourceType, system, sourceKey} {
			mac.Write([]byte(strings.ReplaceAll(s, "\x00", "")))
			mac.Write([]byte{0})
		}
		return idEncoding.EncodeToString(mac.Sum(nil)[:20])
	}, nil
}

// TestIDs is NewIDs with TestKey.
func TestIDs(resourceType, system, key string) string {
	f, err := NewIDs([]byte(TestKey))
	if err != nil {
		return ""
	}
	return f(resourceType, system, key)
}
