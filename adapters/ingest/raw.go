package ingest

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/fhir/store"
)

// A sealedEntry is one entry of the raw or the reject stream.
type sealedEntry struct {
	Record string    `json:"record"`         // last part of the fact that holds the key
	Once   string    `json:"once,omitempty"` // of a reject: last part of the fact that names the entry that counts
	Hash   string    `json:"hash"`           // keyed hash of the text
	At     time.Time `json:"at"`
	Nonce  []byte    `json:"nonce"`
	Box    []byte    `json:"box"` // AES-256-GCM
	// Source and Line stood here in entries of earlier releases.
	Source string `json:"source,omitempty"`
	Line   int    `json:"line,omitempty"`
}

// boxed is what an entry's box holds.
type boxed struct {
	Raw    []byte           `json:"raw"`
	Source string           `json:"source,omitempty"` // in here, because files are named after persons
	Line   int              `json:"line,omitempty"`
	Head   []byte           `json:"head,omitempty"`  // the header that a reject's text is read by
	Alone  bool             `json:"alone,omitempty"` // the text is an extract and needs none
	Reject *adapters.Reject `json:"reject,omitempty"`
}

// RawStream names the log stream of a system's raw records.
func RawStream(system string) string { return "ingest/" + system + "/raw" }

// RejectStream names the log stream of a system's rejected records.
func RejectStream(system string) string { return "ingest/" + system + "/rejects" }

func newDataKey() ([]byte, error) {
	k := make([]byte, 32)
	if _, err := rand.Read(k); err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return k, nil
}

func aead(key []byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

// keep appends a record's text to a stream, encrypted under the record's key.
func (p *Pipeline) keep(ctx context.Context, stream, record string, key []byte, m *flow.Mapped) error {
	_, err := p.keepOnce(ctx, stream, record, key, m, nil, "")
	return err
}

// keepOnce is keep for a reject: of the entries with the same once the one counts
// whose nonce the fact has.
func (p *Pipeline) keepOnce(ctx context.Context, stream, record string, key []byte, m *flow.Mapped, reject *adapters.Reject, once string) (nonce []byte, err error) {
	b := boxed{Raw: m.Item.Raw, Source: m.Item.Pos.Source, Line: m.Item.Pos.Line, Reject: reject, Alone: m.Item.Extract}
	if reject != nil && m.Item.Raw != nil {
		b.Head = m.Head
		if b.Head == nil {
			b.Head = p.head
		}
	}
	plain, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	seal, err := aead(key)
	if err != nil {
		return nil, err
	}
	e := sealedEntry{Record: record, Once: once, Hash: p.hash("raw", string(m.Item.Raw)),
		At: p.now().UTC(), Nonce: make([]byte, seal.NonceSize())}
	if _, err := rand.Read(e.Nonce); err != nil {
		return nil, fmt.Errorf("making a nonce: %w", err)
	}
	e.Box = seal.Seal(nil, e.Nonce, plain, []byte(stream+"|"+record))
	raw, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	_, err = p.texts[stream].write(ctx, [][]byte{raw})
	return e.Nonce, err
}

// A Kept is one entry of the raw or the reject stream as it is read back.
type Kept struct {
	Seq      uint64
	At       time.Time
	Source   string // file and line, as far as the text can be read
	Line     int
	Hash     string           // keyed hash of the text
	Expunged bool             // the key was destroyed: Raw and Reject are nil, and nobody knows the Source
	Lost     bool             // a run that was overtaken wrote it under a key that did not stay; the text follows again
	Raw      []byte           // the text as it came
	Head     []byte           // of a reject: the header that Raw is read by
	Reject   *adapters.Reject // in the reject stream

	record string // as in sealedEntry
	alone  bool   // as in boxed
}

// Read returns entries of a system's raw or reject stream from a sequence number
// on. facts holds their keys.
func Read(ctx context.Context, log store.Log, facts store.Facts, system, stream string, from uint64, limit int) ([]Kept, error) {
	entries, err := log.ReadFrom(ctx, stream, from, limit)
	if err != nil {
		return nil, err
	}
	var out []Kept
	for _, entry := range entries {
		var e sealedEntry
		if err := json.Unmarshal(entry.Data, &e); err != nil {
			return out, fmt.Errorf("%w: %s entry %d: %w", store.ErrDamaged, stream, entry.Seq, err)
		}
		k := Kept{Seq: entry.Seq, At: e.At, Hash: e.Hash, record: e.Record}
		fact, err := facts.Get(ctx, "ingest/"+system+"/rec/"+e.Record)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return out, err
		}
		var st recordState
		if err == nil {
			if err := json.Unmarshal(fact.Value, &st); err != nil {
				return out, fmt.Errorf("%w: the state of a record: %w", store.ErrDamaged, err)
			}
		}
		if k.Lost, err = overtaken(ctx, facts, system, &e); err != nil {
			return out, err
		}
		if k.Lost {
			out = append(out, k)
			continue
		}
		if k.Expunged = len(st.DataKey) == 0; !k.Expunged {
			open, err := aead(st.DataKey)
			if err != nil {
				return out, err
			}
			plain, err := open.Open(nil, e.Nonce, e.Box, []byte(stream+"|"+e.Record))
			if err != nil {
				k.Lost = true
				out = append(out, k)
				continue
			}
			var b boxed
			if err := json.Unmarshal(plain, &b); err != nil {
				return out, fmt.Errorf("%w: %s entry %d: %w", store.ErrDamaged, stream, entry.Seq, err)
			}
			if b.Source == "" {
				b.Source, b.Line = e.Source, e.Line
			}
			k.Raw, k.Source, k.Line, k.Head, k.Reject, k.alone = b.Raw, b.Source, b.Line, b.Head, b.Reject, b.Alone
		}
		out = append(out, k)
	}
	return out, nil
}

// overtaken says that another entry of the same reject counts, or will: a run that
// died between an entry and its fact queues the reject again.
func overtaken(ctx context.Context, facts store.Facts, system string, e *sealedEntry) (bool, error) {
	if e.Once == "" {
		return false, nil
	}
	fact, err := facts.Get(ctx, "ingest/"+system+"/rej/"+e.Once)
	if errors.Is(err, store.ErrNotFound) {
		return true, nil
	}
	return err == nil && !bytes.Equal(fact.Value, e.Nonce), err
}
