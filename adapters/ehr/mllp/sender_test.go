package mllp_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/adapters/ehr/hl7v2"
	"github.com/handoff-health/handoff/adapters/ehr/mllp"
)

func send(t *testing.T, s *mllp.Sender, message string) mllp.Result {
	t.Helper()
	t.Cleanup(func() { _ = s.Close() })
	if s.Pause = 20 * time.Millisecond; s.Linger == 0 {
		s.Linger = 150 * time.Millisecond
	}
	if s.Timeout == 0 {
		s.Timeout = time.Minute
	}
	return s.Send(context.Background(), []byte(message))
}

func said(r mllp.Result) string {
	out := fmt.Sprintf("%s/%s", r.Commit, r.Application)
	if !r.Accepted() {
		out += " refused"
	}
	if r.Err != nil {
		out += " unheard"
	}
	return out
}

// linger is long where the application's acknowledgement comes, and short where the
// whole of it is waited for in vain.
func linger(want string) time.Duration {
	if strings.Contains(want, "/A") {
		return time.Minute
	}
	return 150 * time.Millisecond
}

func TestASenderHearsWhatItAskedFor(t *testing.T) {
	bad := mllp.Outcome{Code: hl7v2.ApplicationReject, Errors: []hl7v2.AckError{{Code: hl7v2.RequiredField, Field: "PID-3", Text: "no identifier"}}}
	for _, c := range []struct{ accept, application, good, bad string }{
		{"", "", "/AA", "/AA"},
		{"AL", "NE", "CA/", "CA/"},
		{"AL", "AL", "CA/AA", "CA/AR refused"},
		{"AL", "ER", "CA/", "CA/AR refused"},
		{"AL", "SU", "CA/AA", "CA/"},
		{"NE", "AL", "/AA", "/AR refused"},
		{"ER", "AL", "/AA", "/AR refused"},
		{"NE", "NE", "/", "/"},
	} {
		if got := said(send(t, &mllp.Sender{Address: start(t, &keeper{}, nil).addr, Linger: linger(c.good)}, adt("1", c.accept, c.application))); got != c.good {
			t.Errorf("%s-%s: %s, want %s", c.accept, c.application, got, c.good)
		}
		k := &keeper{bad: map[uint64]mllp.Outcome{1: bad}}
		if got := said(send(t, &mllp.Sender{Address: start(t, k, nil).addr, Linger: linger(c.bad)}, adt("1", c.accept, c.application))); got != c.bad {
			t.Errorf("%s-%s, rejected: %s, want %s", c.accept, c.application, got, c.bad)
		}
	}
	r := send(t, &mllp.Sender{Address: start(t, &keeper{}, nil).addr}, strings.Replace(adt("1", "AL", "AL"), "ADT^A01^ADT_A01", "", 1))
	if said(r) != "CR/ refused" || len(r.Errors) != 1 || !strings.Contains(r.Errors[0], "101^Required field missing") {
		t.Errorf("%+v", r)
	}
}

