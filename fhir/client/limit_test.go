package client

import (
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
