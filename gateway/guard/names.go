package guard

// The guards. A new one gets a constant, a line in the table and an attack.
const (
	TokenSignature    Name = "token/signature"
	TokenIssuer       Name = "token/issuer"
	TokenAudience     Name = "token/audience"
	TokenExpiry       Name = "token/expiry"
	TokenType         Name = "token/type"
	TokenRevoked      Name = "token/revoked"
	TokenEnded        Name = "token/ended"
	TokenGeneration   Name = "token/generation"
	TokenAmbiguous    Name = "token/ambiguous-issuer"
	TokenNotBefore    Name = "token/not-before"
	TokenCritical     Name = "token/critical-header"
	TokenEmbeddedKey  Name = "token/embedded-key"
	TokenID           Name = "token/id"
	TokenSubject      Name = "token/subject"
	TokenOneHeader    Name = "token/one-header"
	TokenScheme       Name = "token/scheme"
	TokenSize         Name = "token/size"
	TokenClientIssuer Name = "token/client-issuer"
	TokenBound        Name = "token/bound"
	TokenSpan         Name = "token/span"

	ClientAssertionReplay   Name = "client/assertion-replay"
	ClientAssertionAudience Name = "client/assertion-audience"
	ClientAssertionLife     Name = "client/assertion-lifetime"
	ClientDisabled          Name = "client/disabled"
	ClientRegisteredScopes  Name = "client/registered-scopes"
	ClientKeyURL            Name = "client/key-url"
	ClientAlgorithm         Name = "client/algorithm"
	ClientAssertionID       Name = "client/assertion-id"
	ClientAssertionSubject  Name = "client/assertion-subject"
	ClientAssertionType     Name = "client/assertion-type"
	ClientIDAgrees          Name = "client/client-id"
	ClientParametersInURL   Name = "client/parameters-in-url"
	ClientRepeatedParameter Name = "client/repeated-parameter"
	ClientFormType          Name = "client/form-type"
	ClientFormText          Name = "client/form-text"
	ClientResource          Name = "client/resource"
	ClientNamesUsers        Name = "client/names-users"
	ClientOwnOrganization   Name = "client/own-organization"
	ClientOwnRole           Name = "client/own-role"
	ClientOwnPurpose        Name = "client/own-purpose"
	ClientBelievedMFA       Name = "client/believed-mfa"
	ClientManageScope       Name = "client/manage-scope"
	ClientManageMFA         Name = "client/manage-mfa"
	ClientManageOwn         Name = "client/manage-own-organization"
	ClientManageVersion     Name = "client/manage-version"
	ClientCeiling           Name = "client/registration-ceiling"
	ClientLock              Name = "client/lock"
	ClientRate              Name = "client/rate"
	ClientOwnTokens         Name = "client/own-tokens"
	ClientIntrospects       Name = "client/introspects"

	ScopeLevel       Name = "scope/level"
	ScopeInteraction Name = "scope/interaction"
	ScopeOperation   Name = "scope/operation"
	ScopePatient     Name = "scope/patient"
	ScopeCriteria    Name = "scope/criteria"
	ScopeReturned    Name = "scope/returned"
	ScopeWritten     Name = "scope/written"
	ScopeUnsupported Name = "scope/unsupported-criteria"
	ScopeLetters     Name = "scope/letters"

	AccessDecision        Name = "access/decision"
	AccessReturnedForm    Name = "access/returned-form"
	AccessPerson          Name = "access/person-asked-about"
	AccessReferences      Name = "access/references"
	AccessOnePerson       Name = "access/one-person"
	AccessCountOnePerson  Name = "access/count-one-person"
	AccessPageOwner       Name = "access/page-owner"
	AccessPageQuery       Name = "access/page-query"
	AccessUnseenCondition Name = "access/unseen-condition"
	AccessKnownSubject    Name = "access/known-subject"
	AccessSameSubject     Name = "access/same-subject"
	AccessRecorder        Name = "access/consent-recorder"
	AccessValidator       Name = "access/validator-of-the-form"
	AccessOldVersion      Name = "access/old-version"
	AccessPartialWrite    Name = "access/partial-write"
	AccessOrigin          Name = "access/origin"

	ParserBodyType       Name = "parser/body-type"
	ParserCharset        Name = "parser/charset"
	ParserEncoding       Name = "parser/content-encoding"
	ParserBodySize       Name = "parser/body-size"
	ParserReadParameters Name = "parser/read-parameters"
	ParserAddress        Name = "parser/body-and-address"
	ParserFraming        Name = "parser/framing"
	ParserURLSize        Name = "parser/url-size"
	ParserHeaders        Name = "parser/header-lines"

	ClientAuthentication Name = "client/authentication"
	ClientSecret         Name = "client/secret"
	ClientOneMethod      Name = "client/one-method"

	AuthorizeRedirectURI  Name = "authorize/redirect-uri"
	AuthorizeState        Name = "authorize/state"
	AuthorizeAudience     Name = "authorize/audience"
	AuthorizeChallenge    Name = "authorize/code-challenge"
	AuthorizeScope        Name = "authorize/scope"
	AuthorizeOnce         Name = "authorize/request-once"
	AuthorizeDecision     Name = "authorize/decision"
	AuthorizeCodeOnce     Name = "authorize/code-once"
	AuthorizeCodeAge      Name = "authorize/code-age"
	AuthorizeCodeClient   Name = "authorize/code-client"
	AuthorizeCodeRedirect Name = "authorize/code-redirect-uri"
	AuthorizeVerifier     Name = "authorize/code-verifier"
	AuthorizeFamily       Name = "authorize/family"
	AuthorizeRefreshOnce  Name = "authorize/refresh-once"
	AuthorizeRefreshOf    Name = "authorize/refresh-client"
	AuthorizeRefreshScope Name = "authorize/refresh-scope"
	AuthorizeRefreshLife  Name = "authorize/refresh-life"
	AuthorizePolicy       Name = "authorize/policy-again"

	SignInSignature     Name = "authorize/id-token-signature"
	SignInIssuer        Name = "authorize/id-token-issuer"
	SignInAudience      Name = "authorize/id-token-audience"
	SignInExpiry        Name = "authorize/id-token-expiry"
	SignInNonce         Name = "authorize/id-token-nonce"
	SignInAge           Name = "authorize/id-token-age"
	SignInBrowser       Name = "authorize/sign-in-browser"
	SignInStateOnce     Name = "authorize/sign-in-state-once"
	SignInProviderMixUp Name = "authorize/sign-in-provider-mix-up"
	SignInPageToken     Name = "authorize/page-token"
	SignInMFA           Name = "authorize/sign-in-mfa"
	SignInRole          Name = "authorize/sign-in-role"
	SignInProvider      Name = "authorize/sign-in-provider-of-client"
	SignInNext          Name = "authorize/sign-in-next"
	SignInLock          Name = "authorize/sign-in-lock"
	SignInIdle          Name = "authorize/session-idle"
	SignInAbsolute      Name = "authorize/session-absolute"

	LaunchBrowser   Name = "authorize/launch-browser"
	LaunchProvider  Name = "authorize/launch-provider"
	LaunchRole      Name = "authorize/launch-role"
	LaunchScope     Name = "authorize/launch-scope"
	LaunchOnce      Name = "authorize/launch-once"
	LaunchClient    Name = "authorize/launch-client"
	LaunchSubject   Name = "authorize/launch-subject"
	LaunchPatient   Name = "authorize/launch-patient"
	LaunchEncounter Name = "authorize/launch-encounter"
	LaunchAge       Name = "authorize/launch-sign-in-age"
	LaunchOtherRole Name = "authorize/launch-other-role"
)

