package attack

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A Hook is where a records system sends signed events.
type Hook struct {
	Path   string // from the origin: "/adapters/pd-hook"
	Secret string
}

// hooked sends an event, signed now by the secret; changes alter it afterwards.
func (t *Target) hooked(body string, at time.Time, secret string, changes ...change) (*answer, error) {
	if t.Hook == nil {
		return nil, Missing("a webhook")
	}
	if secret == "" {
		secret = t.Hook.Secret
	}
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(stamp + "." + body))
	all := []change{with("Content-Type", "application/json"), with("X-Signature", "t="+stamp+",v1="+hex.EncodeToString(mac.Sum(nil)))}
	return t.ask("", http.MethodPost, t.Origin()+t.Hook.Path, []byte(body), append(all, changes...)...)
}

func hookEvent() string { return `{"event_id":"` + rand.Text() + `","type":"report.created"}` }

// hooks are requests to a path that no token guards.
func hooks() Family {
	try := func(do func(t *Target, body string) (*answer, error)) func(*Target) error {
		return func(t *Target) error {
			a, err := do(t, hookEvent())
			switch {
			case hungUp(err):
				return nil
			case err != nil:
				return err
			case a.ok():
				return breach("it is taken: %s", a)
			case a.status >= 500:
				return breach("it makes the gateway fail: %s", a)
			case a.status == http.StatusUnauthorized && strings.TrimSpace(string(a.body)) != `{"error":"unauthorized"}`:
				return breach("the refusal tells more than that it is one: %s", a)
			}
			return nil
		}
	}
	changed := func(c change) func(*Target) error {
		return try(func(t *Target, body string) (*answer, error) { return t.hooked(body, Clock(), "", c) })
	}
	return Family{Area: Parsers, Name: "signed events", Control: func(t *Target) error {
		a, err := t.hooked(hookEvent(), Clock(), "")
		if err == nil && a.status != http.StatusAccepted {
			err = breach("a signed event: %s", a)
		}
		return err
	}, Attacks: []Attack{
		{"event-unsigned", "an event without a signature is not taken", "issue 5: HMAC; CWE-345", nil, changed(func(r *http.Request) { r.Header.Del("X-Signature") })},
		{"event-forged", "an event that another secret signed is not taken", "CWE-347", nil, try(func(t *Target, body string) (*answer, error) {
			return t.hooked(body, Clock(), "a secret that somebody made up")
		})},
		{"event-altered", "a signature of one event opens no other", "CWE-345", nil, try(func(t *Target, body string) (*answer, error) {
			return t.hooked(body, Clock(), "", func(r *http.Request) { setBody(r, strings.Replace(body, "created", "sealed", 1)) })
		})},
		{"event-old", "an event that was signed an hour ago is not taken", "CWE-294: replay; Stripe's tolerance of five minutes", nil, try(func(t *Target, body string) (*answer, error) {
			return t.hooked(body, Clock().Add(-time.Hour), "")
		})},
		{"event-of-tomorrow", "an event that is signed for later is not taken", "CWE-294", nil, try(func(t *Target, body string) (*answer, error) {
			return t.hooked(body, Clock().Add(24*time.Hour), "")
		})},
		{"event-made-young", "an old signature with the time of now is not taken", "CWE-294: the time is signed", nil, try(func(t *Target, body string) (*answer, error) {
			return t.hooked(body, Clock().Add(-time.Hour), "", func(r *http.Request) {
				_, sum, _ := strings.Cut(r.Header.Get("X-Signature"), ",")
				r.Header.Set("X-Signature", "t="+strconv.FormatInt(Clock().Unix(), 10)+","+sum)
			})
		})},
		{"event-replayed", "an event that comes again changes nothing", "CWE-294", nil, func(t *Target) error {
			body, now := hookEvent(), Clock()
			if _, err := t.hooked(body, now, ""); err != nil {
				return err
			}
			a, err := t.hooked(body, now, "")
			if err != nil {
				return err
			}
			var got struct{ Received, Duplicates int }
			if err := json.Unmarshal(a.body, &got); err != nil || a.status != http.StatusOK || got.Received != 0 || got.Duplicates != 1 {
				return breach("it counts as new: %s", a)
			}
			return nil
		}},
		{"event-two-signatures", "two headers with signatures are not read in two ways", "RFC 9110 5.3", nil, changed(and("X-Signature", "t=1,v1="+strings.Repeat("00", 32)))},
		{"event-empty-sum", "an empty sum is none", "CVE-2022-23541 class: comparison with nothing", nil, changed(func(r *http.Request) {
			r.Header.Set("X-Signature", "t="+strconv.FormatInt(Clock().Unix(), 10)+",v1=")
		})},
		{"event-oversize", "a body beyond the bound is refused", "CWE-400", nil, try(func(t *Target, body string) (*answer, error) {
			return t.hooked(strings.Replace(body, "{", `{"x":"`+strings.Repeat("x", 2<<20)+`",`, 1), Clock(), "")
		})},
		{"event-form", "what is no JSON by its type is not read as such", "CWE-436", nil, changed(with("Content-Type", "application/x-www-form-urlencoded"))},
		{"event-compressed", "a compressed body is refused", "CWE-409", nil, changed(with("Content-Encoding", "gzip"))},
		{"event-by-token", "a bearer token does not stand for a signature", "one way in, one proof", nil, func(t *Target) error {
			token, err := t.tokenOf("officer", "")
			if err != nil {
				return err
			}
			return changed(func(r *http.Request) { r.Header.Del("X-Signature"); r.Header.Set("Authorization", "Bearer "+token) })(t)
		}},
		{"event-by-get", "GET tells nothing of a webhook", "side doors", nil, changed(func(r *http.Request) { r.Method = http.MethodGet; setBody(r, "") })},
	}}
}

func setBody(r *http.Request, body string) {
	again, err := http.NewRequest(r.Method, r.URL.String(), strings.NewReader(body))
	if err != nil { // of an address that was good before
		return
	}
	r.Body, r.ContentLength, r.GetBody = again.Body, again.ContentLength, again.GetBody
}
