package rest

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
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

// Options says where things are mounted.
type Options struct {
	BasePath string                  // path of the FHIR base, "/fhir"
	Other    map[string]http.Handler // what is no FHIR, by full path: "/oauth/token", "/healthz"
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
	for _, route := range Routes() {
		e.Handle(route.Method, base+route.Pattern, func(c *gin.Context) {
			serve(c, h, &Request{
				HTTP: c.Request, Interaction: route.Interaction, Open: route.Open,
				Type: cmp.Or(route.Type, c.Param("type")), ID: c.Param("id"), VersionID: c.Param("vid"),
				Path: strings.TrimPrefix(c.Request.URL.Path, base),
			})
		})
	}
	for _, path := range slices.Sorted(maps.Keys(o.Other)) {
		e.Any(path, gin.WrapH(o.Other[path]))
	}
	e.NoRoute(func(c *gin.Context) {
		serve(c, h, &Request{HTTP: c.Request, Interaction: Unknown, Path: strings.TrimPrefix(c.Request.URL.Path, base)})
	})
	return e
}

func serve(c *gin.Context, h Handler, r *Request) {
	w := h(c.Request.Context(), r)
	header := c.Writer.Header()
	for name, values := range w.Header {
		header[name] = values
	}
	if w.Type == "" {
		w.Type = "application/fhir+json; charset=utf-8"
	}
	if len(w.Body) > 0 {
		header.Set("Content-Type", w.Type)
	}
	header.Set("Content-Length", strconv.Itoa(len(w.Body)))
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	if header.Get("Cache-Control") == "" {
		header.Set("Cache-Control", "no-store")
	}
	c.Writer.WriteHeader(w.Status)
	if len(w.Body) > 0 {
		// The answer is decided and audited; a peer that went away is no error of ours.
		_, _ = c.Writer.Write(w.Body)
	}
}
