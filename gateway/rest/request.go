package rest

import (
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/gateway/guard"
)

// A Request is one FHIR interaction as asked for; nothing of it is believed yet.
type Request struct {
	HTTP        *http.Request
	Interaction string
	Open        bool
	Type        string // resource type in the path
	ID          string // logical id in the path
	VersionID   string // version in the path
	Path        string // below the FHIR base, without query
	Fault       error  // what is wrong with it as a request; it goes no further then
}

// Source returns where the request comes from, without port: the peer, or what a
// trusted proxy says.
func (r *Request) Source() string {
	host, _, err := net.SplitHostPort(r.HTTP.RemoteAddr)
	if err != nil {
		return r.HTTP.RemoteAddr
	}
	return host
}

// Query returns the search parameters in their order: of the URL, and of the
// form for a POST _search, which counts as if it stood in the URL.
func (r *Request) Query(maxBytes int64) ([]search.Param, error) {
	params, err := search.ParseQuery(r.HTTP.URL.RawQuery)
	if err != nil || r.HTTP.Method != http.MethodPost {
		return params, err
	}
	body, err := r.body(min(maxBytes, MaxFormBytes), "application/x-www-form-urlencoded")
	if err != nil {
		return nil, err
	}
	form, err := search.ParseQuery(string(body))
	return append(params, form...), err
}

// Resource returns the body of a create or update.
func (r *Request) Resource(maxBytes int64) ([]byte, error) {
	body, err := r.body(maxBytes, "application/fhir+json", "application/json")
	if err == nil && len(body) == 0 {
		err = outcome.BadRequest(outcome.CodeRequired, "the body is empty")
	}
	return body, err
}

func (r *Request) body(maxBytes int64, types ...string) ([]byte, error) {
	for _, coding := range r.HTTP.Header.Values("Content-Encoding") {
		if !strings.EqualFold(coding, "identity") && !guard.Off(guard.ParserEncoding) {
			return nil, outcome.UnsupportedMediaType("Content-Encoding is not supported: send the body as it is")
		}
	}
	got, params, err := mime.ParseMediaType(r.HTTP.Header.Get("Content-Type"))
	if len(r.HTTP.Header.Values("Content-Type")) > 1 {
		err = errors.New("several media types")
	}
	fits := false
	for _, t := range types {
		fits = fits || (err == nil && got == t)
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") && !guard.Off(guard.ParserCharset) {
		fits = false
	}
	if otherVersion(params) {
		return nil, outcome.UnsupportedMediaType("fhirVersion must be 4.0")
	}
	if !fits && !guard.Off(guard.ParserBodyType) {
		return nil, outcome.UnsupportedMediaType("Content-Type must be %s (UTF-8)", strings.Join(types, " or "))
	}
	if guard.Off(guard.ParserBodySize) {
		maxBytes = 1 << 30
	}
	if r.HTTP.ContentLength > maxBytes {
		return nil, outcome.TooLarge("the body is larger than %d bytes", maxBytes)
	}
	b, err := io.ReadAll(http.MaxBytesReader(nil, r.HTTP.Body, maxBytes))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, outcome.TooLarge("the body is larger than %d bytes", maxBytes)
	case err != nil:
		return nil, outcome.BadRequest(outcome.CodeIncomplete, "the body could not be read to its end")
	}
	return b, nil
}

// Acceptable says whether the caller takes JSON: by Accept, or by _format,
// which prevails. FHIR XML is not spoken here.
func (r *Request) Acceptable() error {
	format := r.HTTP.URL.Query()["_format"]
	switch {
	case len(format) > 1:
		return outcome.BadRequest(outcome.CodeInvalid, "_format stands more than once")
	case len(format) == 1:
		if !isJSON(strings.ReplaceAll(format[0], " ", "+")) {
			return outcome.NotAcceptable("only FHIR JSON is available: application/fhir+json")
		}
		return nil
	}
	accept := r.HTTP.Header.Values("Accept")
	if len(accept) == 0 {
		return nil
	}
	for _, part := range strings.Split(strings.Join(accept, ","), ",") {
		if isJSON(strings.TrimSpace(part)) {
			return nil
		}
	}
	return outcome.NotAcceptable("only FHIR JSON is available: application/fhir+json")
}

// otherVersion says whether the parameters of a media type name another version of
// FHIR than R4: https://hl7.org/fhir/R4/versioning.html#mt-version
func otherVersion(params map[string]string) bool {
	v, ok := params["fhirversion"]
	return ok && v != "4.0" && v != "4.0.1"
}

func isJSON(mediaRange string) bool {
	t, params, err := mime.ParseMediaType(mediaRange)
	if err != nil {
		return mediaRange == "json"
	}
	if otherVersion(params) || params["q"] == "0" {
		return false
	}
	switch t {
	case "application/fhir+json", "application/json", "application/*", "*/*", "json", "text/json":
		return true
	}
	return false
}
