package oauth

import (
	"net/http"

	"github.com/handoff-health/handoff/gateway/auth"
)

// publicKeys serves the keys of id tokens and of access tokens (RFC 7517): bare,
// to pages of any origin.
func (s *Server) publicKeys(w http.ResponseWriter, r *http.Request) {
	body, err := auth.PublicKeys(s.o.IDKey, s.o.Tokens.AccessTokens().Key)
	if err != nil {
		http.Error(w, "the keys cannot be written", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("X-Content-Type-Options", "nosniff")
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	default:
		h.Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	h.Set("Content-Type", "application/jwk-set+json")
	h.Set("Cache-Control", "public, max-age=300")
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // the caller has gone if this fails
	}
}
