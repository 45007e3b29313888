package audit

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Errors of a trail. Match them with errors.Is.
var (
	ErrTampered   = errors.New("the audit trail was tampered with")
	ErrFailed     = errors.New("the audit trail cannot be written") // until it is opened again
	ErrClosed     = errors.New("the audit trail is closed")
	ErrInUse      = errors.New("another process writes to the audit trail")
	ErrUnanchored = errors.New("the audit trail could not be anchored for too long")
)

// Options of a trail.
type Options struct {
	Dir    string        // made if it is not there; mode 0700
	Anchor Anchor        // the second place
	Key    crypto.Signer // Ed25519 or ECDSA P-256

	Now               func() time.Time // time.Now if nil
	MaxSegment        int64            // bytes after which a new file begins; 64 MiB if 0
	CheckpointRecords uint64           // a checkpoint is due after so many records; 1024 if 0
	CheckpointEvery   time.Duration    // or after so long, if there is a new record; 10 s if 0
	// AnchorGrace is how long records are taken while the anchor cannot be
	// reached; 5 min if 0. After that Record fails until it is reached again.
	AnchorGrace time.Duration
	// Alert is told when the log or the anchor fails (CJIS AU-5); may be nil.
	Alert func(error)

	openFile func(path string, flag int) (file, error) // tests make it fail
}

func (o *Options) setDefaults() error {
	if o.Dir == "" || o.Anchor == nil || o.Key == nil {
		return errors.New("open the audit trail: a folder, an anchor and a key are needed")
	}
	if err := checkKey(o.Key.Public()); err != nil {
		return fmt.Errorf("open the audit trail: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxSegment <= 0 {
		o.MaxSegment = 64 << 20
	}
	if o.CheckpointRecords == 0 {
		o.CheckpointRecords = 1024
	}
	if o.CheckpointEvery <= 0 {
		o.CheckpointEvery = 10 * time.Second
	}
	if o.AnchorGrace <= 0 {
		o.AnchorGrace = 5 * time.Minute
	}
	if o.Alert == nil {
		o.Alert = func(error) {}
	}
	if o.openFile == nil {
		o.openFile = openSegment
	}
	return nil
}

// A Trail is an open audit log, the only writer of its folder. It is a
// [Recorder], safe for concurrent use.
type Trail struct {
	o    Options
	id   string
	lock *os.File

	gate    sync.RWMutex // held for reading while an event is queued
	closed  bool
	queue   chan entry
	writing sync.WaitGroup
	failed  atomic.Pointer[error]

	// Of the writer alone.
	out  file
	size int64 // of the open segment
	buf  []byte

	mu   sync.Mutex
	tail tail // what is on the disk

	anchoring anchoring
}

// A tail is the end of the chain.
type tail struct {
	count uint64
	head  string
}

type entry struct {
	event []byte
	done  chan error
}

var _ Recorder = (*Trail)(nil)

// maxBatch is how many records share one fsync.
const maxBatch = 512

// Open opens the trail in o.Dir or begins one. What a crash has torn off after
// the last acknowledged record is moved aside and noted in the log. A log that
// is shorter than its anchor says, or whose end does not hold together, is not
// opened: ErrTampered.
func Open(o Options) (*Trail, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the audit trail: %w", err)
	}
	l, err := lock(filepath.Join(o.Dir, "lock"))
	if err != nil {
		return nil, err
	}
	t := &Trail{o: o, lock: l, queue: make(chan entry, maxBatch)}
	if err := t.open(); err != nil {
		_ = l.Close()
		return nil, err
	}
	return t, nil
}

func (t *Trail) open() error {
	found, err := recoverLog(&t.o)
	if err != nil {
		return err
	}
	t.id, t.tail = found.trail, found.tail
	if err := t.openSegment(found.last, found.size); err != nil {
		return fmt.Errorf("open the audit trail: %w", err)
	}
	var events [][]byte
	for _, e := range found.events(t.o.Now()) {
		raw, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("open the audit trail: %w", err)
		}
		events = append(events, raw)
	}
	if err := t.write(events); err != nil {
		_ = t.out.Close()
		return fmt.Errorf("open the audit trail: %w", err)
	}
	if err := t.startAnchoring(found.checkpoint); err != nil {
		_ = t.out.Close()
		return fmt.Errorf("open the audit trail: %w", err)
	}
	t.writing.Go(t.writeLoop)
	return nil
}

// openSegment opens the last segment, or makes the first.
func (t *Trail) openSegment(name string, size int64) (err error) {
	if name == "" {
		return t.beginSegment()
	}
	t.size = size
	t.out, err = t.o.openFile(filepath.Join(t.o.Dir, name), 0)
	return err
}

