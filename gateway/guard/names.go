package guard

// The guards. A new one gets a constant, a line in the table and an attack.
const (
	TokenSignature Name = "token/signature"
	TokenIssuer    Name = "token/issuer"
	TokenAudience  Name = "token/audience"
	TokenExpiry    Name = "token/expiry"
	TokenType      Name = "token/type"
	TokenRevoked   Name = "token/revoked"
	TokenAmbiguous Name = "token/ambiguous-issuer"

	ClientAssertionReplay   Name = "client/assertion-replay"
	ClientAssertionAudience Name = "client/assertion-audience"
	ClientAssertionLife     Name = "client/assertion-lifetime"
	ClientDisabled          Name = "client/disabled"
	ClientRegisteredScopes  Name = "client/registered-scopes"

	ScopeLevel       Name = "scope/level"
	ScopeInteraction Name = "scope/interaction"
	ScopeOperation   Name = "scope/operation"
	ScopePatient     Name = "scope/patient"
	ScopeReturned    Name = "scope/returned"
	ScopeWritten     Name = "scope/written"
)

var guards = map[Name]string{
	TokenSignature: "a token whose signature does not hold",
	TokenIssuer:    "a token of an issuer that is not trusted",
	TokenAudience:  "a token made for another server",
	TokenExpiry:    "a token after its time",
	TokenType:      "an id token or an assertion in the place of an access token",
	TokenRevoked:   "a token that was revoked",
	TokenAmbiguous: "a token that two issuers could have made",

	ClientAssertionReplay:   "an assertion that was used before",
	ClientAssertionAudience: "an assertion made for another server",
	ClientAssertionLife:     "an assertion that lives longer than five minutes",
	ClientDisabled:          "a client that was disabled",
	ClientRegisteredScopes:  "scopes beyond the client's registration",

	ScopeLevel:       "scopes of a level that is not the token's: a client's user/, a person's system/",
	ScopeInteraction: "an interaction on a type that no scope allows, before data is touched",
	ScopeOperation:   "an operation whose own scope the token has not",
	ScopePatient:     "patient/ scopes used for somebody else than the patient in context",
	ScopeReturned:    "a resource in an answer that no scope covers in the form in which it goes out",
	ScopeWritten:     "a write of what no scope covers",
}
