package signin

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/guard"
)

// Bounds of failures (CJIS AC-7).
const (
	MaxFailures = 5
	MaxWindow   = 15 * time.Minute
	// addressFailures is how many sign-ins may fail from one address in a window:
	// several people sit behind one.
	addressFailures = 4 * MaxFailures
)

const (
	userKey    = "signin/user/"    // + keyed hash of provider and name
	addressKey = "signin/address/" // + keyed hash of the address
)

// failures is what the store keeps of a user or an address.
type failures struct {
	Provider string      `json:"provider,omitempty"`
	Name     string      `json:"name,omitempty"` // of a known user only
	At       []time.Time `json:"at,omitempty"`
	Locked   time.Time   `json:"locked,omitzero"`
}

// recent drops what is older than the window.
func (f *failures) recent(now time.Time, window time.Duration) {
	kept := f.At[:0]
	for _, at := range f.At {
		if now.Sub(at) < window {
			kept = append(kept, at)
		}
	}
	f.At = kept
}

func (s *Server) userKey(p *Provider, name string) string {
	return userKey + hex.EncodeToString(s.keyed("user", p.ID, folded(name)))
}

// change does one compare-and-set of a failures record, as often as others are
// faster. do says whether anything is to be written.
func (s *Server) change(ctx context.Context, key string, do func(*failures) bool) error {
	for range 50 {
		var f failures
		fact, err := s.o.Facts.Get(ctx, key)
		absent := errors.Is(err, store.ErrNotFound)
		if err != nil && !absent {
			return fmt.Errorf("failures: %w", err)
		}
		if !absent {
			if err := json.Unmarshal(fact.Value, &f); err != nil {
				return fmt.Errorf("failures: %w", err)
			}
		}
		f.recent(s.o.Now(), s.o.Window)
		if !do(&f) {
			return nil
		}
		raw, err := json.Marshal(f)
		if err != nil {
			return fmt.Errorf("failures: %w", err)
		}
		ends := s.o.Now().Add(s.o.Window)
		if !f.Locked.IsZero() && f.Name != "" {
			ends = time.Time{} // until an administrator says otherwise
		}
		if absent {
			_, err = s.o.Facts.PutIfAbsent(ctx, key, raw, ends)
		} else {
			_, err = s.o.Facts.CompareAndSet(ctx, key, fact.Version, raw, ends)
		}
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return errors.New("failures: too many at once")
}

// shut says whether nobody signs in as the user, whatever the password.
func (s *Server) shut(f *failures) bool {
	return !f.Locked.IsZero() || len(f.At) >= s.o.Failures
}

// locked says whether the user is locked before a sign-in is judged.
func (s *Server) locked(ctx context.Context, p *Provider, name string) (locked bool, err error) {
	err = s.change(ctx, s.userKey(p, name), func(f *failures) bool {
		locked = s.shut(f) && !guard.Off(guard.SignInLock)
		return false
	})
	return locked, err
}

// right forgets the failures before a sign-in that succeeded. locked: the user was
// locked meanwhile, and it does not count. It is written also where there is nothing
// to forget: a write has its place among the failures, a read may be of before them.
func (s *Server) right(ctx context.Context, p *Provider, name string) (locked bool, err error) {
	err = s.change(ctx, s.userKey(p, name), func(f *failures) bool {
		locked = s.shut(f) && !guard.Off(guard.SignInLock)
		f.At = nil
		return !locked
	})
	return locked, err
}

// wrong counts a sign-in that failed, and locks the user with the last one that is
// allowed, in one step: whoever was locked before is counted no more.
func (s *Server) wrong(ctx context.Context, p *Provider, name string) (locked, locks bool, err error) {
	err = s.change(ctx, s.userKey(p, name), func(f *failures) bool {
		locks = false
		if locked = s.shut(f); locked {
			return false
		}
		f.Provider = p.ID
		if _, known := p.Users.known[folded(name)]; known {
			f.Name = folded(name)
		}
		f.At = append(f.At, s.o.Now())
		if locks = s.shut(f); locks {
			f.Locked = s.o.Now()
		}
		return true
	})
	return locked, locks, err
}

// addressPassed puts a judged password in its place among those from the address,
// whatever the names: a wrong one counts. blocked: too many were wrong before it. A
// right one is written too, so that it is no faster than wrong ones at the same time.
func (s *Server) addressPassed(r *http.Request, right bool) (blocked bool, err error) {
	err = s.change(r.Context(), s.addressKey(r), func(f *failures) bool {
		if blocked = len(f.At) >= addressFailures; !blocked && !right {
			f.At = append(f.At, s.o.Now())
		}
		return !blocked
	})
	return blocked, err
}

// addressBlocked says whether too many sign-ins from this address failed.
func (s *Server) addressBlocked(r *http.Request) (blocked bool, err error) {
	err = s.change(r.Context(), s.addressKey(r), func(f *failures) bool {
		blocked = len(f.At) >= addressFailures
		return false
	})
	return blocked, err
}

// addressFailed counts a failure of an address.
func (s *Server) addressFailed(ctx context.Context, r *http.Request) error {
	return s.change(ctx, s.addressKey(r), func(f *failures) bool {
		f.At = append(f.At, s.o.Now())
		return true
	})
}

func (s *Server) addressKey(r *http.Request) string {
	return addressKey + hex.EncodeToString(s.keyed("address", s.o.Source(r)))
}
