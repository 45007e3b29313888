package config

import (
	"fmt"
	"strings"
	"time"
)

// Webhook takes signed events over HTTP.
type Webhook struct {
	Path string `yaml:"path"` // default /adapters/<key of the system>
	// Secret signs the events; Secrets are several, while one is changed for
	// another. At least 16 bytes each: "${env:RMS_SECRET}", "${file:rms.secret}".
	Secret    Secret    `yaml:"secret"`
	Secrets   []Secret  `yaml:"secrets"`
	Signature Signature `yaml:"signature"`
	// EventID are the names under which an event carries its id; default event_id,
	// eventId, id.
	EventID []string `yaml:"eventId"`
	MaxBody int64    `yaml:"maxBody"` // bytes; default 1 MiB
}

// Signature says how the sender signs: HMAC-SHA-256.
type Signature struct {
	// Style is "timestamped" (default: t=SECONDS,v1=SUM in one header) or
	// "prefixed" (sha256=SUM).
	Style  string `yaml:"style"`
	Header string `yaml:"header"` // default X-Signature
	// Prefix stands before the sum, in style prefixed; default "sha256=", "-" none.
	Prefix string `yaml:"prefix"`
	// TimestampHeader carries the time, in style prefixed. Without it the body alone
	// is signed, and a request that somebody has recorded can be sent again: it
	// changes nothing, but it is taken.
	TimestampHeader string `yaml:"timestampHeader"`
	// Signed is what is signed; default "{timestamp}.{body}", without a time "{body}".
	Signed   string        `yaml:"signed"`
	Encoding string        `yaml:"encoding"` // of the sum: hex (default) or base64
	Window   time.Duration `yaml:"window"`   // how old a request may be; default 5m, at most 1h
}

// webhookPrefix is where webhooks are: what stands there needs no FHIR token.
const webhookPrefix = "/adapters/"

func (w *Webhook) defaults(key string) {
	set(&w.Path, webhookPrefix+key)
	if w.Secret != "" {
		w.Secrets = append([]Secret{w.Secret}, w.Secrets...)
	}
	s := &w.Signature
	set(&s.Style, "timestamped")
	set(&s.Header, "X-Signature")
	set(&s.Encoding, "hex")
	if s.Window == 0 {
		s.Window = 5 * time.Minute
	}
	if w.MaxBody == 0 {
		w.MaxBody = 1 << 20
	}
}

func (k *checker) webhook(at string, s System) {
	w := s.Receive.Webhook
	if name, ok := strings.CutPrefix(w.Path, webhookPrefix); !ok || !idForm.MatchString(name) {
		k.value(at+".path", w.Path, "is not "+webhookPrefix+" and a name of letters, digits, - and .")
	} else {
		k.once(at+".path", w.Path)
	}
	if len(w.Secrets) == 0 {
		k.fault(at, `needs a secret: "${env:NAME}" or "${file:PATH}"`)
	}
	for i, secret := range w.Secrets {
		if n := len(secret); n < 16 {
			k.fault(at, fmt.Sprintf("secret %d has %d bytes; at least 16 are needed (openssl rand -hex 32)", i+1, n))
		}
	}
	if w.MaxBody < 1 || w.MaxBody > 16<<20 {
		k.fault(at+".maxBody", "must be from 1 to 16777216")
	}
	k.signature(at+".signature", &w.Signature)
}

func (k *checker) signature(at string, s *Signature) {
	switch {
	case s.Style != "timestamped" && s.Style != "prefixed":
		k.value(at+".style", s.Style, "is neither timestamped nor prefixed")
	case s.Style == "timestamped" && (s.Prefix != "" || s.TimestampHeader != ""):
		k.fault(at, "prefix and timestampHeader are for the style prefixed")
	}
	timed := s.Style == "timestamped" || s.TimestampHeader != ""
	if s.Signed != "" && (strings.Count(s.Signed, "{body}") != 1 || timed != (strings.Count(s.Signed, "{timestamp}") == 1)) {
		k.value(at+".signed", s.Signed, "must have {body} in it, and {timestamp} if there is one, each once")
	}
	if s.Encoding != "hex" && s.Encoding != "base64" {
		k.value(at+".encoding", s.Encoding, "is neither hex nor base64")
	}
	if s.Window < time.Second || s.Window > time.Hour {
		k.fault(at+".window", "must be from 1s to 1h")
	}
}
