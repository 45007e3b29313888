package config

import (
	"strconv"
	"time"
)

// Config is the whole file. Every key is documented at its field.
type Config struct {
	Server Server `yaml:"server"`
	Store  Store  `yaml:"store"`
	Site   Site   `yaml:"site"`
	Issuer Issuer `yaml:"issuer"`
	// TrustedIssuers are outside authorization servers whose access tokens count.
	TrustedIssuers []TrustedIssuer `yaml:"trustedIssuers"`
	SignIn         SignIn          `yaml:"signIn"`
	Limits         Limits          `yaml:"limits"`
	Organizations  []Organization  `yaml:"organizations"`
	Clients        []Client        `yaml:"clients"`
	Systems        []System        `yaml:"systems"`
	Agreements     []Agreement     `yaml:"agreements"`
	// Packs are the rule packs in force; default us-federal and the overlay of
	// every state that an organisation is in.
	Packs      []Pack     `yaml:"packs"`
	LegalBases LegalBases `yaml:"legalBases"`
	Emergency  Emergency  `yaml:"emergency"`
	Capture    Capture    `yaml:"capture"`
	Broker     Broker     `yaml:"broker"`
	Crisis     Crisis     `yaml:"crisis"`
	Audit      Audit      `yaml:"audit"`
	Telemetry  Telemetry  `yaml:"telemetry"`

	dir     string // of the file; relative paths start there
	derived bool   // server.base was made of server.listen
}

// Server is where and how the gateway listens.
type Server struct {
	Listen    string `yaml:"listen"`    // host:port; default 127.0.0.1:8080
	Base      string `yaml:"base"`      // public FHIR base URL; default from listen
	TLSCert   string `yaml:"tlsCert"`   // PEM file; with tlsKey turns TLS on
	TLSKey    string `yaml:"tlsKey"`    // PEM file
	PlainHTTP bool   `yaml:"plainHTTP"` // allow plain HTTP beyond loopback (behind a TLS proxy)
	MaxBody   int64  `yaml:"maxBody"`   // bytes of a request body; default 1 MiB
	// TrustedProxies are addresses and networks (CIDR) of proxies whose
	// X-Forwarded-For is believed; default none.
	TrustedProxies []string `yaml:"trustedProxies"`
}

// Site is what is peculiar to this deployment.
type Site struct {
	Key      Secret `yaml:"key"`      // at least 32 bytes: keyed hashes of ids; the same for as long as ids shall stay
	TimeZone string `yaml:"timeZone"` // IANA name of the agencies' local time
}

// Issuer is the built-in authorization server.
type Issuer struct {
	KeyFile  string        `yaml:"keyFile"`  // private JWK; made with mode 0600 if the file is absent
	Lifetime time.Duration `yaml:"lifetime"` // of a backend client's access token; default and most 5m
	// SigningKeyFile holds the RSA key of id tokens (RS256, as SMART wants them),
	// made with mode 0600 if the file is absent; default beside keyFile.
	SigningKeyFile string `yaml:"signingKeyFile"`
}

// Organization is an agency, clinic or exchange that takes part.
type Organization struct {
	ID   string `yaml:"id"`   // the id in Organization/<id>
	Name string `yaml:"name"` // as people know it
	// Address is the postal one, for the accounting of disclosures.
	Address string `yaml:"address"`
	Kind    string `yaml:"kind"`  // police, health or exchange
	State   string `yaml:"state"` // USPS code ("TX") of the state whose law binds it as custodian
	Part2   bool   `yaml:"part2"` // a 42 CFR Part 2 program
	// Designations say as what it is designated by a law that lists agencies, in
	// the words of a rule pack.
	Designations []string     `yaml:"designations"`
	Networks     []string     `yaml:"networks"`    // ids of exchanges in which it takes part
	Identifiers  []Identifier `yaml:"identifiers"` // ORI, NPI …
	// PrivacyContact is told of emergencies and of legal bases that wait.
	PrivacyContact *PrivacyContact `yaml:"privacyContact"`
	// Practitioners are people of this organisation by whom a Consent may name a
	// recipient. A user whom one of its clients asserts under such an id or
	// identifier is that Practitioner.
	Practitioners []Practitioner `yaml:"practitioners"`
}

