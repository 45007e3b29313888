package mongo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/store"
)

var _ store.Checker = (*DB)(nil)

// checkedAtOnce is how many documents are looked at together.
const checkedAtOnce = 200

// secondLook is after how long what looks wrong is looked at again: a gateway may be
// between two steps of a write.
const secondLook = 300 * time.Millisecond

// A checker is one run of CheckStore. What it finds wrong it looks at again before it
// says so, and mends by compare-and-set, so that others may use the store meanwhile.
type checker struct {
	*DB
	o           store.CheckOptions
	report      func(store.Finding)
	old         int64 // nanoseconds: what was written after is young
	mended      bool
	done, total int64
	kept        map[string]bool // resources without a head of which nothing may go
}

// CheckStore implements store.Checker.
func (db *DB) CheckStore(ctx context.Context, o store.CheckOptions, found func(store.Finding)) error {
	z, err := db.Sizes(ctx)
	if err != nil && !errors.Is(err, store.ErrDamaged) { // the bar alone needs it
		return err
	}
	c := &checker{DB: db, o: o, report: found, total: z.Resources + z.Facts + z.Entries, old: db.now().Add(-o.YoungAge()).UnixNano(), kept: map[string]bool{}}
	if o.YoungAge() == 0 {
		c.old = math.MaxInt64 // nothing is young, whatever clock its writer went by
	}
	// An intent that is cleared may leave versions without a head: heads come first.
	for _, part := range []func(context.Context) error{
		c.checkCollections, c.checkIndexes, c.checkNames, c.checkUnitForms, c.checkUnits, c.checkHeads, c.checkStrays, c.checkClaims, c.checkChunks, c.checkFacts, c.checkCounters, c.checkPlaces, c.checkStreams,
	} {
		switch err := part(ctx); {
		case errors.Is(err, store.ErrDamaged): // so damaged that this part cannot be looked at
			c.report(store.Finding{Kind: store.FoundDamaged, What: "the database", Detail: err.Error()})
		case err != nil:
			return err
		}
	}
	if c.mended {
		return db.announce(ctx)
	}
	return nil
}

// looked tells of progress.
func (c *checker) looked(n int) {
	if c.done += int64(n); c.o.Progress != nil {
		c.o.Progress(c.done, max(c.done, c.total))
	}
}

// young says whether what was written then may be a writer's who is at work.
func (c *checker) young(at int64) bool { return at > c.old }

// mend puts right what was found, if that is asked for, and reports it. do says
// whether it could; nil cannot.
func (c *checker) mend(ctx context.Context, f store.Finding, do func(context.Context) (bool, error)) error {
	if c.o.Repair && do != nil && !f.Young {
		ok, err := do(ctx)
		if err != nil {
			return fmt.Errorf("mend %s (%s): %w", f.What, f.Kind, err)
		}
		f.Mended = ok
		c.mended = c.mended || ok
	}
	c.report(f)
	return nil
}

// each reads a collection in order of id, a page at a time. A document that cannot be
// read is reported, and left out.
func (c *checker) each(ctx context.Context, of collection, fields bson.M, read func(context.Context, func(any) error) error) error {
	for after := ""; ; {
		var raws []bson.Raw
		err := c.retry(ctx, "read "+of.name, func(ctx context.Context) error {
			raws = nil
			o := options.Find().SetSort(bson.M{"_id": 1}).SetLimit(checkedAtOnce)
			if fields != nil {
				o.SetProjection(fields)
			}
			cur, err := c.coll(of).Find(ctx, bson.M{"_id": bson.M{"$gt": after}}, o)
			if err != nil {
				return err
			}
			return cur.All(ctx, &raws)
		})
		if err == nil {
			err = read(ctx, func(out any) error { c.decode(of, raws, out); return nil })
		}
		if err != nil || len(raws) < checkedAtOnce {
			return err
		}
		after = nameOf(raws[len(raws)-1])
	}
}

func nameOf(raw bson.Raw) string {
	id, _ := raw.Lookup("_id").StringValueOK()
	return id
}

