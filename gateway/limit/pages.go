package limit

import (
	"net/http"

	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/guard"
)

// Pages holds what a browser opens without having proven anything, and what leaves
// something behind in the store, to the rate of its address.
func (l *Limits) Pages(next http.Handler, source func(*http.Request) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if wait, ok := l.address.Take(network(source(r))); !ok && !guard.Off(guard.ClientRate) {
			h := w.Header()
			h.Set("Retry-After", auth.RetryAfter(wait))
			h.Set("Content-Type", "text/plain; charset=utf-8")
			h.Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = w.Write([]byte("Too many requests. Wait a moment and try again.\n")) // the browser has gone if this fails
			return
		}
		next.ServeHTTP(w, r)
	})
}
