package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// An Error says where in the file something is wrong and why.
type Error struct {
	File string
	Text string // "[line:column] reason" with the source lines
}

func (e *Error) Error() string { return e.File + ": " + e.Text }

// Load reads, fills in and checks a configuration file.
func Load(path string) (*Config, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return Parse(path, raw)
}

// Parse is Load for bytes already read; path names them in errors and is where
// relative paths start.
func Parse(path string, raw []byte) (*Config, error) {
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	filled, err := fill(raw, dir)
	if err != nil {
		return nil, &Error{path, err.Error()}
	}
	c := &Config{dir: dir}
	dec := yaml.NewDecoder(bytes.NewReader(filled), yaml.Strict(), yaml.DisallowUnknownField())
	if err := dec.Decode(c); err != nil {
		var ye yaml.Error
		if errors.As(err, &ye) {
			return nil, &Error{path, strings.TrimSpace(yaml.FormatError(err, false, true))}
		}
		return nil, &Error{path, err.Error()}
	}
	c.defaults()
	if at, reason := c.check(); reason != "" {
		return nil, &Error{path, locate(raw, at, reason)}
	}
	return c, nil
}

// locate puts line and column before a reason.
func locate(raw []byte, at, reason string) string {
	p, err := yaml.PathString(at)
	if err != nil {
		return at + ": " + reason
	}
	source, err := p.AnnotateSource(raw, false)
	if err != nil { // the key is absent: name its path
		return at + ": " + reason
	}
	return at + ": " + reason + "\n" + strings.TrimRight(string(source), "\n")
}

var placeholder = regexp.MustCompile(`\$\{(env|file):([^}]+)\}`)

// fill replaces ${env:NAME} and ${file:PATH} in values; a missing one is an
// error, not an empty secret. The replacement becomes a quoted YAML string, so
// nothing in it can change the file's structure.
func fill(raw []byte, dir string) ([]byte, error) {
	var failed error
	lines := bytes.Split(raw, []byte("\n"))
	for i, line := range lines {
		if t := bytes.TrimSpace(line); bytes.HasPrefix(t, []byte("#")) {
			continue
		}
		lines[i] = placeholder.ReplaceAllFunc(line, func(m []byte) []byte {
			g := placeholder.FindSubmatch(m)
			value, err := lookup(string(g[1]), string(g[2]), dir)
			if err != nil && failed == nil {
				failed = fmt.Errorf("[%d:%d] %w", i+1, bytes.Index(line, m)+1, err)
			}
			quoted, err := yaml.MarshalWithOptions(value, yaml.JSON())
			if err != nil && failed == nil {
				failed = fmt.Errorf("[%d:%d] %w", i+1, bytes.Index(line, m)+1, err)
			}
			return bytes.TrimSpace(quoted)
		})
	}
	return bytes.Join(lines, []byte("\n")), failed
}

func lookup(kind, name, dir string) (string, error) {
	if kind == "env" {
		v, ok := os.LookupEnv(name)
		if !ok {
			return "", fmt.Errorf("environment variable %s is not set", name)
		}
		return v, nil
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

func (c *Config) defaults() {
	set := func(p *string, v string) {
		if *p == "" {
			*p = v
		}
	}
	set(&c.Server.Listen, "127.0.0.1:8080")
	scheme := "http"
	if c.Server.TLSCert != "" {
		scheme = "https"
	}
	set(&c.Server.Base, scheme+"://"+c.Server.Listen+"/fhir")
	c.Server.Base = strings.TrimRight(c.Server.Base, "/")
	if c.Server.MaxBody == 0 {
		c.Server.MaxBody = 1 << 20
	}
	set(&c.Store.SQLite.Path, "handoff.db")
	set(&c.Site.TimeZone, "UTC")
	set(&c.Issuer.KeyFile, "issuer.jwk")
	if c.Issuer.Lifetime == 0 {
		c.Issuer.Lifetime = 5 * time.Minute
	}
	if c.Broker.Timeout == 0 {
		c.Broker.Timeout = 2 * time.Second
	}
	if c.Broker.Overall == 0 {
		c.Broker.Overall = 5 * time.Second
	}
	if c.Broker.Concurrency == 0 {
		c.Broker.Concurrency = 32
	}
	set(&c.Audit.Dir, "audit")
	set(&c.Audit.Anchor, "audit.anchor")
	set(&c.Audit.KeyFile, "audit.pem")
	set(&c.Telemetry.Level, "info")
	for i := range c.Clients {
		set(&c.Clients[i].TreatingProvider, "never")
	}
	for i := range c.Systems {
		s := &c.Systems[i]
		set(&s.Consents, "deny")
		if s.Timeout == 0 {
			s.Timeout = c.Broker.Timeout
		}
		if s.MaxPage == 0 {
			s.MaxPage = 8 << 20
		}
	}
}

// Path resolves a path of the file against the folder the file stands in.
func (c *Config) Path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.dir, p)
}
