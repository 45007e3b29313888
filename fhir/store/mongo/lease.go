package mongo

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

const (
	leaseBeat     = 2 * time.Second  // how often a holder shows that it lives
	leasePatience = 20 * time.Second // how long one that shows nothing is waited for
	leasePoll     = 200 * time.Millisecond
	leaseTold     = 5 * time.Second // how often a wait is told
)

type leaseTimes struct{ beat, patience, poll time.Duration }

// whoAmI names this process for people who wait for it.
func whoAmI() string {
	host, err := os.Hostname()
	if err != nil {
		host = "a host without a name"
	}
	return fmt.Sprintf("process %d on %s", os.Getpid(), host)
}

// errLeaseLost is what a migrating process meets when another took it for dead.
var errLeaseLost = errors.New("another process has taken the migration over")

// A lease lets one process at a time migrate. No clock of another process counts: who
// waits watches, by its own, whether the holder's beat still rises. A holder that was
// taken for dead by mistake finds at its next step that it is none any more.
type lease struct {
	db     *DB
	holder string
}

// underLease does work while it holds the lease, after whoever holds it now.
func (db *DB) underLease(ctx context.Context, work func(context.Context, *lease) error) error {
	l := &lease{db: db, holder: rand.Text()}
	for {
		if err := l.take(ctx); err != nil {
			return err
		}
		err := l.hold(ctx, work)
		if !errors.Is(err, errLeaseLost) {
			return err
		}
	}
}

// take waits until the lease is free, or its holder dead, and takes it.
func (l *lease) take(ctx context.Context) error {
	var seen layoutDoc
	var since, told time.Time
	for {
		doc, err := l.look(ctx)
		if err != nil {
			return err
		}
		if doc.Holder != seen.Holder || doc.Beat != seen.Beat {
			seen, since = doc, time.Now()
		}
		if doc.Holder == "" || time.Since(since) > l.db.wanted.lease.patience {
			taken, err := l.takeFrom(ctx, doc)
			if taken && !told.IsZero() {
				l.db.log.Info("store: the wait is over, this process goes on", "died", doc.Holder != "", "who", doc.who())
			}
			if taken || err != nil {
				return err
			}
			continue
		}
		if time.Since(told) > leaseTold {
			told = time.Now()
			l.db.log.Warn("store: another process makes indexes or brings the database to a new layout; waiting until it is done, or has shown no sign of life for as long as atMost",
				"who", doc.who(), "silent", time.Since(since).Round(time.Millisecond), "atMost", l.db.wanted.lease.patience)
		}
		if !l.db.sleep(ctx, l.db.wanted.lease.poll) {
			return fmt.Errorf("waiting for the process that prepares the database: %w", l.db.stopped(ctx))
		}
	}
}

// who names the holder.
func (d *layoutDoc) who() string { return cmp.Or(d.Who, "a process that does not say who it is") }

func (l *lease) look(ctx context.Context) (doc layoutDoc, err error) {
	err = l.db.read(ctx, "read the layout", func(ctx context.Context) error {
		doc, err = l.db.layout(ctx)
		return err
	})
	return doc, err
}

// takeFrom takes the lease over as it was seen.
func (l *lease) takeFrom(ctx context.Context, seen layoutDoc) (taken bool, err error) {
	err = l.db.retry(ctx, "take the migration's lease", func(ctx context.Context) error {
		res, err := l.db.coll(meta).UpdateOne(ctx,
			bson.D{{Key: "_id", Value: layoutID}, {Key: "holder", Value: seen.Holder}, {Key: "beat", Value: seen.Beat}},
			bson.D{{Key: "$set", Value: bson.D{{Key: "holder", Value: l.holder}, {Key: "beat", Value: seen.Beat + 1}, {Key: "who", Value: whoAmI()}}}})
		if err == nil && res.MatchedCount == 1 {
			taken = true
			return nil
		}
		if err != nil {
			return err
		}
		now, err := l.db.layout(ctx)
		taken = now.Holder == l.holder // a lost answer
		return err
	})
	return taken, err
}

// hold works while it shows that it lives, and gives the lease back.
func (l *lease) hold(ctx context.Context, work func(context.Context, *lease) error) error {
	working, lose := context.WithCancelCause(ctx)
	var beating sync.WaitGroup
	beating.Go(func() {
		for l.db.sleep(working, l.db.wanted.lease.beat) {
			if err := l.change(working, bson.D{{Key: "$inc", Value: bson.D{{Key: "beat", Value: 1}}}}); err != nil {
				lose(err)
			}
		}
	})
	err := work(working, l)
	if cause := context.Cause(working); errors.Is(cause, errLeaseLost) {
		err = cause
	}
	lose(nil)
	beating.Wait()
	if errors.Is(err, errLeaseLost) {
		return err
	}
	back := l.change(context.WithoutCancel(ctx), bson.D{{Key: "$set", Value: bson.D{{Key: "holder", Value: ""}}}})
	if errors.Is(back, errLeaseLost) {
		back = nil // another has it: it is not ours to give back
	}
	return errors.Join(err, back)
}

// read gives the layout, if the lease is still held.
func (l *lease) read(ctx context.Context) (layoutDoc, error) {
	doc, err := l.look(ctx)
	if err == nil && doc.Holder != l.holder {
		err = errLeaseLost
	}
	return doc, err
}

// set changes the layout, if the lease is still held.
func (l *lease) set(ctx context.Context, fields bson.D) error {
	return l.change(ctx, bson.D{{Key: "$set", Value: fields}})
}

// change updates the layout document, if the lease is still held.
func (l *lease) change(ctx context.Context, update bson.D) error {
	return l.db.retry(ctx, "show progress of the migration", func(ctx context.Context) error {
		res, err := l.db.coll(meta).UpdateOne(ctx, bson.D{{Key: "_id", Value: layoutID}, {Key: "holder", Value: l.holder}}, update)
		if err == nil && res.MatchedCount == 0 {
			return errLeaseLost
		}
		return err
	})
}
