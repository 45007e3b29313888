package client

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Wherever the limit falls in an answer, the error names the limit.
func TestAnAnswerOverTheLimitIsCalledTooLarge(t *testing.T) {
	const limit = 4096
	long := strings.Repeat("x", 2*limit)
	for name, body := range map[string]string{
		"in a text of a resource": `{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"resourceType":"Patient","id":"p1","note":"` + long + `"}}]}`,
		"in a link":               `{"resourceType":"Bundle","type":"searchset","link":[{"relation":"next","url":"` + long + `"}]}`,
		"in what is skipped":      `{"resourceType":"Bundle","type":"searchset","meta":{"x":"` + long + `"}}`,
		"in a number":             `{"resourceType":"Bundle","type":"searchset","total":` + strings.Repeat("1", 2*limit) + `}`,
		"between values":          `{"resourceType":"Bundle",` + strings.Repeat(" ", 2*limit) + `"type":"searchset"}`,
		"before anything":         strings.Repeat(" ", 2*limit),
		"after the end":           `{"resourceType":"Bundle","type":"searchset"}` + strings.Repeat(" ", 2*limit),
	} {
		base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/fhir+json")
			for len(body) > 0 { // in chunks: no length is announced
				n := min(1000, len(body))
				_, _ = w.Write([]byte(body[:n]))
				w.(http.Flusher).Flush()
				body = body[n:]
			}
		})
		c := newClient(t, base, func(o *Options) { o.MaxPageBytes = limit })
		err := c.Search(ctx, "Patient", url.Values{"patient": {"1"}}, func(Entry) bool { return true })
		if k, _ := KindOf(err); err == nil || k != Protocol || !strings.Contains(err.Error(), fmt.Sprintf("larger than %d bytes", limit)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is packed counts by what comes out of it, once or twice packed.
func TestAPackedAnswerCountsUnpacked(t *testing.T) {
	const limit = 64 << 10
	pack := func(b []byte) []byte {
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		_, _ = z.Write(b) // into memory
		_ = z.Close()
		return out.Bytes()
	}
	bomb := pack([]byte(`{"resourceType":"Patient","id":"p1","note":"` + strings.Repeat("x", 32<<20) + `"}`))
	if len(bomb) >= limit {
		t.Fatalf("%d bytes packed are no bomb", len(bomb))
	}
	good := pack([]byte(onePatient))
	for name, c := range map[string]struct {
		coding string
		body   []byte
		want   string
	}{
		"a bomb":              {"gzip", bomb, fmt.Sprintf("larger than %d bytes", limit)},
		"packed twice":        {"gzip, gzip", pack(bomb), "packed in a way that was not asked for"},
		"packed otherwise":    {"br", good, "packed in a way that was not asked for"},
		"half of it":          {"gzip", good[:len(good)-12], "ends before its end"},
		"not packed at all":   {"gzip", []byte(onePatient), ""},
		"a bomb that says no": {"", bomb, ""},
	} {
		base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/fhir+json")
			if c.coding != "" {
				w.Header().Set("Content-Encoding", c.coding)
			}
			_, _ = w.Write(c.body)
		})
		client := newClient(t, base, func(o *Options) { o.MaxPageBytes = limit })
		_, read := client.Read(ctx, "Patient", "p1")
		searched := client.Search(ctx, "Patient", url.Values{"patient": {"1"}}, func(Entry) bool { return true })
		for _, err := range []error{read, searched} {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
