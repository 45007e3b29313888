package broker

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/client"
	"github.com/handoff-health/handoff/gateway/upstream/upstreamtest"
)

// BenchmarkBrokered measures a read and a search of 20 entries three ways, each
// at 1, 8 and 64 clients: asking the upstream directly, through
// httputil.ReverseProxy, and through the broker. The broker stands behind an
// HTTP server as the proxy does, so that the hop is the same; it decides and
// audits nothing. p50 and p99 are reported in microseconds.
func BenchmarkBrokered(b *testing.B) {
	var seed [][]byte
	for i := range 20 {
		seed = append(seed, observation(fmt.Sprint("o", i), "p1"))
	}
	page := upstreamtest.Searchset(seed...)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/o1") {
			upstreamtest.JSON(w, 200, seed[1])
			return
		}
		upstreamtest.JSON(w, 200, page)
	}))
	defer up.Close()
	target, err := url.Parse(up.URL)
	if err != nil {
		b.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = client.NewTransport()
	proxied := httptest.NewServer(proxy)
	defer proxied.Close()
	brokered := httptest.NewServer(brokerHandler(newBroker(b, func(o *Options) {
		o.Timeout, o.Overall, o.Concurrency = 10*time.Second, 10*time.Second, 64
	}, fhirSystem(b, "alpha", up.URL+"/fhir"))))
	defer brokered.Close()
	for _, op := range []struct {
		name, path string
		entries    int
	}{{"read", "/fhir/Observation/o1", 1}, {"search20", "/fhir/Observation?patient=p1", 20}} {
		for _, clients := range []int{1, 8, 64} {
			for _, way := range []struct{ name, url string }{{"direct", up.URL}, {"ReverseProxy", proxied.URL}, {"broker", brokered.URL}} {
				b.Run(fmt.Sprintf("%s/clients=%d/%s", op.name, clients, way.name), func(b *testing.B) {
					drive(b, way.url+op.path, clients, op.entries)
				})
			}
		}
	}
}

// brokerHandler answers what the benchmark asks, and nothing else.
func brokerHandler(b *Broker) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/fhir+json")
		if strings.HasSuffix(r.URL.Path, "/o1") {
			e, err := b.Read(r.Context(), "alpha", "Observation", "o1", "")
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			_, _ = w.Write(e.Resource.Raw())
			return
		}
		out := []byte(`{"resourceType":"Bundle","type":"searchset","entry":[`)
		a, err := b.Search(r.Context(), Query{Type: "Observation", Targets: []Target{{System: "alpha", ID: "p1"}}}, func(e Entry) bool {
			if out[len(out)-1] != '[' {
				out = append(out, ',')
			}
			out = append(append(append(out, `{"resource":`...), e.Resource.Raw()...), '}')
			return true
		})
		if err != nil || a.Incomplete {
			http.Error(w, fmt.Sprint(err, a), http.StatusBadGateway)
			return
		}
		_, _ = w.Write(append(out, "]}"...))
	})
}

// drive sends b.N requests from a number of clients and checks each answer.
func drive(b *testing.B, address string, clients, entries int) {
	tr := client.NewTransport()
	defer tr.CloseIdleConnections()
	c := &http.Client{Transport: tr}
	took := make([]time.Duration, b.N)
	next := make(chan int)
	var wg sync.WaitGroup
	b.ResetTimer()
	for range clients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range next {
				start := time.Now()
				resp, err := c.Get(address)
				if err != nil {
					b.Error(err)
					continue
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				took[i] = time.Since(start)
				if n := strings.Count(string(body), `"resourceType":"Observation"`); err != nil || n != entries {
					b.Errorf("%s: %d entries, %v", address, n, err)
				}
			}
		}()
	}
	for i := range b.N {
		next <- i
	}
	close(next)
	wg.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkSearchAlone is the broker without an HTTP server before it, for
// profiles.
func BenchmarkSearchAlone(b *testing.B) {
	var seed [][]byte
	for i := range 20 {
		seed = append(seed, observation(fmt.Sprint("o", i), "p1"))
	}
	page := upstreamtest.Searchset(seed...)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { upstreamtest.JSON(w, 200, page) }))
	defer up.Close()
	br := newBroker(b, nil, fhirSystem(b, "alpha", up.URL+"/fhir"))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		if _, err := br.Search(context.Background(), Query{Type: "Observation", Targets: []Target{{System: "alpha", ID: "p1"}}}, func(Entry) bool { n++; return true }); err != nil || n != 20 {
			b.Fatal(n, err)
		}
	}
}
