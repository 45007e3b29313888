package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/handoff-health/handoff/conformance/loopback"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/auth"
)

// A world is the processes that are measured.
type world struct {
	dir      string
	binary   string
	listen   string // host:port of the gateway
	upstream *process
	source   string   // host:port of the upstream
	proxy    *process // with a pool as large as the gateway's
	proxied  string
	bare     *process // as it comes
	bareAt   string
	gateway  *process
	pprof    string // host:port of the profiling build; "" without -profile
	signer   *auth.Signer
	scope    string // asked for beside system/*.rs
	token    string
	tokenAt  time.Time
	known    map[string][]string // ids that the gateway gave to a person's Observations
}

// need starts the world once.
func (b *bench) need(ctx context.Context) (*world, error) {
	if b.world != nil {
		return b.world, nil
	}
	binary := filepath.Join(b.dir, "handoff")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	if err := b.buildGateway(ctx, binary); err != nil {
		return nil, err
	}
	w := &world{dir: b.dir, binary: binary, known: map[string][]string{}}
	b.world = w
	var err error
	if w.upstream, w.source, err = startRole(ctx, "role-upstream"); err != nil {
		return nil, err
	}
	if w.proxy, w.proxied, err = startRole(ctx, "role-proxy", w.source, "pool"); err != nil {
		return nil, err
	}
	if w.bare, w.bareAt, err = startRole(ctx, "role-proxy", w.source); err != nil {
		return nil, err
	}
	if b.profile != "" {
		if w.pprof, err = loopback.Address(); err != nil {
			return nil, err
		}
	}
	if err := w.furnish(ctx); err != nil {
		return nil, err
	}
	_, err = w.startGateway(ctx)
	return w, err
}

// needBrokered starts the world and learns what the gateway calls the connected
// systems' resources.
func (b *bench) needBrokered(ctx context.Context) (*world, error) {
	w, err := b.need(ctx)
	if err != nil || len(w.known) > 0 {
		return w, err
	}
	return w, w.learn(ctx)
}

// buildGateway compiles what is measured, once.
func (b *bench) buildGateway(ctx context.Context, to string) error {
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	overlay := ""
	if b.profile != "" {
		var err error
		if overlay, err = profilingOverlay(b.dir); err != nil {
			return err
		}
	}
	return build(ctx, gatewayPackage, to, overlay)
}

const gatewayPackage = "github.com/handoff-health/handoff/cmd/handoff"

func (w *world) close() error {
	if w == nil {
		return nil
	}
	return errors.Join(w.gateway.stop(), w.bare.stop(), w.proxy.stop(), w.upstream.stop())
}

// startGateway starts the gateway and says how long it took to its first
// answer.
func (w *world) startGateway(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	var env []string
	if w.pprof != "" {
		env = append(env, "HANDOFF_BENCH_PPROF="+w.pprof)
	}
	p, out, err := start(ctx, "gateway", env, w.binary, "serve", "--config", filepath.Join(w.dir, "handoff.yaml"))
	if err != nil {
		return 0, err
	}
	go func() {
		_, _ = io.Copy(io.Discard, out)
		p.reap()
	}()
	w.gateway = p
	for {
		if w.answers(ctx) {
			return time.Since(began), nil
		}
		if err := p.fault(); err != nil {
			return 0, err
		}
		if time.Since(began) > 2*time.Minute || ctx.Err() != nil {
			return 0, fmt.Errorf("the gateway does not become ready: %s", p.log.String())
		}
		time.Sleep(500 * time.Microsecond)
	}
}

// answers asks /readyz once.
func (w *world) answers(ctx context.Context) bool {
	c, err := dial(ctx, w.listen)
	if err != nil {
		return false
	}
	defer func() { _ = c.conn.Close() }() // nothing is left to lose
	return c.do(get(w.listen, "/readyz", "", &answer{status: http.StatusOK, mark: []byte("ready"), count: 1})) == nil
}

// stopGateway ends it as an operator would.
func (w *world) stopGateway() error {
	err := w.gateway.stop()
	w.gateway = nil
	return err
}

// bearer returns a token that is good for the next minutes.
func (w *world) bearer(ctx context.Context) (string, error) {
	if w.token != "" && time.Since(w.tokenAt) < 2*time.Minute {
		return w.token, nil
	}
	endpoint := "http://" + w.listen + "/oauth/token"
	assertion, err := w.signer.Assertion(endpoint)
	if err != nil {
		return "", err
	}
	form := url.Values{
		"grant_type": {"client_credentials"}, "scope": {strings.TrimSpace("system/*.rs " + w.scope)}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	doc, err := w.fetch(req)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	w.token, w.tokenAt = doc.Root().Get("access_token").Text(), time.Now()
	if w.token == "" {
		return "", errors.New("token: there is none in the answer")
	}
	return w.token, nil
}

// fetch sends a request outside of any measurement and reads the JSON answer.
func (w *world) fetch(req *http.Request) (*resource.Document, error) {
	resp, err := (&http.Client{Timeout: patience}).Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", resp.Status, clip(raw))
	}
	return resource.ParseDocument(raw)
}
