package rest

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
)

// A Response is a finished answer. Body is complete before the first byte
// leaves.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
	Type   string // media type; application/fhir+json if empty
}

// A Handler answers one interaction. It never returns nil.
type Handler func(ctx context.Context, r *Request) *Response

// Options says where things are mounted, and who is believed.
type Options struct {
	BasePath string                  // path of the FHIR base, "/fhir"
	Other    map[string]http.Handler // what is no FHIR, by full path: "/oauth/token", "/healthz"
	Proxies  Proxies                 // whose X-Forwarded-For is believed
	// Origins says whether pages of an origin may call here; nil: none may.
	Origins func(ctx context.Context, origin string) bool
	HTTPS   bool // callers come by TLS: browsers shall never come otherwise
}

// New mounts the table of routes, each answered by h.
func New(o Options, h Handler) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.HandleMethodNotAllowed = false
	e.RedirectTrailingSlash = false
	e.RedirectFixedPath = false
	e.UseRawPath = true
	e.UnescapePathValues = true
	e.ForwardedByClientIP = false
	if err := e.SetTrustedProxies(nil); err != nil {
		panic("rest: gin refuses an empty list of proxies: " + err.Error()) // cannot happen
	}
	base := "/" + strings.Trim(o.BasePath, "/")
	if base == "/" {
		base = ""
	}
	unknown := func(c *gin.Context) {
		serve(c, h, &Request{HTTP: c.Request, Interaction: Unknown, Path: strings.TrimPrefix(c.Request.URL.Path, base)})
	}
	for m, routes := range mounted(Routes()) {
		answer := func(c *gin.Context) {
			typ := c.Param("type")
			i := slices.IndexFunc(routes, func(r Route) bool { return r.Type == "" || r.Type == typ })
			if i < 0 {
				unknown(c)
				return
			}
			serve(c, h, &Request{
				HTTP: c.Request, Interaction: routes[i].Interaction, Open: routes[i].Open,
				Type: typ, ID: c.Param("id"), VersionID: c.Param("vid"),
				Path: strings.TrimPrefix(c.Request.URL.Path, base),
			})
		}
		e.Handle(m.method, base+m.pattern, answer)
		if m.method == http.MethodGet { // the same, of which net/http sends the headers alone
			e.Handle(http.MethodHead, base+m.pattern, answer)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(o.Other)) {
		e.Any(path, gin.WrapH(o.Other[path]))
	}
	e.NoRoute(unknown)
	open := map[string]bool{}
	for _, r := range Routes() {
		open[r.Pattern] = r.Open
	}
	return framed(&front{
		base: base, open: open, other: o.Other, proxies: o.Proxies, origins: o.Origins, https: o.HTTPS, handle: h, next: dollars(e),
	})
}

// dollars reads %24 in a path as the $ of an operation: some clients escape it.
func dollars(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.RawPath, "%24") {
			again := *r.URL
			again.RawPath = strings.ReplaceAll(again.RawPath, "%24", "$")
			r = r.WithContext(r.Context())
			r.URL = &again
		}
		next.ServeHTTP(w, r)
	})
}

// A mount is where gin answers.
type mount struct{ method, pattern string }

// mounted groups the routes by where gin answers them. A type that a pattern has
// as a word is mounted as a parameter: gin would not come back from
// /Patient/:id/$op to /:type/:id. Such a route comes before one for any type.
func mounted(routes []Route) map[mount][]Route {
	out := map[mount][]Route{}
	for _, r := range routes {
		m := mount{r.Method, r.Pattern}
		if r.Type == "" {
			out[m] = append(out[m], r)
			continue
		}
		m.pattern = strings.TrimSuffix(strings.Replace(r.Pattern+"/", "/"+r.Type+"/", "/:type/", 1), "/")
		out[m] = append([]Route{r}, out[m]...)
	}
	return out
}

func serve(c *gin.Context, h Handler, r *Request) {
	write(c.Writer, h(c.Request.Context(), r))
}
