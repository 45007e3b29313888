package attack

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"text/template"
	"time"
)

//go:embed county
var countyFiles embed.FS

// A County is the surroundings of a gateway to be attacked: its configuration
// with keys and records, the clinic's FHIR server that it asks, and a place where
// others publish keys.
type County struct {
	Dir    string // configuration, keys, store
	Config string // the configuration file in it
	Base   string // FHIR base URL of the gateway to be

	keys           map[string]*Key
	secret         string // of the confidential app
	clinic, police *IdentityProvider
	servers        []*http.Server
	shares         atomic.Bool // the key that two issuers hold is published
}

// A Command runs the command line of handoff, without its name.
type Command func(ctx context.Context, args ...string) error

// countyClients are the clients in county/handoff.yaml that prove themselves by
// a key, with the algorithm of the key where it is not ES384.
var countyClients = map[string]string{
	"officer": "", "unit": "", "deputy": "", "clinician": "", "twin": "RS384", "remote": "", "narrow": "",
	"granular": "", "retired": "", "both": "", "privacy": "", "desk": "", "physician": "", "program-desk": "",
	"ehr": "", "watcher": "", "registrar": "", "clerk": "", "police-registrar": "",
}

// NewCounty writes a county's files into dir, for a gateway that will listen at
// the address, starts its servers and brings its records in.
func NewCounty(ctx context.Context, dir, listen string, handoff Command) (_ *County, err error) {
	c := &County{Dir: dir, Config: filepath.Join(dir, "handoff.yaml"), Base: "http://" + listen + "/fhir", keys: map[string]*Key{}, secret: rand.Text()}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	if err := c.makeKeys(); err != nil {
		return nil, err
	}
	ehr, err := newEHR()
	if err != nil {
		return nil, err
	}
	ehrURL, err := c.serve(ehr)
	if err != nil {
		return nil, err
	}
	keysURL, err := c.serve(http.HandlerFunc(c.publish))
	if err != nil {
		return nil, err
	}
	values := map[string]string{"Listen": listen, "EHR": ehrURL + "/fhir", "Keys": keysURL, "Secret": c.secret}
	sum := sha256.Sum256([]byte(c.secret))
	values["SecretHash"] = "sha256:" + hex.EncodeToString(sum[:])
	for name, p := range map[string]**IdentityProvider{"ClinicIdP": &c.clinic, "PoliceIdP": &c.police} {
		if *p, err = c.provide(); err != nil {
			return nil, err
		}
		values[name] = (*p).Issuer
	}
	if err := c.write(values); err != nil {
		return nil, err
	}
	for _, args := range [][]string{
		{"ingest", "--config", c.Config, "--adapter", "rms/csv", "--system", "pd-rms", filepath.Join(dir, "pd-contacts.csv")},
		{"link", "import", "--config", c.Config, filepath.Join(dir, "roster.csv")},
	} {
		if err := handoff(ctx, args...); err != nil {
			return nil, fmt.Errorf("handoff %s: %w", strings.Join(args, " "), err)
		}
	}
	return c, nil
}

// Share says whether the key that two issuers hold is published. A gateway does not
// start while it is; Target publishes it.
func (c *County) Share(on bool) { c.shares.Store(on) }

// Close stops the servers.
func (c *County) Close() error {
	var errs []error
	for _, s := range c.servers {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

func (c *County) makeKeys() error {
	if err := os.MkdirAll(filepath.Join(c.Dir, "keys"), 0o700); err != nil {
		return err
	}
	algs := map[string]string{"issuer": "ES256", "outside": "ES384", "shared": "ES384"}
	for name, alg := range countyClients {
		if alg == "" {
			alg = "ES384"
		}
		algs[name] = alg
	}
	for name, alg := range algs {
		k, err := NewKey(name+"-key", alg)
		if err != nil {
			return err
		}
		c.keys[name] = k
		path := filepath.Join(c.Dir, "keys", name)
		if err := k.write(path + ".jwk"); err != nil {
			return err
		}
		jwks := JWKS(k)
		if name == "twin" {
			// A key that does not say its algorithm: the registration's list alone
			// stands between it and RS256.
			jwks = strings.Replace(jwks, `"alg":"RS384",`, "", 1)
		}
		if err := os.WriteFile(path+".jwks", []byte(jwks), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// write fills in the configuration and lays the records beside it.
func (c *County) write(values map[string]string) error {
	site := make([]byte, 32)
	if _, err := rand.Read(site); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(c.Dir, "site.key"), []byte(hex.EncodeToString(site)+"\n"), 0o600); err != nil {
		return err
	}
	for _, name := range []string{"handoff.yaml", "pd-profile.yaml", "pd-contacts.csv", "roster.csv"} {
		raw, err := countyFiles.ReadFile("county/" + name)
		if err != nil {
			return err
		}
		if name == "handoff.yaml" {
			t, err := template.New(name).Parse(string(raw))
			if err != nil {
				return err
			}
			var out bytes.Buffer
			if err := t.Execute(&out, values); err != nil {
				return err
			}
			raw = out.Bytes()
		}
		if err := os.WriteFile(filepath.Join(c.Dir, name), raw, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// serve starts a server on a free loopback port.
func (c *County) serve(h http.Handler) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	c.servers = append(c.servers, s)
	go func() { _ = s.Serve(l) }() // ends with Close
	return "http://" + l.Addr().String(), nil
}

// provide starts an identity provider.
func (c *County) provide() (*IdentityProvider, error) {
	k, err := NewKey("idp", "RS256")
	if err != nil {
		return nil, err
	}
	p := &IdentityProvider{key: k, codes: map[string]url.Values{}}
	p.Issuer, err = c.serve(p)
	return p, err
}

// publish serves key sets by the name of their owner. The key that two issuers hold
// is not told before the gateway has started: it would not start.
func (c *County) publish(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/"), ".jwks")
	k := c.keys[name]
	if k == nil || name == "shared" && !c.shares.Load() {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	fmt.Fprint(w, JWKS(k))
}

// An ehr is the clinic's FHIR server. It answers any search with all that it has
// of the type: its filters are not to be relied upon.
type ehr struct{ resources []json.RawMessage }

func newEHR() (*ehr, error) {
	raw, err := countyFiles.ReadFile("county/ehr.json")
	if err != nil {
		return nil, err
	}
	e := &ehr{}
	return e, json.Unmarshal(raw, &e.resources)
}

// ServeHTTP implements http.Handler.
func (e *ehr) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/fhir+json")
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	var found []string
	for _, raw := range e.resources {
		var head struct{ ResourceType, ID string }
		if json.Unmarshal(raw, &head) != nil || len(parts) < 2 || head.ResourceType != parts[1] {
			continue
		}
		if len(parts) == 3 && head.ID == parts[2] {
			_, _ = w.Write(raw)
			return
		}
		found = append(found, `{"resource":`+string(raw)+`,"search":{"mode":"match"}}`)
	}
	switch {
	case len(parts) == 2 && parts[1] == "metadata":
		fmt.Fprint(w, `{"resourceType":"CapabilityStatement","status":"active","date":"2026-01-01","kind":"instance","fhirVersion":"4.0.1","format":["json"],"rest":[{"mode":"server"}]}`)
	case len(parts) != 2:
		http.Error(w, `{"resourceType":"OperationOutcome"}`, http.StatusNotFound)
	default:
		fmt.Fprintf(w, `{"resourceType":"Bundle","type":"searchset","entry":[%s]}`, strings.Join(found, ","))
	}
}
