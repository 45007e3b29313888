package config

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

var (
	idForm   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$`)
	slugForm = regexp.MustCompile(`^[a-z]{1,8}$`)
)

// A checker collects the faults of a configuration.
type checker struct {
	*Config
	with   Checks
	from   *outside
	body   ast.Node
	faults []*Fault
}

// check returns the faults in the order of the file's blocks.
func check(c *Config, with Checks, from *outside, body ast.Node) []*Fault {
	k := &checker{Config: c, with: with, from: from, body: body}
	k.checkServer()
	k.checkStore()
	k.checkSite()
	k.checkOrganizations()
	k.checkIssuers()
	k.checkClients()
	k.checkSystems()
	k.checkSignIn()
	k.checkAgreements()
	k.checkExceptional()
	k.checkPacks()
	k.checkLimits()
	k.checkRates()
	k.checkCrisis()
	k.checkFiles()
	k.checkAudit()
	return k.faults
}

// fault notes what is wrong with the setting at a path.
func (k *checker) fault(at, reason string) {
	f := &Fault{At: at, Reason: reason}
	f.Line, f.Column = locate(k.body, at)
	k.faults = append(k.faults, f)
}

// value notes what is wrong with a value, and shows the value unless it, or a
// part of it, came from outside the file.
func (k *checker) value(at, value, reason string) {
	if k.from.holds(value) {
		k.fault(at, "the value filled in "+reason)
		return
	}
	k.fault(at, fmt.Sprintf("%.80q %s", value, reason))
}

// because notes what is wrong with a value and why. A cause may quote the value:
// of one that came from outside only what quotes nothing is told.
func (k *checker) because(at, value, reason string, err error) {
	why := err.Error()
	if k.from.holds(value) {
		why = k.from.clean(err, value)
	}
	if why != "" {
		reason += ": " + why
	}
	k.fault(at, reason)
}

// locate finds where a setting stands; one that is absent stands where the
// nearest one around it does.
func locate(body ast.Node, at string) (line, column int) {
	for at != "" && at != "$" {
		if p, err := yaml.PathString(at); err == nil {
			if n, err := p.FilterNode(body); err == nil && n != nil && n.GetToken() != nil {
				return start(n)
			}
		}
		at = at[:max(0, strings.LastIndexAny(at, ".["))]
	}
	return start(body)
}

// start is where a node begins: the token of a mapping is its first colon.
func start(n ast.Node) (line, column int) {
	switch m := n.(type) {
	case *ast.MappingNode:
		if len(m.Values) > 0 {
			n = m.Values[0].Key
		}
	case *ast.MappingValueNode:
		n = m.Key
	}
	p := n.GetToken().Position
	return p.Line, p.Column
}

func (k *checker) checkServer() {
	s := &k.Server
	host, ok := k.hostPort("$.server.listen", s.Listen)
	if (s.TLSCert == "") != (s.TLSKey == "") {
		k.fault("$.server", "tlsCert and tlsKey go together")
	}
	if ok && s.TLSCert == "" && !s.PlainHTTP && !isLoopback(host) {
		k.fault("$.server.listen", "is not a loopback address and there is no TLS; set tlsCert and tlsKey, or plainHTTP: true behind a proxy that has TLS")
	}
	switch {
	case k.derived && ok && host == "":
		k.fault("$.server.base", "is needed, because listen names no host")
	case !k.derived && !isWebURL(s.Base, "http", "https"):
		k.value("$.server.base", s.Base, "is not an absolute http(s) URL without query and fragment")
	}
	for i, text := range s.TrustedProxies {
		if _, err := parseProxies([]string{text}); err != nil {
			k.because(fmt.Sprintf("$.server.trustedProxies[%d]", i), text, "cannot be trusted", err)
		}
	}
	if k.Telemetry.Listen != "" {
		k.hostPort("$.telemetry.listen", k.Telemetry.Listen)
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, k.Telemetry.Level) {
		k.value("$.telemetry.level", k.Telemetry.Level, "is none of debug, info, warn, error")
	}
}

// hostPort checks an address to listen on.
func (k *checker) hostPort(at, address string) (host string, ok bool) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		k.value(at, address, `is not host:port (an IPv6 host stands in brackets, the whole in quotes: "[::1]:8080")`)
		return "", false
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		k.value(at, address, "has no port from 0 to 65535")
		return "", false
	}
	return host, true
}

// isWebURL says whether s is an absolute URL of a server and a path.
func isWebURL(s string, schemes ...string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Hostname() != "" && slices.Contains(schemes, u.Scheme) &&
		u.User == nil && u.RawQuery == "" && !u.ForceQuery && u.Fragment == ""
}

// isServiceURL is isWebURL for a service that the gateway calls: plain HTTP
// stays on this machine.
func isServiceURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (isWebURL(s, "https") || isWebURL(s, "http") && isLoopback(u.Hostname()))
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func (k *checker) checkSite() {
	if n := len(k.Site.Key); n < 32 {
		k.fault("$.site.key", fmt.Sprintf("has %d bytes; at least 32 are needed (openssl rand -hex 32 > site.key; key: ${file:site.key})", n))
	}
	if _, err := time.LoadLocation(k.Site.TimeZone); err != nil {
		k.value("$.site.timeZone", k.Site.TimeZone, "is no time zone such as America/Chicago")
	}
}

// checkAudit wants of each other trail all that it takes to read it.
func (k *checker) checkAudit() {
	for i, o := range k.Audit.Others {
		at := fmt.Sprintf("$.audit.others[%d]", i)
		for name, value := range map[string]string{"dir": o.Dir, "anchor": o.Anchor, "key": o.Key} {
			if value == "" {
				k.fault(at, name+" is missing: a trail is read with the anchor and the public key that vouch for it")
			}
		}
		if o.Dir != "" && k.Path(o.Dir) == k.Path(k.Audit.Dir) {
			k.value(at+".dir", o.Dir, "is this gateway's own trail")
		}
	}
}

// checkLimits refuses bounds that would let nothing through, or everything.
func (k *checker) checkLimits() {
	if l := k.Issuer.Lifetime; l < time.Second || l > 5*time.Minute {
		k.fault("$.issuer.lifetime", "must be from 1s to 5m (SMART Backend Services)")
	}
	for at, d := range map[string]time.Duration{"$.broker.timeout": k.Broker.Timeout, "$.broker.overall": k.Broker.Overall} {
		if d < 0 {
			k.fault(at, "is negative")
		}
	}
	if v := k.Capture.Verbal; v <= 0 || v > 72*time.Hour {
		k.fault("$.capture.verbal", "must be more than 0 and at most 72h: what was only said does not count longer")
	}
	if k.Capture.Written <= 0 {
		k.fault("$.capture.written", "must be more than 0")
	}
	if b := k.Capture.Backlog; b <= 0 || b > 30*24*time.Hour {
		k.fault("$.capture.backlog", "must be more than 0 and at most 720h")
	}
	if k.Broker.Concurrency < 0 {
		k.fault("$.broker.concurrency", "is negative")
	}
	if k.Server.MaxBody < 0 {
		k.fault("$.server.maxBody", "is negative")
	}
	for i, s := range k.Systems {
		at := fmt.Sprintf("$.systems[%d]", i)
		if s.Timeout < 0 && s.Timeout != k.Broker.Timeout {
			k.fault(at+".timeout", "is negative")
		}
		if s.MaxPage < 0 {
			k.fault(at+".maxPage", "is negative")
		}
	}
}

// states are the USPS codes of states, the District of Columbia and territories
// (USPS Publication 28, appendix B).
var states = strings.Fields(`AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT
	NE NV NH NJ NM NY NC ND OH OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY AS GU MP PR VI`)

func (k *checker) checkOrganizations() {
	seen := map[string]bool{}
	for i, o := range k.Organizations {
		at := fmt.Sprintf("$.organizations[%d]", i)
		switch {
		case o.ID == "":
			k.fault(at+".id", "is missing")
		case !idForm.MatchString(o.ID):
			k.value(at+".id", o.ID, "is not a FHIR id")
		case seen[o.ID]:
			k.value(at+".id", o.ID, "stands twice")
		}
		if o.Kind != "police" && o.Kind != "health" && o.Kind != "exchange" {
			k.value(at+".kind", o.Kind, "is none of police, health, exchange")
		}
		if o.Kind == "police" && o.Part2 {
			k.fault(at+".part2", "a police agency is not a Part 2 program")
		}
		if o.State != "" && !slices.Contains(states, o.State) {
			k.value(at+".state", o.State, "is no USPS code of a state such as TX")
		}
		k.known(at+".networks", o.Networks)
		seen[o.ID] = true
	}
	k.checkPractitioners()
}

// checkPractitioners wants every person once: whom an id or identifier denotes
// must not depend on the order of the file.
func (k *checker) checkPractitioners() {
	ids, identifiers := map[string]bool{}, map[Identifier]bool{}
	for i, o := range k.Organizations {
		for n, p := range o.Practitioners {
			at := fmt.Sprintf("$.organizations[%d].practitioners[%d]", i, n)
			switch {
			case !idForm.MatchString(p.ID):
				k.value(at+".id", p.ID, "is not a FHIR id")
			case ids[p.ID]:
				k.value(at+".id", p.ID, "stands twice")
			}
			ids[p.ID] = true
			for j, id := range p.Identifiers {
				at := fmt.Sprintf("%s.identifiers[%d]", at, j)
				if id.System == "" || id.Value == "" {
					k.fault(at, "needs system and value")
				} else if identifiers[id] {
					k.value(at, id.Value, "is somebody else's too")
				}
				identifiers[id] = true
			}
		}
	}
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

// organization wants an id of the file's organizations.
func (k *checker) organization(at, id string) {
	switch {
	case id == "":
		k.fault(at, "is missing: the id of one of the organizations")
	case k.Organization(id) == nil:
		k.value(at, id, "is not among the organizations")
	}
}

func (k *checker) known(at string, ids []string) {
	for i, id := range ids {
		k.organization(fmt.Sprintf("%s[%d]", at, i), id)
	}
}

func (k *checker) checkAgreements() {
	seen := map[string]bool{}
	for i, a := range k.Agreements {
		at := fmt.Sprintf("$.agreements[%d]", i)
		switch {
		case a.ID == "":
			k.fault(at+".id", "is missing")
		case seen[a.ID]:
			k.value(at+".id", a.ID, "stands twice")
		}
		seen[a.ID] = true
		k.organization(at+".from", a.From)
		k.organization(at+".to", a.To)
		k.purposes(at+".purposes", a.Purposes)
		k.roles(at+".roles", a.Roles)
		k.terms(at, a)
		ends, err := time.Parse(time.DateOnly, a.Ends)
		if err != nil {
			k.value(at+".ends", a.Ends, "is not a date, YYYY-MM-DD (agreements expire)")
		}
		if a.Starts == "" {
			continue
		}
		starts, err2 := time.Parse(time.DateOnly, a.Starts)
		switch {
		case err2 != nil:
			k.value(at+".starts", a.Starts, "is not a date, YYYY-MM-DD")
		case err == nil && ends.Before(starts):
			k.fault(at+".ends", "comes before starts")
		}
	}
}
