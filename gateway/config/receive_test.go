package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// receiving is the minimal configuration with feeds instead of its system.
func receiving(t *testing.T, feeds ...string) string {
	t.Helper()
	text, _, ok := strings.Cut(minimal, "systems:")
	if !ok {
		t.Fatal("the minimal configuration has no systems")
	}
	_, rest, _ := strings.Cut(minimal, "agreements:")
	for i, f := range feeds {
		adapter, org := "rms/csv", "pd"
		if strings.Contains(f, "mllp") {
			adapter, org = "ehr/hl7v2", "clinic"
		}
		feeds[i] = fmt.Sprintf("  - {key: feed%d, kind: feed, organization: %s, adapter: %s, receive: {%s}}\n", i, org, adapter, f)
	}
	return text + "systems:\n" + strings.Join(feeds, "") + "agreements:" + rest
}

const (
	listens = `mllp: {listen: "127.0.0.1:2575"}`
	hooked  = `webhook: {secret: 0123456789abcdef}`
	dropped = `folder: {path: drop}`
)

func TestWaysInAreFilledIn(t *testing.T) {
	c, err := Parse("/etc/handoff/handoff.yaml", []byte(receiving(t, listens, hooked, dropped,
		`mllp: {listen: "0.0.0.0:2576", plain: true, peers: [10.1.2.3, 10.2.0.0/16]}`,
		`webhook: {path: /adapters/hook-2, secrets: [0123456789abcdef, fedcba9876543210], signature: {style: prefixed, header: X-Hub-Signature-256}}`)))
	if err != nil {
		t.Fatal(err)
	}
	m := c.Systems[0].Receive.MLLP
	if m.Ack != "kept" || m.MaxMessage != 8<<20 || m.Idle != 30*time.Minute || len(m.Allowed()) != 0 {
		t.Errorf("mllp: %+v", m)
	}
	if got := c.Systems[3].Receive.MLLP.Allowed(); fmt.Sprint(got) != "[10.1.2.3/32 10.2.0.0/16]" {
		t.Errorf("peers: %v", got)
	}
	w := c.Systems[1].Receive.Webhook
	if w.Path != "/adapters/feed1" || len(w.Secrets) != 1 || w.Signature.Style != "timestamped" || w.Signature.Window != 5*time.Minute || w.MaxBody != 1<<20 {
		t.Errorf("webhook: %+v", w)
	}
	if s := fmt.Sprintf("%v %+v", w.Secrets, w); strings.Contains(s, "0123456789abcdef") {
		t.Errorf("a secret is printed: %s", s)
	}
	f := c.Systems[2].Receive.Folder
	if f.Complete != "stable" || f.Polls != 2 || f.Every != 5*time.Second || f.Archive != "archive" || f.After != "move" || len(f.Temporary) == 0 {
		t.Errorf("folder: %+v", f)
	}
}

func TestWaysInThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		name  string
		feeds []string
		want  []string
	}{
		{"none", []string{`reload: 5s`}, []string{"$.systems[0].receive", "exactly one"}},
		{"two", []string{listens + ", " + hooked}, []string{"$.systems[0].receive", "exactly one"}},
		{"room for nothing", []string{listens + ", maxWaiting: -1"}, []string{"[", "$.systems[0].receive.maxWaiting", "from 1 to 1000000"}},
		{"room for too many", []string{hooked + ", maxWaiting: 1000001"}, []string{"$.systems[0].receive.maxWaiting", "1000001"}},
		{"room for less than a message", []string{listens + ", maxWaitingBytes: 1000"}, []string{"$.systems[0].receive.maxWaitingBytes", "at least 1048576"}},
		{"remembered too shortly", []string{listens + ", remember: 10m"}, []string{"$.systems[0].receive.remember", "at least 1h"}},
		{"looked at too often", []string{dropped + ", reload: 10ms"}, []string{"$.systems[0].receive.reload", "at least 1s"}},
		{"no duration", []string{listens + ", reload: soon"}, []string{"[14:", "is not a duration such as"}},
		{"no number", []string{listens + ", maxWaiting: many"}, []string{"[14:", "expected a whole number"}},
		{"a key that is none", []string{listens + ", maxWait: 1"}, []string{"unknown field", "maxWait"}},
		{"no port", []string{`mllp: {listen: localhost}`}, []string{"$.systems[0].receive.mllp.listen", "host:port"}},
		{"the world, plain", []string{`mllp: {listen: "0.0.0.0:2575", peers: [10.0.0.1]}`}, []string{"$.systems[0].receive.mllp.listen", "no TLS"}},
		{"the world, no peer named", []string{`mllp: {listen: ":2575", plain: true}`}, []string{"$.systems[0].receive.mllp", "who may connect"}},
		{"the world, TLS, nobody named", []string{`mllp: {listen: ":2575", tlsCert: a, tlsKey: b}`}, []string{"who may connect"}},
		{"half a certificate", []string{`mllp: {listen: "127.0.0.1:2575", tlsCert: a}`}, []string{"go together"}},
		{"client certificates without TLS", []string{`mllp: {listen: "127.0.0.1:2575", clientCA: a}`}, []string{"clientCA", "needs tlsCert"}},
		{"names without an authority", []string{`mllp: {listen: "127.0.0.1:2575", clients: [a]}`}, []string{"clients", "needs clientCA"}},
		{"everybody", []string{`mllp: {listen: ":2575", plain: true, peers: [0.0.0.0/0]}`}, []string{"$.systems[0].receive.mllp.peers[0]", "everybody"}},
		{"ack", []string{`mllp: {listen: "127.0.0.1:2575", ack: never}`}, []string{".mllp.ack", "never"}},
		{"idle", []string{`mllp: {listen: "127.0.0.1:2575", idle: 1ms}`}, []string{".mllp.idle", "1s"}},
		{"too large", []string{`mllp: {listen: "127.0.0.1:2575", maxMessage: 1000000000}`}, []string{".mllp.maxMessage"}},
		{"one port for two", []string{listens, listens}, []string{"$.systems[1].receive.mllp.listen", "feed0's already"}},
		{"the gateway's port", []string{`mllp: {listen: "127.0.0.1:8080"}`}, []string{"the gateway itself"}},
		{"no secret", []string{`webhook: {path: /adapters/x}`}, []string{"$.systems[0].receive.webhook", "needs a secret"}},
		{"a short secret", []string{`webhook: {secret: short}`}, []string{"5 bytes", "at least 16"}},
		{"a path of FHIR", []string{`webhook: {path: /fhir/hook, secret: 0123456789abcdef}`}, []string{".webhook.path", "/adapters/"}},
		{"a path below a feed", []string{`webhook: {path: /adapters/feed0/report, secret: 0123456789abcdef}`}, []string{".webhook.path"}},
		{"one path for two", []string{hooked, `webhook: {path: /adapters/feed0, secret: 0123456789abcdef}`}, []string{"$.systems[1].receive.webhook.path", "feed0's already"}},
		{"style", []string{`webhook: {secret: 0123456789abcdef, signature: {style: sha1}}`}, []string{".signature.style"}},
		{"a prefix in a list", []string{`webhook: {secret: 0123456789abcdef, signature: {prefix: "sha256="}}`}, []string{".signature", "for the style prefixed"}},
		{"signed without the body", []string{`webhook: {secret: 0123456789abcdef, signature: {signed: "{timestamp}"}}`}, []string{".signature.signed"}},
		{"signed without the time", []string{`webhook: {secret: 0123456789abcdef, signature: {signed: "{body}"}}`}, []string{".signature.signed"}},
		{"a window of a day", []string{`webhook: {secret: 0123456789abcdef, signature: {window: 24h}}`}, []string{".signature.window"}},
		{"no folder", []string{`folder: {every: 5s}`}, []string{"$.systems[0].receive.folder.path", "missing"}},
		{"one folder for two", []string{dropped, `folder: {path: ./drop/}`}, []string{"$.systems[1].receive.folder.path", "feed0"}},
		{"a folder in another's", []string{dropped, `folder: {path: drop/b}`}, []string{"$.systems[1].receive.folder.path"}},
		{"a folder around another's", []string{`folder: {path: drop/b}`, dropped}, []string{"$.systems[1].receive.folder.path"}},
		{"an archive elsewhere", []string{`folder: {path: drop, archive: ../x}`}, []string{".folder.archive"}},
		{"one folder for good and bad", []string{`folder: {path: drop, archive: x, rejected: x}`}, []string{".folder.rejected"}},
		{"a pattern with a path", []string{`folder: {path: drop, patterns: ["a/*.csv"]}`}, []string{".folder.patterns[0]"}},
		{"a pattern that is none", []string{`folder: {path: drop, patterns: ["[a"]}`}, []string{".folder.patterns[0]"}},
		{"order", []string{`folder: {path: drop, order: size}`}, []string{".folder.order", "mtime"}},
		{"complete", []string{`folder: {path: drop, complete: guess}`}, []string{".folder.complete"}},
		{"marker", []string{`folder: {path: drop, complete: marker, marker: "*"}`}, []string{".folder.marker"}},
		{"misspelt", []string{`folder: {path: drop, polsl: 3}`}, []string{"unknown field", "polsl"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("/etc/handoff/handoff.yaml", []byte(receiving(t, c.feeds...)))
			if err == nil {
				t.Fatal("it was accepted")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q is missing in: %v", w, err)
				}
			}
		})
	}
	mllp := `mllp: {listen: "127.0.0.1:2575"}`
	text := strings.Replace(receiving(t, mllp), "ehr/hl7v2", "rms/csv", 1)
	if _, err := Parse("/etc/handoff/handoff.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), "brings HL7 v2") {
		t.Errorf("MLLP for a CSV feed: %v", err)
	}
}
