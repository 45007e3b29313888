package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

// A tokenCache keeps verified tokens by the hash of their bytes, at most size
// of them. It saves the signature check only: expiry, deny list and
// registration are looked at each time.
type tokenCache struct {
	size int
	mu   sync.RWMutex
	m    map[[sha256.Size]byte]*verified
}

func newTokenCache(size int) *tokenCache {
	return &tokenCache{size: size, m: make(map[[sha256.Size]byte]*verified)}
}

func (c *tokenCache) get(hash [sha256.Size]byte) *verified {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.m[hash]
}

func (c *tokenCache) drop(hash [sha256.Size]byte) {
	c.mu.RLock()
	_, ok := c.m[hash]
	c.mu.RUnlock()
	if ok {
		c.mu.Lock()
		delete(c.m, hash)
		c.mu.Unlock()
	}
}

// put keeps t. A full cache lets expired tokens go, or else an eighth of what
// it has, whichever come first in the map's random order.
func (c *tokenCache) put(hash [sha256.Size]byte, t *verified, now time.Time) {
	if c.get(hash) == t {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.m[hash]; !ok && len(c.m) >= c.size {
		for h, old := range c.m {
			if !now.Before(old.claims.expires) {
				delete(c.m, h)
			}
		}
		for h := range c.m {
			if len(c.m) <= c.size-max(1, c.size/8) {
				break
			}
			delete(c.m, h)
		}
	}
	c.m[hash] = t
}
