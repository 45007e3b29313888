package upstreamtest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// A Broken server answers every request wrongly in one way.
type Broken struct {
	Name    string
	Handler http.HandlerFunc
	// Partial says that good entries, or none at all, may come before the
	// failure shows; the search must still not end as complete.
	Partial bool
	// Empty says that the answer as a whole is well formed and complete, and
	// that no entry of it may be handed on as patient p1's.
	Empty bool
	// Unclear says the same, but what came may be the patient's: a broker has to
	// report that something may be missing.
	Unclear bool
	// Suppressed says that the server withholds by its own rules.
	Suppressed bool
	// Slow says that it goes on for longer than any caller waits; all others have
	// done their worst at once.
	Slow bool
}

// BrokenServers lists the ways. elsewhere is the URL of another origin to which
// some try to lead.
func BrokenServers(elsewhere string) []Broken {
	text := func(status int, typ, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", typ)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	fhir := func(status int, body string) http.HandlerFunc { return text(status, "application/fhir+json", body) }
	page := func(links, entries string) string {
		return `{"resourceType":"Bundle","type":"searchset","link":[` + links + `],"entry":[` + entries + `]}`
	}
	entry := func(r []byte) string { return `{"resource":` + string(r) + `}` }
	good := entry(observation("o1", "p1"))
	outcome := func(severity, code, detail string) string {
		return `{"resourceType":"OperationOutcome","issue":[{"severity":"` + severity + `","code":"` + code + `","details":{"coding":[{"code":"` + detail + `"}],"text":"secret text about Patient/p1"}}]}`
	}
	return []Broken{
		{Name: "hangs", Handler: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, Slow: true},
		{Name: "resets the connection", Handler: func(w http.ResponseWriter, _ *http.Request) { reset(w) }},
		{Name: "closes after the headers", Handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/fhir+json")
			w.Header().Set("Content-Length", "1000")
			w.WriteHeader(http.StatusOK)
			flush(w)
			panic(http.ErrAbortHandler)
		}},
		{Name: "answers HTML", Handler: text(200, "text/html", "<html>Please log in</html>")},
		{Name: "answers HTML and calls it JSON", Handler: fhir(200, "<html>")},
		{Name: "answers XML", Handler: text(200, "application/fhir+xml", "<Bundle/>")},
		{Name: "answers nothing", Handler: fhir(200, "")},
		{Name: "answers 204", Handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }},
		{Name: "answers JSON that is no object", Handler: fhir(200, `[1,2]`)},
		{Name: "answers null", Handler: fhir(200, `null`)},
		{Name: "answers another type", Handler: fhir(200, `{"resourceType":"CapabilityStatement","id":"o1"}`)},
		{Name: "answers a Bundle that is no searchset", Handler: fhir(200, `{"resourceType":"Bundle","type":"collection","entry":[`+good+`]}`), Partial: true},
		{Name: "answers two values", Handler: fhir(200, page("", good)+page("", good)), Partial: true},
		{Name: "answers with a name twice", Handler: fhir(200, `{"resourceType":"Bundle","resourceType":"Patient","type":"searchset"}`)},
		{Name: "redirects elsewhere", Handler: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere+r.URL.RequestURI(), http.StatusTemporaryRedirect)
		}},
		{Name: "redirects out of its base", Handler: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/admin", http.StatusFound) }},
		{Name: "redirects in a circle", Handler: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.RequestURI(), http.StatusFound)
		}},
		{Name: "announces 200 MB", Handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/fhir+json")
			w.Header().Set("Content-Length", fmt.Sprint(200<<20))
			w.WriteHeader(http.StatusOK)
			pour(w, 200<<20)
		}},
		{Name: "sends 200 MB", Handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/fhir+json")
			pour(w, 200<<20)
		}},
		{Name: "sends a small answer that unpacks to 64 MB", Handler: bomb},
		{Name: "packs with something else", Handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			fhir(200, page("", good))(w, nil)
		}},
		{Name: "cuts its answer short", Handler: fhir(200, page("", good+","+good)[:150]), Partial: true},
		{Name: "sends a byte at a time", Handler: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/fhir+json")
			for _, c := range []byte(page("", good)) {
				if _, err := w.Write([]byte{c}); err != nil || r.Context().Err() != nil {
					return
				}
				flush(w)
				time.Sleep(20 * time.Millisecond)
			}
		}, Slow: true},
		{Name: "leads to its next page elsewhere", Handler: fhir(200, page(`{"relation":"next","url":"`+elsewhere+`/fhir/Observation?p=2"}`, good)), Partial: true},
		{Name: "leads to its next page out of its base", Handler: fhir(200, page(`{"relation":"next","url":"../admin?p=2"}`, good)), Partial: true},
		{Name: "leads to its next page in a circle", Handler: func(w http.ResponseWriter, _ *http.Request) {
			fhir(200, page(`{"relation":"next","url":"/fhir/Observation?again"}`, good))(w, nil)
		}, Partial: true},
		{Name: "has pages without end", Handler: func(w http.ResponseWriter, r *http.Request) {
			fhir(200, page(`{"relation":"next","url":"/fhir/Observation?n=x`+r.URL.Query().Get("n")+`"}`, good))(w, nil)
		}, Partial: true},
		{Name: "fails with 500 and text", Handler: text(500, "text/plain", "stack trace of Patient/p1")},
		{Name: "is unavailable", Handler: text(503, "text/plain", "later")},
		{Name: "throttles for an hour", Handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
		}},
		{Name: "refuses with 400 and text", Handler: text(400, "text/plain", "no supported search parameters provided")},
		{Name: "refuses with 406 and nothing", Handler: text(406, "", "")},
		{Name: "is not allowed", Handler: text(403, "text/plain", "Tenant not valid or accessible")},
		{Name: "wants another token", Handler: text(401, "text/plain", "")},
		{Name: "answers 200 with an error outcome", Handler: fhir(200, outcome("error", "processing", "59159"))},
		{Name: "says that more may exist", Handler: fhir(200, page("", good+","+entry([]byte(outcome("warning", "informational", "4119"))))), Partial: true},
		{Name: "says that there were too many", Handler: fhir(200, page("", good+","+entry([]byte(outcome("warning", "too-costly", ""))))), Partial: true},
		{Name: "sends an entry that cannot be read", Handler: fhir(200, page("", good+`,{"resource":{"resourceType":"Observation","id":"a b"}}`)), Partial: true},
		{Name: "sends an entry without a resource", Handler: fhir(200, page("", good+`,{"fullUrl":"x"}`)), Partial: true},
		{Name: "nests without end", Handler: fhir(200, page("", `{"resource":{"resourceType":"Observation","id":"o1","a":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+`}}`)), Partial: true},
		{Name: "withholds behind break-the-glass", Handler: fhir(403, outcome("error", "suppressed", "4130")), Suppressed: true},
		{Name: "withholds a restricted patient with 200", Handler: fhir(200, page("", entry([]byte(outcome("error", "processing", "4131"))))), Suppressed: true},
		{Name: "sends another patient's data", Handler: fhir(200, page("", entry(observation("o1", "p2"))+`,{"resource":{"resourceType":"Observation","id":"o3","subject":{"reference":"`+elsewhere+`/fhir/Patient/p1"}}},{"resource":{"resourceType":"Patient","id":"p2"}}`)), Empty: true},
		{Name: "sends data of a patient named by identifier", Handler: fhir(200, page("", `{"resource":{"resourceType":"Observation","id":"o2","subject":{"identifier":{"value":"p1"},"display":"One"}}}`)), Unclear: true},
		{Name: "sends data that name no patient", Handler: fhir(200, page("", `{"resource":{"resourceType":"Observation","id":"o4"}}`)), Unclear: true},
		{Name: "sends what was not asked for", Handler: fhir(200, page("", `{"resource":{"resourceType":"Practitioner","id":"dr"}},{"resource":`+string(observation("o9", "p1"))+`,"search":{"mode":"include"}}`)), Empty: true},
		{Name: "says that nothing was found in an outcome", Handler: fhir(200, page("", entry([]byte(outcome("warning", "not-found", "4101"))))), Empty: true},
	}
}

func flush(w http.ResponseWriter) {
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
}

// reset ends the connection with an RST.
func reset(w http.ResponseWriter) {
	h, ok := w.(http.Hijacker)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	conn, _, err := h.Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// pour sends a Bundle of n bytes, most of it one string.
func pour(w http.ResponseWriter, n int) {
	_, _ = w.Write([]byte(`{"resourceType":"Bundle","type":"searchset","x":"`))
	block := bytes.Repeat([]byte("a"), 1<<20)
	for range n >> 20 {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
	_, _ = w.Write([]byte(`"}`))
}

// bomb sends 64 MB packed.
func bomb(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/fhir+json")
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	defer func() { _ = z.Close() }()
	_, _ = z.Write([]byte(`{"resourceType":"Bundle","type":"searchset","x":"`))
	block := bytes.Repeat([]byte("a"), 1<<20)
	for range 64 {
		if _, err := z.Write(block); err != nil {
			return
		}
	}
	_, _ = z.Write([]byte(`"}`))
}
