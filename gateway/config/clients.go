package config

import "time"

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
