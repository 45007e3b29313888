package auth

import (
	"errors"
	"net/http"
	"strings"

	"github.com/handoff-health/handoff/gateway/guard"
)

// BearerFromRequest returns the access token of a request: from exactly one
// Authorization header and from nowhere else. A token in the URL is refused even
// beside a header, because URLs are logged. (A token in a form body is not
// looked for: to a FHIR search it is an unknown parameter.)
func BearerFromRequest(r *http.Request) (string, error) {
	values := r.Header.Values("Authorization")
	inURL := r.URL.RawQuery != "" && r.URL.Query().Has("access_token")
	switch {
	case len(values) == 0 && inURL:
		return "", missing("url-token", "the access token belongs in the Authorization header")
	case len(values) == 0:
		return "", missing("no-token", "")
	case (len(values) > 1 || inURL) && !guard.Off(guard.TokenOneHeader):
		return "", &Refusal{Status: http.StatusBadRequest, Code: codeInvalidRequest, Description: "send one access token, in one Authorization header", Reason: "several-tokens"}
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") && !guard.Off(guard.TokenScheme) {
		return "", missing("scheme", "")
	}
	token = strings.TrimLeft(token, " ")
	if !ok || token == "" {
		return "", invalidToken(faultf("format", "no token after Bearer"))
	}
	if len(token) > MaxTokenBytes && !guard.Off(guard.TokenSize) {
		return "", invalidToken(faultf("size", "%d bytes, at most %d", len(token), MaxTokenBytes))
	}
	return token, nil
}

// missing refuses a request without credentials: RFC 6750 3.1 wants no error
// code then.
func missing(reason, description string) error {
	return &Refusal{Status: http.StatusUnauthorized, Description: description, Reason: reason, Err: errors.New("no bearer token")}
}
