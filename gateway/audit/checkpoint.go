package audit

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Checkpoint says, signed, how long a trail was at a time and what its last
// record's hash was. Checkpoints are numbered and chained themselves.
type Checkpoint struct {
	Number uint64    `json:"n"` // from 1, without gaps
	Trail  string    `json:"trail"`
	Count  uint64    `json:"count"` // records, which is the Seq of the last
	Head   string    `json:"head"`  // hex SHA-256 of the last record's line
	At     time.Time `json:"at"`
	Prev   string    `json:"prev"` // hex SHA-256 of what the checkpoint before signed
	KeyID  string    `json:"key"`
	Sig    []byte    `json:"sig"` // Ed25519, or ECDSA P-256 with SHA-256 in ASN.1
}

// signed is what the signature covers.
func (c *Checkpoint) signed() []byte {
	return []byte(strings.Join([]string{
		"handoff audit checkpoint 1", strconv.FormatUint(c.Number, 10), c.Trail, strconv.FormatUint(c.Count, 10), c.Head,
		c.At.UTC().Format(timeFormat), c.Prev, c.KeyID,
	}, "\n"))
}

func (c *Checkpoint) hash() string { return hashLine(c.signed()) }

func (c *Checkpoint) sign(key crypto.Signer) (err error) {
	if c.KeyID, err = KeyID(key.Public()); err != nil {
		return err
	}
	if c.Sig, err = sign(key, c.signed()); err != nil {
		return fmt.Errorf("sign a checkpoint: %w", err)
	}
	return nil
}

// VerifiedBy says whether the signature is this key's.
func (c *Checkpoint) VerifiedBy(pub crypto.PublicKey) bool {
	return verifySignature(pub, c.signed(), c.Sig)
}

// An Anchor is the second place: it keeps checkpoints where whoever can change
// the log cannot change them too.
type Anchor interface {
	// Append makes the checkpoint durable before it returns.
	Append(ctx context.Context, c Checkpoint) error
	// Checkpoints returns all, oldest first.
	Checkpoints(ctx context.Context) ([]Checkpoint, error)
}

// A FileAnchor keeps checkpoints as JSON lines in a file that is only appended
// to. Put it on another volume, best one that can only be appended to.
type FileAnchor struct {
	Path string
	mu   sync.Mutex
}

// Append writes one line and waits for the disk.
func (a *FileAnchor) Append(_ context.Context, c Checkpoint) (err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	line, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("anchor: %w", err)
	}
	_, statErr := os.Stat(a.Path)
	f, err := os.OpenFile(a.Path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("anchor: %w", err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("anchor: %w", cerr)
		}
	}()
	torn, err := tornEnd(f)
	if err != nil {
		return fmt.Errorf("anchor %s: %w", a.Path, err)
	}
	if torn { // a crash in the middle of a line; Checkpoints skips it
		line = append([]byte{'\n'}, line...)
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("anchor: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("anchor: %w", err)
	}
	if errors.Is(statErr, fs.ErrNotExist) {
		return syncDir(filepath.Dir(a.Path))
	}
	return nil
}

func tornEnd(f *os.File) (bool, error) {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false, err
	}
	last := make([]byte, 1)
	_, err = f.ReadAt(last, info.Size()-1)
	return last[0] != '\n', err
}

// Checkpoints reads the file. A line that is no checkpoint is an error, but for
// one that a crash has torn: it has the beginning of one and nothing after.
func (a *FileAnchor) Checkpoints(context.Context) ([]Checkpoint, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	raw, err := os.ReadFile(a.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("anchor: %w", err)
	}
	var out []Checkpoint
	for n, line := range bytes.Split(raw, []byte{'\n'}) {
		if len(line) == 0 {
			continue
		}
		c, err := parseCheckpoint(line)
		if err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				continue
			}
			return nil, fmt.Errorf("anchor %s, line %d: %w: not a checkpoint: %w", a.Path, n+1, ErrTampered, err)
		}
		out = append(out, c)
	}
	return out, nil
}

func parseCheckpoint(line []byte) (Checkpoint, error) {
	var c Checkpoint
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return c, err
	}
	if dec.More() {
		return c, errors.New("more than one value in the line")
	}
	return c, nil
}
