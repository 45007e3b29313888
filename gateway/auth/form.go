package auth

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/handoff-health/handoff/gateway/guard"
)

// MaxFormBytes is the largest body of a token request.
const MaxFormBytes = 64 << 10

const maxParameters = 32

// ReadForm reads the parameters of a token request. The body is the only place
// they may stand in, and each may stand there once (RFC 6749 3.2); one without a
// value counts as absent. An error is a [*Refusal].
func ReadForm(r *http.Request) (map[string]string, error) {
	form, err := readForm(r)
	if err != nil {
		return nil, badRequest("form", err.Error())
	}
	return form, nil
}

// ParseForm reads application/x-www-form-urlencoded as [ReadForm] does: of the
// query of an authorization request.
func ParseForm(text string) (map[string]string, error) {
	if len(text) > MaxFormBytes {
		return nil, badRequest("form", fmt.Sprintf("more than %d bytes of parameters", MaxFormBytes))
	}
	form, err := parseForm(text)
	if err != nil {
		return nil, badRequest("form", err.Error())
	}
	return form, nil
}

func readForm(r *http.Request) (map[string]string, error) {
	if (r.URL.RawQuery != "" || r.URL.ForceQuery) && !guard.Off(guard.ClientParametersInURL) {
		return nil, errors.New("parameters belong in the body, not in the URL")
	}
	if err := checkFormType(r.Header); err != nil && !guard.Off(guard.ClientFormType) {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxFormBytes+1))
	if err != nil {
		return nil, errors.New("the body could not be read")
	}
	if len(body) > MaxFormBytes {
		return nil, fmt.Errorf("the body is larger than %d bytes", MaxFormBytes)
	}
	return parseForm(string(body))
}

// checkFormType wants one Content-Type, UTF-8, and no content coding.
func checkFormType(h http.Header) error {
	want := errors.New("Content-Type must be application/x-www-form-urlencoded")
	values := h.Values("Content-Type")
	if len(values) != 1 {
		return want
	}
	typ, params, err := mime.ParseMediaType(values[0])
	if err != nil || typ != "application/x-www-form-urlencoded" {
		return want
	}
	for name, value := range params {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return errors.New("Content-Type may have no parameter but charset=utf-8")
		}
	}
	if len(h.Values("Content-Encoding")) > 0 {
		return errors.New("Content-Encoding is not accepted")
	}
	return nil
}

// parseForm decodes application/x-www-form-urlencoded. Parameters without a
// value count as absent (RFC 6749 3.2) but still may not be repeated.
func parseForm(body string) (map[string]string, error) {
	form := make(map[string]string)
	seen := make(map[string]bool)
	if body == "" {
		return form, nil
	}
	for pair := range strings.SplitSeq(body, "&") {
		if pair == "" {
			continue
		}
		if strings.Contains(pair, ";") {
			return nil, errors.New("the form is malformed")
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil {
			return nil, errors.New("the form has a bad percent-encoding")
		}
		value, err := url.QueryUnescape(rawValue)
		if err != nil {
			return nil, errors.New("the form has a bad percent-encoding")
		}
		if (name == "" || !text(name) || !text(value)) && !guard.Off(guard.ClientFormText) {
			return nil, errors.New("the form has a name or value that is not text")
		}
		if seen[name] && !guard.Off(guard.ClientRepeatedParameter) {
			return nil, errors.New("a parameter is repeated")
		}
		if len(seen) == maxParameters {
			return nil, fmt.Errorf("more than %d parameters", maxParameters)
		}
		seen[name] = true
		if value != "" {
			form[name] = value
		}
	}
	return form, nil
}

// text: UTF-8 without control characters.
func text(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}
