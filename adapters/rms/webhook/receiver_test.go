package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/adapters/inbox"
	"github.com/handoff-health/handoff/adapters/rms/webhook"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	secret = "a secret of this test alone"
	event  = `{"event_id":"evt_1","type":"report.created"}`
)

// A keeper is an inbox in memory.
type keeper struct {
	mu     sync.Mutex
	keys   []string
	bodies map[string]string
	room   int // how many more fit; 0: no bound
	fail   error
}

func (k *keeper) Receive(_ context.Context, a inbox.Arrival) (inbox.Receipt, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return inbox.Receipt{}, k.fail
	}
	for i, key := range k.keys {
		switch {
		case key != a.Key:
		case k.bodies[key] == string(a.Body):
			return inbox.Receipt{Seq: uint64(i + 1), Duplicate: true}, nil
		default:
			return inbox.Receipt{Seq: 99}, inbox.ErrCollision
		}
	}
	if k.room > 0 && len(k.keys) >= k.room {
		return inbox.Receipt{}, inbox.ErrBusy
	}
	if k.bodies == nil {
		k.bodies = map[string]string{}
	}
	k.keys, k.bodies[a.Key] = append(k.keys, a.Key), string(a.Body)
	return inbox.Receipt{Seq: uint64(len(k.keys))}, nil
}

func scheme(change func(*webhook.Scheme)) *webhook.Scheme {
	s := &webhook.Scheme{Secrets: [][]byte{[]byte(secret)}}
	if change != nil {
		change(s)
	}
	if err := s.Check(); err != nil {
		panic(err)
	}
	return s
}

func newReceiver(t *testing.T, k *keeper, change func(*webhook.Options)) *webhook.Receiver {
	t.Helper()
	o := webhook.Options{System: "rms", Scheme: *scheme(nil), Inbox: k, Now: func() time.Time { return now }}
	if change != nil {
		change(&o)
	}
	rc, err := webhook.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return rc
}

func request(body string, s *webhook.Scheme, at time.Time) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/adapters/rms", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if s != nil {
		s.Sign(r.Header, []byte(body), at)
	}
	return r
}

func do(rc http.Handler, r *http.Request) (int, webhook.Receipts, string) {
	w := httptest.NewRecorder()
	rc.ServeHTTP(w, r)
	var out webhook.Receipts
	_ = json.Unmarshal(w.Body.Bytes(), &out)
	return w.Code, out, w.Body.String()
}

func TestEventsAreKeptBeforeTheyAreAcknowledged(t *testing.T) {
	k := &keeper{}
	rc := newReceiver(t, k, nil)
	send := func(body, media string) (int, webhook.Receipts) {
		r := request(body, scheme(nil), now)
		r.Header.Set("Content-Type", media)
		status, out, _ := do(rc, r)
		return status, out
	}
	for _, c := range []struct {
		name, body, media            string
		status, received, dup, clash int
	}{
		{"one", event, "application/json", 202, 1, 0, 0},
		{"again", event, "application/json; charset=UTF-8", 200, 0, 1, 0},
		{"an array", `[` + event + `, {"event_id":"evt_2"}, {"id":3}]`, "application/json", 202, 2, 1, 0},
		{"lines", "{\"event_id\":\"evt_4\"}\r\n\n{\"event_id\":\"evt_5\"}\n", "application/x-ndjson", 202, 2, 0, 0},
		{"lines called JSON", "{\"event_id\":\"evt_6\"}\n{\"event_id\":\"evt_7\"}\n", "application/json", 202, 2, 0, 0},
		{"a cloud event", `{"id":"evt_8"}`, "application/cloudevents+json", 202, 1, 0, 0},
		{"another body", `{"event_id":"evt_1","type":"report.sealed"}`, "application/json", 409, 0, 0, 1},
		{"another body among new ones", `[{"event_id":"evt_9"},{"event_id":"evt_1"}]`, "application/json", 409, 1, 0, 1},
		{"without an id", `{"type":"x"}`, "application/json", 202, 1, 0, 0},
		{"without an id, again", `{"type":"x"}`, "application/json", 200, 0, 1, 0},
		{"a line that is no JSON", "{\"event_id\":\"evt_10\"}\n{\"event_id\":\n", "application/x-ndjson", 202, 2, 0, 0},
	} {
		if status, out := send(c.body, c.media); status != c.status || out.Received != c.received || out.Duplicates != c.dup || out.Collisions != c.clash {
			t.Errorf("%s: %d %+v", c.name, status, out)
		}
	}
	if k.keys[0] != "evt_1" || k.bodies["evt_1"] != event || k.bodies["3"] != `{"id":3}` || k.bodies["evt_4"] != `{"event_id":"evt_4"}` {
		t.Errorf("kept %q", k.bodies)
	}
}

