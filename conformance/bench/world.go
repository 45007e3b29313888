package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/sqlite"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/identity"
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
		if w.pprof, err = freePort(); err != nil {
			return nil, err
		}
	}
	if err := w.furnish(ctx); err != nil {
		return nil, err
	}
	if _, err := w.startGateway(ctx); err != nil {
		return nil, err
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

const benchKey = "bench-0123456789abcdef0123456789abcdef"

// settings is the configuration of the measured gateway: as a site would write
// one, with nothing turned off.
const settings = `server: {listen: "%s"}
site: {key: %s, timeZone: America/Chicago}
organizations:
  - {id: clinic, name: Clinic, kind: health}
  - {id: hospital, name: Hospital, kind: health}
clients:
  - {id: ward, organization: hospital, roles: [treating-clinician], purposes: [TREAT], scopes: "system/*.rs", jwks: ${file:ward.jwks}}
systems:
  - {key: adt, kind: feed, organization: clinic, adapter: ehr/hl7v2, recordsConsentFor: [clinic]}
  - {key: ehr, kind: fhir, slug: k, organization: clinic, base: "http://%s%s"}
  - {key: lab, kind: fhir, slug: w, organization: clinic, base: "http://%s%s", consents: none}
telemetry: {level: warn}
`

// furnish writes keys, configuration and records.
func (w *world) furnish(ctx context.Context) error {
	key, err := auth.GenerateKey(auth.ES384)
	if err != nil {
		return err
	}
	jwks, err := auth.PublicKeys(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(w.dir, "ward.jwks"), jwks, 0o600); err != nil {
		return err
	}
	if w.signer, err = auth.NewSigner("ward", key, 0, nil); err != nil {
		return err
	}
	if w.listen, err = freePort(); err != nil {
		return err
	}
	text := fmt.Sprintf(settings, w.listen, benchKey, w.source, ehr.path, w.source, laboratory.path)
	if err := os.WriteFile(filepath.Join(w.dir, "handoff.yaml"), []byte(text), 0o600); err != nil {
		return err
	}
	return w.fillStore(ctx)
}

// freePort finds a port that nobody listens on.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// fillStore puts every person with a Consent into the own store and links those
// who have records elsewhere.
func (w *world) fillStore(ctx context.Context) (err error) {
	db, err := sqlite.Open(ctx, filepath.Join(w.dir, "handoff.db"), sqlite.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	ids, err := identity.NewIDMap(db, []byte(benchKey), map[string]string{ehr.key: "k", laboratory.key: "w"})
	if err != nil {
		return err
	}
	links := identity.NewLinks(db, ids, time.Now)
	for _, g := range []group{ehr, laboratory, stored} {
		for n := range people {
			own := g.own(n)
			for _, raw := range [][]byte{patient(own), consentFor(own, "hospital", 0)} {
				if err := put(ctx, db, raw); err != nil {
					return err
				}
			}
			if g.key == "" {
				continue
			}
			if err := links.Confirm(ctx, "Patient/"+own, g.key, g.remote(n), "bench"); err != nil {
				return err
			}
		}
	}
	return nil
}

func put(ctx context.Context, db *sqlite.DB, raw []byte) error {
	r, err := resource.Parse(raw)
	if err != nil {
		return err
	}
	_, err = db.Write(ctx, store.Write{Expect: store.Absent, Record: store.Record{
		Key: store.Key{Type: r.Type(), ID: r.ID()}, Raw: raw, Index: search.Index(r),
		Origin: resource.Origin{System: "adt", Custodian: "Organization/clinic"},
	}})
	return err
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
		if time.Since(began) > 30*time.Second || ctx.Err() != nil {
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
	defer c.conn.Close()
	return c.do(get(w.listen, "/readyz", "", &answer{status: http.StatusOK, type_: []byte("ready"), count: 1})) == nil
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
		"grant_type": {"client_credentials"}, "scope": {"system/*.rs"}, "client_assertion": {assertion},
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

// learn asks for every person's Observations once: it reads the answers in full
// and keeps the ids that the gateway gave.
func (w *world) learn(ctx context.Context) error {
	for _, g := range []group{ehr, laboratory} {
		for n := range people {
			token, err := w.bearer(ctx)
			if err != nil {
				return err
			}
			at := "http://" + w.listen + "/fhir/Observation?patient=Patient/" + g.own(n)
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
			if err != nil {
				return err
			}
			req.Header.Set("Authorization", "Bearer "+token)
			doc, err := w.fetch(req)
			if err != nil {
				return fmt.Errorf("%s: %w", at, err)
			}
			if w.known[g.own(n)], err = readSearchset(doc, g, n); err != nil {
				return fmt.Errorf("WRONG ANSWER to %s: %w: %s", at, err, clip(doc.Raw()))
			}
		}
	}
	return nil
}

// readSearchset checks a person's search result element by element. It returns
// the ids by number of the Observation.
func readSearchset(doc *resource.Document, g group, n int) ([]string, error) {
	ids := make([]string, entries)
	found := 0
	for e := range doc.Root().All("entry") {
		found++
		r := e.Get("resource")
		var k int
		value := first(r.Get("identifier")).Get("value").Text()
		if _, err := fmt.Sscanf(strings.TrimPrefix(value, g.remote(n)+"-"), "%d", &k); err != nil || k < 0 || k >= entries {
			return nil, fmt.Errorf("an entry has the identifier %q", value)
		}
		if !r.Get("resourceType").Is("Observation") || ids[k] != "" {
			return nil, fmt.Errorf("Observation %d comes twice or is none", k)
		}
		if got := `"valueQuantity":` + string(r.Get("valueQuantity").Raw()); got != weight(k) {
			return nil, fmt.Errorf("Observation %d has %s instead of %s", k, got, weight(k))
		}
		ids[k] = r.Get("id").Text()
	}
	if found != entries {
		return nil, fmt.Errorf("%d entries instead of %d", found, entries)
	}
	return ids, nil
}

func first(list resource.Node) resource.Node {
	for n := range list.Elements() {
		return n
	}
	return resource.Node{}
}
