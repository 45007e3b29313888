package mongo

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Options of a store. The zero value is usable.
type Options struct {
	Now        func() time.Time // clock of LastUpdated and expiry; nil: the server's, see Now
	SweepEvery time.Duration    // how often what has expired is removed; 1 min if 0, never if negative
	Database   string           // if the URI names none; "handoff" if neither does
	// Existing makes a database that holds no store an error (fs.ErrNotExist), rather
	// than a new store: who only looks leaves nothing behind.
	Existing bool
	// AsIs leaves the indexes of the database as they are, so that CheckStore can tell
	// what is wrong with them. The store must be there, in this program's layout.
	AsIs bool
	// Grace is how long past its expiry a fact stays before the sweep removes it, so
	// that a process whose clock runs ahead forgets nothing too early; 10 min if 0,
	// none if negative.
	Grace  time.Duration
	Logger *slog.Logger // optional
}

// A DB is an open store, safe for concurrent use.
type DB struct {
	client    *driver.Client
	dial      *options.ClientOptions
	base      *driver.Database
	name      string // of the database
	addresses string // of the deployment, for messages; no user, no password
	// replicated says that it is a replica set or a sharded cluster. See hello.
	replicated bool
	now        func() time.Time
	clock      *serverClock // behind now, unless Options.Now was given
	grace      time.Duration
	wanted     blueprint
	log        *slog.Logger

	bumps       bumper
	asks        bumper                   // of the epoch
	sighted     atomic.Pointer[sighting] // of the epoch
	blocks      sync.Map                 // name of a counter to *block
	names       sync.Map                 // "collection.index" to its name, where that is another
	appenders   sync.Map                 // name of a stream to *appender
	chunksSwept atomic.Int64             // until when, by At
	skewed      atomic.Bool              // this machine's clock is off, and that was told
	toldTrying  atomic.Int64             // when tellTrying did, nanoseconds
	extents     memory[string]           // how far from where a search begins it found a page
	plenty      plenty

	life      context.Context // ends with Close
	end       context.CancelFunc
	dying     context.Context // ends closeGrace after, and with it what is under way
	closeOnce sync.Once
	closeErr  error
	running   sync.WaitGroup

	hooks
}

// Open connects to the deployment and brings the database to this program's layout.
// Its error never repeats a password.
func Open(ctx context.Context, uri string, o Options) (*DB, error) {
	return open(ctx, uri, o, thisLayout)
}

func open(ctx context.Context, uri string, o Options, p blueprint) (*DB, error) {
	db, err := dial(uri, o, p)
	if err != nil {
		return nil, err
	}
	if err := db.begin(ctx, o); err != nil {
		_ = db.Close() // the reason for closing counts
		return nil, err
	}
	return db, nil
}

// dial makes a store that has reached no server yet.
func dial(uri string, o Options, p blueprint) (*DB, error) {
	db := &DB{wanted: p, now: o.Now, grace: max(o.Grace, 0), log: o.Logger, asks: bumper{lanes: epochReads}}
	if o.Grace == 0 {
		db.grace = defaultGrace
	}
	if db.log == nil {
		db.log = slog.New(slog.DiscardHandler)
	}
	db.life, db.end = context.WithCancel(context.Background())
	dying, die := context.WithCancel(context.Background())
	db.dying = dying
	context.AfterFunc(db.life, func() { time.AfterFunc(closeGrace, die) })
	if err := db.connect(uri, o); err != nil {
		db.end()
		return nil, err
	}
	return db, nil
}

// begin makes a connected store ready.
func (db *DB) begin(ctx context.Context, o Options) error {
	if err := db.checkServer(ctx); err != nil {
		return err
	}
	if o.Now == nil {
		if err := db.followServer(ctx); err != nil {
			return err
		}
	}
	if err := db.migrate(ctx, o); err != nil {
		return err
	}
	if o.SweepEvery == 0 {
		o.SweepEvery = defaultSweepEvery
	}
	if o.SweepEvery > 0 {
		if err := db.checkRights(ctx); err != nil {
			return err
		}
		db.running.Go(func() { db.sweepEvery(o.SweepEvery) })
	}
	return nil
}

// Close ends the store's own work and its connections. Calls that are under way may
// go on for closeGrace.
func (db *DB) Close() error {
	db.closeOnce.Do(func() {
		db.end()
		db.running.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
		defer cancel()
		db.closeErr = db.client.Disconnect(ctx)
	})
	return db.closeErr
}
