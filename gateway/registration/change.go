package registration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/auth"
)

// MaxOverlap is how long what a rotation replaced may go on counting.
const MaxOverlap = 30 * 24 * time.Hour

// ErrOperator says that the operator has disabled the client.
var ErrOperator = errors.New("the operator has disabled the client")

// SetDisabled disables a client, or enables it, for every request that starts after
// it returns. Disabling also ends the tokens that were issued, so that they do not
// come back with the client. What the operator disabled only the operator enables:
// ErrOperator.
func (s *Store) SetDisabled(ctx context.Context, id string, st State) error {
	st.At = s.now().UTC()
	raw, err := json.Marshal(st)
	if err != nil {
		return err
	}
	if err := s.put(ctx, factState+id, raw, st.overrules); err != nil {
		return fmt.Errorf("client %s: %w", id, err)
	}
	if err := s.bump(ctx); err != nil {
		return err
	}
	if !st.Disabled {
		return nil
	}
	return auth.EndClient(ctx, s.facts, id, s.now())
}

// overrules refuses a manager's word about what the operator has disabled.
func (st *State) overrules(f store.Fact) error {
	var old State
	if err := json.Unmarshal(f.Value, &old); err != nil {
		return fmt.Errorf("its state: %w", err)
	}
	if old.Disabled && old.Operator && !st.Operator {
		return ErrOperator
	}
	return nil
}

// put writes a fact in the place of what stands there, if over, which judges that,
// lets it: what somebody writes meanwhile is judged too. over nil lets everything.
func (s *Store) put(ctx context.Context, key string, value []byte, over func(store.Fact) error) error {
	for range casTries {
		f, err := s.facts.Get(ctx, key)
		switch {
		case errors.Is(err, store.ErrNotFound):
			_, err = s.facts.PutIfAbsent(ctx, key, value, time.Time{})
		case err == nil && over != nil && over(f) != nil:
			return over(f)
		case err == nil:
			_, err = s.facts.CompareAndSet(ctx, key, f.Version, value, time.Time{})
		}
		if err == nil {
			return nil
		}
		if !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return errors.New("others write the same fact all the time")
}

// replaceProof writes a registration that has another key or secret. Without an
// overlap whoever held the former one has nothing more of it: the tokens that were
// had by it end too.
func (s *Store) replaceProof(ctx context.Context, rec *Record, overlap time.Duration) error {
	if err := s.replace(ctx, rec); err != nil || overlap > 0 {
		return err
	}
	return auth.EndClient(ctx, s.facts, rec.ID, s.now())
}

// RotateSecret gives a registered client a new secret and returns it; the one
// before counts for the overlap. The secret is kept nowhere.
func (s *Store) RotateSecret(ctx context.Context, rec *Record, overlap time.Duration) (secret string, until time.Time, err error) {
	if rec.SecretHash == "" {
		return "", until, refused(codeMetadata, "the client has no secret: its token_endpoint_auth_method is %s", rec.Metadata.AuthMethod)
	}
	secret, hash := auth.NewSecret()
	rec.Retiring, until = s.retire(rec.Retiring, Replaced{SecretHash: rec.SecretHash}, overlap)
	rec.SecretHash = hash
	return secret, until, s.replaceProof(ctx, rec, overlap)
}

// RotateKeys puts another key set, or its URL, in the place of the one before. An
// inline set that is replaced counts for the overlap; behind a URL the client
// itself keeps both for a while.
func (s *Store) RotateKeys(ctx context.Context, rec *Record, jwks json.RawMessage, uri string, overlap time.Duration) (until time.Time, err error) {
	if len(rec.Metadata.JWKS) > 0 {
		rec.Retiring, until = s.retire(rec.Retiring, Replaced{JWKS: rec.Metadata.JWKS}, overlap)
	}
	rec.Metadata.JWKS, rec.Metadata.JWKSURI = jwks, uri
	if _, problems := s.client(rec); len(problems) > 0 {
		return until, problemsError(problems)
	}
	return until, s.replaceProof(ctx, rec, overlap)
}

// retire adds what is replaced to what still counts. At most one former key set and
// one former secret go on: a second rotation in haste ends the first.
func (s *Store) retire(list []Replaced, last Replaced, overlap time.Duration) ([]Replaced, time.Time) {
	now := s.now().UTC()
	var out []Replaced
	for _, r := range list {
		same := (r.SecretHash != "") == (last.SecretHash != "")
		if !same && now.Before(r.Until) {
			out = append(out, r)
		}
	}
	if overlap <= 0 {
		return out, now
	}
	last.Until = now.Add(min(overlap, MaxOverlap))
	return append(out, last), last.Until
}
