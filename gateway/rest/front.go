package rest

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// A front stands before every handler, FHIR or not. It finds where a request
// comes from, holds it to the limits, and sets what every answer says of itself.
type front struct {
	base    string          // path of the FHIR base, without a slash at its end
	open    map[string]bool // paths below it that need no token
	other   map[string]http.Handler
	proxies Proxies
	origins func(context.Context, string) bool
	https   bool
	handle  Handler
	next    http.Handler
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if from := f.proxies.source(r); from != "" {
		r = r.WithContext(r.Context())
		r.RemoteAddr = net.JoinHostPort(from, "0") // handlers read the address, nobody the port
	}
	f.protect(w.Header())
	preflight := f.share(w.Header(), r)
	fault := oversized(r)
	if preflight || fault != nil {
		ask := &Request{HTTP: r, Interaction: Preflight, Fault: fault, Path: strings.TrimPrefix(r.URL.Path, f.base)}
		if fault != nil {
			ask.Interaction = Unknown
		}
		write(w, f.handle(r.Context(), ask))
		return
	}
	if h, ok := f.other[r.URL.Path]; ok {
		r.Body = http.MaxBytesReader(w, r.Body, mostBytes(h))
	}
	f.next.ServeHTTP(w, r)
}

// mostBytes bounds the body for a handler that is no FHIR. One that takes more
// than a form, a receiver of records, says how much itself.
func mostBytes(h http.Handler) int64 {
	if own, ok := h.(interface{ MaxBytes() int64 }); ok {
		return own.MaxBytes()
	}
	return MaxOtherBytes
}

// protect sets the headers that hold for every answer; a page sets its own
// content policy instead.
func (f *front) protect(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if f.https {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// write sends a finished answer.
func write(w http.ResponseWriter, a *Response) {
	header := w.Header()
	for name, values := range a.Header {
		if name == "Vary" {
			header[name] = append(header[name], values...)
			continue
		}
		header[name] = values
	}
	if a.Type == "" {
		a.Type = "application/fhir+json; charset=utf-8"
	}
	if len(a.Body) > 0 {
		header.Set("Content-Type", a.Type)
	}
	if a.Status != http.StatusNoContent && a.Status != http.StatusNotModified {
		header.Set("Content-Length", strconv.Itoa(len(a.Body)))
	}
	w.WriteHeader(a.Status)
	if len(a.Body) > 0 {
		// The answer is decided and audited; a peer that went away is no error of ours.
		_, _ = w.Write(a.Body)
	}
}
