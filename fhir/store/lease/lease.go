package lease

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// ErrLost says that this process does not hold the lease, or cannot be sure that
// it still does.
var ErrLost = errors.New("another process may hold the lease")

// Bounds of a lease that says nothing else.
const (
	DefaultRenew    = 2 * time.Second
	DefaultPatience = 12 * time.Second
)

// Options of a Lease. Facts, Key and Holder are required.
type Options struct {
	Facts store.Facts // the store's own, not a cache of it
	Key   string      // of the lease's fact
	// Holder names this process, by something that one process at a time can have:
	// what a process of the same name held is taken at once, since that has ended.
	Holder string
	Name   string // of the process for people
	// Renew is how often a holder renews and a watcher looks, 0: 2 s; Patience
	// after how long without a change a watcher takes over, 0: 12 s, and never
	// less than four times Renew.
	Renew, Patience time.Duration
	Logger          *slog.Logger // nil: none
}

// A State is what a lease's fact says.
type State struct {
	Holder string    `json:"holder,omitempty"` // "": nobody
	Name   string    `json:"name,omitempty"`
	Term   int64     `json:"term"`            // grows with each taking
	Beat   int64     `json:"beat"`            // grows with each renewal
	Since  time.Time `json:"since,omitzero"`  // of this term, by the clock of who took it: for people
	Nonce  string    `json:"nonce,omitempty"` // of the process and its start
}

// A Lease is one process's part in a lease. It is safe for concurrent use.
type Lease struct {
	o     Options
	nonce string
	now   func() time.Time // with a monotonic reading

	mu    sync.Mutex
	fact  store.Fact // as this process last knew it
	state State
	held  bool
	until time.Time // this process may act, if held
	seen  time.Time // when fact was first seen
}

// New makes a part in a lease and takes nothing.
func New(o Options) (*Lease, error) {
	if o.Facts == nil || o.Key == "" || o.Holder == "" {
		return nil, errors.New("lease: facts, key or holder are missing")
	}
	if o.Renew <= 0 {
		o.Renew = DefaultRenew
	}
	if o.Patience <= 0 {
		o.Patience = DefaultPatience
	}
	o.Patience = max(o.Patience, 4*o.Renew)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Lease{o: o, nonce: rand.Text(), now: time.Now}, nil
}

// Read says who holds a lease; the zero State if nobody ever did.
func Read(ctx context.Context, facts store.Facts, key string) (State, error) {
	f, err := facts.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return State{}, nil
	}
	if err != nil {
		return State{}, fmt.Errorf("lease %s: %w", key, err)
	}
	return parse(f)
}

func parse(f store.Fact) (State, error) {
	var s State
	if err := json.Unmarshal(f.Value, &s); err != nil {
		return s, fmt.Errorf("%w: lease %s: %w", store.ErrDamaged, f.Key, err)
	}
	return s, nil
}

// Check says whether this process may act under the lease now: nil or ErrLost.
func (l *Lease) Check() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held && l.now().Before(l.until) {
		return nil
	}
	return ErrLost
}

// Term is the term in which this process holds the lease, 0 if it does not.
func (l *Lease) Term() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.held || !l.now().Before(l.until) {
		return 0
	}
	return l.state.Term
}

// left is for how long this process may act from now on.
func (l *Lease) left() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until.Sub(l.now())
}

