package attack

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/handoff-health/handoff/gateway/guard"
)

func parserFamilies() []Family { return []Family{bodies(), addresses(), bounds(), hooks()} }

func unb64(s string) (string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	return string(raw), err
}

func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// bodies are what no parser should take.
func bodies() Family {
	consent := func(t *Target) (string, error) {
		return t.fill(strings.Replace(planConsent, "{mark}", "B-{mark}", 1)), t.has(planConsent)
	}
	send := func(make func(body string) (string, []change)) func(*Target) error {
		return func(t *Target) error {
			body, err := consent(t)
			if err != nil {
				return err
			}
			token, err := t.tokenOf("clinician", "")
			if err != nil {
				return err
			}
			text, changes := make(body)
			a, err := t.ask(token, http.MethodPost, "Consent", []byte(text), changes...)
			switch {
			case hungUp(err):
				return nil
			case err != nil:
				return err
			case a.ok():
				return breach("it is taken: %d %s", a.status, a.header.Get("Location"))
			case a.status >= 500:
				return breach("it makes the gateway fail: %s", a)
			}
			return nil
		}
	}
	text := func(alter func(body string) string) func(*Target) error {
		return send(func(body string) (string, []change) { return alter(body), nil })
	}
	header := func(name, value string) func(*Target) error {
		return send(func(body string) (string, []change) { return body, []change{with(name, value)} })
	}
	first := func(member string) func(*Target) error {
		return text(func(body string) string { return strings.Replace(body, "{", "{"+member+",", 1) })
	}
	return Family{Area: Parsers, Name: "bodies", Control: func(t *Target) error {
		body, err := consent(t)
		if err != nil {
			return err
		}
		return t.file("filed", "clinician", body)
	}, Attacks: []Attack{
		{"twice-a-key", "a body with a member twice is refused", "decisions 1.2; smart.md 2.4: the last duplicate won", nil, first(`"status": "inactive"`)},
		{"twice-a-key-escaped", "a body with a member twice in two spellings is refused", "decisions 1.2: names are compared after unescaping", nil, first(`"st\u0061tus": "inactive"`)},
		{"twice-a-key-deep", "a body with a member twice far inside is refused", "decisions 1.2", nil, text(func(b string) string {
			return strings.Replace(b, `"type": "permit"`, `"type": "deny", "type": "permit"`, 1)
		})},
		{"other-case", "a member in other case is not the member", "smart.md 2.4: encoding/json ignores case", nil, text(func(b string) string { return strings.Replace(b, `"status"`, `"Status"`, 1) })},
		{"deep", "a body that is nested a hundred thousand deep is refused", "CWE-674; CVE-2020-36242 class", nil, text(func(string) string { return strings.Repeat(`{"resourceType":"Consent","x":[`, 30000) })},
		{"two-values", "a body with a second value after the first is refused", "CWE-436: parsers that stop early", nil, text(func(b string) string { return b + `{"resourceType":"Patient"}` })},
		{"byte-order-mark", "a body with a byte order mark is refused", "RFC 8259 8.1", nil, text(func(b string) string { return "\ufeff" + b })},
		{"bad-utf8", "a body that is not UTF-8 is refused", "RFC 8259 8.1; CWE-176", nil, text(func(b string) string { return strings.Replace(b, "tablet", "tabl\xff\xfet", 1) })},
		{"overlong", "a body with an overlong encoding is refused", "CVE-2000-0884 class", nil, text(func(b string) string { return strings.Replace(b, "tablet", "tabl\xc0\xaft", 1) })},
		{"lone-surrogate", "a body with half a character is refused", "RFC 8259 8.2; CWE-176", nil, text(func(b string) string { return strings.Replace(b, "tablet", `tabl\ud800t`, 1) })},
		{"null-byte", "a body with a zero byte is refused", "CWE-158", nil, text(func(b string) string { return strings.Replace(b, "tablet", "tab\x00let", 1) })},
		{"oversize", "a body larger than allowed is refused", "CWE-400; issue 4.6", []guard.Name{guard.ParserBodySize}, send(func(b string) (string, []change) { return b + strings.Repeat(" ", 2<<20), nil })},
		{"compressed", "a compressed body is not taken as it stands, nor unpacked", "issue 4.6: decompression caps; CWE-409", nil, send(func(b string) (string, []change) {
			var out bytes.Buffer
			w := gzip.NewWriter(&out)
			_, _ = w.Write([]byte(b)) // into memory
			_ = w.Close()
			return out.String(), []change{with("Content-Encoding", "gzip")}
		})},
		{"says-compressed", "a body that says it is compressed and is not is refused", "CWE-436: a proxy would unpack it", []guard.Name{guard.ParserEncoding}, header("Content-Encoding", "gzip")},
		{"as-text", "a body as text/plain is refused: a browser sends it without asking", "CWE-352: simple requests of CORS", []guard.Name{guard.ParserBodyType}, header("Content-Type", "text/plain")},
		{"as-xml", "a body that says it is XML is refused", "CWE-611: nothing here reads XML", []guard.Name{guard.ParserBodyType}, header("Content-Type", "application/fhir+xml")},
		{"without-type", "a body without a media type is refused", "RFC 9110 8.3: no guessing", []guard.Name{guard.ParserBodyType}, send(func(b string) (string, []change) {
			return b, []change{func(r *http.Request) { r.Header.Del("Content-Type") }}
		})},
		{"utf-16", "a body that says it is UTF-16 is refused", "CWE-176: filters that read another charset", []guard.Name{guard.ParserCharset}, header("Content-Type", "application/fhir+json; charset=utf-16")},
		{"utf-7", "a body that says it is UTF-7 is refused", "CWE-176", []guard.Name{guard.ParserCharset}, header("Content-Type", "application/fhir+json; charset=utf-7")},
		{"other-resource", "a body of another type than the address is refused", "FHIR http: resourceType must agree", []guard.Name{guard.ParserAddress}, func(t *Target) error {
			token, err := t.tokenOf("clinician", "")
			if err != nil {
				return err
			}
			ada, err := t.record("ada")
			if err != nil {
				return err
			}
			body := fmt.Sprintf(`{"resourceType":"Basic","code":{"text":"x"},"subject":{"reference":%q}}`, ada)
			a, err := t.ask(token, http.MethodPost, "Consent", []byte(body))
			if err == nil && a.status != http.StatusBadRequest {
				err = breach("it is read on as a Consent: %s", a)
			}
			return err
		}},
	}}
}

