package limit

// Waiting says how many secrets of a client from an address are compared or wait for it.
func (l *Limits) Waiting(client, source string) int {
	l.turns.mu.Lock()
	defer l.turns.mu.Unlock()
	if q := l.turns.m[lockKey(client, source)]; q != nil {
		return q.n
	}
	return 0
}
