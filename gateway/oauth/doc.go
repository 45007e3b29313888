// Package oauth is the embedded authorization server: it turns the sign-in of a
// person, and what that person lets an app do, into codes and tokens, and tells
// those who may know what a token is worth.
//
//	authorize  request checked -> kept in Facts -> browser sent to launch's pages -> code
//	token      code or refresh token -> Authorization -> access token, id token, refresh token
//	           client assertion (auth.TokenEndpoint) -> access token of a backend service
//	introspect, revoke, userinfo, keys, discovery
//
// The state machine of OpenID Connect is zitadel/oidc's pkg/op; what SMART wants
// otherwise is overridden here: client authentication by auth, PKCE S256 for
// every client, aud and state, one-minute codes, the end of a family of tokens
// when a code or a refresh token is used twice, refresh without client_id. Access
// tokens are signed by auth and by nobody else. It shows no page (launch and
// signin do) and decides nothing about data.
//
// Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html
package oauth