// decode appends the documents that can be read to a slice.
func (c *checker) decode(of collection, raws []bson.Raw, out any) {
	list := reflect.ValueOf(out).Elem()
	for _, raw := range raws {
		doc := reflect.New(list.Type().Elem())
		if err := bson.Unmarshal(raw, doc.Interface()); err != nil {
			id, _ := decode(nameOf(raw))
			c.report(store.Finding{Kind: store.FoundDamaged, What: fmt.Sprintf("%s %q", of.name, id), Detail: "it cannot be read: " + err.Error()})
			continue
		}
		if why := misformed(of, raw); why != "" {
			id, _ := decode(nameOf(raw))
			c.report(store.Finding{Kind: store.FoundDamaged, What: fmt.Sprintf("%s %q", of.name, id), Detail: why})
			continue
		}
		list.Set(reflect.Append(list, doc.Elem()))
	}
}

// checkFacts looks at each fact's checksum, and whether the counter that gives
// versions is behind.
func (c *checker) checkFacts(ctx context.Context) error {
	var highest int64
	err := c.each(ctx, facts, nil, func(ctx context.Context, page func(any) error) error {
		var docs []factDoc
		if err := page(&docs); err != nil {
			return err
		}
		for _, d := range docs {
			if _, err := c.fact(d); err != nil {
				key, _ := decode(d.ID)
				c.report(store.Finding{Kind: store.FoundDamaged, What: fmt.Sprintf("fact %q", key), Detail: "its checksum does not fit"})
				continue
			}
			highest = max(highest, d.Version)
		}
		c.looked(len(docs))
		return nil
	})
	if err != nil {
		return err
	}
	at, there, err := c.counterAt(ctx, factVersions)
	if err != nil || there && at >= highest {
		return err
	}
	f := store.Finding{Kind: store.FoundCounter, What: "versions of facts", Detail: fmt.Sprintf("a fact has version %d, the counter stands at %d", highest, at)}
	return c.mend(ctx, f, func(ctx context.Context) (bool, error) { return true, c.setCounter(ctx, factVersions, highest) })
}

// checkCounters looks for the epoch's counter. Units have numbers of it.
func (c *checker) checkCounters(ctx context.Context) error {
	var us []unitDoc
	if err := c.findAll(ctx, units, bson.M{"c": bson.M{"$lt": int64(unnumbered)}}, bson.M{"c": 1}, &us); err != nil {
		return err
	}
	var highest int64
	for _, u := range us {
		highest = max(highest, u.Number)
	}
	at, there, err := c.counterAt(ctx, epochs)
	if err != nil || there && at >= highest {
		return err
	}
	// No cache may see a number again that it knows: the clock is far beyond the count.
	f := store.Finding{Kind: store.FoundCounter, What: "the epoch", Detail: fmt.Sprintf("a unit has number %d, the counter stands at %d", highest, at)}
	return c.mend(ctx, f, func(ctx context.Context) (bool, error) {
		return true, c.setCounter(ctx, epochs, max(highest, c.now().UnixMilli()))
	})
}

// counterAt reads a counter; one that is no number is not there.
func (c *checker) counterAt(ctx context.Context, which counter) (n int64, there bool, err error) {
	n, err = c.numberOf(ctx, which)
	if isMissing(err) || errors.Is(err, store.ErrDamaged) {
		return 0, false, nil
	}
	return n, err == nil, err
}

// setCounter makes a counter, or raises it.
func (c *checker) setCounter(ctx context.Context, which counter, n int64) error {
	_, err := c.persist(ctx, "set the counter "+which.name, func(ctx context.Context) error {
		// What is no number may be above all numbers.
		_, err := c.coll(numbers).UpdateOne(ctx, bson.M{"_id": which.name, "n": bson.M{"$not": bson.M{"$type": "number"}}}, bson.M{"$set": bson.M{"n": n}})
		if err == nil {
			_, err = c.coll(numbers).UpdateOne(ctx, bson.M{"_id": which.name}, bson.M{"$max": bson.M{"n": n}}, options.UpdateOne().SetUpsert(true))
		}
		return err
	})
	if err == nil && which == factVersions {
		err = c.RaiseFactVersion(ctx, n)
	}
	return err
}
