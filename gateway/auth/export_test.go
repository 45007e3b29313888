package auth

// Cached counts the tokens in the cache.
func (v *Verifier) Cached() int {
	v.cache.mu.RLock()
	defer v.cache.mu.RUnlock()
	return len(v.cache.m)
}

// Forget empties the cache.
func (v *Verifier) Forget() { v.cache = newTokenCache(v.o.CacheSize) }
