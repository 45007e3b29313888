package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/all"
)

// roles are what this binary is when it is started once more.
var roles = map[string]func([]string) error{
	"role-upstream": runUpstream,
	"role-proxy":    runProxy,
	"role-decode":   runDecode,
	"role-feed":     runFeedRole,
	"role-inbox":    runInboxRole,
}

// serveRole listens on a free port, prints the address and serves until
// standard input ends, which it does with the parent.
func serveRole(make func(address string) (http.Handler, error)) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	h, err := make(l.Addr().String())
	if err != nil {
		return err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = s.Close()
	}()
	fmt.Println(l.Addr())
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// runUpstream is a FHIR server that holds ready answers in memory.
func runUpstream([]string) error {
	return serveRole(func(address string) (http.Handler, error) {
		mux := http.NewServeMux()
		for _, g := range []group{ehr, laboratory} {
			mux.Handle(g.path+"/", newMemory(g, "http://"+address))
		}
		return mux, nil
	})
}

// A memory answers reads and searches of one group from ready bytes.
type memory struct {
	read  map[string][]byte // by path
	match map[string][]byte // Observations by patient
	none  []byte
}

func newMemory(g group, origin string) *memory {
	m := &memory{read: map[string][]byte{}, match: map[string][]byte{}, none: []byte(`{"resourceType":"Bundle","type":"searchset","total":0}`)}
	m.read[g.path+"/metadata"] = []byte(`{"resourceType":"CapabilityStatement","status":"active","date":"2026-01-01","kind":"instance","fhirVersion":"4.0.1","format":["json"],"rest":[{"mode":"server"}]}`)
	for n := range people {
		id := g.remote(n)
		m.match[id] = g.searchset(origin, n)
		m.read[g.path+"/Patient/"+id] = patient(id)
		m.read[g.path+"/Encounter/enc-"+id] = encounter(id)
		for k := range entries {
			m.read[fmt.Sprintf("%s/Observation/obs-%s-%02d", g.path, id, k)] = g.observation(n, k)
		}
		// The same bytes as in the gateway's own store, for the comparison.
		m.read[g.path+"/Patient/"+stored.own(n)] = patient(stored.own(n))
	}
	return m
}

// ServeHTTP implements http.Handler.
func (m *memory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/fhir+json")
	if body, ok := m.read[r.URL.Path]; ok {
		_, _ = w.Write(body)
		return
	}
	if strings.Count(r.URL.Path, "/") != 2 {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"not-found"}]}`)
		return
	}
	body := m.none
	if strings.HasSuffix(r.URL.Path, "/Observation") {
		q := r.URL.Query()
		who := q.Get("patient") + q.Get("subject")
		if found, ok := m.match[who[strings.LastIndexByte(who, '/')+1:]]; ok {
			body = found
		}
	}
	_, _ = w.Write(body)
}

// runProxy is httputil.ReverseProxy before an address. With a second argument
// its pool keeps a connection for each client; without, it is as it comes.
func runProxy(args []string) error {
	if len(args) == 0 {
		return errors.New("the upstream's address is missing")
	}
	target, err := url.Parse("http://" + args[0])
	if err != nil {
		return err
	}
	return serveRole(func(string) (http.Handler, error) {
		p := httputil.NewSingleHostReverseProxy(target)
		if len(args) > 1 {
			t, ok := http.DefaultTransport.(*http.Transport)
			if !ok {
				return nil, errors.New("the default transport is something else")
			}
			t = t.Clone()
			t.MaxIdleConns, t.MaxIdleConnsPerHost, t.DisableCompression = 1024, 256, true
			p.Transport, p.BufferPool = t, &buffers{}
		}
		return p, nil
	})
}

// buffers lets the proxy use its copy buffers again.
type buffers struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, 32<<10)
}

// Put implements httputil.BufferPool.
func (b *buffers) Put(p []byte) { b.pool.Put(&p) }

// runDecode reads a Riverton export and counts its records, without mapping
// them.
func runDecode(args []string) error {
	if len(args) != 1 {
		return errors.New("a file is missing")
	}
	format, err := all.Find("rms/csv")
	if err != nil {
		return err
	}
	in, closer, err := adapters.OpenFile(args[0])
	if err != nil {
		return err
	}
	defer closer.Close()
	ctx := context.Background()
	src, err := format.Open(ctx, in, adapters.Options{})
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }() // was only read
	n := 0
	for {
		it, err := src.Next(ctx)
		if errors.Is(err, io.EOF) {
			fmt.Println(n)
			return nil
		}
		if err != nil {
			return err
		}
		if it.Kind == adapters.Data {
			n++
		}
	}
}
