package broker

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"time"
)

// The causes with which a flight is ended that nobody waits for any more.
var (
	errNobody = errors.New("nobody waits for the answer")
	errSlow   = errors.New("the answer came too late for everybody")
)

// shareBytes is how much of a flight's entries is held for those who may still
// join, and how far the fastest reader may be ahead of the slowest.
const shareBytes = 512 << 10

// flights joins equal requests that run at the same time.
type flights struct {
	mu   sync.Mutex
	open map[string]*flight
}

// A flight is one request to a system, with one or more readers of its entries.
// Entries that every reader has seen are let go; while any are gone nobody new
// can join.
type flight struct {
	owner  *flights
	key    string
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	change  chan struct{} // closed and replaced at every change
	entries []Entry       // from number first on
	first   int
	bytes   int // held in entries
	readers map[*int]bool
	left    bool // the last reader went
	foreign int  // entries that were not kept
	ended   bool
	err     error
}

// flightKey names equal requests; "" for one that is not shared.
func flightKey(share string, parts ...string) string {
	if share == "" {
		return ""
	}
	for i := range parts {
		parts[i] = url.QueryEscape(parts[i])
	}
	return url.QueryEscape(share) + "&" + strings.Join(parts, "&")
}

// join returns a reader of the running flight with this key, or of a new one.
// The work of a flight runs apart from its first caller's cancellation, no
// longer than timeout, and is cancelled when the last reader has gone. The
// caller must call each.
func (fs *flights) join(ctx context.Context, key string, timeout time.Duration, work func(context.Context, *flight) error) *reader {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.open[key]; f != nil {
		if r := f.reader(); r != nil {
			return r
		}
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	ctx, stop := context.WithTimeout(ctx, timeout)
	f := &flight{owner: fs, key: key, cancel: cancel, change: make(chan struct{}), readers: map[*int]bool{}}
	r := f.reader()
	if key != "" {
		if fs.open == nil {
			fs.open = map[string]*flight{}
		}
		fs.open[key] = f
	}
	go func() {
		f.end(work(ctx, f))
		stop()
		cancel(nil)
	}()
	return r
}

// forget keeps others from joining.
func (fs *flights) forget(f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f.key != "" && fs.open[f.key] == f {
		delete(fs.open, f.key)
	}
}

// A reader is one who waits for a flight.
type reader struct {
	f    *flight
	next int // number of the next entry
}

// reader adds one, or returns nil if the flight cannot be joined any more.
func (f *flight) reader() *reader {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.first > 0 || f.ended || f.left {
		return nil
	}
	r := &reader{f: f}
	f.readers[&r.next] = true
	return r
}

// changed wakes all who wait. The caller holds mu.
func (f *flight) changed() {
	close(f.change)
	f.change = make(chan struct{})
}

// put adds an entry, waiting while too much is held. It returns false when the
// flight is over.
func (f *flight) put(ctx context.Context, e Entry) bool {
	f.mu.Lock()
	for {
		f.trim()
		if f.bytes < shareBytes || len(f.entries) == 0 {
			break
		}
		wait := f.change
		f.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return false
		}
		f.mu.Lock()
	}
	f.entries = append(f.entries, e)
	f.bytes += len(e.Resource.Raw())
	f.changed()
	f.mu.Unlock()
	return ctx.Err() == nil
}

// trim lets entries go that all have read, once much is held.
func (f *flight) trim() {
	if f.bytes < shareBytes {
		return
	}
	least := f.first + len(f.entries)
	for next := range f.readers {
		least = min(least, *next)
	}
	for ; f.first < least; f.first++ {
		f.bytes -= len(f.entries[0].Resource.Raw())
		f.entries[0] = Entry{}
		f.entries = f.entries[1:]
	}
}

// drop counts an entry that is not kept; dropped tells how many.
func (f *flight) drop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.foreign++
}

func (f *flight) dropped() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.foreign
}

func (f *flight) end(err error) {
	f.owner.forget(f)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended, f.err = true, err
	f.changed()
}

// each yields all entries of the flight and returns how it ended. all is false
// when yield ended it.
func (r *reader) each(ctx context.Context, yield func(Entry) bool) (all bool, err error) {
	f := r.f
	why := errNobody
	defer func() { r.leave(why) }()
	f.mu.Lock()
	for {
		for r.next < f.first+len(f.entries) {
			e := f.entries[r.next-f.first]
			r.next++
			if f.bytes >= shareBytes {
				f.changed()
			}
			f.mu.Unlock()
			if !yield(e) {
				return false, nil
			}
			f.mu.Lock()
		}
		if f.ended {
			f.mu.Unlock()
			return true, f.err
		}
		wait := f.change
		f.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) && !errors.Is(context.Cause(ctx), ErrImpatient) {
				why = errSlow
			}
			return true, ctx.Err()
		}
		f.mu.Lock()
	}
}

// leave ends the flight when its last reader goes, and says why.
func (r *reader) leave(why error) {
	f := r.f
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.readers, &r.next)
	if len(f.readers) == 0 && !f.ended {
		f.left = true
		f.cancel(why)
	}
	f.changed()
}
