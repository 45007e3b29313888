package mongo

import (
	"sync"
	"time"
)

const (
	tellAfter = time.Second // what takes longer is told
	tellEvery = 30 * time.Second
)

// telling does work that may take minutes on a large collection. If it takes more than
// a moment the log is told that it is under way, and then that it has ended.
func (db *DB) telling(what string, work func() error) error {
	began, first := time.Now(), tellAfter
	if db.tellAfter > 0 {
		first = db.tellAfter
	}
	stop, told := make(chan struct{}), false
	var watching sync.WaitGroup
	watching.Go(func() {
		timer := time.NewTimer(first)
		defer timer.Stop()
		for {
			select {
			case <-stop:
				return
			case <-timer.C:
			}
			told = true
			db.log.Info("store: under way; on a large collection it takes minutes", "what", what, "since", time.Since(began).Round(time.Millisecond))
			timer.Reset(tellEvery)
		}
	})
	err := work()
	close(stop)
	watching.Wait()
	switch {
	case told && err == nil:
		db.log.Info("store: done", "what", what, "took", time.Since(began).Round(time.Millisecond))
	case told:
		db.log.Warn("store: ended without being done", "what", what, "took", time.Since(began).Round(time.Millisecond))
	}
	return err
}
