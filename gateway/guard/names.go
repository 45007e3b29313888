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
}
