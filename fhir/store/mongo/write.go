package mongo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
)

// errLost says that another writer was faster: look again.
var errLost = errors.New("another writer was faster")

// contestFor is how long a write that always meets faster ones is tried.
const contestFor = time.Minute

// A draft is one write with what its head was and what it is to be.
type draft struct {
	write *store.Write
	index int // in the caller's unit
	key   string
	there bool // the head has a document
	was   state
	next  state
	doc   *versionDoc
	drop  []claimDoc   // claims given up, as they were before
	past  []versionRef // written before the head became another: see renew
	begun time.Time    // before doc was written
}

// newDraft compares what a write expects with its head, nil for none.
func (db *DB) newDraft(w *store.Write, h *headDoc, nonce string) (*draft, error) {
	d := &draft{write: w, key: keyOf(w.Key), was: nothing(), begun: time.Now()}
	if h != nil {
		d.there, d.was = true, h.State
	}
	if err := w.ExpectHead(d.was.Version, d.was.Deleted); err != nil {
		return nil, err
	}
	d.next = db.stateAfter(&d.was, w, nonce)
	if err := d.next.fits(); err != nil {
		return nil, err
	}
	previous := d.was.Nonce
	if d.was.Version == 0 {
		previous = "" // the name is that of an expunge
	}
	var err error
	d.doc, err = newVersion(w, &d.next, previous)
	return d, err
}

func (d *draft) takes() bool { return len(except(d.next.Claims, d.was.Claims)) > 0 }

// record is what the writer gets.
func (d *draft) record() *store.Record {
	rec := d.write.Record
	rec.Version, rec.Index = d.next.Version, d.write.Entries()
	rec.LastUpdated, _ = parseInstant(d.next.Updated) // written by stateAfter
	return &rec
}

// Write implements store.Store.
func (db *DB) Write(ctx context.Context, w store.Write) (*store.Record, error) {
	recs, err := db.Apply(ctx, []store.Write{w})
	if err != nil {
		if we, ok := err.(*store.WriteError); ok { //nolint:errorlint // Apply returns it unwrapped
			return nil, we.Err
		}
		return nil, err
	}
	return recs[0], nil
}

// Apply implements store.Store.
func (db *DB) Apply(ctx context.Context, ws []store.Write) ([]*store.Record, error) {
	if err := store.CheckUnit(ws); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil || len(ws) == 0 {
		return nil, err
	}
	// What has begun ends, whatever ctx says, so that its outcome is known.
	ctx = context.WithoutCancel(ctx)
	ds, err := db.contest(ctx, ws)
	if err != nil {
		return nil, err
	}
	out := make([]*store.Record, len(ws))
	for _, d := range ds {
		out[d.index] = d.record()
	}
	return out, nil
}

// contest tries a unit of work until it is done or cannot be. Whoever is slower than
// another writer tries again: the other has come forward, so somebody always does.
func (db *DB) contest(ctx context.Context, ws []store.Write) ([]*draft, error) {
	begun, pause := time.Now(), time.Millisecond
	for lost := 0; ; lost++ {
		ds, err := db.attempt(ctx, ws, lost)
		var busy *busyError
		met := errors.As(err, &busy)
		switch {
		case !met && !errors.Is(err, errLost):
			return ds, err
		case time.Since(begun) > contestFor:
			return nil, fmt.Errorf("%w: given up after %v: %w", store.ErrConflict, contestFor, err)
		case met:
			if _, err := db.await(ctx, busy.unit, busy.key); err != nil {
				return nil, err
			}
		}
		if !db.sleep(ctx, pause) {
			return nil, db.stopped(ctx)
		}
		pause = min(2*pause, 100*time.Millisecond)
	}
}

// attempt does the writes once, after so many attempts that were lost.
func (db *DB) attempt(ctx context.Context, ws []store.Write, lost int) ([]*draft, error) {
	nonce := newNonce()
	ds, err := db.draftAll(ctx, ws, nonce)
	if err != nil {
		return nil, err
	}
	switch {
	case len(ds) > 1:
		err = db.unit(ctx, nonce, lost, ds)
	case ds[0].takes():
		err = db.solo(ctx, ds[0])
	default:
		err = db.swing(ctx, ds[0])
	}
	var taken *claimTaken
	if errors.As(err, &taken) {
		err = taken.want.draft.failed(taken.public())
	}
	if err != nil {
		return nil, err
	}
	return ds, db.afterwards(ctx, nonce, ds)
}

// afterwards does what is left of writes that can be read already, all of it side by
// side: every process's cache is told, and versions that are gone are written again.
func (db *DB) afterwards(ctx context.Context, nonce string, ds []*draft) error {
	if err := db.step("visible"); err != nil {
		return err
	}
	announced, assured := make(chan error, 1), make(chan error, 1)
	go func() { announced <- db.announce(ctx) }()
	go func() { assured <- db.assure(ctx, ds) }()
	err := db.tidy(ctx, nonce, ds)
	return errors.Join(err, <-announced, <-assured)
}

