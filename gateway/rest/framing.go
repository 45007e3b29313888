package rest

import (
	"net/http"

	"github.com/handoff-health/handoff/gateway/guard"
)

// framed ends the connection after a request whose body came in chunks. Such a
// request may have had a Content-Length too, which net/http has dropped by then:
// a proxy that went by it takes for a second request what belonged to the first,
// or the other way round (RFC 9112 6.1: the server closes the connection).
func framed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 && !guard.Off(guard.ParserFraming) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
