package rest

import (
	"net/http"
	"strings"

	"github.com/handoff-health/handoff/gateway/guard"
)

// Cross-origin requests: https://fetch.spec.whatwg.org/#http-cors-protocol and
// SMART 2.2 conformance ("CORS"). A page may call only where its origin is
// registered with an enabled client. There are no cookies on these paths, so no
// credentials are ever allowed.

// An audience says pages of which origins may call a path.
type audience uint8

const (
	noPage     audience = iota // browsers come here by navigation, or not at all
	ofAClient                  // origins that are registered
	everywhere                 // what is open to everybody
)

// pages are those paths outside FHIR that pages may call. Introspection, the
// authorization and sign-in pages, launches and registration are not among them.
var pages = map[string]audience{
	"/oauth/token":                            ofAClient,
	"/oauth/userinfo":                         ofAClient,
	"/oauth/revoke":                           ofAClient,
	"/oauth/jwks":                             everywhere,
	"/.well-known/openid-configuration":       everywhere,
	"/.well-known/oauth-authorization-server": everywhere,
}

const (
	allowedMethods = "GET, HEAD, POST, PUT"
	allowedHeaders = "Accept, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Exist, If-None-Match, Prefer"
	exposedHeaders = "Allow, ETag, Last-Modified, Location, Retry-After, WWW-Authenticate, X-Request-Id"
	// maxAge is how long a browser may go on without asking again, in seconds. The
	// answer to each request is withheld from a page whose origin has gone.
	maxAge = "300"
)

// audienceOf says who may call a path.
func (f *front) audienceOf(path string) audience {
	below, ok := strings.CutPrefix(path, f.base)
	if ok && (below == "" || below[0] == '/') {
		if f.open[below] {
			return everywhere
		}
		if _, other := f.other[path]; !other {
			return ofAClient
		}
	}
	return pages[path]
}

// share writes the headers that let a page read the answer. It says whether the
// request is a preflight, which is answered here.
func (f *front) share(h http.Header, r *http.Request) (preflight bool) {
	may := f.audienceOf(r.URL.Path)
	if may == noPage {
		return false
	}
	origin := r.Header.Get("Origin")
	allowed := "*"
	if may == ofAClient {
		h.Add("Vary", "Origin")
		allowed = ""
		if origin != "" && len(r.Header.Values("Origin")) == 1 && (f.origins != nil && f.origins(r.Context(), origin) || guard.Off(guard.AccessOrigin)) {
			allowed = origin
		}
	}
	preflight = r.Method == http.MethodOptions && origin != "" && r.Header.Get("Access-Control-Request-Method") != ""
	if allowed == "" {
		return preflight
	}
	h.Set("Access-Control-Allow-Origin", allowed)
	if !preflight {
		h.Set("Access-Control-Expose-Headers", exposedHeaders)
		return false
	}
	h.Set("Access-Control-Allow-Methods", allowedMethods)
	h.Set("Access-Control-Allow-Headers", allowedHeaders)
	h.Set("Access-Control-Max-Age", maxAge)
	return true
}
