package audit

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// A found is the state in which Open finds a log.
type found struct {
	trail      string
	tail       tail
	last       string // name of the last segment; "" if there is none
	size       int64  // of its whole records
	checkpoint Checkpoint
	clean      bool // the last record says that the trail was closed
	cut        string
}

// events are what Open notes first.
func (f *found) events(now time.Time) []*Event {
	reason := "crash"
	switch {
	case f.tail.count == 0:
		reason = "new"
	case f.clean:
		reason = "clean"
	}
	events := []*Event{ownEvent(Opened, reason, now)}
	if f.cut != "" {
		events = append([]*Event{ownEvent(Cut, f.cut, now)}, events...)
	}
	return events
}

// recoverLog reads the log from the segment of the last checkpoint on, checks
// that it holds together and reaches as far as the anchor says, and moves what
// a crash has torn aside. It changes nothing if something else is wrong.
func recoverLog(o *Options) (*found, error) {
	cs, err := o.Anchor.Checkpoints(context.Background())
	if err != nil {
		return nil, fmt.Errorf("open the audit trail: read its anchor: %w", err)
	}
	segs, err := segments(o.Dir)
	if err != nil {
		return nil, err
	}
	f := &found{}
	if len(cs) > 0 {
		f.checkpoint = cs[len(cs)-1]
		if err := ownCheckpoint(&f.checkpoint, o); err != nil {
			return nil, err
		}
	}
	if len(segs) == 0 {
		return f, f.begin(o)
	}
	w := &walk{dir: o.Dir, at: f.checkpoint}
	if err := w.run(segs); err != nil {
		return nil, err
	}
	if f.checkpoint.Number > 0 && !w.met {
		return nil, fmt.Errorf("%w: %s ends at record %d, but its anchor says that it has %d", ErrTampered, o.Dir, w.tail.count, f.checkpoint.Count)
	}
	if f.checkpoint.Number == 0 && w.events > 0 {
		// Open anchors before it takes the first event, so this anchor has lost it.
		return nil, fmt.Errorf("%w: %s has events, but its anchor is empty: it is the wrong one, or was removed", ErrTampered, o.Dir)
	}
	f.tail, f.last, f.size, f.clean = w.tail, segs[len(segs)-1].name, w.size, w.interaction == Closing
	if err := f.findTrail(o, segs[0]); err != nil {
		return nil, err
	}
	if w.torn {
		f.clean = false
		if f.cut, err = moveAside(o.Dir, f.last, w.size); err != nil {
			return nil, fmt.Errorf("open the audit trail: move its torn end aside: %w", err)
		}
	}
	return f, nil
}

func ownCheckpoint(c *Checkpoint, o *Options) error {
	id, err := KeyID(o.Key.Public())
	if err != nil {
		return err
	}
	if c.KeyID != id {
		return fmt.Errorf("open the audit trail: its anchor was signed with another key (%.16s…, this one is %.16s…); begin a new trail in another folder with another anchor", c.KeyID, id)
	}
	if !c.VerifiedBy(o.Key.Public()) {
		return fmt.Errorf("%w: the signature of checkpoint %d does not fit", ErrTampered, c.Number)
	}
	return nil
}

// begin starts a trail where there is none.
func (f *found) begin(o *Options) error {
	if f.checkpoint.Number > 0 {
		return fmt.Errorf("%w: %s has no records, but its anchor says that it has %d; begin a new trail with another anchor", ErrTampered, o.Dir, f.checkpoint.Count)
	}
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return fmt.Errorf("open the audit trail: %w", err)
	}
	f.trail = hex.EncodeToString(id)
	return nil
}

