package folder

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/fhir/store"
)

// A Status says what became of a file.
type Status string

// The statuses. Reading is one that was begun.
const (
	Reading   Status = "reading"
	Read      Status = "read"      // its records were stored or rejected, as the report counts
	Rejected  Status = "rejected"  // it could not be read as records at all
	Duplicate Status = "duplicate" // its content was read before
)

// A Result is what a watcher says about one file: in its report, and in state
// until the file has been moved.
type Result struct {
	File   string    `json:"file"` // path in the folder
	SHA256 string    `json:"sha256"`
	Bytes  int64     `json:"bytes"`
	Status Status    `json:"status"`
	At     time.Time `json:"at"`
	// Resumed: an earlier process had read a part; Records counts the rest.
	Resumed     bool         `json:"resumed,omitempty"`
	DuplicateOf string       `json:"duplicateOf,omitempty"` // the file that had this content first
	Code        string       `json:"code,omitempty"`        // of a rejected file
	Reason      string       `json:"reason,omitempty"`
	Line        int          `json:"line,omitempty"`
	Records     *flow.Report `json:"records,omitempty"`
}

// A mark is an identity of a file at one time: when nothing of it has changed,
// nobody has written to it.
type mark struct {
	Size    int64  `json:"s"`
	ModTime int64  `json:"m"`
	Inode   uint64 `json:"i,omitempty"`
	Changed int64  `json:"c,omitempty"`
}

func markOf(info fs.FileInfo) mark {
	m := mark{Size: info.Size(), ModTime: info.ModTime().UnixNano()}
	m.Inode, m.Changed = inode(info)
	return m
}

// A fileState is what is kept of a file while it is in the folder.
type fileState struct {
	Mark   mark   `json:"mark"`
	Result Result `json:"result"`
	Dest   string `json:"dest,omitempty"` // where it is moved to
	Left   bool   `json:"left,omitempty"` // it stays where it is
}

// A content is a hash that was read.
type content struct {
	File string    `json:"file"`
	At   time.Time `json:"at"`
}

func (w *Watcher) prefix() string { return "folder/" + w.o.System + "/" }

// fileKey names a file's state without its name, in which persons may stand.
func (w *Watcher) fileKey(name string) string {
	mac := hmac.New(sha256.New, w.o.SiteKey)
	mac.Write([]byte(name))
	return w.prefix() + "f/" + hex.EncodeToString(mac.Sum(nil)[:20])
}

func (w *Watcher) contentKey(sha string) string { return w.prefix() + "c/" + sha }

// keep puts a value under a key, whatever was there.
func (w *Watcher) keep(ctx context.Context, key string, value any, expires time.Time) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	for {
		_, err := w.o.Facts.PutIfAbsent(ctx, key, raw, expires)
		if !errors.Is(err, store.ErrExists) {
			return err
		}
		old, err := w.o.Facts.Get(ctx, key)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if _, err = w.o.Facts.CompareAndSet(ctx, key, old.Version, raw, expires); !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
}

// get reads a value; ok is false if there is none.
func (w *Watcher) get(ctx context.Context, key string, into any) (ok bool, err error) {
	f, err := w.o.Facts.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(f.Value, into)
	}
	if err != nil {
		return false, fmt.Errorf("folder %s: state: %w", w.o.System, err)
	}
	return true, nil
}

// recall reads what an earlier process left: files that stay where they are, and
// those that it did not come to move.
func (w *Watcher) recall(ctx context.Context) error {
	for after := ""; ; {
		facts, err := w.o.Facts.Scan(ctx, w.prefix()+"f/", after, 500)
		if err != nil {
			return fmt.Errorf("folder %s: state: %w", w.o.System, err)
		}
		for _, f := range facts {
			after = f.Key
			st := &fileState{}
			if err := json.Unmarshal(f.Value, st); err != nil {
				return fmt.Errorf("folder %s: state: %w", w.o.System, err)
			}
			w.states[st.Result.File] = st
		}
		if len(facts) < 500 {
			return nil
		}
	}
}
