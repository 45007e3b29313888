package limit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/guard"
)

// factLock is what is known of a client at an address, both as hashes, since they are
// what a stranger sent: that it is locked out, or how many wrong secrets came. One fact
// is both, so that nothing lies between the last count and the lock.
const factLock = "limit/lock/"

// Values of the fact. An earlier release takes a count for a lock.
const (
	valueLocked = "1"
	valueFailed = "failed " // and how often
)

func hashed(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

func lockKey(client, source string) string {
	return factLock + hashed(client) + "/" + hashed(network(source))
}

// A tally is what the store knows; the zero value is nothing.
type tally struct {
	locked bool
	n      int
	fact   store.Fact
}

func (l *Limits) tally(ctx context.Context, key string) (tally, error) {
	f, err := l.o.Facts.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return tally{}, nil
	}
	if err != nil {
		return tally{}, fmt.Errorf("locks: %w", err)
	}
	if string(f.Value) == valueLocked {
		return tally{locked: !guard.Off(guard.ClientLock), fact: f}, nil
	}
	text, counts := strings.CutPrefix(string(f.Value), valueFailed)
	n, err := strconv.Atoi(text)
	if !counts || err != nil || n < 0 {
		return tally{}, fmt.Errorf("%w: %s", store.ErrDamaged, key)
	}
	return tally{n: n, fact: f}, nil
}

// put writes in the place of what was read; others may have been faster.
func (l *Limits) put(ctx context.Context, key string, t tally, value string, until time.Time) (done bool, err error) {
	if t.fact.Key == "" {
		_, err = l.o.Facts.PutIfAbsent(ctx, key, []byte(value), until)
	} else {
		_, err = l.o.Facts.CompareAndSet(ctx, key, t.fact.Version, []byte(value), until)
	}
	if errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Locked implements auth.Limiter.
func (l *Limits) Locked(ctx context.Context, client, source string) (wait time.Duration, locked bool, err error) {
	t, err := l.tally(ctx, lockKey(client, source))
	if err != nil || !t.locked {
		return 0, false, err
	}
	return l.wait(t), true, nil
}

// wait is how long a lock holds.
func (l *Limits) wait(t tally) time.Duration { return t.fact.Expires.Sub(l.o.Now()) }

// Turn implements auth.Limiter.
func (l *Limits) Turn(ctx context.Context, client, source string) (done func(), err error) {
	return l.turns.take(ctx, lockKey(client, source))
}

// Failed implements auth.Limiter. The last of the failures that are allowed locks;
// every node reads the lock. One that cannot be counted, or noted as the last, is no
// failure but an error: nobody guesses uncounted, and what was counted is forgotten when
// the lock stands. A process that is alone counts the others in its memory.
func (l *Limits) Failed(ctx context.Context, client, source string) (locks bool, err error) {
	key := lockKey(client, source)
	for range shareTries {
		t, err := l.tally(ctx, key)
		if err != nil {
			return false, err
		}
		if t.locked {
			return false, auth.LockedOut(l.wait(t))
		}
		now := l.o.Now()
		// What was counted before there was another gateway counts on, although one may
		// have begun a count meanwhile.
		own, until := l.failures.known(key, now, l.o.Window)
		n := t.n + own + 1
		last := n >= l.o.Failures
		value := valueFailed + strconv.Itoa(n)
		switch {
		case last:
			value, until = valueLocked, now.Add(l.o.Window)
		case l.o.Shared == nil || !l.o.Shared():
			l.failures.add(key, now, l.o.Window)
			return false, nil
		case t.fact.Key != "":
			until = t.fact.Expires
		}
		done, err := l.put(ctx, key, t, value, until)
		if err != nil {
			return false, fmt.Errorf("count a failure: %w", err)
		}
		if done {
			l.failures.forget(key)
			return last, nil
		}
	}
	return false, errors.New("count a failure: others count all the time")
}

// Succeeded implements auth.Limiter: the count begins again. A lock that came meanwhile
// stays.
func (l *Limits) Succeeded(ctx context.Context, client, source string) error {
	key := lockKey(client, source)
	for range shareTries {
		t, err := l.tally(ctx, key)
		switch {
		case err != nil:
			return err
		case t.locked:
			return auth.LockedOut(l.wait(t))
		}
		l.failures.forget(key)
		if t.n == 0 { // most have none: nothing is written for them
			return nil
		}
		done, err := l.put(ctx, key, t, valueFailed+"0", t.fact.Expires)
		switch {
		case err != nil:
			l.o.Logger.Warn("the failures of a client could not be forgotten; they count on", "error", err)
			return nil
		case done:
			return nil
		}
	}
	return nil // others fail there all the time: what they count stays
}

// Unlock lets a client in again wherever it is locked out, and says at how many
// addresses it was.
func (l *Limits) Unlock(ctx context.Context, client string) (int, error) {
	return Unlock(ctx, l.o.Facts, client)
}

// Unlock is [Limits.Unlock] for whoever has no Limits: the command line. What was
// counted goes too.
func Unlock(ctx context.Context, facts store.Facts, client string) (int, error) {
	n := 0
	for {
		page, err := facts.Scan(ctx, factLock+hashed(client)+"/", "", 500)
		if err != nil {
			return n, fmt.Errorf("locks: %w", err)
		}
		if len(page) == 0 {
			return n, nil
		}
		for _, f := range page {
			if err := facts.Delete(ctx, f.Key); err != nil {
				return n, fmt.Errorf("unlock: %w", err)
			}
			if string(f.Value) == valueLocked {
				n++
			}
		}
	}
}
