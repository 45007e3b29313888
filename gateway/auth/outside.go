package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/smart"
)

// A ClaimMap says where an outside issuer puts what into its tokens, and what its
// words mean here. What it does not map is not believed. Claims are [ClaimPath]s.
type ClaimMap struct {
	Client []ClaimPath // the first that is there; none is client_id, then azp
	Scope  []ClaimPath // texts or lists, added up; none is scope
	ID     ClaimPath   // of the token; zero is jti
	// ScopeOf turns a scope or role of the issuer's into scopes of SMART's, with
	// spaces between. What is not in it is read as it stands ([smartForm]).
	ScopeOf map[string]string

	// Person is a claim that every token for a person has, and no client's own.
	// Zero: all tokens are the clients' own, and only system/ scopes count.
	Person ClaimPath
	User   ClaimPath // id of the person; needed with Person
	// System is the naming system of that id, so that a Practitioner of the
	// client's organisation with this identifier is meant; "" for none.
	System  string
	Name    ClaimPath // of the person, zero for none
	Patient ClaimPath // in context, zero for none
	Methods ClaimPath // amr; believed if the client's registration says so
	// Roles are the person's roles at the issuer, and RoleOf what they mean here.
	// Zero: all roles of the client's registration count.
	Roles  ClaimPath
	RoleOf map[string]label.Code
}

// A ClaimPath names a claim: member by member.
type ClaimPath []string

// ParseClaimPath reads realm_access.roles; /realm_access/roles, a JSON Pointer
// (RFC 6901), for names that hold a dot; or a URL, which is one name. "" is no path.
func ParseClaimPath(s string) (ClaimPath, error) {
	if s == "" {
		return nil, nil
	}
	var p ClaimPath
	switch {
	case strings.HasPrefix(s, "/"):
		for m := range strings.SplitSeq(s[1:], "/") {
			p = append(p, strings.NewReplacer("~1", "/", "~0", "~").Replace(m))
		}
	case strings.Contains(s, "://"):
		p = ClaimPath{s}
	default:
		p = strings.Split(s, ".")
	}
	if len(p) > maxClaimDepth || slices.Contains(p, "") {
		return nil, fmt.Errorf("%.80q is no path of at most %d names of claims", s, maxClaimDepth)
	}
	return p, nil
}

const (
	maxClaimDepth  = 8
	maxClaimValues = 256 // of scopes and roles in one token
	maxValueBytes  = smart.MaxScopeBytes
)

// in looks the claim up; the node does not exist where there is none.
func (p ClaimPath) in(claims resource.Node) resource.Node {
	n := claims
	for _, name := range p {
		n = n.Get(name)
	}
	if len(p) == 0 {
		return resource.Node{}
	}
	return n
}

func (p ClaimPath) String() string { return strings.Join(p, ".") }

// or is the path, or the default where there is none.
func (p ClaimPath) or(name string) ClaimPath {
	if len(p) == 0 {
		return ClaimPath{name}
	}
	return p
}

// check refuses a mapping that says too little or that means nothing here.
func (m *ClaimMap) check() error {
	if (len(m.Person) > 0) != (len(m.User) > 0) {
		return errors.New("claims: person and user go together")
	}
	if len(m.Person) == 0 && (len(m.Name)+len(m.Patient)+len(m.Methods)+len(m.Roles) > 0 || m.System != "") {
		return errors.New("claims: name, patient, methods, roles and system are of a person: person and user are missing")
	}
	if (len(m.Roles) > 0) != (len(m.RoleOf) > 0) {
		return errors.New("claims: a claim with roles and what the roles mean go together")
	}
	for from, to := range m.ScopeOf {
		if err := checkMapped(from, to); err != nil {
			return fmt.Errorf("scope %.80q: %w", from, err)
		}
	}
	return nil
}

