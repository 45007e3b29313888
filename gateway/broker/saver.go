package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/handoff-health/handoff/gateway/identity"
)

// errStore is a failure of the gateway's own store, which no system is to blame
// for.
var errStore = errors.New("the id map could not be stored")

// A saver stores the ids of entries before it hands the entries on. While one
// group is being stored the next collects, so that a slow disk costs a few
// commits for a page and not one for each entry.
type saver struct {
	ctx   context.Context
	f     *flight
	queue chan unsaved
	done  chan struct{}
	err   error
}

type unsaved struct {
	entry Entry
	ids   *identity.Batch
}

const saveGroup = 64

func newSaver(ctx context.Context, f *flight) *saver {
	s := &saver{ctx: ctx, f: f, queue: make(chan unsaved, saveGroup), done: make(chan struct{})}
	go s.run()
	return s
}

// add hands one entry over and says whether to go on.
func (s *saver) add(e Entry, ids *identity.Batch) bool {
	select {
	case s.queue <- unsaved{e, ids}:
		return true
	case <-s.done:
		return false
	case <-s.ctx.Done():
		return false
	}
}

// close waits for what was added.
func (s *saver) close() error {
	close(s.queue)
	<-s.done
	return s.err
}

func (s *saver) run() {
	defer close(s.done)
	for u := range s.queue {
		group := []unsaved{u}
		ids := u.ids
	collect:
		for len(group) < saveGroup {
			select {
			case next, ok := <-s.queue:
				if !ok {
					break collect
				}
				group = append(group, next)
				ids.Merge(next.ids)
			default:
				break collect
			}
		}
		if err := ids.Save(s.ctx); err != nil {
			if s.ctx.Err() == nil {
				err = fmt.Errorf("%w: %w", errStore, err)
			}
			s.err = err
			return
		}
		for _, u := range group {
			if !s.f.put(s.ctx, u.entry) {
				return
			}
		}
	}
}
