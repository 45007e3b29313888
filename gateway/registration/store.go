package registration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/epoch"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/config"
)

// Keys of facts. A change writes its fact first and the version after it; only
// then is it acknowledged.
const (
	factRegistered = "client/registered/"
	factState      = "client/state/"
	factUsed       = "client/used/"
)

// FactVersion is the fact that says whether a registration has changed. Every request
// reads it.
const FactVersion = "client/version"

const (
	maxRegistered = 2000 // clients that the API registers, all together
	scanPage      = 500
	casTries      = 16
)

// A Record is a client that was registered through the API, as it is kept.
type Record struct {
	ID         string     `json:"id"`
	Created    time.Time  `json:"created"`
	Updated    time.Time  `json:"updated"`
	By         string     `json:"by"` // client that registered it
	Metadata   Metadata   `json:"metadata"`
	SecretHash string     `json:"secretHash,omitempty"`
	Retiring   []Replaced `json:"retiring,omitempty"`

	version int64 // of its fact
}

// Replaced is what a rotation replaced, as it is kept.
type Replaced struct {
	JWKS       json.RawMessage `json:"jwks,omitempty"`
	SecretHash string          `json:"secretHash,omitempty"`
	Until      time.Time       `json:"until"`
}

// A State says of a client, of the configuration or not, whether it is disabled. One
// that is disabled in the configuration stays so.
type State struct {
	Disabled bool      `json:"disabled"`
	Operator bool      `json:"operator,omitempty"` // it was the operator: no manager takes it back
	At       time.Time `json:"at"`
	By       string    `json:"by"` // client or person
	Reason   string    `json:"reason,omitempty"`
}

// ErrChanged says that somebody else changed the registration meanwhile.
var ErrChanged = errors.New("the registration was changed meanwhile")

// A Store keeps registrations in Facts. It is an [auth.Source], and safe for
// concurrent use.
type Store struct {
	facts  store.Facts
	config *config.Config
	now    func() time.Time
	log    *slog.Logger
	uses   uses
}

var _ auth.Source = (*Store)(nil)

// NewStore makes one. now nil is time.Now, log nil nobody's.
func NewStore(facts store.Facts, c *config.Config, now func() time.Time, log *slog.Logger) *Store {
	if now == nil {
		now = time.Now
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Store{facts: facts, config: c, now: now, log: log, uses: uses{seen: map[string]int64{}}}
}

// Version implements auth.Source.
func (s *Store) Version(ctx context.Context) (int64, error) {
	f, err := s.facts.Get(ctx, FactVersion)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(f.Value), 10, 64)
}

// bump puts what was written in force on every node.
func (s *Store) bump(ctx context.Context) error {
	for range casTries {
		f, err := s.facts.Get(ctx, FactVersion)
		switch {
		case errors.Is(err, store.ErrNotFound):
			_, err = s.facts.PutIfAbsent(ctx, FactVersion, []byte("1"), time.Time{})
		case err == nil:
			n, bad := strconv.ParseInt(string(f.Value), 10, 64)
			if bad != nil {
				return fmt.Errorf("version of the registrations: %w", bad)
			}
			_, err = s.facts.CompareAndSet(ctx, FactVersion, f.Version, strconv.AppendInt(nil, n+1, 10), time.Time{})
		}
		if err == nil {
			return nil
		}
		if !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("version of the registrations: %w", err)
		}
	}
	return errors.New("version of the registrations: others change it all the time")
}

// Load implements auth.Source. A registration that the configuration of today no
// longer allows is left out: its client is unknown. It reads the store itself: what a
// request keeps may be older than the version that it has read, and would then stand
// under that version for every request after it.
func (s *Store) Load(ctx context.Context) (auth.Changes, error) {
	ctx = epoch.Unpinned(ctx)
	records, err := s.Records(ctx)
	if err != nil {
		return auth.Changes{}, err
	}
	var out auth.Changes
	for _, rec := range records {
		c, problems := s.client(rec)
		if len(problems) > 0 {
			s.log.Warn("a registered client is out of use: the configuration does not allow it any more", "client", rec.ID, "problem", problems[0].Error())
			continue
		}
		out.Clients = append(out.Clients, c)
	}
	states, err := s.States(ctx)
	if err != nil {
		return auth.Changes{}, err
	}
	out.Disabled = make(map[string]bool, len(states))
	for id, st := range states {
		out.Disabled[id] = st.Disabled
	}
	return out, nil
}

