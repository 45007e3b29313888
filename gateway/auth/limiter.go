package auth

import (
	"context"
	"net/http"
	"time"
)

// A Limiter counts attempts of clients to authenticate: package limit. Whoever has
// proven nothing spends from its own address and from no client's. What is counted is
// counted before anybody learns how it was judged, so that many attempts at once get no
// further than one after the other.
type Limiter interface {
	// Admit takes one attempt from an address, and refuses one that has asked too often
	// without proving anything. settle gives it back if the attempt proved a name; it is
	// called exactly once.
	Admit(ctx context.Context, source string) (settle func(proven bool), err error)
	// Proven counts a request of a client that has proven its name, and may refuse it.
	Proven(ctx context.Context, client string) error
	// Locked says whether the address has guessed too often at the client's secret.
	Locked(ctx context.Context, client, source string) (wait time.Duration, locked bool, err error)
	// Turn waits until this process judges no other secret of the client from the
	// address. done lets the next one in.
	Turn(ctx context.Context, client, source string) (done func(), err error)
	// Failed counts a wrong secret, within a turn, and says whether it is the one that
	// locks. Where the address was locked by then it is [LockedOut].
	Failed(ctx context.Context, client, source string) (locks bool, err error)
	// Succeeded ends the count. Where the address was locked by then it is [LockedOut].
	Succeeded(ctx context.Context, client, source string) error
}

// LockedOut refuses a client at an address that has guessed too often.
func LockedOut(wait time.Duration) *Refusal {
	return &Refusal{Status: http.StatusTooManyRequests, Code: codeTooMany, Description: "too many failed attempts from this address; try again later", Reason: "client-locked", RetryAfter: wait}
}

// limited puts the limits around an attempt. A failure is counted against the
// address alone; what a client has proven, against the client alone.
func (n *Authenticator) limited(ctx context.Context, a *Attempt, attempt func() (*Authenticated, error)) (*Authenticated, error) {
	l := n.o.Limiter
	if l == nil {
		return attempt()
	}
	settle, err := l.Admit(ctx, a.Source)
	if err != nil {
		return nil, err
	}
	proven := false
	defer func() { settle(proven) }()
	got, err := attempt()
	if proven = err == nil && got.Proven(); !proven {
		return got, err
	}
	return got, l.Proven(ctx, got.client.ID)
}

// guessed puts the lock around the comparison of a secret. One is compared at a time,
// and the next when it was counted if it was wrong: so nobody learns of more guesses
// than the lock lets through, however many come at once. A client that has a key cannot
// be guessed at, and so cannot be locked out.
func (n *Authenticator) guessed(ctx context.Context, id string, a *Attempt, compare func() error) error {
	l := n.o.Limiter
	if l == nil {
		return compare()
	}
	if err := n.inTurn(ctx, id, a, compare); err != nil {
		return err
	}
	// Another process may have counted the last guess meanwhile.
	return l.Succeeded(ctx, id, a.Source)
}

func (n *Authenticator) inTurn(ctx context.Context, id string, a *Attempt, compare func() error) error {
	done, err := n.o.Limiter.Turn(ctx, id, a.Source)
	if err != nil {
		return err
	}
	defer done()
	wrong := compare()
	if wrong == nil {
		return nil
	}
	if a.Locked, err = n.o.Limiter.Failed(ctx, id, a.Source); err != nil {
		return err
	}
	return wrong
}

// unlocked refuses a client at an address that is locked out.
func (n *Authenticator) unlocked(ctx context.Context, id, source string) error {
	if n.o.Limiter == nil {
		return nil
	}
	wait, locked, err := n.o.Limiter.Locked(ctx, id, source)
	if err != nil || !locked {
		return err
	}
	return LockedOut(wait)
}
