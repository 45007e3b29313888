package auth

// Cached counts the tokens in the cache.
func (v *Verifier) Cached() int {
	v.cache.mu.RLock()
	defer v.cache.mu.RUnlock()
	return len(v.cache.m)
}

// Forget empties the cache.
func (v *Verifier) Forget() { v.cache = newTokenCache(v.o.CacheSize) }

// FactOfClientEnd is the key of the note of a client's end.
func FactOfClientEnd(client string) string { return factKey(factEndedClient, client) }
