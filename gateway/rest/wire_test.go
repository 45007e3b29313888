package rest_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/gateway/rest"
)

// reading is a handler that reads a body as a create does.
func reading(_ context.Context, r *rest.Request) *rest.Response {
	a := &rest.Response{Status: http.StatusOK, Header: http.Header{}, Body: []byte("read")}
	if r.Fault != nil {
		a.Status, a.Body = outcome.Render(r.Fault)
	} else if r.Interaction == rest.Create {
		if _, err := r.Resource(1 << 10); err != nil {
			a.Status, a.Body = outcome.Render(err)
		}
	}
	return a
}

// listening is a server as serve makes it; short makes its times short.
func listening(t *testing.T, short bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := rest.NewServer(rest.New(rest.Options{BasePath: "/fhir"}, reading), slog.New(slog.DiscardHandler))
	if s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= 0 || s.WriteTimeout <= 0 || s.IdleTimeout <= 0 {
		t.Fatal("a time has no end")
	}
	if short {
		s.ReadHeaderTimeout, s.ReadTimeout = 200*time.Millisecond, 300*time.Millisecond
	}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return l.Addr().String()
}

// wire sends bytes and returns all that comes back.
func wire(t *testing.T, address, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil && !errors.Is(err, net.ErrClosed) && len(got) == 0 {
		return "closed"
	}
	return string(got)
}