func TestWhoProvesNothingIsToldNothing(t *testing.T) {
	timed := scheme(nil)
	plain := scheme(func(s *webhook.Scheme) { s.Style, s.Header = webhook.Prefixed, "X-Hub-Signature-256" })
	apart := scheme(func(s *webhook.Scheme) { s.Style, s.TimestampHeader = webhook.Prefixed, "X-Timestamp" })
	other := scheme(func(s *webhook.Scheme) { s.Secrets = [][]byte{[]byte("another secret of somebody")} })
	signed := func(s *webhook.Scheme, at time.Time, change func(*http.Request)) *http.Request {
		r := request(event, s, at)
		if change != nil {
			change(r)
		}
		return r
	}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for _, c := range []struct {
		name   string
		scheme *webhook.Scheme
		r      *http.Request
		reason string
	}{
		{"no signature", timed, request(event, nil, now), "no-signature"},
		{"an empty one", timed, signed(timed, now, header("X-Signature", " ")), "no-signature"},
		{"no sum", timed, signed(timed, now, header("X-Signature", "t=1,v0=ab")), "no-signature"},
		{"no time", timed, signed(timed, now, header("X-Signature", "v1="+strings.Repeat("ab", 32))), "no-timestamp"},
		{"a short sum", timed, signed(timed, now, header("X-Signature", "t=1,v1=abcd")), "signature-unreadable"},
		{"two times", timed, signed(timed, now, func(r *http.Request) { r.Header.Set("X-Signature", r.Header.Get("X-Signature")+",t=1") }), "signature-unreadable"},
		{"two headers", timed, signed(timed, now, func(r *http.Request) { r.Header.Add("X-Signature", r.Header.Get("X-Signature")) }), "signature-unreadable"},
		{"another secret", timed, signed(other, now, nil), "signature-wrong"},
		{"an old one", timed, signed(timed, now.Add(-5*time.Minute-time.Second), nil), "timestamp-out-of-window"},
		{"one of the future", timed, signed(timed, now.Add(5*time.Minute+time.Second), nil), "timestamp-out-of-window"},
		{"another time on an old one", timed, signed(timed, now.Add(-time.Hour), func(r *http.Request) {
			_, sum, _ := strings.Cut(r.Header.Get("X-Signature"), ",")
			r.Header.Set("X-Signature", "t=1772366400,"+sum)
		}), "signature-wrong"},
		{"a time that is none", timed, signed(timed, now, func(r *http.Request) {
			r.Header.Set("X-Signature", strings.Replace(r.Header.Get("X-Signature"), "t=", "t=x", 1))
		}), "no-timestamp"},
		{"another body", timed, signed(timed, now, func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(event + " ")) }), "signature-wrong"},
		{"body signed by another", plain, signed(scheme(func(s *webhook.Scheme) {
			s.Style, s.Header, s.Secrets = webhook.Prefixed, "X-Hub-Signature-256", other.Secrets
		}), now, nil), "signature-wrong"},
		{"no prefix", plain, signed(plain, now, header("X-Hub-Signature-256", strings.Repeat("ab", 32))), "signature-unreadable"},
		{"another hash", plain, signed(plain, now, header("X-Hub-Signature-256", "sha1="+strings.Repeat("ab", 20))), "signature-unreadable"},
		{"no header of the time", apart, signed(apart, now, func(r *http.Request) { r.Header.Del("X-Timestamp") }), "no-timestamp"},
		{"another time beside", apart, signed(apart, now.Add(-time.Hour), header("X-Timestamp", "1772366400")), "signature-wrong"},
		{"an old time beside", apart, signed(apart, now.Add(-time.Hour), nil), "timestamp-out-of-window"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := &keeper{}
			var attempts []webhook.Attempt
			rc := newReceiver(t, k, func(o *webhook.Options) {
				o.Scheme = *c.scheme
				o.Record = func(_ context.Context, a webhook.Attempt) error { attempts = append(attempts, a); return nil }
			})
			status, _, text := do(rc, c.r)
			if status != http.StatusUnauthorized || text != "{\"error\":\"unauthorized\"}\n" || len(k.keys) != 0 {
				t.Errorf("%d %s, kept %q", status, text, k.keys)
			}
			if len(attempts) != 1 || attempts[0].Reason != c.reason || attempts[0].Status != 401 || attempts[0].Source != "192.0.2.1" {
				t.Errorf("on record: %+v, want %s", attempts, c.reason)
			}
			if status, _, _ := do(rc, request(event, c.scheme, now)); status != http.StatusAccepted {
				t.Errorf("the same with a good signature: %d", status)
			}
		})
	}
}