// Practitioner is a person who works for an organisation.
type Practitioner struct {
	ID          string       `yaml:"id"`          // the id in Practitioner/<id>
	Identifiers []Identifier `yaml:"identifiers"` // NPI, badge number …
}

// Identifier is a business identifier.
type Identifier struct {
	System string `yaml:"system"`
	Value  string `yaml:"value"`
}

// Client is a registered client: a backend service, an app that people sign in
// to, or both. Organisation, roles and purposes of its tokens come from here and
// from nowhere else.
type Client struct {
	ID           string   `yaml:"id"`
	Name         string   `yaml:"name"`
	Organization string   `yaml:"organization"` // id of an organisation above
	Roles        []string `yaml:"roles"`        // codes of the project's actor-role system, or system|code
	Purposes     []string `yaml:"purposes"`     // v3-ActReason codes, LAWENF, CRISIS, or system|code
	// Scopes are the most it may be granted: system/ scopes of a backend service,
	// user/ and patient/ scopes of an app with launch, launch/patient, openid,
	// fhirUser, offline_access …, and canonical URLs of operations that no such scope
	// covers. A token has those that were asked for.
	Scopes  string `yaml:"scopes"`
	JWKS    string `yaml:"jwks"`    // JSON Web Key Set of its public keys: inline, ${file:…}
	JWKSURL string `yaml:"jwksUrl"` // or where to fetch it
	// Grants are client_credentials (default), authorization_code, refresh_token.
	Grants []string `yaml:"grants"`
	// The following are an app's. RedirectURIs take its codes, compared byte for
	// byte; LaunchURL is where a launch sends the browser; Origins are those of its
	// pages that may call this server (CORS); Providers are the ids of signIn
	// providers at which its users sign in; Lifetime is of its access tokens,
	// default and most 1h.
	RedirectURIs []string      `yaml:"redirectUris"`
	LaunchURL    string        `yaml:"launchUrl"`
	Origins      []string      `yaml:"origins"`
	Providers    []string      `yaml:"providers"`
	Lifetime     time.Duration `yaml:"lifetime"`
	// Public marks an app that can keep neither key nor secret.
	Public bool `yaml:"public"`
	// SecretHashes are "sha256:" and hex of its client secrets, where it has no key.
	SecretHashes []string `yaml:"secretHashes"`
	// Issuer is the id of a trusted issuer whose tokens it uses instead of the
	// gateway's own.
	Issuer string `yaml:"issuer"`
	// TreatingProvider says when its organisation counts as treating the person
	// asked about: "never" (default) or "linked": when the person is linked to a
	// patient of one of that organisation's systems.
	TreatingProvider string `yaml:"treatingProvider"`
	MedicalPersonnel bool   `yaml:"medicalPersonnel"` // in the sense of 42 CFR 2.51
	// RecordsConsentFor lists organisations (custodians) for which a Consent
	// that this client writes may grant. Without it a Consent can only deny.
	RecordsConsentFor []string `yaml:"recordsConsentFor"`
	// Captures says whether it may capture a person's Consent on the scene
	// (Consent/$capture): "verbal", or "written", which includes verbal. Only a
	// captured Consent counts in favour of the organisation that recorded it.
	Captures string `yaml:"captures"`
	// PassesOnRevocations lets it end Consents for the persons themselves: a
	// portal, or a line that takes a person's text message.
	PassesOnRevocations bool `yaml:"passesOnRevocations"`
	// ManagesClientsOf lists organisations whose clients it may register and change
	// beside its own organisation's, with the scope for that; never of law
	// enforcement.
	ManagesClientsOf []string `yaml:"managesClientsOf"`
	AcceptIssuerAud  bool     `yaml:"acceptIssuerAud"` // assertions may name the issuer as audience
	// Users says whether it may name the person for whom it asks (UDAP hl7-b2b
	// in the client assertion): "none" (default) or "asserted".
	Users string `yaml:"users"`
	// MFA says whether it is believed how that person signed in (amr):
	// "asserted" or "never" (default).
	MFA      string `yaml:"mfa"`
	Disabled bool   `yaml:"disabled"`
}

