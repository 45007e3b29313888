package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/config"
)

// newDemoCommand shows the main job on one machine.
func newDemoCommand() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo [--addr 127.0.0.1:8080] [--data DIR] [--store mongodb://HOST]",
		Short: "Show the main job: two agencies, two health systems, one person",
		Long: `Start two synthetic police agencies and two synthetic health systems (one of
them a 42 CFR Part 2 program) on this machine, bring their records in, and walk
through a permitted, a filtered and a denied query, a revocation and the same
query again, a warrant that the custodian accepts and withdraws, and a medical
emergency. Every step is printed as a command that works as printed, in
another terminal, for as long as the demo runs.

Everything listens on loopback only. Keys are made at each start; all data are
synthetic.

With --store the gateway keeps its data in a MongoDB database: in the one that the
URI names, which must be empty, or in a new one. It is removed when the demo ends,
unless --data keeps the demo's files.`,
		Example: "  handoff demo\n  handoff demo --addr 127.0.0.1:9000 --data /tmp/handoff-demo\n  handoff demo --own-app http://127.0.0.1:3000\n  handoff demo --once\n  handoff demo --store mongodb://127.0.0.1:27017/?directConnection=true",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDemo(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&o.addr, "addr", "127.0.0.1:8080", "loopback address to listen on")
	cmd.Flags().StringVar(&o.data, "data", "", "folder for the demo's files; a new temporary one if empty")
	cmd.Flags().StringVar(&o.store, "store", "", "URI of a MongoDB deployment for the gateway's data; a file in the demo's folder if empty")
	cmd.Flags().StringVar(&o.own, "own-app", "", "origin of an app of yours on this machine, registered at ORIGIN/callback and ORIGIN/launch")
	cmd.Flags().BoolVar(&o.once, "once", false, "end after the tour instead of serving on")
	return cmd
}

type demoOptions struct {
	addr, data string
	store      string // URI of a MongoDB deployment; "" for the embedded store
	own        string // origin of an app to register; "" for none
	once       bool
	ready      func(*demo) // called when the tour is over; nil: nobody waits for it
}

// A demo is a running one.
type demo struct {
	dir     string
	base    string // FHIR base URL of the gateway
	out     io.Writer
	gateway *running
	systems []*demoSystem
	facts   backend.Backend // of the pretended EHRs' token endpoints
	keys    map[string]*auth.PrivateKey
	store   *demoStore
	users   []*demoUser
	app     *demoApp
	own     string // origin of an app of somebody's own, or ""
}

// demoClients are the systems that log in at the gateway.
var demoClients = []string{"riverton-mdt", "lakeside-clinic", "lakeside-records", "lakeside-crisis", "harbor-privacy", ownBoard}

func runDemo(ctx context.Context, o demoOptions, out, log io.Writer) (err error) {
	host, _, err := net.SplitHostPort(o.addr)
	if err != nil {
		return usageError("--addr %q is not host:port", o.addr)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return usageError("--addr %s: the demo listens on loopback only", o.addr)
	}
	if err := checkOwnApp(o.own); err != nil {
		return err
	}
	l, err := net.Listen("tcp", o.addr)
	if err != nil {
		return fmt.Errorf("demo: %w (another --addr, such as 127.0.0.1:0, may be free)", err)
	}
	defer func() { _ = l.Close() }() // serving closes it too
	d := &demo{out: out, base: "http://" + l.Addr().String() + "/fhir", own: o.own, keys: map[string]*auth.PrivateKey{}}
	if d.dir, err = demoFolder(o.data); err != nil {
		return err
	}
	if o.data == "" {
		defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	}
	if d.store, err = newDemoStore(ctx, &o); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.store.remove(ctx)) }()
	defer func() { err = errors.Join(err, d.close()) }()
	logger := newLogger(log, "warn")
	c, err := d.prepare(ctx)
	if err != nil {
		return err
	}
	users, err := d.signIns(c)
	if err != nil {
		return err
	}
	if d.gateway, err = assemble(ctx, c, logger, users...); err != nil {
		return err
	}
	if err := d.gateway.peers.Stay(ctx); err != nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	defer stop()
	defer d.gateway.deliver(serving)()
	done := make(chan error, 1)
	go func() { done <- serveOn(serving, l, c, d.gateway.whileCurrent(d.gateway.handler), logger) }()
	if err := d.tour(ctx); err != nil {
		return errors.Join(err, ctx.Err())
	}
	d.tellUsers()
	if o.ready != nil {
		o.ready(d)
	}
	if o.once {
		stop()
		return <-done
	}
	fmt.Fprintf(out, "\nThe demo goes on until you stop it with Ctrl-C. Every line above that starts with $ works in another terminal.\n")
	return <-done
}

