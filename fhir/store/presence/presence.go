// Package presence tells who uses a store: it keeps a fact for each process that
// does, renewed while the process lives and gone a minute after it has died.
//
// It turns a process into such a fact, and the facts of a store into a list. It
// keeps nobody out: what to do about somebody who is there is the caller's
// decision. Every command that writes announces itself, and so does who moves a
// store; each asks whether the other is there.
package presence

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// Prefix starts the keys of presence facts. They belong to a store and its moment
// and are never copied to another.
const Prefix = "presence/"

const (
	// lease is how long a process counts as present without a word of it.
	lease = time.Minute
	// renewed is how often it gives one.
	renewed = 20 * time.Second
)

// A Use is what a process does with a store. The zero value writes and lets others write.
type Use struct {
	Reads bool `json:"reads,omitempty"` // it writes nothing but that it is there
	// Alone says that its work is spoilt by whoever writes to the store meanwhile.
	Alone bool `json:"alone,omitempty"`
}

// A Holder is a process that uses a store.
type Holder struct {
	What  string    `json:"what"` // the command, "serve"
	Host  string    `json:"host"`
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
	Use
	// Kernel and Started tell, to who runs under the same kernel, whether it still is
	// the process that wrote this; "" where that cannot be told.
	Kernel  string `json:"kernel,omitempty"`
	Started string `json:"started,omitempty"`
}

func (h Holder) String() string {
	return fmt.Sprintf("'handoff %s' on %s (process %d, since %s)", h.What, h.Host, h.PID, h.Since.UTC().Format(time.RFC3339))
}

// A Lease is this process's own. End it before the store is closed.
type Lease struct {
	facts store.Facts
	now   func() time.Time
	key   string
	value []byte
	stop  context.CancelFunc
	done  sync.WaitGroup
	// around does each renewal.
	around func(renew func())
}

// Announce makes this process known as one that writes to the store, until End. now is
// the store's clock.
func Announce(ctx context.Context, facts store.Facts, now func() time.Time, what string) (*Lease, error) {
	return AnnounceUse(ctx, facts, now, what, Use{}, func(renew func()) { renew() })
}

// AnnounceUse is Announce for what a process does otherwise with the store. around
// does each renewal, which is a write, when it is due.
func AnnounceUse(ctx context.Context, facts store.Facts, now func() time.Time, what string, use Use, around func(renew func())) (*Lease, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "a host without a name"
	}
	h := Holder{What: what, Host: host, PID: os.Getpid(), Since: now().UTC().Truncate(time.Second), Use: use}
	h.Kernel, h.Started = identify(h.PID)
	value, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	l := &Lease{facts: facts, now: now, key: Prefix + rand.Text(), value: value, around: around}
	f, err := facts.PutIfAbsent(ctx, l.key, value, now().Add(lease))
	if err != nil {
		return nil, fmt.Errorf("announce this process to the store: %w", err)
	}
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	l.done.Go(func() { l.renew(renewing, f.Version) })
	return l, nil
}

// renew keeps the fact. A store that fails for a while loses it; then it is made
// anew.
func (l *Lease) renew(ctx context.Context, version int64) {
	tick := time.NewTicker(renewed)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if ctx.Err() != nil { // both, after a renewal that took long
			return
		}
		l.around(func() {
			f, err := l.facts.CompareAndSet(ctx, l.key, version, l.value, l.now().Add(lease))
			if errors.Is(err, store.ErrConflict) {
				f, err = l.facts.PutIfAbsent(ctx, l.key, l.value, l.now().Add(lease))
				if errors.Is(err, store.ErrExists) { // an answer was lost
					f, err = l.facts.Get(ctx, l.key)
				}
			}
			if err == nil {
				version = f.Version
			}
		})
	}
}

// endWithin is how long End waits for the store, in so many looks at it: what a process
// stands still, on a machine that gives it no time, counts as one of them. The store
// had none of that time either.
const (
	endWithin = 5 * time.Second
	endLooks  = 10
)

// End takes the fact away. A nil Lease has none. A store that is away does not give a
// write up that it has begun: it is not waited for longer than endWithin, and the fact
// goes by itself.
func (l *Lease) End() error {
	if l == nil {
		return nil
	}
	l.stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		l.done.Wait()
		ended <- l.facts.Delete(ctx, l.key)
	}()
	tick := time.NewTicker(endWithin / endLooks)
	defer tick.Stop()
	for looks := 0; looks < endLooks; looks++ {
		select {
		case err := <-ended:
			return err
		case <-tick.C:
		}
	}
	return fmt.Errorf("take back that this process uses the store: %w", context.DeadlineExceeded)
}

// Others lists who uses the store now beside this process.
func (l *Lease) Others(ctx context.Context) ([]Holder, error) { return present(ctx, l.facts, l.key) }

// Present lists who uses a store now.
func Present(ctx context.Context, facts store.Facts) ([]Holder, error) {
	return present(ctx, facts, "")
}

// present leaves out the fact under a key.
func present(ctx context.Context, facts store.Facts, without string) ([]Holder, error) {
	const most = 1000
	fs, err := facts.Scan(ctx, Prefix, "", most)
	if err != nil {
		return nil, err
	}
	var out []Holder
	for _, f := range fs {
		if f.Key == without {
			continue
		}
		var h Holder
		if err := json.Unmarshal(f.Value, &h); err != nil {
			h = Holder{What: "?", Host: "a host that cannot be read"}
		}
		if (h.Alone || h.Reads) && h.gone() { // nobody need wait for it
			continue
		}
		out = append(out, h)
	}
	return out, nil
}

// Alone are those whose work is spoilt by whoever else writes.
func Alone(hs []Holder) []Holder {
	return slices.DeleteFunc(slices.Clone(hs), func(h Holder) bool { return !h.Alone })
}

// Names puts holders into one line.
func Names(hs []Holder) string {
	var out []string
	for _, h := range hs {
		out = append(out, h.String())
	}
	return strings.Join(out, ", ")
}
