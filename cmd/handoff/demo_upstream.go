package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/bundle"
	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/smart"
)

//go:embed demodata
var demoData embed.FS

// A demoSystem is a small FHIR server that plays a health system's EHR: it
// holds a folder of resources, asks for SMART Backend Services tokens and
// answers read and search over HTTP, as an EHR does. It knows nothing of
// consent: what it gives, the gateway has to judge.
type demoSystem struct {
	base      string
	resources []*resource.Resource
	verifier  *auth.Verifier
	server    *http.Server
	listener  net.Listener
}

// startDemoSystem serves the folder on a free loopback port, for one client.
func startDemoSystem(folder string, facts store.Facts, client string, jwks []byte) (*demoSystem, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("demo system %s: %w", folder, err)
	}
	d := &demoSystem{base: "http://" + l.Addr().String() + "/fhir", listener: l}
	if err := d.load(folder); err != nil {
		return nil, err
	}
	token, err := d.secure(facts, client, jwks)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("POST /oauth/token", token)
	mux.HandleFunc("GET /fhir/.well-known/smart-configuration", d.discovery)
	mux.HandleFunc("GET /fhir/metadata", d.metadata)
	mux.HandleFunc("GET /fhir/{type}", d.search)
	mux.HandleFunc("GET /fhir/{type}/{id}", d.read)
	d.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = d.server.Serve(l) }() // ends with Close
	return d, nil
}

func (d *demoSystem) close() error { return d.server.Close() }

func (d *demoSystem) load(folder string) error {
	dir := path.Join("demodata", folder)
	files, err := fs.Glob(demoData, dir+"/*.json")
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("demo system %s has no resources", folder)
	}
	for _, f := range files {
		raw, err := demoData.ReadFile(f)
		if err != nil {
			return err
		}
		r, err := resource.Parse(raw)
		if err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
		d.resources = append(d.resources, r)
	}
	return nil
}

// secure sets up the system's own token endpoint with the gateway as client.
func (d *demoSystem) secure(facts store.Facts, client string, jwks []byte) (http.Handler, error) {
	key, err := auth.GenerateKey(auth.ES256)
	if err != nil {
		return nil, err
	}
	scope, err := smart.ParseScope("system/*.rs")
	if err != nil {
		return nil, err
	}
	registry, err := auth.NewRegistry([]auth.Client{{
		ID: client, JWKS: jwks, Scopes: smart.Scopes{scope}, Organization: "Organization/gateway", OrganizationKind: auth.Exchange,
		Purposes: []string{"http://terminology.hl7.org/CodeSystem/v3-ActReason|TREAT"},
	}}, nil, nil)
	if err != nil {
		return nil, err
	}
	issuer := strings.TrimSuffix(d.base, "/fhir")
	own, err := auth.OwnIssuer(issuer, d.base, key)
	if err != nil {
		return nil, err
	}
	if d.verifier, err = auth.NewVerifier(auth.VerifierOptions{Issuers: []auth.Issuer{own}, Registry: registry, Facts: facts}); err != nil {
		return nil, err
	}
	return auth.NewTokenEndpoint(auth.TokenOptions{
		URL: issuer + "/oauth/token", Issuer: issuer, Audience: d.base, Registry: registry, Facts: facts, Key: key, Auditor: unaudited{},
	})
}

// unaudited is the auditor of the pretended EHRs, whose own trail is not ours.
type unaudited struct{}

// TokenRequested implements auth.Auditor.
func (unaudited) TokenRequested(context.Context, *auth.Attempt) error { return nil }

func (d *demoSystem) discovery(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"token_endpoint": strings.TrimSuffix(d.base, "/fhir") + "/oauth/token"})
}

func (d *demoSystem) metadata(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusOK, []byte(`{"resourceType":"CapabilityStatement","status":"active","date":"2026-01-01","kind":"instance","fhirVersion":"4.0.1","format":["json"],"rest":[{"mode":"server"}]}`))
}

func write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/fhir+json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the gateway has gone if this fails
}

func (d *demoSystem) refuse(w http.ResponseWriter, err error) {
	status, body := outcome.Render(err)
	write(w, status, body)
}

func (d *demoSystem) allowed(w http.ResponseWriter, r *http.Request) bool {
	bearer, err := auth.BearerFromRequest(r)
	if err == nil {
		_, err = d.verifier.Verify(r.Context(), bearer)
	}
	if err != nil {
		d.refuse(w, outcome.Unauthorized(err))
	}
	return err == nil
}

func (d *demoSystem) read(w http.ResponseWriter, r *http.Request) {
	if !d.allowed(w, r) {
		return
	}
	for _, res := range d.resources {
		if res.Type() == r.PathValue("type") && res.ID() == r.PathValue("id") {
			write(w, http.StatusOK, res.Raw())
			return
		}
	}
	d.refuse(w, outcome.NotFound(errors.New("no such resource")))
}

func (d *demoSystem) search(w http.ResponseWriter, r *http.Request) {
	if !d.allowed(w, r) {
		return
	}
	params, err := search.ParseQuery(r.URL.RawQuery)
	if err != nil {
		d.refuse(w, err)
		return
	}
	q, err := search.Parse(r.PathValue("type"), params, search.Options{Base: d.base})
	if err != nil {
		d.refuse(w, err)
		return
	}
	b := bundle.New("searchset")
	b.Link("self", d.base+"/"+q.Type()+"?"+q.Self())
	for _, res := range d.resources {
		if q.Match(res) {
			b.Add(d.base+"/"+res.Reference(), res.Raw(), "match")
		}
	}
	write(w, http.StatusOK, b.Bytes())
}