func (d *demo) close() error {
	var errs []error
	for _, s := range d.systems {
		errs = append(errs, s.close())
	}
	if d.app != nil {
		errs = append(errs, d.app.close())
	}
	if d.facts != nil {
		errs = append(errs, d.facts.Close())
	}
	if d.gateway != nil {
		errs = append(errs, d.gateway.Close())
	}
	return errors.Join(errs...)
}

// demoFolder makes the folder for the demo's files. One that holds something
// already is refused, so that nothing is overwritten.
func demoFolder(dir string) (string, error) {
	if dir == "" {
		return os.MkdirTemp("", "handoff-demo-")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return "", fmt.Errorf("demo: --data: %w", err)
	}
	entries, err := os.ReadDir(abs)
	if err != nil {
		return "", fmt.Errorf("demo: --data: %w", err)
	}
	if len(entries) > 0 {
		return "", fmt.Errorf("demo: --data %s is not empty; name a new folder", dir)
	}
	return abs, nil
}

// prepare makes keys, starts the health systems, and writes the configuration,
// the source files and the roster.
func (d *demo) prepare(ctx context.Context) (*config.Config, error) {
	if err := os.MkdirAll(filepath.Join(d.dir, "keys"), 0o700); err != nil {
		return nil, err
	}
	for _, name := range append([]string{"gateway"}, demoClients...) {
		if err := d.makeKey(name); err != nil {
			return nil, err
		}
	}
	siteKey := make([]byte, 32)
	if _, err := rand.Read(siteKey); err != nil {
		return nil, err
	}
	if err := d.file("site.key", hex.EncodeToString(siteKey)+"\n"); err != nil {
		return nil, err
	}
	if err := d.startSystems(ctx); err != nil {
		return nil, err
	}
	var err error
	if d.app, err = startDemoApp(d.base); err != nil {
		return nil, err
	}
	for _, agency := range []string{"riverton", "cedar"} {
		for _, name := range []string{"contacts.csv", "profile.yaml"} {
			raw, err := demoData.ReadFile("demodata/" + agency + "/" + name)
			if err != nil {
				return nil, err
			}
			if err := d.file(agency+"-"+name, string(raw)); err != nil {
				return nil, err
			}
		}
	}
	settings, err := d.store.settings(d)
	if err != nil {
		return nil, err
	}
	var text strings.Builder
	err = demoConfig.Execute(&text, map[string]string{
		"Listen": strings.TrimSuffix(strings.TrimPrefix(d.base, "http://"), "/fhir"), "Lakeside": d.systems[0].base, "Harbor": d.systems[1].base,
		"Store": settings,
	})
	if err != nil {
		return nil, err
	}
	if err := d.file("handoff.yaml", text.String()); err != nil {
		return nil, err
	}
	return loadConfig(filepath.Join(d.dir, "handoff.yaml"))
}

func (d *demo) startSystems(ctx context.Context) error {
	jwks, err := auth.PublicKeys(d.keys["gateway"])
	if err != nil {
		return err
	}
	if d.facts, err = backend.Open(ctx, filepath.Join(d.dir, "ehr-tokens.db"), backend.Options{}); err != nil {
		return err
	}
	for _, folder := range []string{"lakeside", "harbor"} {
		s, err := startDemoSystem(folder, d.facts, "handoff-gateway", jwks)
		if err != nil {
			return err
		}
		d.systems = append(d.systems, s)
	}
	return nil
}

// makeKey writes a client's private key (mode 0600) and its public key set.
func (d *demo) makeKey(name string) error {
	key, err := auth.GenerateKey(auth.ES384)
	if err != nil {
		return err
	}
	d.keys[name] = key
	if err := key.Write(d.path("keys", name+".jwk")); err != nil {
		return err
	}
	jwks, err := auth.PublicKeys(key)
	if err != nil {
		return err
	}
	return d.file("keys/"+name+".jwks", string(jwks))
}