// addresses are paths, queries, headers and framing.
func addresses() Family {
	raw := func(make func(t *Target, token string) (string, error), leak string) func(*Target) error {
		return func(t *Target) error {
			if err := t.has("{ada}{therapy}{plan}"); err != nil {
				return err
			}
			token, err := t.tokenOf("officer", "")
			if err != nil {
				return err
			}
			request, err := make(t, token)
			if err != nil {
				return err
			}
			got, err := t.raw(request)
			if err != nil {
				return err
			}
			if strings.Contains(got, t.fill(leak)) || strings.Count(got, "HTTP/1.1 200") > 1 {
				return breach("%.600s", got)
			}
			return nil
		}
	}
	lines := func(token string, l ...string) string {
		return strings.Join(append(l, "Host: gateway", "Authorization: Bearer "+token, "Connection: close"), "\r\n") + "\r\n\r\n"
	}
	hidden := "Therapy plan"
	path := func(t *Target) string { return strings.TrimPrefix(t.Base, t.Origin()) }
	return Family{Area: Parsers, Name: "addresses and framing", Control: sees("officer", "{plan}"), Attacks: []Attack{
		{"read-parameter", "a read with a parameter that it does not have is refused", "smart.md 4, convention 5", []guard.Name{guard.ParserReadParameters}, refused("officer", "{plan}?_security=N")},
		{"semicolon", "a semicolon does not separate parameters", "golang/go#25192: proxies and servers differ", nil, leaks("officer", "CarePlan?patient={ada};status=active", hidden)},
		{"double-encoded", "a path that is encoded twice leads nowhere else", "CVE-2021-41773 class", nil, refused("officer", "Patient/%252e%252e/CarePlan/{#therapy}")},
		{"dot-segments", "dots in a path lead nowhere else", "CWE-22", nil, raw(func(t *Target, token string) (string, error) {
			return lines(token, "GET "+path(t)+"/metadata/../"+t.fill("{therapy}")+" HTTP/1.1"), nil
		}, hidden)},
		{"encoded-slash", "an encoded slash does not make another route", "smart.md 2: %2f decoding for Entra", nil, refused("officer", "CarePlan%2f{#therapy}")},
		{"open-route-prefix", "a path that starts like an open one is not open", "auth by prefix: CVE-2022-22978 class", nil, func(t *Target) error {
			ref, err := t.record("plan")
			if err != nil {
				return err
			}
			for _, p := range []string{"metadata/../" + ref, "metadata;/" + ref, ".well-known/smart-configuration/../../" + ref, "metadata%00/" + ref, "metadata/" + ref} {
				a, err := t.get("", p)
				if err != nil {
					continue // no client sends it
				}
				if strings.Contains(string(a.body), "Crisis plan") {
					return breach("%s: %s", p, a)
				}
			}
			return nil
		}},
		{"null-in-path", "a zero byte in an id ends nothing", "CWE-158", nil, refused("officer", "CarePlan/{#therapy}%00.json")},
		{"case-of-type", "a type in other case is no type", "FHIR: types are case-sensitive", nil, refused("officer", "careplan/{#plan}")},
		{"trailing-slash", "a slash at the end makes no other route", "RedirectTrailingSlash", nil, refused("officer", "CarePlan/{#therapy}/")},
		{"absolute-target", "an absolute address in the request line is not another host", "CWE-918; RFC 9112 3.2.2", nil, raw(func(t *Target, token string) (string, error) {
			return lines(token, "GET http://127.0.0.1:1"+path(t)+"/"+t.fill("{therapy}")+" HTTP/1.1"), nil
		}, hidden)},
		{"smuggled", "a request hidden in another's body is not answered", "CWE-444; RFC 9112 6.1: Content-Length beside Transfer-Encoding", []guard.Name{guard.ParserFraming}, raw(func(t *Target, token string) (string, error) {
			inner := "GET " + path(t) + "/" + t.fill("{plan}") + " HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer " + token + "\r\n\r\n"
			return "POST " + path(t) + "/CarePlan/_search HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner, nil
		}, "Crisis plan")},
		{"two-lengths", "two lengths of one body are refused", "CWE-444; RFC 9112 6.3", nil, raw(func(t *Target, token string) (string, error) {
			return "POST " + path(t) + "/CarePlan/_search HTTP/1.1\r\nHost: gateway\r\nContent-Length: 0\r\nContent-Length: 60\r\n\r\nGET " + path(t) + "/" + t.fill("{plan}") + " HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer " + token + "\r\n\r\n", nil
		}, "Crisis plan")},
		{"folded-header", "a header that goes on in the next line is not joined", "RFC 9112 5.2: obs-fold", nil, raw(func(t *Target, token string) (string, error) {
			return "GET " + path(t) + "/" + t.fill("{plan}") + " HTTP/1.1\r\nHost: gateway\r\nAuthorization: Basic x\r\n Bearer " + token + "\r\nConnection: close\r\n\r\n", nil
		}, "Crisis plan")},
		{"space-before-colon", "a header name with a space is no header", "RFC 9112 5.1; CVE-2019-16276", nil, raw(func(t *Target, token string) (string, error) {
			return "GET " + path(t) + "/" + t.fill("{plan}") + " HTTP/1.1\r\nHost: gateway\r\nAuthorization : Bearer " + token + "\r\nConnection: close\r\n\r\n", nil
		}, "Crisis plan")},
		{"huge-header", "headers beyond a bound are refused", "CWE-400; issue 4.6", nil, func(t *Target) error {
			ref, err := t.record("ada")
			if err != nil {
				return err
			}
			a, err := t.as("officer", ref, with("X-Padding", strings.Repeat("x", 256<<10)))
			if err == nil && a.status < 400 {
				err = breach("%d", a.status)
			}
			if hungUp(err) {
				return nil
			}
			return err
		}},
		{"other-format", "a format that is not spoken is refused, and is not XML", "CWE-611", nil, refused("officer", "{plan}?_format=xml")},
		{"trace", "TRACE echoes nothing", "CWE-693: cross-site tracing", nil, func(t *Target) error {
			token, err := t.tokenOf("officer", "")
			if err != nil {
				return err
			}
			a, err := t.ask(token, http.MethodTrace, "metadata", nil, with("X-Echo", "echo-me"))
			if err == nil && (a.ok() || strings.Contains(string(a.body), "echo-me") || strings.Contains(string(a.body), token)) {
				err = breach("%s", a)
			}
			return err
		}},
		{"foreign-page", "a page of another origin may not read answers", "issue 4.6: CORS by registration; CWE-942", []guard.Name{guard.AccessOrigin}, func(t *Target) error {
			ref, err := t.record("plan")
			if err != nil {
				return err
			}
			a, err := t.as("officer", ref, with("Origin", "https://evil.example.org"))
			if err != nil {
				return err
			}
			if o := a.header.Get("Access-Control-Allow-Origin"); o != "" {
				return breach("Access-Control-Allow-Origin: %s", o)
			}
			return nil
		}},
	}}
}
