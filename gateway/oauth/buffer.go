package oauth

import (
	"encoding/json"
	"html"
	"io"
	"net/http"

	"github.com/handoff-health/handoff/gateway/auth"
)

// A buffer holds an answer of the library until it is in the audit trail.
type buffer struct {
	status int
	header http.Header
	body   []byte
}

// Header implements http.ResponseWriter.
func (b *buffer) Header() http.Header {
	if b.header == nil {
		b.header = http.Header{}
	}
	return b.header
}

// WriteHeader implements http.ResponseWriter.
func (b *buffer) WriteHeader(status int) {
	if b.status == 0 {
		b.status = status
	}
}

func (b *buffer) Write(p []byte) (int, error) {
	b.WriteHeader(http.StatusOK)
	b.body = append(b.body, p...)
	return len(p), nil
}

// refusal reads an error that the library itself found.
func (b *buffer) refusal() *auth.Refusal {
	said := struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{}
	if b.status < http.StatusBadRequest || json.Unmarshal(b.body, &said) != nil || said.Error == "" {
		return &auth.Refusal{Status: http.StatusInternalServerError, Code: "server_error", Reason: "library"}
	}
	return &auth.Refusal{Status: b.status, Code: said.Error, Description: said.Description, Reason: "request"}
}

// noStore forbids every cache to keep the answer (RFC 6749 5.1).
func noStore(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
}

// plainRefusal is the page of a server that was given no other.
func plainRefusal(w http.ResponseWriter, _ *http.Request, status int, id, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `<!DOCTYPE html><html lang="en"><title>The app cannot be opened</title><h1>The app cannot be opened</h1><p>`+
		html.EscapeString(text)+`</p><p>Request `+html.EscapeString(id)+`</p></html>`)
}