// findTrail reads the trail's id from the first record and compares it with the
// anchor's.
func (f *found) findTrail(o *Options, first segment) error {
	if f.tail.count == 0 { // a crash before the first record was whole
		return f.begin(o)
	}
	stop := errors.New("stop")
	err := readSegment(o.Dir, first.name, func(l line) error {
		fr, err := parseFrame(l.bytes)
		if err != nil {
			return fmt.Errorf("%w: %s, byte %d: %w", ErrTampered, first.name, l.offset, err)
		}
		f.trail = fr.Trail
		return stop
	})
	switch {
	case err != nil && !errors.Is(err, stop):
		return err
	case f.trail == "" || f.checkpoint.Number > 0 && f.checkpoint.Trail != f.trail:
		return fmt.Errorf("%w: the anchor is of trail %q, the log of trail %q", ErrTampered, f.checkpoint.Trail, f.trail)
	}
	return nil
}

// A walk goes along the end of a log.
type walk struct {
	dir         string
	at          Checkpoint // must be met on the way
	met         bool
	tail        tail
	size        int64 // of the whole records of the last segment
	torn        bool
	interaction string // of the last record
	events      int    // without the trail's own
}

func (w *walk) run(segs []segment) error {
	from := len(segs) - 1
	for from > 0 && segs[from].first > max(w.at.Count, 1) {
		from--
	}
	w.tail.count = segs[from].first - 1
	if w.tail.count == 0 {
		w.tail.head = noHash
	}
	for i := from; i < len(segs); i++ {
		s := segs[i]
		if s.first != w.tail.count+1 {
			return fmt.Errorf("%w: %s follows record %d", ErrTampered, s.name, w.tail.count)
		}
		w.size = 0
		if err := readSegment(w.dir, s.name, func(l line) error { return w.line(s.name, l, i == len(segs)-1) }); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) line(name string, l line, last bool) error {
	f, err := parseFrame(l.bytes)
	switch {
	case w.torn && err == nil && l.whole:
		return fmt.Errorf("%w: %s, byte %d: record %d stands after something unreadable", ErrTampered, name, l.offset, f.Seq)
	case (err != nil || !l.whole) && last:
		w.torn = true // unless a record follows
		return nil
	case err != nil || !l.whole:
		return fmt.Errorf("%w: %s, byte %d: %w", ErrTampered, name, l.offset, errNotRecord)
	case f.Seq != w.tail.count+1:
		return fmt.Errorf("%w: %s, byte %d: record %d stands where %d should", ErrTampered, name, l.offset, f.Seq, w.tail.count+1)
	case w.tail.head != "" && f.Prev != w.tail.head:
		return fmt.Errorf("%w: %s, byte %d: record %d does not follow record %d as that now is", ErrTampered, name, l.offset, f.Seq, w.tail.count)
	}
	w.tail = tail{f.Seq, hashLine(l.bytes)}
	w.size = l.offset + int64(len(l.bytes)) + 1
	if f.Seq == w.at.Count {
		if w.tail.head != w.at.Head {
			return fmt.Errorf("%w: %s, byte %d: record %d is not what checkpoint %d has signed", ErrTampered, name, l.offset, f.Seq, w.at.Number)
		}
		w.met = true
	}
	r, err := ParseRecord(l.bytes)
	if err != nil {
		return fmt.Errorf("%w: %s, byte %d: %w", ErrTampered, name, l.offset, err)
	}
	w.interaction = r.Event.Interaction
	if !r.Event.Administrative() {
		w.events++
	}
	return nil
}

// moveAside copies what stands after size to a file of its own, cuts it off and
// says so.
func moveAside(dir, name string, size int64) (string, error) {
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer f.Close() // synced below
	if _, err := f.Seek(size, io.SeekStart); err != nil {
		return "", err
	}
	torn, err := io.ReadAll(f)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(torn)
	aside := fmt.Sprintf("%s.torn-%d-%x", name, size, sum[:4])
	if err := writeFile(filepath.Join(dir, aside), torn); err != nil {
		return "", err
	}
	if err := errors.Join(f.Truncate(size), f.Sync(), syncDir(dir)); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d bytes at byte %d of %s, kept in %s, SHA-256 %x", len(torn), size, name, aside, sum), nil
}

func writeFile(path string, content []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return nil // a crash after the copy was made
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}
