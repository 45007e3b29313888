package page

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
)

// style is read from the program itself: a test reads it too.
func style() string {
	raw, err := files.ReadFile("style.css")
	if err != nil {
		return ""
	}
	return string(raw)
}

// stylesheet stands in every page, so that a page is one request. It is the
// program's own text, so nothing in it needs escaping.
func stylesheet() template.CSS { return template.CSS(style()) } //nolint:gosec // embedded in the program

// policy allows the one stylesheet and forms to this server, and nothing else:
// no script, no image, no frame, no base.
var policy = func() string {
	sum := sha256.Sum256([]byte(style()))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
}()

// Headers sets what every page is sent with.
func Headers(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}
