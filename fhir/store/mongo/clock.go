package mongo

import (
	"context"
	"sync/atomic"
	"time"
)

// The processes that share a store go by the server's clock, so that what one of them
// issues has not expired for another whose own clock is minutes off. Between two
// measurements the process's monotonic clock counts: setting the local clock changes
// nothing.
const (
	measureEvery = 30 * time.Second
	measurements = 3 // the one with the shortest round trip counts
	tellSkew     = time.Second
)

// A serverClock is a clock that follows another.
type serverClock struct{ last atomic.Pointer[tick] }

// A tick is one measurement of the server's clock.
type tick struct {
	local  time.Time     // monotonic
	server time.Time     // at that moment
	slack  time.Duration // server is right within ± slack
}

func (r *tick) at(local time.Time) time.Time { return r.server.Add(local.Sub(r.local)).UTC() }

func (c *serverClock) latest() *tick { return c.last.Load() }

func (c *serverClock) now() time.Time { return c.latest().at(time.Now()) }

// set takes a measurement over. One that agrees with the clock as it goes changes
// nothing, so that it does not jump to and fro by the jitter of the network.
func (c *serverClock) set(local, server time.Time, slack time.Duration) {
	if r := c.latest(); r != nil && slack >= r.slack && server.Sub(r.at(local)).Abs() <= slack {
		return
	}
	c.last.Store(&tick{local: local, server: server, slack: slack})
}

// Now implements store.Timekeeper.
func (db *DB) Now() time.Time { return db.now() }

// followServer makes the server's clock the store's.
func (db *DB) followServer(ctx context.Context) error {
	c := &serverClock{}
	if err := db.measure(ctx, c); err != nil {
		return err
	}
	db.clock, db.now = c, c.now
	db.running.Go(func() {
		for db.sleep(db.life, measureEvery) {
			// While the server is away the clock goes on by itself.
			_ = db.measure(db.life, c)
		}
	})
	return nil
}

// measure asks the server for its time a few times.
func (db *DB) measure(ctx context.Context, c *serverClock) error {
	var local, server time.Time
	best := time.Duration(-1)
	for range measurements {
		var h hello
		sent := time.Now()
		err := db.read(ctx, "ask for the server's time", func(ctx context.Context) (err error) {
			sent = time.Now()
			h, err = db.sayHello(ctx)
			return err
		})
		if err != nil {
			return err
		}
		if trip := time.Since(sent); best < 0 || trip < best {
			best, local, server = trip, sent.Add(trip/2), h.LocalTime
		}
	}
	// localTime is in milliseconds, cut off.
	c.set(local, server, best/2+time.Millisecond)
	db.tellSkew(local.Sub(server))
	return nil
}

// tellSkew warns when this machine's clock is off, once for each time it goes off.
func (db *DB) tellSkew(off time.Duration) {
	is := off.Abs() > tellSkew
	if was := db.skewed.Swap(is); is && !was {
		db.log.Warn("store: this machine's clock differs from the server's; the server's is used", "by", off.Round(time.Millisecond))
	}
}
