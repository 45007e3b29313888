package gateway

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/handoff-health/handoff/gateway/auth"
)

// insideKey carries the principal of a question that the gateway asks itself. No
// request from outside has a context with it: only Ask makes one.
type insideKey struct{}

// Ask answers a read or a search that the gateway asks itself for somebody who
// proved who they are, as it would answer them: the same pipeline decides, filters
// and records it, and only the token is left out. target is a path below the FHIR
// base with its query, from the request of the person. The pages of a launch find
// patients by it.
func (s *Server) Ask(ctx context.Context, p *auth.Principal, target string, from *http.Request) (status int, body []byte) {
	u, err := url.Parse(strings.TrimSuffix(s.o.Base, "/") + target)
	if err != nil || p == nil {
		return http.StatusBadRequest, nil
	}
	r := (&http.Request{
		Method: http.MethodGet, URL: &url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}, RequestURI: u.RequestURI(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: u.Host, RemoteAddr: from.RemoteAddr, Body: http.NoBody,
		Header: http.Header{"Accept": {"application/fhir+json"}},
	}).WithContext(context.WithValue(ctx, insideKey{}, p))
	a := &answered{header: http.Header{}, status: http.StatusOK}
	s.ServeHTTP(a, r)
	return a.status, a.body.Bytes()
}

// inside returns for whom the gateway asks itself; nil for a request from outside.
func inside(ctx context.Context) *auth.Principal {
	p, _ := ctx.Value(insideKey{}).(*auth.Principal)
	return p
}

// An answered keeps an answer instead of sending it.
type answered struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answered) Header() http.Header         { return a.header }
func (a *answered) Write(b []byte) (int, error) { return a.body.Write(b) }
func (a *answered) WriteHeader(status int)      { a.status = status }