// A peer answers each connection with the next of its scripts.
func peer(t *testing.T, scripts ...func(c net.Conn, n int)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for i := 0; ; i++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			script := scripts[min(i, len(scripts)-1)]
			go func() {
				defer c.Close()
				split, buf := &mllp.Splitter{}, make([]byte, 4096)
				for n := 0; ; {
					got, err := c.Read(buf)
					if err != nil {
						return
					}
					for in := buf[:got]; ; {
						used, _, ok := split.Next(in)
						in = in[used:]
						if !ok {
							break
						}
						n++
						script(c, n)
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

func ack(code, id string) string {
	return frame("MSH|^~\\&|B|B|A|A|2026||ACK|1|P|2.5.1\rMSA|" + code + "|" + id + "\r")
}

func answers(texts ...string) func(net.Conn, int) {
	return func(c net.Conn, _ int) {
		for _, s := range texts {
			_, _ = io.WriteString(c, s)
		}
	}
}

func TestASenderMatchesAndRepeats(t *testing.T) {
	hangUp := func(c net.Conn, _ int) { _ = c.Close() }
	silent := func(net.Conn, int) {}
	for _, c := range []struct {
		name   string
		peer   string
		sender mllp.Sender
		want   string
		tries  int
		strays int
	}{
		{"another message's first", peer(t, answers(ack("AA", "0"), ack("AE", "9"), ack("AA", "1"))), mllp.Sender{}, "/AA", 1, 2},
		{"only another's", peer(t, answers(ack("AA", "0"))), mllp.Sender{Timeout: 2 * time.Second, Tries: 2}, "/ refused unheard", 2, 1},
		{"silence, then an answer", peer(t, silent, answers(ack("AA", "1"))), mllp.Sender{Timeout: 2 * time.Second}, "/AA", 2, 0},
		{"silence", peer(t, silent), mllp.Sender{Timeout: 50 * time.Millisecond}, "/ refused unheard", 3, 0},
		{"hung up, then an answer", peer(t, hangUp, answers(ack("AA", "1"))), mllp.Sender{}, "/AA", 2, 0},
		{"refused", peer(t, answers(ack("AE", "1"))), mllp.Sender{}, "/AE refused", 1, 0},
		{"refused, to be repeated", peer(t, func(c net.Conn, n int) {
			answers(ack([]string{"AE", "AA"}[min(n-1, 1)], "1"))(c, n)
		}), mllp.Sender{RetryOn: []hl7v2.AckCode{"AE"}}, "/AA", 2, 0},
		{"CA in the original mode", peer(t, answers(ack("CA", "1"))), mllp.Sender{}, "CA/", 1, 0},
		{"an answer in pieces", peer(t, func(c net.Conn, _ int) {
			for _, b := range []byte(ack("AA", "1")) {
				_, _ = c.Write([]byte{b})
			}
		}), mllp.Sender{}, "/AA", 1, 0},
		{"an answer without its end, then hung up", peer(t, func(c net.Conn, _ int) {
			_, _ = io.WriteString(c, strings.TrimSuffix(ack("AA", "1"), "\r"))
			_ = c.Close()
		}), mllp.Sender{}, "/AA", 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.sender.Address = c.peer
			r := send(t, &c.sender, adt("1", "", ""))
			if said(r) != c.want || r.Tries != c.tries || r.Strays != c.strays {
				t.Errorf("%s after %d tries, %d strays, %v; want %s after %d, %d", said(r), r.Tries, r.Strays, r.Err, c.want, c.tries, c.strays)
			}
		})
	}
	if r := send(t, &mllp.Sender{Address: "127.0.0.1:1", Tries: 1}, adt("1", "", "")); r.Err == nil {
		t.Error("nobody listens, and it was sent")
	}
	ctx, stop := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, stop)
	began := time.Now()
	if r := (&mllp.Sender{Address: peer(t, silent)}).Send(ctx, []byte(adt("1", "", ""))); r.Err == nil || time.Since(began) > 20*time.Second {
		t.Errorf("it went on after its context: %+v", r)
	}
}

func TestASenderOverTLS(t *testing.T) {
	a := newAuthority(t)
	conf := &tls.Config{Certificates: []tls.Certificate{a.pair(t, "gateway")}, MinVersion: tls.VersionTLS12}
	mllp.RequireClients(conf, a.pool(), []string{"epic"})
	r := start(t, &keeper{}, func(o *mllp.Options) { o.TLS = conf })
	for name, want := range map[string]string{"epic": "CA/AA", "cerner": "/ refused unheard"} {
		s := &mllp.Sender{Address: r.addr, Tries: 1, TLS: &tls.Config{RootCAs: a.pool(), ServerName: "gateway.example", Certificates: []tls.Certificate{a.pair(t, name)}}}
		if got := said(send(t, s, adt("1", "AL", "AL"))); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestMessagesOfAFile(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []string
		rest bool
	}{
		"one":       {"MSH|^~\\&|A\nPID|1\n", []string{"MSH|^~\\&|A\rPID|1\r"}, false},
		"CR LF":     {"MSH|^~\\&|A\r\nPID|1\r\n\r\nMSH|^~\\&|B", []string{"MSH|^~\\&|A\rPID|1\r", "MSH|^~\\&|B\r"}, false},
		"framed":    {"\x0bMSH|^~\\&|A\rPID|1\r\x1c\r\x0bMSH|^~\\&|B\r\x1c\r", []string{"MSH|^~\\&|A\rPID|1\r", "MSH|^~\\&|B\r"}, false},
		"a batch":   {"FHS|x\rBHS|x\rMSH|^~\\&|A\rBTS|1\rFTS|1\r", []string{"MSH|^~\\&|A\r"}, false},
		"8 bit":     {"MSH|^~\\&|\xfc\r", []string{"MSH|^~\\&|\xfc\r"}, false},
		"something": {"Subject: x\n\nMSH|^~\\&|A\n", []string{"MSH|^~\\&|A\r"}, true},
		"nothing":   {"", nil, false},
	} {
		var got []string
		messages, rest := mllp.Messages([]byte(c.in))
		for _, m := range messages {
			got = append(got, string(m))
		}
		if !slices.Equal(got, c.want) || rest != c.rest {
			t.Errorf("%s: %q %v", name, got, rest)
		}
	}
}