var guards = map[Name]string{
	TokenSignature:    "a token whose signature does not hold",
	TokenIssuer:       "a token of an issuer that is not trusted",
	TokenAudience:     "a token made for another server",
	TokenExpiry:       "a token after its time",
	TokenType:         "an id token or an assertion in the place of an access token",
	TokenRevoked:      "a token that was revoked",
	TokenEnded:        "a token of an authorization, a sign-in, a client or a person that was ended",
	TokenGeneration:   "what was given before its client or its person was ended, by a clock that is ahead",
	TokenAmbiguous:    "a token that two issuers could have made",
	TokenNotBefore:    "a token before its time",
	TokenCritical:     "a token that demands what is not understood here",
	TokenEmbeddedKey:  "a token that brings its own key",
	TokenID:           "a token without an id, which nobody could revoke",
	TokenSubject:      "a client's token that names somebody else",
	TokenOneHeader:    "two tokens in one request",
	TokenScheme:       "a token under another scheme than Bearer",
	TokenSize:         "a token of more bytes than any has",
	TokenClientIssuer: "a token of one issuer for a client of another",
	TokenBound:        "a token that counts only together with a key of its holder",
	TokenSpan:         "a token that would outlive every note of its end",

	ClientAssertionReplay:   "an assertion that was used before",
	ClientAssertionAudience: "an assertion made for another server",
	ClientAssertionLife:     "an assertion that lives longer than five minutes",
	ClientDisabled:          "a client that was disabled",
	ClientRegisteredScopes:  "scopes beyond the client's registration",
	ClientKeyURL:            "a jku that is not the registered one",
	ClientAlgorithm:         "a signature algorithm that was not registered",
	ClientAssertionID:       "an assertion without a usable jti",
	ClientAssertionSubject:  "an assertion of one client about another",
	ClientAssertionType:     "an assertion under another type",
	ClientIDAgrees:          "a client_id that is not the assertion's",
	ClientParametersInURL:   "parameters of a token request in its URL",
	ClientRepeatedParameter: "a parameter of a token request that stands twice",
	ClientFormType:          "a token request that says it is no form",
	ClientFormText:          "control characters in a token request",
	ClientResource:          "a token for another resource server",
	ClientNamesUsers:        "a person named by a client that may name none",
	ClientOwnOrganization:   "another organisation than the client's own",
	ClientOwnRole:           "a role beyond the client's",
	ClientOwnPurpose:        "a purpose beyond the client's",
	ClientOwnTokens:         "the end of another client's token",
	ClientIntrospects:       "introspection by a client that is not registered for it, or by a person's app",
	ClientBelievedMFA:       "factors told by a client that is not believed about them",
	ClientManageScope:       "registering clients without the scope for it",
	ClientManageMFA:         "registering clients by a person who signed in with one factor",
	ClientManageOwn:         "reading or changing clients of another organisation",
	ClientManageVersion:     "a change of a registration that overwrites another one unseen",
	ClientCeiling:           "roles, purposes and operations that only the operator may give an organisation",
	ClientLock:              "guesses at the secret of a client",
	ClientRate:              "more requests than a client, a user or an address may make",

	ScopeLevel:       "scopes of a level that is not the token's: a client's user/, a person's system/",
	ScopeInteraction: "an interaction on a type that no scope allows, before data is touched",
	ScopeOperation:   "an operation whose own scope the token has not",
	ScopePatient:     "patient/ scopes used for somebody else than the patient in context",
	ScopeCriteria:    "a resource on which the criteria of a scope (?category=…) do not hold",
	ScopeReturned:    "a resource in an answer that no scope covers in the form in which it goes out",
	ScopeWritten:     "a write of what no scope covers",
	ScopeUnsupported: "a scope with criteria that cannot be evaluated",
	ScopeLetters:     "a scope whose letters are out of order",

	AccessDecision:        "what policy denies",
	AccessReturnedForm:    "a match on what does not go out",
	AccessPerson:          "somebody else's data from a system that ignores filters",
	AccessReferences:      "references to what may not be seen",
	AccessOnePerson:       "police looking around among persons",
	AccessCountOnePerson:  "counting over all persons",
	AccessPageOwner:       "a page of somebody else's search",
	AccessPageQuery:       "a page of another search",
	AccessUnseenCondition: "a conditional create that feels what may not be seen",
	AccessKnownSubject:    "a Consent about a person unknown to the writer",
	AccessSameSubject:     "a Consent that moves to another person",
	AccessRecorder:        "a Consent that grants though its recorder may not",
	AccessValidator:       "an ETag or a version that tells of changes out of sight",
	AccessOldVersion:      "a version before the newest, of what may not be seen whole any more",
	AccessPartialWrite:    "a write of what was received in part",
	AccessOrigin:          "a page of an origin that no client registered",

	ParserBodyType:       "a body of another media type",
	ParserCharset:        "a body in another character set",
	ParserEncoding:       "a compressed body",
	ParserBodySize:       "a body of more bytes than allowed",
	ParserReadParameters: "parameters that a read does not have",
	ParserAddress:        "a body that is not what the address says",
	ParserFraming:        "a second request behind a body that two readers end in two places",
	ParserURLSize:        "an address of more bytes than allowed",
	ParserHeaders:        "more header lines than allowed",

	ClientAuthentication: "an app that has a key or a secret and uses neither",
	ClientSecret:         "a wrong client secret",
	ClientOneMethod:      "a request that authenticates in several ways",

	AuthorizeRedirectURI:  "a redirect_uri that is not registered, byte for byte",
	AuthorizeState:        "an authorization request without state",
	AuthorizeAudience:     "an authorization request for another server",
	AuthorizeChallenge:    "an authorization request without a code_challenge of method S256",
	AuthorizeScope:        "an app that asks for more than it is registered for",
	AuthorizeOnce:         "an authorization request that is answered twice",
	AuthorizeDecision:     "a decision that gives more than was asked for",
	AuthorizeCodeOnce:     "a code that was used before",
	AuthorizeCodeAge:      "a code after a minute",
	AuthorizeCodeClient:   "a code of another app",
	AuthorizeCodeRedirect: "a code with another redirect_uri than it was sent to",
	AuthorizeVerifier:     "a code without the code_verifier of its challenge",
	AuthorizeFamily:       "what is left of an authorization that was ended",
	AuthorizeRefreshOnce:  "a refresh token that was used before",
	AuthorizeRefreshOf:    "a refresh token of another app",
	AuthorizeRefreshScope: "a refresh that asks for more than was granted",
	AuthorizeRefreshLife:  "a refresh token after its time, or after the session of online_access",
	AuthorizePolicy:       "a refresh for which the registration of today leaves nothing",

	SignInSignature:     "an id token whose signature does not hold",
	SignInIssuer:        "an id token of another provider",
	SignInAudience:      "an id token made for another client of the provider",
	SignInExpiry:        "an id token after its time",
	SignInNonce:         "an id token of another sign-in",
	SignInAge:           "a sign-in at the provider longer ago than was asked for",
	SignInBrowser:       "an answer of a provider that another browser asked for",
	SignInStateOnce:     "an answer of a provider that was used before",
	SignInProviderMixUp: "an answer of one provider to a question that was put to another",
	SignInPageToken:     "a form that another site made the browser send",
	SignInMFA:           "a person who signed in with one factor",
	LaunchBrowser:       "a request that another browser opened first",
	LaunchProvider:      "a person of another organisation, or who signed in where the app does not let its people sign in",
	LaunchRole:          "a role that the person does not have",
	LaunchScope:         "a launch registered with a token that is not for it, or a person's",
	LaunchOnce:          "an EHR launch that was used before",
	LaunchClient:        "an EHR launch that was opened for another app",
	LaunchSubject:       "an EHR launch that was opened for another person",
	LaunchPatient:       "a patient in context whom the person may not see",
	LaunchEncounter:     "an encounter in context that the person may not see, or that is not the patient's",
	LaunchAge:           "a sign-in before the one that the app wants (prompt, max_age)",
	LaunchOtherRole:     "a person who goes on in another role without signing in again",

	SignInRole:     "a person to whom the provider gives no role here",
	SignInProvider: "a sign-in at a provider that the client does not list",
	SignInNext:     "a sign-in that ends at another server",
	SignInLock:     "guesses at the password of a user",
	SignInIdle:     "a session that nobody used",
	SignInAbsolute: "a session after its time",
}