// System is a connected system: a source of records, or an upstream to ask.
type System struct {
	Key          string `yaml:"key"`          // its name in this file, in links and in the audit trail
	Kind         string `yaml:"kind"`         // fhir (asked over HTTP) or feed (records come in)
	Organization string `yaml:"organization"` // id of the custodian
	// Slug starts the opaque ids of its resources: 1-8 lower-case letters that
	// do not tell which system it is.
	Slug  string `yaml:"slug"`
	Base  string `yaml:"base"`  // FHIR base URL, for kind fhir
	Part2 *bool  `yaml:"part2"` // overrides the organisation's
	// Part2Units tell which records are a 42 CFR Part 2 unit's, where a system
	// that is no such program as a whole holds one: a record is, if one of them
	// says so or if none of them says anything about it.
	Part2Units []Part2Unit `yaml:"part2Units"`
	// Consents says what a Consent from this system may do: "deny" (default)
	// only withhold, "registry" also grant, "none": it keeps none and is not
	// asked for any.
	Consents string        `yaml:"consents"`
	Types    []string      `yaml:"types"` // resource types it serves; empty: ask for any
	Auth     SystemAuth    `yaml:"auth"`
	Timeout  time.Duration `yaml:"timeout"` // default broker.timeout
	MaxPage  int64         `yaml:"maxPage"` // bytes of one answer; default 8 MiB
	Adapter  string        `yaml:"adapter"` // for kind feed: rms/csv, ehr/hl7v2 …
	Profile  string        `yaml:"profile"` // mapping profile of the feed
	// Receive says how records of a feed come in by themselves; without it they
	// come by 'handoff ingest' alone.
	Receive *Receive `yaml:"receive"`
	// RecordsConsentFor is as in a client: for which custodians a Consent of
	// this feed may grant. A police agency usually records for itself alone.
	RecordsConsentFor []string `yaml:"recordsConsentFor"`
}

// A Part2Unit is one place that tells a record's unit.
type Part2Unit struct {
	// Field is a field of a feed's records: MSH-4, PV1-3, PV1-10, a component
	// such as PV1-3.4, or a column. What stands there is compared by component
	// and as a whole, without case.
	Field string `yaml:"field"`
	// Element is a path of elements, for a system of kind fhir: serviceProvider,
	// location.location, author, performer.actor, meta.tag, or with a type in
	// front (Condition.recorder). A reference is compared as "Type/id", by its
	// identifier ("system|value" or value) and by its display; a concept by
	// "system|code", code and text.
	Element string `yaml:"element"`
	// Values are those of the Part 2 units.
	Values []string `yaml:"values"`
	// Others are those of the other units. Where they are given, a value in
	// neither list is unknown, and the record Part 2; else it is another unit's.
	Others []string `yaml:"others"`
}

// SystemAuth is how the gateway authenticates to an upstream.
type SystemAuth struct {
	ClientID string `yaml:"clientId"` // SMART Backend Services client id there
	KeyFile  string `yaml:"keyFile"`  // private JWK
	Scope    string `yaml:"scope"`
	TokenURL string `yaml:"tokenUrl"` // default: from its discovery document
}

// Pack is a rule pack that is in force: written as its name alone, or with what
// is turned on in it.
type Pack struct {
	ID     string   `yaml:"id"`     // of one that is built in, or the path of a file: ./our-rules.yaml
	Enable []string `yaml:"enable"` // rules that are off because they are unverified, by id
}

// UnmarshalYAML reads a name, or a mapping.
func (p *Pack) UnmarshalYAML(unmarshal func(any) error) error {
	if unmarshal(&p.ID) == nil {
		return nil
	}
	type plain Pack
	return unmarshal((*plain)(p))
}

