package rest

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/gateway/guard"
)

// Limits of a request, in one place. They hold for every path, whoever answers
// it; a handler of its own may be stricter.
const (
	// MaxURLBytes bounds path and query. Longer searches go by POST _search.
	MaxURLBytes = 8 << 10
	// MaxHeaders bounds header lines. Browsers and proxies send about forty.
	MaxHeaders = 100
	// MaxHeaderBytes bounds the request line and all header lines together. A token
	// has at most 16 KiB.
	MaxHeaderBytes = 32 << 10
	// MaxFormBytes bounds the form of a POST _search: 64 parameters of 1 KiB.
	MaxFormBytes = 64 << 10
	// MaxOtherBytes bounds a body for what is no FHIR (token requests, key sets in
	// registrations): above the caps of those handlers, so that their own answers
	// come first.
	MaxOtherBytes = 256 << 10
	// MaxStreams bounds the requests that one HTTP/2 connection has at once.
	MaxStreams = 100

	headerTime = 5 * time.Second   // to send all headers
	readTime   = 30 * time.Second  // to send the whole request: 1 MiB over a slow radio link
	writeTime  = 60 * time.Second  // from the headers' end to the answer's
	idleTime   = 120 * time.Second // between requests of one connection
)

// NewServer is the HTTP server, with its times and sizes. Who sends slowly is cut
// off; what is no HTTP never comes to the handler.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       readTime,
		WriteTimeout:      writeTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    MaxHeaderBytes,
		// "OPTIONS *" is answered like everything else: refused, and on record.
		DisableGeneralOptionsHandler: true,
		HTTP2:                        &http.HTTP2Config{MaxConcurrentStreams: MaxStreams},
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// TLS is what is spoken with callers: TLS 1.2 and later, and of the earlier one
// only the suites and curves that FIPS 140 approves. (Those of TLS 1.3 are not
// the server's to choose; a build with GOFIPS140 leaves out the rest.)
func TLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		},
		CurvePreferences: []tls.CurveID{tls.CurveP256, tls.CurveP384, tls.CurveP521},
	}
}

// oversized refuses a request by its outside, before anybody is asked who sent it.
func oversized(r *http.Request) error {
	if len(r.URL.Path)+len(r.URL.RawQuery) > MaxURLBytes && !guard.Off(guard.ParserURLSize) {
		return outcome.New(http.StatusRequestURITooLong, outcome.CodeTooLong, "the address is longer than %d bytes; search by POST _search", MaxURLBytes)
	}
	lines := 0
	for _, values := range r.Header {
		lines += len(values)
	}
	if lines > MaxHeaders && !guard.Off(guard.ParserHeaders) {
		return outcome.New(http.StatusRequestHeaderFieldsTooLarge, outcome.CodeTooLong, "more than %d header lines", MaxHeaders)
	}
	return nil
}