// look reads the fact and notes since when it stands unchanged.
func (l *Lease) look(ctx context.Context) error {
	f, err := l.o.Facts.Get(ctx, l.o.Key)
	if errors.Is(err, store.ErrNotFound) {
		f, err = store.Fact{}, nil
	}
	if err != nil {
		return fmt.Errorf("lease %s: %w", l.o.Key, err)
	}
	var s State
	if f.Key != "" {
		if s, err = parse(f); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen.IsZero() || f.Version != l.fact.Version {
		l.seen = l.now()
	}
	l.fact, l.state = f, s
	return nil
}

// try takes the lease if it is free, this process's own, or was not renewed for
// long enough. It says whether this process holds it now.
func (l *Lease) try(ctx context.Context) (bool, error) {
	if err := l.look(ctx); err != nil {
		return false, err
	}
	l.mu.Lock()
	s, idle := l.state, l.now().Sub(l.seen)
	l.mu.Unlock()
	next := State{Holder: l.o.Holder, Name: l.o.Name, Term: s.Term + 1, Since: time.Now().UTC().Truncate(time.Second), Nonce: l.nonce}
	switch {
	case s.Nonce == l.nonce: // lapsed, and nobody wanted it
		next.Term, next.Beat, next.Since = s.Term, s.Beat+1, s.Since
	case s.Holder == "", s.Holder == l.o.Holder:
	case idle < l.o.Patience:
		return false, nil
	default:
		l.o.Logger.Warn("takes over from a process that does not renew its lease", "lease", l.o.Key, "holder", s.Name, "unchanged", idle.Round(time.Millisecond))
	}
	return l.write(ctx, next)
}

// write puts a state in place of the one last seen. false: another was faster.
func (l *Lease) write(ctx context.Context, next State) (bool, error) {
	raw, err := json.Marshal(next)
	if err != nil {
		return false, err
	}
	l.mu.Lock()
	old := l.fact
	l.mu.Unlock()
	sent := l.now()
	var f store.Fact
	if old.Key == "" {
		f, err = l.o.Facts.PutIfAbsent(ctx, l.o.Key, raw, time.Time{})
	} else {
		f, err = l.o.Facts.CompareAndSet(ctx, l.o.Key, old.Version, raw, time.Time{})
	}
	switch {
	case errors.Is(err, store.ErrExists), errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrNotFound):
		return false, l.lose(ctx)
	case err != nil:
		return false, fmt.Errorf("lease %s: %w", l.o.Key, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fact, l.state, l.seen = f, next, sent
	l.held, l.until = next.Holder != "", sent.Add(l.o.Patience*2/3)
	return l.held, nil
}

// lose notes that the fact is not what this process last wrote.
func (l *Lease) lose(ctx context.Context) error {
	l.mu.Lock()
	l.held = false
	l.mu.Unlock()
	return l.look(ctx)
}

// renew writes the next beat. What cannot be written now is written later, for as
// long as the lease stands.
func (l *Lease) renew(ctx context.Context) error {
	l.mu.Lock()
	next := l.state
	left := l.until.Sub(l.now())
	l.mu.Unlock()
	if left <= 0 {
		return ErrLost
	}
	next.Beat++
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	held, err := l.write(ctx, next)
	switch {
	case err == nil && held:
		return nil
	case err == nil:
		return ErrLost
	}
	l.mu.Lock()
	unchanged := l.state.Nonce == l.nonce && l.held
	l.mu.Unlock()
	if !unchanged {
		return ErrLost
	}
	// Whether it was written is not known: look, so that the next one fits.
	if lookErr := l.look(ctx); lookErr == nil {
		l.mu.Lock()
		l.held = l.state.Nonce == l.nonce
		l.mu.Unlock()
	}
	return l.Check()
}

// releaseWithin is how long a slow store is waited for at the end.
const releaseWithin = 5 * time.Second

// release gives the lease up, so that nobody has to wait.
func (l *Lease) release(ctx context.Context) {
	l.mu.Lock()
	held, s := l.held, l.state
	l.held = false
	l.mu.Unlock()
	if !held || s.Nonce != l.nonce {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseWithin)
	defer cancel()
	if _, err := l.write(ctx, State{Term: s.Term, Beat: s.Beat + 1}); err != nil {
		l.o.Logger.Warn("a lease could not be released; others wait until it lapses", "lease", l.o.Key, "error", err)
	}
}

// Run calls do whenever this process holds the lease, until ctx ends. The context
// of do ends when the lease is lost or may be; Run waits for do to return before
// it tries again. At the end the lease is released.
func (l *Lease) Run(ctx context.Context, do func(ctx context.Context)) {
	defer l.release(ctx)
	told := false
	for ctx.Err() == nil {
		held, err := l.try(ctx)
		switch {
		case err != nil && ctx.Err() == nil && !told:
			told = true
			l.o.Logger.Error("a lease cannot be read or taken; it is tried again", "lease", l.o.Key, "error", err)
		case held:
			told = false
			l.hold(ctx, do)
			continue
		}
		wait(ctx, l.o.Renew)
	}
}

// hold runs do and renews beside it.
func (l *Lease) hold(ctx context.Context, do func(context.Context)) {
	doing, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	// A renewal may hang for longer than the lease stands: a store that is away does
	// not give a write up that it has begun.
	lapse := time.AfterFunc(l.left(), func() { stop(ErrLost) })
	defer lapse.Stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do(doing)
	}()
	tick := time.NewTicker(l.o.Renew)
	defer tick.Stop()
	for {
		select {
		case <-done:
			if ctx.Err() == nil {
				wait(ctx, l.o.Renew)
			}
			return
		case <-ctx.Done():
			<-done
			return
		case <-tick.C:
			if err := l.renew(ctx); err != nil && ctx.Err() == nil {
				l.o.Logger.Warn("a lease is lost", "lease", l.o.Key)
				stop(ErrLost)
				<-done
				return
			}
			lapse.Reset(l.left())
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