// tidy fails nowhere but in tests. What it leaves undone counts for nothing, or is done
// by the next who meets it.
func (db *DB) tidy(ctx context.Context, nonce string, ds []*draft) error {
	rolled := true
	if len(ds) > 1 {
		rolled = db.rollAll(ctx, nonce, ds) == nil
		if err := db.step("rolled"); err != nil {
			return err
		}
	}
	if rolled {
		var given []claimDoc
		var past []versionRef
		for _, d := range ds {
			given, past = append(given, d.drop...), append(past, d.past...)
		}
		_ = db.dropClaims(ctx, given)
		_ = db.dropVersions(ctx, past)
	}
	if err := db.step("dropped"); err != nil || len(ds) == 1 || !rolled {
		return err
	}
	_ = db.closeUnit(ctx, nonce)
	return db.step("closed")
}

func (d *draft) failed(err error) error {
	return &store.WriteError{Index: d.index, Key: d.write.Key, Err: err}
}

// announce tells every process's cache that something has changed.
func (db *DB) announce(ctx context.Context) error {
	if _, err := db.bumpEpoch(ctx); err != nil {
		return fmt.Errorf("what was written stands, but may not be seen by every cache yet: %w", err)
	}
	return nil
}

// swing does a write that takes no claims: the version first, then the head by
// compare-and-set.
func (db *DB) swing(ctx context.Context, d *draft) error {
	if err := db.putVersions(ctx, []*versionDoc{d.doc}); err != nil {
		return err
	}
	if err := db.step("version"); err != nil {
		return err
	}
	won := false
	head := newHead(d.write.Key, d.next)
	repeated, err := db.persist(ctx, "write a head", func(ctx context.Context) (err error) {
		won, err = db.replaceHead(ctx, d, head)
		return err
	})
	if err != nil {
		return unknown(err)
	}
	if !won && repeated {
		if won, err = db.reaches(ctx, d.key, &d.next); err != nil {
			return unknown(err)
		}
	}
	if !won {
		_ = db.dropVersions(ctx, []versionRef{d.doc.ref()}) // else the sweep finds it
		return errLost
	}
	return nil
}

// replaceHead puts a head in the place of what a draft found.
func (db *DB) replaceHead(ctx context.Context, d *draft, head *headDoc) (bool, error) {
	if !d.there {
		_, err := db.coll(heads).InsertOne(ctx, head)
		if isDuplicate(err) {
			return false, nil
		}
		return err == nil, err
	}
	res, err := db.coll(heads).ReplaceOne(ctx, d.was.at(d.key), head)
	return err == nil && res.MatchedCount == 1, err
}

// reaches says whether the chain of a head, as it stands now, has a state in it.
func (db *DB) reaches(ctx context.Context, key string, s *state) (bool, error) {
	is, err := db.inChain(ctx, key, s)
	if errors.Is(err, errBroken) { // expunged this moment: nothing is reached
		return false, nil
	}
	return is, err
}

// inChain is reaches where a version that is missing is an error, errBroken.
func (db *DB) inChain(ctx context.Context, key string, s *state) (bool, error) {
	h, err := db.current(ctx, key)
	if err != nil || h == nil || h.State.Version < s.Version {
		return false, err
	}
	nonce, err := db.nonceAt(ctx, key, &h.State, s.Version)
	return nonce == s.Nonce, err
}

// solo does one write that takes claims: the intent is on the head before a claim is
// taken, and its replacement by the new state is the commit. Until then whoever
// wants the claim waits, and whoever has waited long enough removes the intent.
func (db *DB) solo(ctx context.Context, d *draft) error {
	unit := soloUnit(d.next.Nonce)
	if err := db.putVersions(ctx, []*versionDoc{d.doc}); err != nil {
		return err
	}
	if err := db.step("version"); err != nil {
		return err
	}
	err := db.propose(ctx, unit, 0, []*draft{d})
	if err == nil {
		err = db.step("intent")
	}
	if err == nil {
		err = db.takeClaims(ctx, unit, []*draft{d})
	}
	if err == nil {
		err = db.step("claims")
	}
	if err == nil {
		err = db.commitSolo(ctx, unit, d)
	}
	var open *unknownError
	if errors.Is(err, errDied) || errors.As(err, &open) {
		return err
	}
	if err != nil {
		return db.undo(ctx, err, unit, []*draft{d})
	}
	return nil
}

func (db *DB) commitSolo(ctx context.Context, unit string, d *draft) error {
	won := false
	head := newHead(d.write.Key, d.next)
	repeated, err := db.persist(ctx, "write a head", func(ctx context.Context) error {
		res, err := db.coll(heads).ReplaceOne(ctx, bson.M{"_id": d.key, "x.tx": unit}, head)
		won = err == nil && res.MatchedCount == 1
		return err
	})
	if err == nil && !won && repeated {
		won, err = db.reaches(ctx, d.key, &d.next)
	}
	if err != nil {
		return unknown(err)
	}
	if !won {
		return errLost
	}
	return nil
}

// An unknownError is of a write of which it could not be found out in time whether it
// was done.
type unknownError struct{ err error }

func unknown(err error) error { return &unknownError{err} }

func (e *unknownError) Error() string {
	return "it is not known whether it was written: " + e.err.Error()
}
func (e *unknownError) Unwrap() error { return e.err }
