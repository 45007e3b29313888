package upstreamtest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
)

// A Server is a small honest FHIR server: read, and search by patient, _id and
// _count with paging. Its base is Base().
type Server struct {
	*httptest.Server
	// PageSize is the most entries of a page; 0: as _count says.
	PageSize int

	mu        sync.Mutex
	resources []*resource.Resource
	queries   []string
}

// NewServer starts a server that holds resources; it ends with the test.
func NewServer(tb testing.TB, seed ...[]byte) *Server {
	tb.Helper()
	s := &Server{}
	for _, raw := range seed {
		s.resources = append(s.resources, Parse(tb, raw))
	}
	s.Server = httptest.NewServer(s)
	tb.Cleanup(s.Close)
	return s
}

// Base returns the FHIR base URL.
func (s *Server) Base() string { return s.URL + "/fhir" }

// Queries returns what was asked, as path and query, in order.
func (s *Server) Queries() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.queries...)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.queries = append(s.queries, r.URL.RequestURI())
	s.mu.Unlock()
	path := strings.Split(strings.TrimPrefix(r.URL.Path, "/fhir/"), "/")
	switch {
	case r.Method != http.MethodGet || !strings.HasPrefix(r.URL.Path, "/fhir/"):
		http.Error(w, "no", http.StatusMethodNotAllowed)
	case len(path) == 2:
		s.read(w, path[0], path[1])
	default:
		s.search(w, path[0], r.URL.Query())
	}
}

func (s *Server) read(w http.ResponseWriter, typ, id string) {
	for _, r := range s.resources {
		if r.Type() == typ && r.ID() == id {
			JSON(w, http.StatusOK, r.Raw())
			return
		}
	}
	JSON(w, http.StatusNotFound, []byte(`{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"not-found","diagnostics":"`+typ+"/"+id+` is not known"}]}`))
}

func (s *Server) search(w http.ResponseWriter, typ string, q url.Values) {
	var found []*resource.Resource
	for _, r := range s.resources {
		patient := strings.TrimPrefix(q.Get("patient"), "Patient/")
		if r.Type() == typ && (patient == "" || r.Root().Path("subject", "reference").Is("Patient/"+patient)) &&
			(q.Get("_id") == "" || strings.Contains(","+q.Get("_id")+",", ","+r.ID()+",")) {
			found = append(found, r)
		}
	}
	from, _ := strconv.Atoi(q.Get("offset"))
	size, err := strconv.Atoi(q.Get("_count"))
	if err != nil || size < 1 {
		size = 50
	}
	if s.PageSize > 0 {
		size = min(size, s.PageSize)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `{"resourceType":"Bundle","type":"searchset","total":%d,"link":[{"relation":"self","url":"%s"}`, len(found), s.Base())
	from = min(from, len(found))
	to := min(from+size, len(found))
	if to < len(found) {
		q.Set("offset", strconv.Itoa(to))
		fmt.Fprintf(&b, `,{"relation":"next","url":"%s/%s?%s"}`, s.Base(), typ, q.Encode())
	}
	b.WriteString(`],"entry":[`)
	for i, r := range found[from:to] {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"fullUrl":"%s/%s","resource":%s,"search":{"mode":"match"}}`, s.Base(), r.Reference(), r.Raw())
	}
	b.WriteString(`]}`)
	JSON(w, http.StatusOK, []byte(b.String()))
}

// JSON answers with a FHIR resource.
func JSON(w http.ResponseWriter, status int, raw []byte) {
	w.Header().Set("Content-Type", "application/fhir+json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	w.WriteHeader(status)
	_, _ = w.Write(raw)
}

// Searchset makes a Bundle of resources, the way a server answers a search.
func Searchset(resources ...[]byte) []byte {
	var b strings.Builder
	b.WriteString(`{"resourceType":"Bundle","type":"searchset","entry":[`)
	for i, r := range resources {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"resource":%s,"search":{"mode":"match"}}`, r)
	}
	b.WriteString(`]}`)
	return []byte(b.String())
}