func TestSchemesOfSeveralSenders(t *testing.T) {
	for name, change := range map[string]func(*webhook.Scheme){
		"t and v1":            nil,
		"sha256= of the body": func(s *webhook.Scheme) { s.Style, s.Header = webhook.Prefixed, "X-Hub-Signature-256" },
		"base64, no prefix":   func(s *webhook.Scheme) { s.Style, s.Prefix, s.Base64 = webhook.Prefixed, "-", true },
		"v0:time:body": func(s *webhook.Scheme) {
			s.Style, s.Prefix, s.TimestampHeader, s.Signed = webhook.Prefixed, "v0=", "X-Slack-Request-Timestamp", "v0:{timestamp}:{body}"
		},
	} {
		s := scheme(change)
		rotated := *s
		rotated.Secrets = [][]byte{[]byte("the new secret of this test"), []byte(secret)}
		rc := newReceiver(t, &keeper{}, func(o *webhook.Options) { o.Scheme = rotated })
		for i, by := range []*webhook.Scheme{s, &rotated} {
			if status, _, text := do(rc, request(event, by, now)); status/100 != 2 {
				t.Errorf("%s, secret %d: %d %s", name, i, status, text)
			}
		}
	}
	// What a shell makes with openssl dgst -sha256 -hmac over "1772366400."+body.
	r := request(event, nil, now)
	r.Header.Set("X-Signature", "t=1772366400,v1=0000000000000000000000000000000000000000000000000000000000000000,v1="+opensslSum)
	if status, _, _ := do(newReceiver(t, &keeper{}, nil), r); status != http.StatusAccepted {
		t.Errorf("a sum that was made elsewhere: %d", status)
	}
}

const opensslSum = "9f3f4be9d21f2077b0b736411b3031f42877e9e43f9ce48e1ca5ddbc7e7016df"

func TestSchemesThatCannotBe(t *testing.T) {
	good := [][]byte{[]byte(secret)}
	for name, s := range map[string]webhook.Scheme{
		"no secret":           {},
		"a short secret":      {Secrets: [][]byte{[]byte(secret), []byte("short")}},
		"no body":             {Secrets: good, Signed: "{timestamp}"},
		"no time":             {Secrets: good, Signed: "{body}"},
		"a time that is none": {Secrets: good, Style: webhook.Prefixed, Signed: "{timestamp}{body}"},
		"a day":               {Secrets: good, Window: 24 * time.Hour},
	} {
		if err := s.Check(); err == nil {
			t.Errorf("%s: it can", name)
		}
	}
}

// failing is a body that breaks off.
type failing struct{ io.Reader }