// checkMapped wants scopes that can be granted.
func checkMapped(from, to string) error {
	if from == "" || len(from) > maxValueBytes || strings.TrimSpace(to) == "" {
		return errors.New("maps nothing, or to nothing")
	}
	_, rest := splitScopes(to)
	if rest == "" {
		return nil
	}
	_, err := smart.ParseRequested(rest)
	return err
}

// An outsider is a person for whom an outside issuer made a token.
type outsider struct {
	id, name string
	roles    []label.Code
	mapped   bool // roles says which, even if it says none
	patient  string
	methods  []string
}

// values reads a claim that is a text, or a list of texts. A text holds several
// values with spaces between; a member of a list is one.
func values(n resource.Node) ([]string, error) {
	var out []string
	switch n.Kind() {
	case resource.Absent, resource.Null:
		return nil, nil
	case resource.String:
		out = strings.Fields(n.Text())
	case resource.Array:
		for e := range n.Elements() {
			if e.Kind() != resource.String || len(out) == maxClaimValues {
				return nil, fmt.Errorf("is not a list of at most %d texts", maxClaimValues)
			}
			out = append(out, e.Text())
		}
	default:
		return nil, errors.New("is neither a text nor a list of texts")
	}
	if len(out) > maxClaimValues || slices.ContainsFunc(out, func(s string) bool { return len(s) > maxValueBytes }) {
		return nil, errors.New("holds too much")
	}
	return out, nil
}

// readOutside takes client, scopes and person from the claims of an outside
// issuer's token.
func (t *verified) readOutside() error {
	n, m := t.claims.node, &t.issuer.Claims
	if err := accessToken(n); err != nil && !guard.Off(guard.TokenType) {
		return err
	}
	if n.Get("cnf").Exists() && !guard.Off(guard.TokenBound) {
		return faultf("bound", "the token is bound to a key of its holder (cnf), which is not checked here")
	}
	for _, p := range m.clientPaths() {
		if c := p.in(n); c.Exists() {
			if t.client = c.Text(); c.Kind() != resource.String || t.client == "" {
				return faultf("claims", "%s is not a client id", p)
			}
			break
		}
	}
	if t.client == "" {
		return faultf("claims", "the client is missing")
	}
	scope, err := m.scopes(n)
	if err != nil {
		return err
	}
	_, t.scopes, t.operations = parseScopes(scope)
	if t.asserted, err = readAsserted(n); err != nil {
		return faultf("asserted", "%w", err)
	}
	if t.outsider, err = m.person(n); err != nil {
		return err
	}
	if t.outsider != nil && t.asserted != nil {
		return faultf("claims", "the token names a person and brings an %s extension too", extensionName)
	}
	return nil
}

func (m *ClaimMap) clientPaths() []ClaimPath {
	if len(m.Client) > 0 {
		return m.Client
	}
	return []ClaimPath{{"client_id"}, {"azp"}}
}

// accessToken refuses what says of itself that it is another kind of token. The
// header's typ is JWT in many issuers' tokens of every kind.
func accessToken(n resource.Node) error {
	for _, name := range [...]string{"at_hash", "c_hash", "nonce", "events"} {
		if n.Get(name).Exists() {
			return faultf("typ", "claim %s: an id token or a logout token", name)
		}
	}
	if typ := n.Get("typ"); typ.Exists() && !strings.EqualFold(typ.Text(), "Bearer") {
		return faultf("typ", "claim typ is %.40q", typ.Text())
	}
	return nil
}

// scopes collects the scopes in SMART's words.
func (m *ClaimMap) scopes(n resource.Node) (string, error) {
	paths := m.Scope
	if len(paths) == 0 {
		paths = []ClaimPath{{"scope"}}
	}
	var out []string
	for _, p := range paths {
		list, err := values(p.in(n))
		if err != nil {
			return "", faultf("claims", "%s %w", p, err)
		}
		for _, s := range list {
			if to, ok := m.ScopeOf[s]; ok {
				out = append(out, to)
			} else if s = smartForm(s); !strings.Contains(s, " ") {
				out = append(out, s)
			}
		}
	}
	return strings.Join(out, " "), nil
}