// TrustedIssuer is an outside authorization server whose access tokens count, for
// the clients that are registered for it (clients[].issuer). docs/outside-issuers.md
// has examples.
type TrustedIssuer struct {
	ID         string   `yaml:"id"`         // iss of its tokens
	Audience   string   `yaml:"audience"`   // in aud of its tokens; default server.base
	JWKS       string   `yaml:"jwks"`       // its public keys: inline, ${file:…}
	JWKSURL    string   `yaml:"jwksUrl"`    // or where to fetch them
	Algorithms []string `yaml:"algorithms"` // RS256, RS384, ES256, ES384; at least one
	// Claims names the claims in which this issuer says what; the defaults are the
	// names of RFC 9068.
	Claims TokenClaims `yaml:"claims"`
	// Scopes turns a scope or role as this issuer writes it into scopes as SMART
	// does, with spaces between, for issuers that cannot issue a "/", "*" or "?".
	// What is not here is read as it stands, and %2f as a slash.
	Scopes map[string]string `yaml:"scopes"`
	// Roles turns a value of the claim with roles into a role code; of a person
	// those count that are the client's too, and one without any is not let in.
	Roles map[string]string `yaml:"roles"`
}

// TokenClaims are names of claims. A path into objects is written with dots
// (realm_access.roles), or as a JSON Pointer where a name has dots itself
// (/resource_access/gw.example/roles); a URL is one name.
type TokenClaims struct {
	Client string   `yaml:"client"` // default client_id, then azp
	Scope  []string `yaml:"scope"`  // a text or a list each, added up; default scope
	ID     string   `yaml:"id"`     // of the token; default jti
	// Person is a claim that every token for a person has, and no client's own;
	// User is the person's id. Default none: then all tokens are the clients' own,
	// and only system/ scopes count.
	Person  string `yaml:"person"`
	User    string `yaml:"user"`
	System  string `yaml:"system"`  // naming system of that id: a person of organizations[].practitioners with this identifier is that Practitioner
	Name    string `yaml:"name"`    // default none
	Roles   string `yaml:"roles"`   // default none: all roles of the client count
	Patient string `yaml:"patient"` // id of the Patient in context; default none
	Methods string `yaml:"methods"` // how the person signed in, as amr; believed of clients with mfa: asserted; default none
}

// SignIn is how people sign in.
type SignIn struct {
	// Banner is the notice that everybody sees and confirms before signing in.
	Banner string `yaml:"banner"`
	// Idle ends a session that is not used, Absolute every session; default and
	// most 30m and 12h.
	Idle      time.Duration      `yaml:"idle"`
	Absolute  time.Duration      `yaml:"absolute"`
	Providers []IdentityProvider `yaml:"providers"`
}

// IdentityProvider is an OpenID Provider at which an organisation's people sign in.
type IdentityProvider struct {
	ID           string `yaml:"id"`
	Name         string `yaml:"name"`         // as people know it
	Issuer       string `yaml:"issuer"`       // its issuer URL; all else comes from its discovery document
	ClientID     string `yaml:"clientId"`     // of this gateway there
	ClientSecret Secret `yaml:"clientSecret"` // or a key file
	KeyFile      string `yaml:"keyFile"`      // private JWK, for private_key_jwt
	Organization string `yaml:"organization"` // id of the organisation whose people sign in here
	// ACRValues are asked for, and one of them in the id token proves more than one
	// factor; so does amr. MFA is "required" (default) or "optional".
	ACRValues []string `yaml:"acrValues"`
	MFA       string   `yaml:"mfa"`
	// Algorithms are those of its id tokens; default RS256.
	Algorithms []string `yaml:"algorithms"`
	// Exempt lets sessions of this provider stay open while unused: terminals in a
	// police vehicle or a secure dispatch room (CJIS AC-11).
	Exempt bool       `yaml:"exempt"`
	Claims UserClaims `yaml:"claims"`
	// Roles turns a value of the roles claim into a role code; a person without any
	// is not let in.
	Roles map[string]string `yaml:"roles"`
}

// UserClaims are names of claims of an id token.
type UserClaims struct {
	User   string `yaml:"user"`   // the person's id at the organisation; default sub
	System string `yaml:"system"` // naming system of that id: a person of organizations[].practitioners with this identifier is that Practitioner
	Name   string `yaml:"name"`   // default name
	Roles  string `yaml:"roles"`  // default roles
}

