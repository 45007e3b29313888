package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Load reads, fills in and checks a configuration file by itself: nothing that
// it names is opened, except what is filled in.
func Load(path string) (*Config, error) { return LoadWith(path, Checks{}) }

// LoadWith is Load with checks of what the file names. An error of the file's
// contents is an *Error that holds all faults found.
func LoadWith(path string, with Checks) (*Config, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return ParseWith(path, raw, with)
}

// Parse is Load for bytes already read; path names them in errors and is where
// relative paths start.
func Parse(path string, raw []byte) (*Config, error) { return ParseWith(path, raw, Checks{}) }

// ParseWith is LoadWith for bytes already read.
func ParseWith(path string, raw []byte, with Checks) (*Config, error) {
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	c := &Config{dir: dir}
	from := &outside{dir: dir}
	body, faults := read(raw, from, c)
	if len(faults) == 0 {
		c.defaults()
		c.storeDefaults(names(body, "$.store.mongo"))
		line, column := locate(body, "$.site.key")
		c.keyAt = fmt.Sprintf("%s:%d:%d", path, line, column)
		faults = check(c, with, from, body)
	}
	if len(faults) > 0 {
		return nil, &Error{path, faults}
	}
	return c, nil
}

// read parses the text, fills it in and decodes it strictly.
func read(raw []byte, from *outside, c *Config) (ast.Node, []*Fault) {
	text, err := from.hide(raw)
	if err != nil {
		return nil, []*Fault{{Reason: err.Error()}}
	}
	file, err := parser.ParseBytes([]byte(text), 0)
	if err != nil {
		return nil, []*Fault{fault(err, nil)}
	}
	body, wrong := document(file)
	if wrong != nil {
		return nil, []*Fault{wrong}
	}
	if faults := from.fill(body); len(faults) > 0 {
		return nil, faults
	}
	if err := yaml.NodeToValue(body, c, yaml.Strict(), yaml.DisallowUnknownField()); err != nil {
		return nil, []*Fault{fault(err, body)}
	}
	return body, nil
}

// document returns the one document of the file, which must be a mapping.
func document(file *ast.File) (ast.Node, *Fault) {
	var body ast.Node
	for _, d := range file.Docs {
		switch d.Body.(type) {
		case nil, *ast.NullNode, *ast.CommentGroupNode:
			continue
		}
		if body != nil {
			line, column := start(d.Body)
			return nil, &Fault{Line: line, Column: column, Reason: "a second YAML document; a configuration is one"}
		}
		body = d.Body
	}
	switch body.(type) {
	case nil:
		return nil, &Fault{Reason: "the file is empty; 'handoff demo' writes a complete one"}
	case *ast.MappingNode, *ast.MappingValueNode:
		return body, nil
	}
	return nil, faultAt(body.GetToken(), "the file is not a mapping of settings")
}

func (c *Config) defaults() {
	if c.Crisis.Contacts == nil {
		c.Crisis.Contacts = []CrisisContact{{Name: "988 Suicide & Crisis Lifeline", Phone: "988", Hours: "24 hours, call or text"}}
	}
	if c.Crisis.Pace == 0 {
		c.Crisis.Pace = 250 * time.Millisecond
	}
	set(&c.Server.Listen, "127.0.0.1:8080")
	scheme := "http"
	if c.Server.TLSCert != "" {
		scheme = "https"
	}
	c.derived = c.Server.Base == ""
	set(&c.Server.Base, scheme+"://"+c.Server.Listen+"/fhir")
	c.Server.Base = strings.TrimRight(c.Server.Base, "/")
	if c.Server.MaxBody == 0 {
		c.Server.MaxBody = 1 << 20
	}
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
	if c.Capture.Verbal == 0 {
		c.Capture.Verbal = 72 * time.Hour
	}
	if c.Capture.Written == 0 {
		c.Capture.Written = 365 * 24 * time.Hour
	}
	if c.Capture.Backlog == 0 {
		c.Capture.Backlog = 72 * time.Hour
	}
	set(&c.Audit.Dir, "audit")
	set(&c.Audit.Anchor, "audit.anchor")
	set(&c.Audit.KeyFile, "audit.pem")
	set(&c.Telemetry.Level, "info")
	c.exceptionalDefaults()
	c.limitDefaults()
	c.signInDefaults()
	for i := range c.TrustedIssuers {
		set(&c.TrustedIssuers[i].Audience, c.Server.Base)
	}
	for i := range c.Clients {
		set(&c.Clients[i].TreatingProvider, "never")
		set(&c.Clients[i].Users, "none")
		set(&c.Clients[i].MFA, "never")
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
		if s.Receive != nil {
			s.Receive.defaults(s.Key)
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

// SiteKeyAt says for people where site.key stands: file:line:column.
func (c *Config) SiteKeyAt() string { return c.keyAt }

// set fills in a default.
func set(at *string, v string) {
	if *at == "" {
		*at = v
	}
}