// smartForm reads a scope of an issuer that cannot write a slash (Entra ID): its
// first %2f, before any criteria, stands for it.
func smartForm(s string) string {
	head, query, asked := strings.Cut(s, "?")
	if strings.Contains(head, "/") {
		return s
	}
	if i := strings.Index(strings.ToLower(head), "%2f"); i >= 0 {
		head = head[:i] + "/" + head[i+3:]
	}
	if asked {
		return head + "?" + query
	}
	return head
}

// person reads for whom the token is; nil: it is the client's own.
func (m *ClaimMap) person(n resource.Node) (*outsider, error) {
	if len(m.Person) == 0 || !m.Person.in(n).Exists() {
		return nil, nil
	}
	o := &outsider{mapped: len(m.Roles) > 0}
	var err error
	if o.id, err = line(m.User.in(n), m.User.String()); err != nil {
		return nil, faultf("claims", "%w", err)
	}
	if m.System != "" {
		o.id = m.System + "#" + o.id
	}
	if name := m.Name.in(n); name.Exists() {
		if o.name, err = line(name, m.Name.String()); err != nil {
			return nil, faultf("claims", "%w", err)
		}
	}
	if o.patient, err = patientOf(m.Patient.in(n)); err != nil {
		return nil, faultf("claims", "%s %w", m.Patient, err)
	}
	if o.methods, err = values(m.Methods.in(n)); err != nil {
		return nil, faultf("claims", "%s %w", m.Methods, err)
	}
	roles, err := values(m.Roles.in(n))
	if err != nil {
		return nil, faultf("claims", "%s %w", m.Roles, err)
	}
	for _, r := range roles {
		if code, ok := m.RoleOf[r]; ok && !slices.Contains(o.roles, code) {
			o.roles = append(o.roles, code)
		}
	}
	return o, nil
}

// patientOf reads an id, or a reference "Patient/…", to a Patient here.
func patientOf(n resource.Node) (string, error) {
	if !n.Exists() {
		return "", nil
	}
	id := strings.TrimPrefix(n.Text(), "Patient/")
	bad := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.'
	}
	if n.Kind() != resource.String || id == "" || len(id) > 64 || strings.ContainsFunc(id, bad) {
		return "", errors.New("is no id of a Patient")
	}
	return "Patient/" + id, nil
}

// outsiderPrincipal says who an outside issuer's person is, by the client's
// registration: its organisation, its purposes, and of its roles those that the
// person has. Only user/ and patient/ scopes count.
func (c *Client) outsiderPrincipal(t *verified, base string) (Principal, error) {
	o := t.outsider
	p, err := c.principal(t.scopes, t.operations, nil, base, &personClaims{Patient: o.patient})
	if err != nil {
		return p, err
	}
	p.User = User{ID: o.id, Name: o.name, Methods: o.methods, Subject: t.claims.subject, MFA: (c.BelievesMFA || guard.Off(guard.ClientBelievedMFA)) && severalFactors(o.methods)}
	if known := c.practitioner(o.id, base); known != nil {
		p.Requester.Reference = known.Reference
		p.Requester.Identifiers = slices.Concat(p.Requester.Identifiers, known.Identifiers)
	}
	if !o.mapped {
		return p, nil
	}
	p.Requester.Roles = nil
	for _, r := range o.roles {
		if slices.Contains(c.Roles, r) || guard.Off(guard.ClientOwnRole) {
			p.Requester.Roles = append(p.Requester.Roles, r)
		}
	}
	if len(p.Requester.Roles) == 0 {
		return p, faultf("user-role", "none of the person's roles is the client's")
	}
	// A client that speaks for law enforcement too stays law enforcement.
	p.Requester.Police = p.Requester.Police || c.lawEnforcement()
	return p, nil
}
