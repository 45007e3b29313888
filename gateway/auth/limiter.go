package auth

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// A Limiter counts attempts of clients to authenticate: package limit. Whoever has
// proven nothing spends from its own address and from no client's.
type Limiter interface {
	// Admit refuses an address that has asked too often without proving anything.
	Admit(ctx context.Context, source string) error
	// Proven counts a request of a client that has proven its name, and may refuse it.
	Proven(ctx context.Context, client string) error
	// Unproven counts a request that proved nothing.
	Unproven(ctx context.Context, source string)
	// Locked says whether the address has guessed too often at the client's secret.
	Locked(ctx context.Context, client, source string) (wait time.Duration, locked bool, err error)
	// Failed counts a wrong secret, and says whether it was one too many.
	Failed(ctx context.Context, client, source string) (locked bool, err error)
	// Succeeded ends the count.
	Succeeded(client, source string)
}

// limited puts the limits around an attempt. A failure is counted against the
// address alone; what a client has proven, against the client alone.
func (n *Authenticator) limited(ctx context.Context, a *Attempt, attempt func() (*Authenticated, error)) (*Authenticated, error) {
	l := n.o.Limiter
	if l == nil {
		return attempt()
	}
	if err := l.Admit(ctx, a.Source); err != nil {
		return nil, err
	}
	got, err := attempt()
	if err != nil || !got.Proven() {
		l.Unproven(ctx, a.Source)
		return got, err
	}
	return got, l.Proven(ctx, got.client.ID)
}

// guessed puts the lock around a secret. A client that has a key cannot be guessed
// at, and so cannot be locked out.
func (n *Authenticator) guessed(ctx context.Context, id string, a *Attempt, compare func() (*Authenticated, error)) (*Authenticated, error) {
	l := n.o.Limiter
	if l == nil {
		return compare()
	}
	if err := n.unlocked(ctx, id, a.Source); err != nil {
		return nil, err
	}
	got, err := compare()
	if r := (*Refusal)(nil); errors.As(err, &r) {
		now, failed := l.Failed(ctx, id, a.Source)
		if failed != nil {
			return nil, failed
		}
		a.Locked = now
		return nil, r
	}
	if err != nil {
		return nil, err
	}
	// It may have been one of many guesses, which came at once or while this process
	// stood still.
	if err := n.unlocked(ctx, id, a.Source); err != nil {
		return nil, err
	}
	l.Succeeded(id, a.Source)
	return got, nil
}

// unlocked refuses a client at an address that is locked out.
func (n *Authenticator) unlocked(ctx context.Context, id, source string) error {
	wait, locked, err := n.o.Limiter.Locked(ctx, id, source)
	if err != nil || !locked {
		return err
	}
	return &Refusal{Status: http.StatusTooManyRequests, Code: codeTooMany, Description: "too many failed attempts from this address; try again later", Reason: "client-locked", RetryAfter: wait}
}
