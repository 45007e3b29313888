package registration

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/handoff-health/handoff/gateway/auth"
)

// Error codes of RFC 7591 3.2.2 and RFC 6750 3.1.
const (
	codeRedirect   = "invalid_redirect_uri"
	codeMetadata   = "invalid_client_metadata"
	codeUnapproved = "unapproved_software_statement"
	codeRequest    = "invalid_request"
	codeScope      = "insufficient_scope"
	codeFactor     = "insufficient_user_authentication"
	codeServer     = "server_error"
)

// refused is a refusal of what was asked; the description is shown.
func refused(code, format string, args ...any) *auth.Refusal {
	return &auth.Refusal{Status: http.StatusBadRequest, Code: code, Description: ascii(fmt.Sprintf(format, args...)), Reason: code}
}

// invalid is refused as an error.
func invalid(code, format string, args ...any) error { return refused(code, format, args...) }

// absent is the one answer for a client that is not there and for one that is none
// of the caller's business.
func absent() error {
	return &auth.Refusal{Status: http.StatusNotFound, Code: "not_found", Description: "there is no such client", Reason: "absent"}
}

func conflict(status int, description string) error {
	return &auth.Refusal{Status: status, Code: codeRequest, Description: description, Reason: "version"}
}

// ascii keeps a description to what RFC 6749 5.2 lets stand there.
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r == '\\' || r < ' ' || r > '~':
			return '?'
		}
		return r
	}, s)
}

// fieldNames are the members of metadata by the settings that auth's rules name.
var fieldNames = map[string]string{
	"redirectUris": "redirect_uris", "launchUrl": "initiate_login_uri", "jwksUrl": "jwks_uri", "grants": "grant_types", "scopes": "scope",
	"lifetime": "access_token_lifetime", "secretHashes": "token_endpoint_auth_method", "public": "token_endpoint_auth_method",
}

// problemsError tells all problems in the words of the API.
func problemsError(problems []auth.Problem) error {
	code := codeMetadata
	var texts []string
	for _, p := range problems {
		field, at, list := strings.Cut(p.Field, "[")
		if field == "redirectUris" {
			code = codeRedirect
		}
		if name := fieldNames[field]; name != "" {
			field = name
		}
		if list {
			field += "[" + at
		}
		p.Field = field
		texts = append(texts, p.Error())
	}
	return refused(code, "%s", strings.Join(texts, "; "))
}