// beginSegment makes the file for the next record.
func (t *Trail) beginSegment() error {
	path := filepath.Join(t.o.Dir, segmentName(t.tail.count+1))
	out, err := t.o.openFile(path, os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	if err := syncDir(t.o.Dir); err != nil {
		_ = out.Close()
		return err
	}
	if t.out != nil {
		if err := t.out.Close(); err != nil {
			_ = out.Close()
			return err
		}
	}
	t.out, t.size = out, 0
	return nil
}

// Record adds the event and returns when it is on the disk. If ctx ends
// sooner, it returns that error and the event may or may not be kept: no answer
// may leave either way. After a failed write every later call fails too, until
// the trail is opened again.
func (t *Trail) Record(ctx context.Context, e *Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := t.usable(); err != nil {
		return err
	}
	stamped := *e
	if stamped.At.IsZero() {
		stamped.At = t.o.Now()
	}
	raw, err := stamped.MarshalJSON() // what json.Marshal gives, without reading it again
	if err != nil {
		return fmt.Errorf("record an event: %w", err)
	}
	if len(raw) > maxLine-1024 {
		return fmt.Errorf("record an event: it has %d bytes, more than %d", len(raw), maxLine-1024)
	}
	done := make(chan error, 1)
	if err := t.enqueue(ctx, entry{raw, done}); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *Trail) enqueue(ctx context.Context, e entry) error {
	t.gate.RLock()
	defer t.gate.RUnlock()
	if t.closed {
		return ErrClosed
	}
	select {
	case t.queue <- e:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *Trail) usable() error {
	if err := t.failed.Load(); err != nil {
		return *err
	}
	return t.anchoring.overdue(t.o.Now(), t.o.AnchorGrace)
}

// Healthy says why the trail cannot record now; nil if it can.
func (t *Trail) Healthy() error { return t.usable() }

// writeLoop is the one writer. While it waits for the disk, further events
// gather for the next batch.
func (t *Trail) writeLoop() {
	var (
		batch  []entry
		events [][]byte
	)
	for e := range t.queue {
		batch, events = append(batch[:0], e), append(events[:0], e.event)
		for size := len(e.event); len(batch) < maxBatch && size < maxLine; {
			more, ok := poll(t.queue)
			if !ok {
				break
			}
			batch, events, size = append(batch, more), append(events, more.event), size+len(more.event)
		}
		err := t.write(events)
		for _, e := range batch {
			e.done <- err
		}
	}
}

func poll(queue <-chan entry) (entry, bool) {
	select {
	case e, ok := <-queue:
		return e, ok
	default:
		return entry{}, false
	}
}

// write appends a batch and waits for the disk. Any error is final.
func (t *Trail) write(events [][]byte) error {
	if err := t.failed.Load(); err != nil {
		return *err
	}
	next, err := t.writeBatch(events)
	if err != nil {
		return t.fail(err)
	}
	t.mu.Lock()
	t.tail = next
	t.mu.Unlock()
	t.anchoring.advance(next.count, t.o.CheckpointRecords)
	return nil
}

func (t *Trail) writeBatch(events [][]byte) (tail, error) {
	if t.size >= t.o.MaxSegment {
		if err := t.beginSegment(); err != nil {
			return tail{}, err
		}
	}
	next := t.tail
	t.buf = t.buf[:0]
	for _, event := range events {
		prev, trail := next.head, ""
		if next.count == 0 {
			prev, trail = noHash, t.id
		}
		next.count++
		t.buf, next.head = appendLine(t.buf, next.count, prev, trail, event)
	}
	if _, err := t.out.Write(t.buf); err != nil {
		return tail{}, err
	}
	if err := t.out.Sync(); err != nil {
		return tail{}, err
	}
	t.size += int64(len(t.buf))
	return next, nil
}

// fail makes the error final. What a failed write may have left is cut off, as
// far as that works; the next Open looks after the rest.
func (t *Trail) fail(err error) error {
	err = fmt.Errorf("%w: %w", ErrFailed, err)
	t.failed.Store(&err)
	if t.out != nil {
		_ = t.out.Truncate(t.size)
	}
	t.o.Alert(err)
	return err
}

// Close records that the trail ends in good order, anchors it and lets go of
// the folder. A second Close does nothing.
func (t *Trail) Close() error {
	t.gate.Lock()
	if t.closed {
		t.gate.Unlock()
		return nil
	}
	t.closed = true
	raw, err := json.Marshal(ownEvent(Closing, "", t.o.Now()))
	done := make(chan error, 1)
	if err == nil && t.failed.Load() == nil {
		t.queue <- entry{raw, done} // the writer makes room
	} else {
		done <- err
	}
	close(t.queue)
	t.gate.Unlock()
	t.writing.Wait()
	err = errors.Join(<-done, t.stopAnchoring(), t.out.Close(), t.lock.Close())
	if err != nil {
		return fmt.Errorf("close the audit trail: %w", err)
	}
	return nil
}

// ID names the trail; every checkpoint of it carries the name.
func (t *Trail) ID() string { return t.id }

// Count returns how many records are on the disk.
func (t *Trail) Count() uint64 { return t.end().count }

func (t *Trail) end() tail {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tail
}