// Limits bound what one caller may ask of the gateway.
type Limits struct {
	Requests int `yaml:"requests"` // FHIR requests of one client in a minute; default 6000, -1 none
	// Users are FHIR requests of one person through one client in a minute; default
	// 600, -1 none.
	Users  int `yaml:"users"`
	Tokens int `yaml:"tokens"` // token requests of one client, or of one address that proves no client, in a minute; default 300, -1 none
	// Failures in Window lock a user's sign-in, until an administrator lets them in
	// again, and a client at that address for Window; default and most 5 in 15m.
	Failures int           `yaml:"failures"`
	Window   time.Duration `yaml:"window"`
}

// Agreement is a sharing agreement between two organisations.
type Agreement struct {
	ID       string   `yaml:"id"`
	From     string   `yaml:"from"`     // whose data
	To       string   `yaml:"to"`       // who may get them
	Purposes []string `yaml:"purposes"` // empty: any
	Roles    []string `yaml:"roles"`    // who asks for To holds one of these; empty: any
	Types    []string `yaml:"types"`    // resource types; empty: any
	// Elements limits types to elements; then nothing goes of the other types.
	Elements map[string][]string `yaml:"elements"`
	Starts   string              `yaml:"starts"` // date, inclusive
	Ends     string              `yaml:"ends"`   // date, inclusive; required: agreements expire
	// Accepts lists which declarations of legal bases, by To for data of From,
	// are accepted in advance.
	Accepts []Accept `yaml:"accepts"`
}

// Crisis is what Patient/$crisis-summary offers whoever is asked about.
type Crisis struct {
	Contacts []CrisisContact `yaml:"contacts"` // whom to call; default the 988 lifeline
	Places   []CrisisContact `yaml:"places"`   // where to go: crisis centres that take a drop-off
	Guidance []string        `yaml:"guidance"` // advice that fits everybody
	// Pace makes every answer leave at a multiple of it after the question came,
	// so that the time taken tells less; default 250ms, at most 2s.
	Pace time.Duration `yaml:"pace"`
}

// CrisisContact is somebody to call or a place to go to.
type CrisisContact struct {
	Name    string `yaml:"name"`
	Role    string `yaml:"role"`    // "mobile crisis team"
	Phone   string `yaml:"phone"`   // as it is dialled
	Hours   string `yaml:"hours"`   // "24 hours"
	Address string `yaml:"address"` // of a place
}

// Capture bounds Consents that are captured on the scene, from the moment when
// the person was asked.
type Capture struct {
	Verbal  time.Duration `yaml:"verbal"`  // how long a spoken one counts, at most and where it says nothing; default and most 72h
	Written time.Duration `yaml:"written"` // how long a signed one counts at most; default 8760h (a year)
	Backlog time.Duration `yaml:"backlog"` // how long ago the person may have been asked: a device without network; default 72h
}

// Broker bounds what asking other systems may take.
type Broker struct {
	Timeout     time.Duration `yaml:"timeout"`     // per system; default 2s
	Overall     time.Duration `yaml:"overall"`     // per request; default 5s
	Concurrency int           `yaml:"concurrency"` // requests at once per system; default 32
}

// Audit is where the trail is kept.
type Audit struct {
	Dir     string `yaml:"dir"`
	Anchor  string `yaml:"anchor"`  // file that takes the signed checkpoints; put it on another disk
	KeyFile string `yaml:"keyFile"` // signing key; made with mode 0600 if the file is absent
	// Others are the trails of the other gateways of the store, as this host can read
	// them: 'handoff audit' reads them too.
	Others []AuditTrail `yaml:"others"`
}

// AuditTrail is where another gateway's trail can be read.
type AuditTrail struct {
	Dir    string `yaml:"dir"`
	Anchor string `yaml:"anchor"`
	Key    string `yaml:"key"` // PEM file with the public key
}

// Telemetry is what the gateway says about itself.
type Telemetry struct {
	Listen string `yaml:"listen"` // host:port of /metrics; empty: off
	Level  string `yaml:"level"`  // debug, info (default), warn, error
}

// A Secret hides itself wherever it is printed.
type Secret string

// String returns a placeholder.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "<hidden>"
}

// GoString keeps the secret out of %#v.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalYAML keeps the secret out of `config print`.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// MarshalJSON keeps the secret out of structured logs.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(strconv.Quote(s.String())), nil }

// Reveal returns the secret itself, for the one place that needs it.
func (s Secret) Reveal() string { return string(s) }