func (f failing) Read(b []byte) (int, error) {
	n, err := f.Reader.Read(b)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func TestWhatIsNotTaken(t *testing.T) {
	k := &keeper{}
	rc := newReceiver(t, k, func(o *webhook.Options) { o.MaxBody = 256 })
	large := event + strings.Repeat(" ", 256)
	with := func(body string, change func(*http.Request)) *http.Request {
		r := request(body, scheme(nil), now)
		change(r)
		return r
	}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for _, c := range []struct {
		name   string
		r      *http.Request
		status int
	}{
		{"GET", with(event, func(r *http.Request) { r.Method = http.MethodGet }), 405},
		{"PUT", with(event, func(r *http.Request) { r.Method = http.MethodPut }), 405},
		{"too large", with(large, func(*http.Request) {}), 413},
		{"too large, of unknown length", with(large, func(r *http.Request) { r.ContentLength = -1 }), 413},
		{"broken off", with(event, func(r *http.Request) { r.Body = io.NopCloser(failing{strings.NewReader(event[:9])}) }), 400},
		{"no content type", with(event, func(r *http.Request) { r.Header.Del("Content-Type") }), 415},
		{"a form", with(event, header("Content-Type", "application/x-www-form-urlencoded")), 415},
		{"Latin-1", with(event, header("Content-Type", "application/json; charset=iso-8859-1")), 415},
		{"compressed", with(event, header("Content-Encoding", "gzip")), 415},
		{"no JSON", with(`{"event_id":`, func(*http.Request) {}), 400},
		{"text behind", with(event+"x", func(*http.Request) {}), 400},
		{"nothing", with("", func(*http.Request) {}), 400},
		{"an empty array", with("[]", func(*http.Request) {}), 400},
	} {
		if status, _, text := do(rc, c.r); status != c.status {
			t.Errorf("%s: %d %s, want %d", c.name, status, text, c.status)
		}
	}
	many := bytes.Repeat([]byte("{}\n"), webhook.MaxEvents+1)
	r := request(string(many), scheme(nil), now)
	r.Header.Set("Content-Type", "application/x-ndjson")
	if status, _, _ := do(newReceiver(t, k, nil), r); status != 413 {
		t.Errorf("too many events: %d", status)
	}
	if len(k.keys) != 0 {
		t.Errorf("kept %q", k.keys)
	}
}

func TestAFullInboxAsksTheSenderToRepeat(t *testing.T) {
	k := &keeper{room: 2}
	rc := newReceiver(t, k, nil)
	body := `[{"id":1},{"id":2},{"id":3}]`
	w := httptest.NewRecorder()
	rc.ServeHTTP(w, request(body, scheme(nil), now))
	if w.Code != 503 || w.Header().Get("Retry-After") != "5" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	k.room = 0
	if status, out, _ := do(rc, request(body, scheme(nil), now)); status != 202 || out.Received != 1 || out.Duplicates != 2 {
		t.Errorf("again: %d %+v", status, out)
	}
	k.fail = errors.New("the disk is full")
	if status, _, text := do(rc, request(`{"id":9}`, scheme(nil), now)); status != 503 || strings.Contains(text, "disk") {
		t.Errorf("%d %s", status, text)
	}
	k.fail = nil
	unrecorded := newReceiver(t, k, func(o *webhook.Options) {
		o.Record = func(context.Context, webhook.Attempt) error { return errors.New("the trail has failed") }
	})
	if status, _, _ := do(unrecorded, request(`{"id":10}`, scheme(nil), now)); status != 503 {
		t.Errorf("what is not on record is acknowledged: %d", status)
	}
}

// Who has no secret and sends slowly does not keep the others out.
func TestSlowBodiesTakeFewPlaces(t *testing.T) {
	rc := newReceiver(t, &keeper{}, nil)
	var open []*io.PipeWriter
	var slow sync.WaitGroup
	for range 8 {
		pr, pw := io.Pipe()
		open = append(open, pw)
		r := request(event, scheme(nil), now)
		r.Body, r.ContentLength, r.RemoteAddr = pr, -1, "198.51.100.9:1"
		slow.Add(1)
		go func() { defer slow.Done(); rc.ServeHTTP(httptest.NewRecorder(), r) }()
	}
	time.Sleep(50 * time.Millisecond) // until they are read
	if status, _, _ := do(rc, request(event, scheme(nil), now)); status != 202 {
		t.Errorf("another sender: %d", status)
	}
	for _, pw := range open {
		_ = pw.Close()
	}
	slow.Wait()
}

func FuzzEvents(f *testing.F) {
	for _, s := range []string{event, "[" + event + "]", event + "\n" + event, "[[]", "", "\x00", `{"id":1}{"id":2}`, `[1,"a",null]`} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, body []byte, lines bool) {
		events, err := webhook.Events(body, lines)
		if err != nil {
			return
		}
		total := 0
		for _, e := range events {
			total += len(e)
			if !bytes.Contains(body, e) {
				t.Fatalf("%q is not in the body", e)
			}
			if !lines && !json.Valid(e) {
				t.Fatalf("%q is no JSON", e)
			}
		}
		if len(events) == 0 || total > len(body) {
			t.Fatalf("%d events of %d bytes", len(events), total)
		}
	})
}

func FuzzSignature(f *testing.F) {
	f.Add("t=1772366400,v1="+strings.Repeat("00", 32), []byte(event))
	f.Add("t=,v1=,v1=zz,t=1", []byte{})
	f.Fuzz(func(t *testing.T, header string, body []byte) {
		h := http.Header{"X-Signature": {header}}
		if err := scheme(nil).Verify(h, body, now); err == nil {
			t.Fatalf("%q proves something", header)
		}
	})
}