func TestRequestsAsTheyGoOverTheWire(t *testing.T) {
	patient, hasty := listening(t, false), listening(t, true)
	ends := map[string]bool{"in chunks without end": true, "a body that does not come": true, "headers that do not end": true, "no HTTP": true}
	const head = "Host: gateway\r\nConnection: close\r\n"
	create := func(headers, body string) string {
		return "POST /fhir/Consent HTTP/1.1\r\n" + head + "Content-Type: application/fhir+json\r\n" + headers + "\r\n" + body
	}
	for _, c := range []struct{ name, request, want string }{
		{"as it should be", create("Content-Length: 2\r\n", "{}"), "200 OK"},
		{"in chunks", create("Transfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"), "200 OK"},
		{"in chunks without end", create("Transfer-Encoding: chunked\r\n", "400\r\n{}"), "400 Bad Request"},
		{"in chunks beyond the limit", create("Transfer-Encoding: chunked\r\n", "800\r\n"+strings.Repeat(" ", 0x800)+"\r\n0\r\n\r\n"), "413 "},
		{"in bad chunks", create("Transfer-Encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n"), "400 Bad Request"},
		{"announced beyond the limit", create("Content-Length: 99999999\r\n", "{}"), "413 "},
		{"a body that does not come", create("Content-Length: 100\r\n", "{"), "400 Bad Request"},
		{"a length that is none", create("Content-Length: -1\r\n", "{}"), "400 Bad Request"},
		{"two lengths", create("Content-Length: 2\r\nContent-Length: 3\r\n", "{} "), "400 Bad Request"},
		{"an unknown transfer coding", create("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), "501 "},
		{"expects to go on", create("Expect: 100-continue\r\nContent-Length: 2\r\n", "{}"), "200 OK"},
		{"expects what nobody knows", create("Expect: 200-ok\r\nContent-Length: 2\r\n", "{}"), "417 "},
		{"packed", create("Content-Encoding: gzip\r\nContent-Length: 2\r\n", "{}"), "415 "},
		{"packed in a second line", create("Content-Encoding: identity\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n", "{}"), "415 "},
		{"of another version of FHIR", strings.Replace(create("Content-Length: 2\r\n", "{}"), "fhir+json", "fhir+json; fhirVersion=3.0", 1), "415 "},
		{"of this version of FHIR", strings.Replace(create("Content-Length: 2\r\n", "{}"), "fhir+json", "fhir+json; fhirVersion=4.0", 1), "200 OK"},
		{"two media types", create("Content-Type: text/plain\r\nContent-Length: 2\r\n", "{}"), "415 "},
		{"headers that do not end", "GET /fhir/metadata HTTP/1.1\r\nHost: gateway\r\nX-Slow: ", "closed"},
		{"headers beyond all bounds", "GET /fhir/metadata HTTP/1.1\r\n" + head + "X: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", "431 "},
		{"no host", "GET /fhir/metadata HTTP/1.1\r\n\r\n", "400 Bad Request"},
		{"two hosts", "GET /fhir/metadata HTTP/1.1\r\n" + head + "Host: other\r\n\r\n", "400 Bad Request"},
		{"a space in the path", "GET /fhir/meta data HTTP/1.1\r\n" + head + "\r\n", "400 Bad Request"},
		{"a bad escape", "GET /fhir/Patient/%zz HTTP/1.1\r\n" + head + "\r\n", "400 Bad Request"},
		{"no HTTP", "\x16\x03\x01\x00\xa5\x01\x00", "closed"},
		{"the options of the server", "OPTIONS * HTTP/1.1\r\n" + head + "\r\n", "200 OK\r\n"},
		{"a head", "HEAD /fhir/metadata HTTP/1.1\r\n" + head + "\r\n", "Content-Length: 4"},
	} {
		address := patient
		if ends[c.name] { // for want of what a busy machine might send too late in the others
			address = hasty
		}
		got := wire(t, address, c.request)
		if c.want == "closed" && got != "closed" && (got == "" || strings.HasPrefix(got, "HTTP/1.1 4")) {
			continue
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: %.300s; want %s", c.name, got, c.want)
		}
		if strings.Contains(got, "\r\nServer:") {
			t.Errorf("%s: it says what it is: %.300s", c.name, got)
		}
	}
	if got := wire(t, patient, "HEAD /fhir/metadata HTTP/1.1\r\n"+head+"\r\n"); !strings.HasSuffix(got, "\r\n\r\n") {
		t.Errorf("a HEAD has a body: %q", got)
	}
}

// The same over HTTP/2, and with no older TLS than 1.2.
func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(nil)
	s.Config = rest.NewServer(rest.New(rest.Options{BasePath: "/fhir", HTTPS: true}, reading), slog.New(slog.DiscardHandler))
	s.TLS, s.EnableHTTP2 = rest.TLS(), true
	s.StartTLS()
	defer s.Close()
	client := s.Client()
	resp, err := client.Post(s.URL+"/fhir/Consent", "application/fhir+json", bytes.NewReader(make([]byte, 2<<10)))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusRequestEntityTooLarge || resp.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("HTTP/%d %d %v", resp.ProtoMajor, resp.StatusCode, resp.Header)
	}
	pool := client.Transport.(*http.Transport).TLSClientConfig.RootCAs
	for name, c := range map[string]struct {
		config *tls.Config
		takes  bool
	}{
		"TLS 1.1":          {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false},
		"TLS 1.2":          {&tls.Config{MaxVersion: tls.VersionTLS12}, true},
		"TLS 1.3":          {&tls.Config{MinVersion: tls.VersionTLS13}, true},
		"CBC":              {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}}, false},
		"ChaCha20":         {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256}}, false},
		"no key agreement": {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}, false},
	} {
		c.config.RootCAs, c.config.ServerName = pool, "example.com"
		conn, err := tls.Dial("tcp", s.Listener.Addr().String(), c.config)
		if err == nil {
			_ = conn.Close()
		}
		if (err == nil) != c.takes {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A peer that sends a byte now and then is cut off, whatever it has to say.
func TestSlowBodiesEnd(t *testing.T) {
	address := listening(t, true)
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	start := time.Now()
	if _, err := io.WriteString(c, "POST /fhir/Consent HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/fhir+json\r\nContent-Length: 1000\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				if _, err := io.WriteString(c, " "); err != nil {
					return
				}
			}
		}
	}()
	if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if took := time.Since(start); took > 20*time.Second || err == nil && !strings.Contains(line, " 400 ") {
		t.Errorf("after %v: %q %v", took, line, err)
	}
}