// client turns a record into auth's, with what is wrong with it.
func (s *Store) client(rec *Record) (auth.Client, []auth.Problem) {
	c, err := rec.Metadata.client(s.config, rec.ID)
	if err != nil {
		return c, []auth.Problem{{Reason: err.Error()}}
	}
	if rec.SecretHash != "" {
		c.SecretHashes = []string{rec.SecretHash}
	}
	for _, r := range rec.Retiring {
		c.Retiring = append(c.Retiring, auth.Retiring{JWKS: r.JWKS, SecretHash: r.SecretHash, Until: r.Until})
	}
	return c, append(c.Check(), beyond(s.config, &c)...)
}

// Records returns what the API registered, in order of ids.
func (s *Store) Records(ctx context.Context) ([]*Record, error) {
	var out []*Record
	err := s.scan(ctx, factRegistered, func(id string, f store.Fact) error {
		rec, err := readRecord(f)
		if err != nil { // one that cannot be read lets one client out, not all
			s.log.Error("a registration cannot be read: its client is unknown", "client", id, "error", err)
			return nil
		}
		out = append(out, rec)
		return nil
	})
	return out, err
}

func readRecord(f store.Fact) (*Record, error) {
	rec := &Record{version: f.Version}
	return rec, json.Unmarshal(f.Value, rec)
}

// Record returns one registration, nil if there is none.
func (s *Store) Record(ctx context.Context, id string) (*Record, error) {
	f, err := s.facts.Get(ctx, factRegistered+id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return readRecord(f)
}

// States returns what was disabled, or enabled against the configuration.
func (s *Store) States(ctx context.Context) (map[string]State, error) {
	out := map[string]State{}
	err := s.scan(ctx, factState, func(id string, f store.Fact) error {
		var st State
		if err := json.Unmarshal(f.Value, &st); err != nil {
			return fmt.Errorf("state of client %s: %w", id, err)
		}
		out[id] = st
		return nil
	})
	return out, err
}

// scan goes over all facts of a prefix.
func (s *Store) scan(ctx context.Context, prefix string, visit func(rest string, f store.Fact) error) error {
	for after := ""; ; {
		page, err := s.facts.Scan(ctx, prefix, after, scanPage)
		if err != nil {
			return err
		}
		for _, f := range page {
			if err := visit(strings.TrimPrefix(f.Key, prefix), f); err != nil {
				return err
			}
			after = f.Key
		}
		if len(page) < scanPage {
			return nil
		}
	}
}

// create keeps a new registration.
func (s *Store) create(ctx context.Context, rec *Record) error {
	all, err := s.Records(ctx)
	if err != nil {
		return err
	}
	if len(all) >= maxRegistered {
		return refused(codeMetadata, "%d clients are registered already; delete some", len(all))
	}
	raw, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	f, err := s.facts.PutIfAbsent(ctx, factRegistered+rec.ID, raw, time.Time{})
	if err != nil {
		return err
	}
	rec.version = f.Version
	return s.bump(ctx)
}

// replace keeps a changed registration, if nobody else has changed it: ErrChanged.
func (s *Store) replace(ctx context.Context, rec *Record) error {
	rec.Updated = s.now().UTC()
	raw, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	f, err := s.facts.CompareAndSet(ctx, factRegistered+rec.ID, rec.version, raw, time.Time{})
	if errors.Is(err, store.ErrConflict) {
		return ErrChanged
	}
	if err != nil {
		return err
	}
	rec.version = f.Version
	return s.bump(ctx)
}

// delete ends a registration and every token of the client.
func (s *Store) delete(ctx context.Context, id string) error {
	if err := s.facts.Delete(ctx, factRegistered+id); err != nil {
		return err
	}
	if err := s.bump(ctx); err != nil {
		return err
	}
	if err := auth.EndClient(ctx, s.facts, id, s.now()); err != nil {
		return err
	}
	return errors.Join(s.facts.Delete(ctx, factState+id), s.facts.Delete(ctx, factUsed+id))
}
