package gateway

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// What stands in an address is recorded, whoever sent it and whatever came of it.
// A credential that somebody put there must not be: who reads the trail could use
// it as long as it lives.

// credentials are parameters of OAuth that a client may put into an address by
// mistake. "code" is none of them here: it is a search parameter.
var credentials = []string{
	"access_token", "refresh_token", "id_token", "id_token_hint", "token", "assertion", "client_assertion", "client_secret", "password",
}

// signedToken is the shape of a signed JWT: RFC 7515 7.1.
var signedToken = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`)

const leftOut = "REDACTED"

// recordedPath is a path as it may be recorded.
func recordedPath(path string) string {
	if !strings.Contains(path, "eyJ") {
		return path
	}
	return signedToken.ReplaceAllString(path, leftOut)
}

// recordedQuery is a query string as it may be recorded: as it was sent, but for
// credentials.
func recordedQuery(raw string) string {
	raw = recordedPath(raw)
	pairs := strings.Split(raw, "&")
	for i, pair := range pairs {
		name, _, given := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); given && err == nil && slices.Contains(credentials, strings.ToLower(plain)) {
			pairs[i] = name + "=" + leftOut
		}
	}
	return strings.Join(pairs, "&")
}
