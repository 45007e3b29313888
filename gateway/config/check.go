package config

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"time"
)

var (
	idForm   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$`)
	slugForm = regexp.MustCompile(`^[a-z]{1,8}$`)
)

// check returns the first fault: where it is ("$.systems[0].base") and why.
func (c *Config) check() (at, reason string) {
	for _, f := range []func() (string, string){c.checkServer, c.checkOrganizations, c.checkClients, c.checkSystems, c.checkAgreements} {
		if at, reason = f(); reason != "" {
			return at, reason
		}
	}
	return "", ""
}

func (c *Config) checkServer() (string, string) {
	host, _, err := net.SplitHostPort(c.Server.Listen)
	if err != nil {
		return "$.server.listen", "is not host:port: " + err.Error()
	}
	if (c.Server.TLSCert == "") != (c.Server.TLSKey == "") {
		return "$.server", "tlsCert and tlsKey go together"
	}
	if c.Server.TLSCert == "" && !c.Server.PlainHTTP && !isLoopback(host) {
		return "$.server.listen", "is not a loopback address and there is no TLS; set tlsCert and tlsKey, or plainHTTP: true behind a proxy that has TLS"
	}
	if u, err := url.Parse(c.Server.Base); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "$.server.base", "is not an absolute http(s) URL"
	}
	if n := len(c.Site.Key); n < 32 {
		return "$.site.key", fmt.Sprintf("has %d bytes; at least 32 are needed (openssl rand -hex 32 > site.key; key: ${file:site.key})", n)
	}
	if _, err := time.LoadLocation(c.Site.TimeZone); err != nil {
		return "$.site.timeZone", err.Error()
	}
	if c.Issuer.Lifetime < 0 || c.Issuer.Lifetime > 5*time.Minute {
		return "$.issuer.lifetime", "must be at most 5m (SMART Backend Services)"
	}
	return "", ""
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func (c *Config) checkOrganizations() (string, string) {
	seen := map[string]bool{}
	for i, o := range c.Organizations {
		at := fmt.Sprintf("$.organizations[%d]", i)
		switch {
		case !idForm.MatchString(o.ID):
			return at + ".id", fmt.Sprintf("%q is not a FHIR id", o.ID)
		case seen[o.ID]:
			return at + ".id", fmt.Sprintf("%q stands twice", o.ID)
		case o.Kind != "police" && o.Kind != "health" && o.Kind != "exchange":
			return at + ".kind", fmt.Sprintf("%q is none of police, health, exchange", o.Kind)
		case o.Kind == "police" && o.Part2:
			return at + ".part2", "a police agency is not a Part 2 program"
		}
		seen[o.ID] = true
	}
	return "", ""
}

// Organization returns the organisation with this id, or nil.
func (c *Config) Organization(id string) *Organization {
	for i := range c.Organizations {
		if c.Organizations[i].ID == id {
			return &c.Organizations[i]
		}
	}
	return nil
}

func (c *Config) checkClients() (string, string) {
	seen := map[string]bool{}
	for i, cl := range c.Clients {
		at := fmt.Sprintf("$.clients[%d]", i)
		switch {
		case cl.ID == "" || len(cl.ID) > 255:
			return at + ".id", "is empty or too long"
		case seen[cl.ID]:
			return at + ".id", fmt.Sprintf("%q stands twice", cl.ID)
		case c.Organization(cl.Organization) == nil:
			return at + ".organization", fmt.Sprintf("%q is not among the organizations", cl.Organization)
		case len(cl.Roles) == 0:
			return at + ".roles", "a client needs at least one role"
		case len(cl.Purposes) == 0:
			return at + ".purposes", "a client needs at least one purpose"
		case cl.Scopes == "":
			return at + ".scopes", "a client without scopes can do nothing"
		case (cl.JWKS == "") == (cl.JWKSURL == ""):
			return at, "exactly one of jwks and jwksUrl is needed"
		case cl.TreatingProvider != "never" && cl.TreatingProvider != "linked":
			return at + ".treatingProvider", fmt.Sprintf("%q is none of never, linked", cl.TreatingProvider)
		}
		if at2, why := c.checkCustodians(at+".recordsConsentFor", cl.RecordsConsentFor); why != "" {
			return at2, why
		}
		seen[cl.ID] = true
	}
	return "", ""
}

func (c *Config) checkCustodians(at string, ids []string) (string, string) {
	for k, id := range ids {
		if c.Organization(id) == nil {
			return fmt.Sprintf("%s[%d]", at, k), fmt.Sprintf("%q is not among the organizations", id)
		}
	}
	return "", ""
}

func (c *Config) checkSystems() (string, string) {
	keys, slugs := map[string]bool{}, map[string]bool{}
	for i, s := range c.Systems {
		at := fmt.Sprintf("$.systems[%d]", i)
		switch {
		case !idForm.MatchString(s.Key):
			return at + ".key", fmt.Sprintf("%q is not a name of letters, digits, - and .", s.Key)
		case keys[s.Key]:
			return at + ".key", fmt.Sprintf("%q stands twice", s.Key)
		case s.Kind != "fhir" && s.Kind != "feed":
			return at + ".kind", fmt.Sprintf("%q is none of fhir, feed", s.Kind)
		case c.Organization(s.Organization) == nil:
			return at + ".organization", fmt.Sprintf("%q is not among the organizations", s.Organization)
		case s.Consents != "deny" && s.Consents != "registry" && s.Consents != "none":
			return at + ".consents", fmt.Sprintf("%q is none of deny, registry, none", s.Consents)
		case s.Kind == "feed" && s.Adapter == "":
			return at + ".adapter", "a feed needs an adapter"
		}
		if s.Kind == "fhir" {
			if !slugForm.MatchString(s.Slug) || slugs[s.Slug] {
				return at + ".slug", fmt.Sprintf("%q must be 1 to 8 lower-case letters and unlike every other system's", s.Slug)
			}
			slugs[s.Slug] = true
			u, err := url.Parse(s.Base)
			if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || (u.Scheme != "https" && u.Scheme != "http") {
				return at + ".base", "is not an absolute http(s) URL"
			}
			if u.Scheme == "http" && !isLoopback(u.Hostname()) {
				return at + ".base", "plain HTTP is for loopback only; use https"
			}
			if (s.Auth.ClientID == "") != (s.Auth.KeyFile == "") {
				return at + ".auth", "clientId and keyFile go together"
			}
		}
		if at2, why := c.checkCustodians(at+".recordsConsentFor", s.RecordsConsentFor); why != "" {
			return at2, why
		}
		keys[s.Key] = true
	}
	return "", ""
}

func (c *Config) checkAgreements() (string, string) {
	for i, a := range c.Agreements {
		at := fmt.Sprintf("$.agreements[%d]", i)
		switch {
		case a.ID == "":
			return at + ".id", "is missing"
		case c.Organization(a.From) == nil:
			return at + ".from", fmt.Sprintf("%q is not among the organizations", a.From)
		case c.Organization(a.To) == nil:
			return at + ".to", fmt.Sprintf("%q is not among the organizations", a.To)
		}
		if _, err := time.Parse(time.DateOnly, a.Ends); err != nil {
			return at + ".ends", "is not a date (agreements expire): " + err.Error()
		}
		if a.Starts != "" {
			if _, err := time.Parse(time.DateOnly, a.Starts); err != nil {
				return at + ".starts", "is not a date: " + err.Error()
			}
		}
	}
	return "", ""
}
