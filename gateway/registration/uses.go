package registration

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// uses remembers in which hour a use of a client was last written, so that it costs
// one write for a client and an hour.
type uses struct {
	mu   sync.Mutex
	seen map[string]int64
}

const maxSeen = 10_000

// Used notes that a client that has proven its name was here. It is for reviews and
// decides nothing: an error is told and stops nobody. ctx lends its values to
// nothing: the note is not part of the request.
func (s *Store) Used(client string) {
	now := s.now()
	hour := now.Unix() / 3600
	s.uses.mu.Lock()
	fresh := s.uses.seen[client] != hour
	if fresh {
		if len(s.uses.seen) >= maxSeen {
			clear(s.uses.seen)
		}
		s.uses.seen[client] = hour
	}
	s.uses.mu.Unlock()
	if !fresh {
		return
	}
	if err := s.put(context.Background(), factUsed+client, strconv.AppendInt(nil, hour*3600, 10), nil); err != nil {
		s.log.Warn("the last use of a client could not be noted", "client", client, "error", err)
	}
}

// LastUsed says for each client in which hour it was last here.
func (s *Store) LastUsed(ctx context.Context) (map[string]time.Time, error) {
	out := map[string]time.Time{}
	err := s.scan(ctx, factUsed, func(id string, f store.Fact) error {
		n, err := strconv.ParseInt(string(f.Value), 10, 64)
		if err == nil {
			out[id] = time.Unix(n, 0).UTC()
		}
		return err
	})
	return out, err
}
