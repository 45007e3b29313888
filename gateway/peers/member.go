package peers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

const (
	factMember = "gateways/at/"
	// enteringFor is how long the entry of one that was killed before it served stands.
	enteringFor = 10 * time.Minute
)

// A Member is one gateway of a store, as it tells of itself.
type Member struct {
	ID       string    `json:"id"`      // of its audit trail
	Name     string    `json:"name"`    // host and address, for people
	Trail    string    `json:"trail"`   // folder of its audit trail, on its host
	Started  time.Time `json:"started"` // by the store's clock
	Heard    time.Time `json:"heard"`   // when it last said something; a gateway alone says nothing
	Stopped  bool      `json:"stopped,omitempty"`
	Entering bool      `json:"entering,omitempty"` // it starts for the first time, and has served nothing: its trail holds nothing of this store
	Instance string    `json:"instance"`           // of this start
	Beat     int64     `json:"beat"`

	version int64
}

// List returns all gateways that enter or have ever served from the store and were not
// forgotten, in order of their ids.
func List(ctx context.Context, facts store.Facts) ([]Member, error) {
	var out []Member
	for after := ""; ; {
		page, err := facts.Scan(ctx, factMember, after, 200)
		if err != nil {
			return nil, fmt.Errorf("gateways of the store: %w", err)
		}
		for _, f := range page {
			after = f.Key
			m, err := parse(f)
			if err != nil {
				return nil, err
			}
			out = append(out, *m)
		}
		if len(page) < 200 {
			return out, nil
		}
	}
}

// Silent says of a member that has not stopped that another was heard of for more than
// a minute after it: it was killed, stands still or cannot reach the store. Of a gateway
// alone nobody can say that.
func (m *Member) Silent(among []Member) bool {
	if m.Stopped {
		return false
	}
	for i := range among {
		o := &among[i]
		if o.ID != m.ID && o.Instance != "" && o.Heard.Sub(m.Heard) > defaultDead { // "": a command's (Note)
			return true
		}
	}
	return false
}

// Note makes a trail known that a command writes, where no gateway has it. The entry of
// a gateway that was killed before it served would go by itself: it is replaced.
func Note(ctx context.Context, facts store.Facts, m Member) error {
	m.Stopped, m.Heard = true, m.Started
	for range tries {
		have, err := read(ctx, facts, m.ID)
		if err == nil && have != nil && !have.Entering {
			return nil
		}
		if err == nil {
			err = put(ctx, facts, &m, have, m.Started)
		}
		if err == nil {
			return nil
		}
		if !faster(err) {
			return fmt.Errorf("gateways of the store: %w", err)
		}
	}
	return errors.New("gateways of the store: another process writes this trail's entry all the time")
}

func read(ctx context.Context, facts store.Facts, id string) (*Member, error) {
	f, err := facts.Get(ctx, factMember+id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parse(f)
}

func parse(f store.Fact) (*Member, error) {
	m := &Member{version: f.Version}
	if err := json.Unmarshal(f.Value, m); err != nil || m.ID != strings.TrimPrefix(f.Key, factMember) {
		return nil, fmt.Errorf("%w: %s: %w", store.ErrDamaged, f.Key, err)
	}
	return m, nil
}

// ErrNoMember says that no gateway has this id.
var ErrNoMember = errors.New("no gateway of this store has the id")

// ErrServes says that a gateway which is to be forgotten was heard of within a minute.
var ErrServes = errors.New("it serves")

// Forget takes a gateway off the list: one that is gone for good. Whoever accounts
// for disclosures is not told of its trail any more. now is the store's clock. One that
// serves is not taken off, since it would come back with its next beat; of one that is
// alone nobody knows it when it has said nothing for a minute.
func Forget(ctx context.Context, facts store.Facts, id string, now time.Time) error {
	m, err := read(ctx, facts, id)
	if err != nil {
		return err
	}
	if m == nil {
		return fmt.Errorf("%w: %s", ErrNoMember, id)
	}
	if since := now.Sub(m.Heard); !m.Stopped && since < defaultDead {
		return fmt.Errorf("%s, %s: %w, it was heard of %v ago; stop it first, or wait a minute if it was killed", m.ID, m.Name, ErrServes, max(since, 0).Round(time.Second))
	}
	return facts.Delete(ctx, factMember+id)
}

// put writes a member's fact in place of the one that was read, nil for none. While it
// enters, the fact expires.
func put(ctx context.Context, facts store.Facts, m, have *Member, now time.Time) error {
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	var expires time.Time
	if m.Entering {
		expires = now.Add(enteringFor)
	}
	if have == nil {
		_, err = facts.PutIfAbsent(ctx, factMember+m.ID, raw, expires)
	} else {
		_, err = facts.CompareAndSet(ctx, factMember+m.ID, have.version, raw, expires)
	}
	return err
}
