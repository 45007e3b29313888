package mongo

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// foreigner listens and says something that is not MongoDB's to whoever has connected:
// at once, or to what it has read.
func foreigner(t *testing.T, first bool, says string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				if !first {
					_, _ = conn.Read(make([]byte, 512))
				}
				_, _ = conn.Write([]byte(says))
			}()
		}
	}()
	return l.Addr().String()
}

func TestAServerOfAnotherKindIsTold(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler()) // waits for the end of a request line
	t.Cleanup(web.Close)
	for name, x := range map[string]struct{ at, says string }{
		"a web server":              {web.Listener.Addr().String(), "does not speak MongoDB's protocol"},
		"a web server that says so": {foreigner(t, false, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"), "does not speak MongoDB's protocol"},
		"SSH":                       {foreigner(t, true, "SSH-2.0-OpenSSH_9.2\r\n"), "does not speak MongoDB's protocol"},
		"PostgreSQL":                {foreigner(t, false, ""), "it closes the connection, as a server of another kind does"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := refusedSaying(t, "mongodb://u:"+secret+"@"+x.at+"/db?authSource=admin"+soon, x.says)
			t.Log(err)
			if !strings.Contains(err.Error(), x.at+": ") || !strings.Contains(err.Error(), x.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q does not say %q", err, x.says)
			}
		})
	}
}
