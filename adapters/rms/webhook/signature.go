package webhook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A Style is how a signature stands in its header.
type Style uint8

// The styles. Timestamped is "t=1700000000,v1=HEX", with several v1 while the
// sender changes its secret; Prefixed is "sha256=HEX", and the time, if it is
// signed, stands in a header of its own.
const (
	Timestamped Style = iota
	Prefixed
)

// A Scheme says how a sender signs: HMAC-SHA-256 with a shared secret. The zero
// value is Timestamped in X-Signature, in hex, of time, a dot and the body, not
// more than five minutes old.
type Scheme struct {
	Style           Style
	Header          string // default X-Signature
	Prefix          string // of Prefixed; default "sha256="; "-": none
	TimestampHeader string // of Prefixed; "": the time is not signed, a request can be repeated
	// Signed is what is signed, with {timestamp} and {body} in it; default
	// "{timestamp}.{body}", or "{body}" where there is no time.
	Signed string
	Base64 bool // instead of hex
	// Window is how far the time may be from now, either way; default 5m.
	Window  time.Duration
	Secrets [][]byte // any of them proves it: one is new while another is changed
}

const (
	// MinSecret is the least length of a secret in bytes.
	MinSecret     = 16
	defaultHeader = "X-Signature"
	defaultPrefix = "sha256="
	defaultWindow = 5 * time.Minute
	maxHeader     = 4 << 10
	maxSignatures = 8
)

// Check fills the defaults in and says what of a scheme cannot be.
func (s *Scheme) Check() error {
	if s.Header == "" {
		s.Header = defaultHeader
	}
	if s.Prefix == "" {
		s.Prefix = defaultPrefix
	}
	if s.Window == 0 {
		s.Window = defaultWindow
	}
	if s.Signed == "" {
		s.Signed = "{body}"
		if s.timed() {
			s.Signed = "{timestamp}.{body}"
		}
	}
	switch {
	case len(s.Secrets) == 0:
		return errors.New("there is no secret")
	case s.Window < 0 || s.Window > time.Hour:
		return errors.New("the window must be from 1s to 1h")
	case strings.Count(s.Signed, "{body}") != 1:
		return errors.New("what is signed must have {body} in it, once")
	case s.timed() != (strings.Count(s.Signed, "{timestamp}") == 1):
		return errors.New("what is signed must have {timestamp} in it, once, if there is a time, and else not")
	}
	for _, secret := range s.Secrets {
		if len(secret) < MinSecret {
			return fmt.Errorf("a secret has %d bytes; at least %d are needed", len(secret), MinSecret)
		}
	}
	return nil
}

// prefix is what stands before a sum.
func (s *Scheme) prefix() string {
	if s.Prefix == "-" {
		return ""
	}
	return s.Prefix
}

// timed says that the time of signing is signed too.
func (s *Scheme) timed() bool { return s.Style == Timestamped || s.TimestampHeader != "" }

// A refusal is why a signature does not count: for the log, never for the caller.
type refusal string

func (r refusal) Error() string { return string(r) }

// The refusals.
const (
	noSignature  refusal = "no-signature"
	badSignature refusal = "signature-unreadable"
	noTimestamp  refusal = "no-timestamp"
	outOfWindow  refusal = "timestamp-out-of-window"
	forged       refusal = "signature-wrong"
)

// Present says whether a request is signed at all, before its body is read.
func (s *Scheme) Present(h http.Header) error {
	_, _, err := s.read(h)
	return err
}

// Verify says whether the body was signed with one of the secrets, around now.
// All secrets and signatures are compared, each in the same time.
func (s *Scheme) Verify(h http.Header, body []byte, now time.Time) error {
	stamp, sums, err := s.read(h)
	if err != nil {
		return err
	}
	if s.timed() {
		at, ok := moment(stamp)
		if !ok {
			return noTimestamp
		}
		if d := now.Sub(at); d > s.Window || d < -s.Window {
			return outOfWindow
		}
	}
	before, after, _ := strings.Cut(strings.ReplaceAll(s.Signed, "{timestamp}", stamp), "{body}")
	found := false
	for _, secret := range s.Secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(before))
		mac.Write(body)
		mac.Write([]byte(after))
		want := mac.Sum(nil)
		for _, sum := range sums {
			if hmac.Equal(want, sum) {
				found = true
			}
		}
	}
	if !found {
		return forged
	}
	return nil
}

// read takes time and signatures from the headers.
func (s *Scheme) read(h http.Header) (stamp string, sums [][]byte, err error) {
	line, err := single(h, s.Header, noSignature)
	if err != nil {
		return "", nil, err
	}
	if s.Style == Timestamped {
		return s.list(line)
	}
	text, ok := strings.CutPrefix(line, s.prefix())
	if !ok {
		return "", nil, badSignature
	}
	sum, ok := s.decode(text)
	if !ok {
		return "", nil, badSignature
	}
	if s.TimestampHeader != "" {
		if stamp, err = single(h, s.TimestampHeader, noTimestamp); err != nil {
			return "", nil, err
		}
	}
	return stamp, [][]byte{sum}, nil
}

// list reads "t=…,v1=…". What has another name is left for what comes later.
func (s *Scheme) list(line string) (stamp string, sums [][]byte, err error) {
	for part := range strings.SplitSeq(line, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			if stamp != "" {
				return "", nil, badSignature
			}
			stamp = value
		case "v1":
			sum, ok := s.decode(value)
			if !ok || len(sums) == maxSignatures {
				return "", nil, badSignature
			}
			sums = append(sums, sum)
		}
	}
	switch {
	case len(sums) == 0:
		return "", nil, noSignature
	case stamp == "":
		return "", nil, noTimestamp
	}
	return stamp, sums, nil
}

func (s *Scheme) decode(text string) ([]byte, bool) {
	var sum []byte
	var err error
	if s.Base64 {
		sum, err = base64.StdEncoding.DecodeString(text)
	} else {
		sum, err = hex.DecodeString(text)
	}
	return sum, err == nil && len(sum) == sha256.Size
}

// single is the one value of a header; two could be read in two ways.
func single(h http.Header, name string, absent refusal) (string, error) {
	values := h.Values(name)
	switch {
	case len(values) == 0 || strings.TrimSpace(values[0]) == "":
		return "", absent
	case len(values) > 1 || len(values[0]) > maxHeader:
		return "", badSignature
	}
	return strings.TrimSpace(values[0]), nil
}

// moment reads a time: seconds or milliseconds since 1970, or RFC 3339.
func moment(text string) (time.Time, bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 0 && n < 1e14 {
		if n > 1e11 {
			return time.UnixMilli(n), true
		}
		return time.Unix(n, 0), true
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	return at, err == nil
}

// Sign makes the headers of a request, with the first secret: for tests, and for
// those who write the other side.
func (s *Scheme) Sign(h http.Header, body []byte, now time.Time) {
	stamp := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, s.Secrets[0])
	mac.Write(bytes.Replace([]byte(strings.ReplaceAll(s.Signed, "{timestamp}", stamp)), []byte("{body}"), body, 1))
	text := hex.EncodeToString(mac.Sum(nil))
	if s.Base64 {
		text = base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	if s.Style == Timestamped {
		h.Set(s.Header, "t="+stamp+",v1="+text)
		return
	}
	h.Set(s.Header, s.prefix()+text)
	if s.TimestampHeader != "" {
		h.Set(s.TimestampHeader, stamp)
	}
}
