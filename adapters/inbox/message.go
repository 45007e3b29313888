package inbox

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// Stream names the log stream of a system's messages.
func Stream(system string) string { return "inbox/" + system }

// A State is where a message is on its way.
type State string

// The states. Received, Parsed and Mapped are passed through; a message that was
// rejected says with its code why, and with its times how far it came.
const (
	Received State = "received" // durable, acknowledged
	Parsed   State = "parsed"   // its records could be decoded
	Mapped   State = "mapped"   // resources were made of all of them
	Stored   State = "stored"   // all records are stored, or known already
	Rejected State = "rejected" // at least one record is in the reject queue
	Deferred State = "deferred" // it could not be stored yet and is tried again
)

// A mark is what is kept of one message beside its ciphertext, as a fact.
type mark struct {
	Body  string    `json:"b"`           // keyed hash of the body
	Key   []byte    `json:"k,omitempty"` // of the ciphertext; gone when the message is settled
	Seq   uint64    `json:"q,omitempty"` // once it is settled or deferred
	State State     `json:"s,omitempty"` // "": received
	Code  string    `json:"c,omitempty"`
	At    time.Time `json:"at,omitzero"` // received
	Done  time.Time `json:"d,omitzero"`
	// Parsed and Mapped are when its first record came so far.
	Parsed time.Time `json:"p,omitzero"`
	Mapped time.Time `json:"m,omitzero"`
	Counts Counts    `json:"n,omitzero"`
	Tries  int       `json:"t,omitempty"` // of a deferred one
	// Gone says that the message's entry was found and no mark came: whoever appended
	// it has told nobody that it was taken, and cannot any more.
	Gone bool      `json:"g,omitempty"`
	Next time.Time `json:"x,omitzero"` // when it is tried again

	fact store.Fact
}

// settled says that nothing is left to do about a message.
func (m *mark) settled() bool { return m.State == Stored || m.State == Rejected }

// A wireEntry is a message in the log.
type wireEntry struct {
	ID        string    `json:"m"` // last part of its mark's key
	Source    string    `json:"s"`
	At        time.Time `json:"t"`
	Collision bool      `json:"c,omitempty"`
	Nonce     []byte    `json:"n"`
	Box       []byte    `json:"b"` // AES-256-GCM over key and body
}

// hash is a keyed hash: who lacks the site key can neither test a guess nor
// compare two sites.
func (b *Box) hash(parts ...string) string {
	mac := hmac.New(sha256.New, b.o.SiteKey)
	for _, s := range parts {
		fmt.Fprintf(mac, "%d:%s", len(s), s)
	}
	return hex.EncodeToString(mac.Sum(nil)[:20])
}

func (b *Box) markKey(id string) string { return b.prefix + "m/" + id }

// seqKey is part of a fact's key: it sorts as the number does.
func seqKey(seq uint64) string { return fmt.Sprintf("%020d", seq) }

func sealer(key []byte) (cipher.AEAD, error) {
	c, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(c)
}

// seal makes a log entry of an arrival, under its mark's key.
func (b *Box) seal(id string, a *Arrival, key []byte, collision bool) ([]byte, error) {
	gcm, err := sealer(key)
	if err != nil {
		return nil, err
	}
	e := wireEntry{ID: id, Source: a.Source, At: a.At.UTC(), Collision: collision, Nonce: make([]byte, gcm.NonceSize())}
	if _, err := rand.Read(e.Nonce); err != nil {
		return nil, fmt.Errorf("making a nonce: %w", err)
	}
	plain := binary.AppendUvarint(make([]byte, 0, len(a.Key)+len(a.Body)+10), uint64(len(a.Key)))
	plain = append(append(plain, a.Key...), a.Body...)
	e.Box = gcm.Seal(nil, e.Nonce, plain, []byte(b.stream+"|"+id))
	return json.Marshal(e)
}

// errLost says that a message's key is not there: it was never acknowledged, or
// it is settled.
var errLost = errors.New("no key opens the message")

// open reads a log entry with its mark.
func (b *Box) open(e *wireEntry, m *mark) (key string, body []byte, err error) {
	if m == nil || len(m.Key) == 0 {
		return "", nil, errLost
	}
	gcm, err := sealer(m.Key)
	if err != nil {
		return "", nil, errLost
	}
	plain, err := gcm.Open(nil, e.Nonce, e.Box, []byte(b.stream+"|"+e.ID))
	if err != nil {
		return "", nil, errLost
	}
	n, used := binary.Uvarint(plain)
	if used <= 0 || n > uint64(len(plain)-used) {
		return "", nil, fmt.Errorf("%w: a message of %s", store.ErrDamaged, b.stream)
	}
	plain = plain[used:]
	return string(plain[:n]), plain[n:], nil
}