func (d *demo) path(parts ...string) string {
	return filepath.Join(append([]string{d.dir}, parts...)...)
}

func (d *demo) file(name, content string) error {
	return os.WriteFile(d.path(name), []byte(content), 0o600)
}

// demoConfig is the configuration of the demo, as a site would write one.
var demoConfig = template.Must(template.New("handoff.yaml").Parse(`# A synthetic county: two police agencies, a community mental-health center and
# a substance use program under 42 CFR Part 2.
server:
  listen: "{{.Listen}}"
{{.Store}}site:
  key: ${file:site.key}
  timeZone: America/Chicago
organizations:
  - {id: riverton-pd, name: Riverton Police Department, kind: police, identifiers: [{system: https://handoff-health.github.io/fhir/sid/ori, value: ZZ0010100}],
     practitioners: [{id: d-ortiz, identifiers: [{system: https://riverton.example/badge, value: "4711"}]}]}
  - {id: cedar-so, name: Cedar County Sheriff, kind: police, identifiers: [{system: https://handoff-health.github.io/fhir/sid/ori, value: ZZ0020000}]}
  - {id: lakeside, name: Lakeside Community Mental Health, kind: health, privacyContact: {name: Kim Novak},
     practitioners: [{id: j-marsh, identifiers: [{system: https://lakeside.example/staff, value: "1002"}]}]}
  - {id: harbor, name: Harbor Recovery Program, kind: health, part2: true, privacyContact: {name: Sam Ruiz}}
clients:
  - id: riverton-mdt
    name: mobile terminals of Riverton's patrol officers
    organization: riverton-pd
    roles: [law-enforcement-officer]
    purposes: [CRISIS]
    scopes: system/*.rs system/Task.cu system/Consent.c
    jwks: ${file:keys/riverton-mdt.jwks}
    captures: verbal
    recordsConsentFor: [riverton-pd]
  - id: lakeside-clinic
    name: Lakeside's EHR, for its crisis clinicians and its consent desk
    organization: lakeside
    roles: [treating-clinician]
    purposes: [TREAT]
    scopes: system/*.rs system/Consent.cu https://handoff-health.github.io/fhir/scope/launch
    jwks: ${file:keys/lakeside-clinic.jwks}
    treatingProvider: linked
    recordsConsentFor: [lakeside]
  - id: lakeside-records
    name: Lakeside's records desk, which decides on legal bases
    organization: lakeside
    roles: [case-manager]
    purposes: [HOPERAT]
    scopes: system/*.rs system/Task.u https://handoff-health.github.io/fhir/scope/explain-access
    users: asserted
    mfa: asserted
    jwks: ${file:keys/lakeside-records.jwks}
  - id: lakeside-crisis
    name: Lakeside's crisis stabilization unit, for its emergency physicians
    organization: lakeside
    roles: [emergency-physician]
    purposes: [ETREAT]
    scopes: system/*.rs
    users: asserted
    medicalPersonnel: true
    treatingProvider: linked
    jwks: ${file:keys/lakeside-crisis.jwks}
  - id: harbor-privacy
    name: Harbor's privacy desk
    organization: harbor
    roles: [case-manager]
    purposes: [HOPERAT]
    scopes: system/*.rs system/Task.u
    users: asserted
    jwks: ${file:keys/harbor-privacy.jwks}
systems:
  - {key: riverton-rms, kind: feed, organization: riverton-pd, adapter: rms/csv, profile: riverton-profile.yaml}
  - {key: cedar-rms, kind: feed, organization: cedar-so, adapter: rms/csv, profile: cedar-profile.yaml}
  - {key: lakeside-ehr, kind: fhir, slug: k, organization: lakeside, base: {{.Lakeside}}, auth: {clientId: handoff-gateway, keyFile: keys/gateway.jwk}}
  - {key: harbor-ehr, kind: fhir, slug: w, organization: harbor, base: {{.Harbor}}, auth: {clientId: handoff-gateway, keyFile: keys/gateway.jwk}}
agreements:
  - {id: riverton-lakeside-moa, from: riverton-pd, to: lakeside, purposes: [TREAT], ends: 2029-12-31}
  - {id: cedar-lakeside-moa, from: cedar-so, to: lakeside, purposes: [TREAT], ends: 2029-12-31}
emergency: {lifetime: 60m, reviewWithin: 72h}
`))
