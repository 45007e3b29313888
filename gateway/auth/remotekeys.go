package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// A Fetcher gets a key set. fresh is how long its owner lets it be kept, 0 not
// at all, negative if the owner does not say.
type Fetcher interface {
	Fetch(ctx context.Context, url string) (body []byte, fresh time.Duration, err error)
}

const (
	defaultFresh = 5 * time.Minute  // for a set whose owner does not say
	maxFresh     = 24 * time.Hour   // however long its owner says
	lookAgain    = 30 * time.Second // between fetches that an unknown kid causes
	retryAfter   = 2 * time.Second  // after a fetch that failed
	fetchTimeout = 5 * time.Second
)

// RemoteKeys is a key set behind a URL, kept as long as its owner allows. It is
// safe for concurrent use; callers that come at once share one fetch.
type RemoteKeys struct {
	url     string
	fetcher Fetcher
	now     func() time.Time
	least   time.Duration // for which a set is kept whatever its owner says
	calls   singleflight.Group

	mu     sync.Mutex
	set    *KeySet
	body   [sha256.Size]byte // hash of what set was read from
	until  time.Time         // set is fresh before
	asked  time.Time         // last fetch that was tried
	failed error             // of that fetch
}

// NewRemoteKeys checks the URL (https, or http to this machine); it fetches
// nothing yet. now nil is time.Now.
func NewRemoteKeys(url string, fetcher Fetcher, now func() time.Time) (*RemoteKeys, error) {
	if err := checkKeySetURL(url); err != nil {
		return nil, err
	}
	if fetcher == nil {
		return nil, errors.New("JWKS URL given, but nothing to fetch it with")
	}
	if now == nil {
		now = time.Now
	}
	return &RemoteKeys{url: url, fetcher: fetcher, now: now}, nil
}

// issuerFresh is how long an issuer's set is kept at least: many say "no-cache", and
// then every token would ask them.
const issuerFresh = time.Minute

// NewIssuerKeys is NewRemoteKeys for the keys of an authorization server.
func NewIssuerKeys(url string, fetcher Fetcher, now func() time.Time) (*RemoteKeys, error) {
	k, err := NewRemoteKeys(url, fetcher, now)
	if err == nil {
		k.least = issuerFresh
	}
	return k, err
}

// URL is where the keys are.
func (k *RemoteKeys) URL() string { return k.url }

// Keys returns the fresh set, fetching it if need be. An unknown kid makes it
// look again, not more often than twice a minute. A set that is no longer fresh
// and cannot be fetched is not used.
func (k *RemoteKeys) Keys(ctx context.Context, kid string) (*KeySet, error) {
	if set, err := k.kept(kid); set != nil || err != nil {
		return set, err
	}
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("keys of %s: %w", k.url, ctx.Err())
	case r := <-k.start(ctx, kid):
		if r.Err != nil {
			return nil, r.Err
		}
		set, _ := r.Val.(*KeySet)
		return set, nil
	}
}

// start fetches the set, or joins a fetch under way. It outlives a caller that goes
// away: others wait for it too.
func (k *RemoteKeys) start(ctx context.Context, kid string) <-chan singleflight.Result {
	return k.calls.DoChan("", func() (any, error) {
		if set, err := k.kept(kid); set != nil || err != nil {
			return set, err // somebody else's fetch ended just now
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		return k.fetch(ctx)
	})
}

// Held returns the set of the last fetch that succeeded, however old, nil if none
// did, and fetches it in the background if it is no longer fresh.
func (k *RemoteKeys) Held() *KeySet {
	if set, err := k.kept(""); set == nil && err == nil {
		k.start(context.Background(), "")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.set
}

// kept returns what can be answered without a fetch.
func (k *RemoteKeys) kept(kid string) (*KeySet, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if k.set != nil && now.Before(k.until) && (kid == "" || k.set.has(kid) || now.Before(k.asked.Add(lookAgain))) {
		return k.set, nil
	}
	if k.failed != nil && now.Before(k.asked.Add(retryAfter)) {
		return nil, k.failed
	}
	return nil, nil
}

func (k *RemoteKeys) fetch(ctx context.Context) (*KeySet, error) {
	// Freshness counts from before the request, as RFC 9111 4.2.3 has it.
	asked := k.now()
	body, fresh, err := k.fetcher.Fetch(ctx, k.url)
	var set *KeySet
	if err == nil {
		set, err = ParseKeySet(body)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked, k.failed = asked, nil
	if err != nil {
		k.failed = fmt.Errorf("keys of %s: %w", k.url, err)
		return nil, k.failed
	}
	if fresh < 0 {
		fresh = defaultFresh
	}
	// The same bytes are the same set: what it has verified stays verified.
	if sum := sha256.Sum256(body); k.set == nil || sum != k.body {
		k.set, k.body = set, sum
	}
	k.until = asked.Add(min(max(fresh, k.least), maxFresh))
	return k.set, nil
}
