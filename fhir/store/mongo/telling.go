package mongo

import (
	"sync"
	"time"
)

const (
	tellAfter = time.Second // what takes longer is told
	tellEvery = 30 * time.Second
	// tryingEvery is how often it is told that calls do not get through: when a server
	// is away all of them find so.
	tryingEvery = 10 * time.Second
)

func (db *DB) firstTold() time.Duration {
	if db.tellAfter > 0 {
		return db.tellAfter
	}
	return tellAfter
}

// tellTrying says that a call that began then has not got through and is tried again.
func (db *DB) tellTrying(what string, begun time.Time) {
	took, now, last := time.Since(begun), time.Now().UnixNano(), db.toldTrying.Load()
	if took < db.firstTold() || now-last < int64(tryingEvery) || !db.toldTrying.CompareAndSwap(last, now) {
		return
	}
	db.log.Warn("store: no answer yet; still trying", "what", what, "since", took.Round(time.Millisecond))
}

// telling does work that may take minutes on a large collection. If it takes more than
// a moment the log is told that it is under way, and then that it has ended.
func (db *DB) telling(what string, work func() error) error {
	began := time.Now()
	stop, told := make(chan struct{}), false
	var watching sync.WaitGroup
	watching.Go(func() {
		timer := time.NewTimer(db.firstTold())
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
