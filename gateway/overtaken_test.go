package gateway_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handoff-health/handoff/gateway"
	"github.com/handoff-health/handoff/gateway/auth"
)

// An ending verifier believes a token a few times, as if its client was ended then.
type ending struct {
	tokens
	left atomic.Int32
}

func (e *ending) Verify(ctx context.Context, bearer string) (*auth.Principal, error) {
	if e.left.Add(-1) < 0 {
		return nil, &auth.Refusal{Status: http.StatusUnauthorized, Code: "invalid_token", Reason: "client-ended"}
	}
	return e.tokens.Verify(ctx, bearer)
}

// slowReader stands still before it gives anything.
type slowReader struct {
	io.Reader
	wait time.Duration
}

func (s *slowReader) Read(p []byte) (int, error) {
	time.Sleep(s.wait)
	s.wait = 0
	return s.Reader.Read(p)
}

// A client is ended while its request is judged, or while it is being sent: the request
// writes nothing, and is told nothing.
func TestARequestThatAnEndOvertakesWritesNothing(t *testing.T) {
	c := newCounty(t)
	c.populate()
	v := &ending{tokens: c.tokens}
	c.restart(func(o *gateway.Options) { o.Verifier = v })
	ask := func(path, body string, wait time.Duration, believed int32) int {
		t.Helper()
		v.left.Store(believed)
		r := httptest.NewRequest(http.MethodPost, "http://gateway.test/fhir/"+path, &slowReader{strings.NewReader(body), wait})
		r.ContentLength = int64(len(body))
		r.Header.Set("Authorization", "Bearer clinician")
		r.Header.Set("Content-Type", "application/fhir+json")
		w := httptest.NewRecorder()
		c.server.ServeHTTP(w, r)
		return w.Code
	}
	for _, x := range []struct {
		name, path string
		wait       time.Duration
		believed   int32
		want       int
	}{
		{"ended before it is written", "Consent", 0, 1, http.StatusUnauthorized},
		{"ended while it is sent", "Consent", 300 * time.Millisecond, 1, http.StatusUnauthorized},
		{"ended while a question is sent", "Consent/$what-if", 300 * time.Millisecond, 1, http.StatusUnauthorized},
		{"sent slowly and not ended", "Consent/$what-if", 300 * time.Millisecond, 2, http.StatusOK},
	} {
		if got := ask(x.path, release, x.wait, x.believed); got != x.want {
			t.Errorf("%s: %d, want %d", x.name, got, x.want)
		}
	}
	if kept := c.stored("Consent"); len(kept) != 0 {
		t.Errorf("%d Consents were written", len(kept))
	}
	if got := ask("Consent", release, 0, 3); got != http.StatusCreated {
		t.Errorf("not ended: %d", got)
	}
}
