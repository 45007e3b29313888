package config

import "time"

// Config is the whole file. Every key is documented at its field, here or beside what
// checks it.
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
	keyAt   string // file, line and column of site.key, for messages
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
