package mongo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/store"
)

// checkUnits looks for units that nobody ends.
func (c *checker) checkUnits(ctx context.Context) error {
	var open []unitDoc
	if err := c.findAll(ctx, units, bson.M{"o": true}, nil, &open); err != nil {
		return err
	}
	for i := range open {
		u := &open[i]
		u.Members = append([]string{}, u.Members...) // of a damaged one there may be none
		f := store.Finding{Kind: store.FoundOpenUnit, What: "unit " + u.ID, Young: c.young(u.At), Detail: fmt.Sprintf("of %d resources, %s", len(u.Members), statusText(u.Status))}
		if err := c.mend(ctx, f, func(ctx context.Context) (bool, error) { return c.ended(ctx, u) }); err != nil {
			return err
		}
	}
	return nil
}

// ended ends a unit, and says whether it is.
func (c *checker) ended(ctx context.Context, u *unitDoc) (bool, error) {
	if err := c.endUnit(ctx, u); err != nil {
		return false, err
	}
	open, err := c.isOpen(ctx, u.ID)
	return err == nil && !open, err
}

func statusText(status string) string {
	switch status {
	case committed:
		return "committed and not carried out"
	case aborted:
		return "aborted and not taken back"
	}
	return "not decided"
}

// A chunkMark is a chunk without its data.
type chunkMark struct {
	ID string `bson:"_id"`
	At int64  `bson:"at"`
}

// checkChunks looks for parts of contents that nobody refers to.
func (c *checker) checkChunks(ctx context.Context) error {
	return c.each(ctx, chunks, bson.M{"at": 1}, func(ctx context.Context, page func(any) error) error {
		var marks []chunkMark
		if err := page(&marks); err != nil || len(marks) == 0 {
			return err
		}
		owners := map[string][]chunkMark{}
		var order []string
		for _, m := range marks {
			owner := m.ID
			if i := strings.LastIndexByte(m.ID, '/'); i >= 0 {
				owner = m.ID[:i]
			}
			if owners[owner] == nil {
				order = append(order, owner)
			}
			owners[owner] = append(owners[owner], m)
		}
		for _, owner := range order {
			if err := c.checkOwner(ctx, owner, owners[owner]); err != nil {
				return err
			}
		}
		return nil
	})
}

// checkOwner looks for the document that refers to some chunks, and to how many.
func (c *checker) checkOwner(ctx context.Context, owner string, marks []chunkMark) error {
	of, filter := versions, bson.M{"_id": strings.TrimPrefix(owner, "v/")}
	if nonce, ok := strings.CutPrefix(owner, "log/"); ok {
		of, filter = logs, bson.M{"cn": nonce}
	}
	var docs []struct {
		Chunks int `bson:"c"`
	}
	err := c.findAll(ctx, of, filter, bson.M{"c": 1}, &docs)
	if errors.Is(err, store.ErrDamaged) {
		return nil // how many it has nobody can tell; see checkStrays
	}
	if err != nil {
		return err
	}
	count := 0
	if len(docs) > 0 {
		count = docs[0].Chunks
	}
	var stale []string
	until := int64(0)
	f := store.Finding{Kind: store.FoundStaleChunk, What: owner}
	for _, m := range marks {
		if n := strings.LastIndexByte(m.ID, '/'); n >= 0 && len(docs) > 0 && m.ID < chunkID(owner, count) {
			continue
		}
		stale, until = append(stale, m.ID), max(until, m.At)
		f.Young = f.Young || c.young(m.At)
	}
	if len(stale) == 0 {
		return nil
	}
	if f.Detail = fmt.Sprintf("%d parts of nothing", len(stale)); len(docs) > 0 { // which may have lost their number
		f.Detail = fmt.Sprintf("%d parts more than it says", len(stale))
		return c.mend(ctx, f, nil)
	}
	return c.mend(ctx, f, func(ctx context.Context) (bool, error) {
		// One that does not say when it was written is nobody's who writes here.
		old := bson.A{bson.M{"at": bson.M{"$lte": until}}, bson.M{"at": nil}}
		_, err := c.persist(ctx, "remove parts", func(ctx context.Context) error {
			_, err := c.coll(chunks).DeleteMany(ctx, bson.M{"_id": bson.M{"$in": stale}, "$or": old})
			return err
		})
		if err != nil {
			return false, err
		}
		var left []chunkMark
		err = c.findAll(ctx, chunks, bson.M{"_id": bson.M{"$in": stale}}, bson.M{"at": 1}, &left)
		return err == nil && len(left) == 0, err
	})
}

// checkPlaces looks whether batches and positions stand under the names that they
// should: no reader finds one that does not.
func (c *checker) checkPlaces(ctx context.Context) error {
	misplaced := func(of collection, id string) {
		name, _ := decode(id)
		c.report(store.Finding{Kind: store.FoundDamaged, What: fmt.Sprintf("%s %q", of.name, name), Detail: "it is not what its name says"})
	}
	err := c.each(ctx, logs, bson.M{"s": 1, "f": 1, "e": 1}, func(_ context.Context, page func(any) error) error {
		var docs []batchDoc
		if err := page(&docs); err != nil {
			return err
		}
		for _, d := range docs {
			if stream, ok := decode(d.Stream); !ok || d.ID != batchID(stream, d.First) || d.First < 1 || d.Last < d.First {
				misplaced(logs, d.ID)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	ends := map[string]int64{}
	return c.each(ctx, positions, nil, func(ctx context.Context, page func(any) error) error {
		var docs []positionDoc
		if err := page(&docs); err != nil {
			return err
		}
		for _, d := range docs {
			stream, ok := decode(d.Stream)
			reader, also := decode(d.Reader)
			if !ok || !also || d.ID != positionID(stream, reader) || d.Seq < 0 {
				misplaced(positions, d.ID)
				continue
			}
			if err := c.checkPosition(ctx, stream, reader, d.Seq, ends); err != nil {
				return err
			}
		}
		return nil
	})
}

// checkPosition compares where a reader stands with the end of the stream: nobody has
// read what was not there. ends are those of streams, as they were found so far.
func (c *checker) checkPosition(ctx context.Context, stream, reader string, seq int64, ends map[string]int64) error {
	if seq <= ends[stream] {
		return nil
	}
	end, err := c.reachOf(ctx, stream) // after the position: it may have grown
	if err != nil || seq <= end {
		ends[stream] = end
		return err
	}
	c.report(store.Finding{
		Kind: store.FoundDamaged, What: fmt.Sprintf("position %q", stream+"/"+reader),
		Detail: fmt.Sprintf("it stands at %d, its stream ends at %d", seq, end),
	})
	return nil
}

// checkStreams looks at every batch of every stream.
func (c *checker) checkStreams(ctx context.Context) error {
	names, err := c.streamNames(ctx, "", 0)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := c.checkStream(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) checkStream(ctx context.Context, name string) error {
	what := fmt.Sprintf("stream %q", name)
	next, limit := int64(1), int64(4)
	for after := int64(0); ; {
		var docs []bson.Raw
		err := c.retry(ctx, "read a stream", func(ctx context.Context) error {
			docs = nil
			cur, err := c.coll(logs).Find(ctx, bson.M{"s": encode(name), "e": bson.M{"$gt": after}},
				options.Find().SetSort(bson.D{{Key: "s", Value: 1}, {Key: "e", Value: 1}}).SetLimit(limit))
			if err != nil {
				return err
			}
			return cur.All(ctx, &docs)
		})
		if err != nil || len(docs) == 0 {
			return err
		}
		largest := 1
		for _, raw := range docs {
			var d batchDoc
			if err := bson.Unmarshal(raw, &d); err != nil {
				d = batchDoc{}
				d.First, _ = raw.Lookup("f").AsInt64OK()
				d.Last, _ = raw.Lookup("e").AsInt64OK() // it is a number: by it the batch was found
				c.report(store.Finding{Kind: store.FoundDamaged, What: what, Detail: fmt.Sprintf("the entries %d to %d cannot be read: %v", d.First, d.Last, err)})
				if d.Last <= after { // no whole number: what follows nobody can ask for
					return nil
				}
				next = max(next, d.Last+1)
			} else if err := c.checkBatch(ctx, name, what, &d, &next); err != nil {
				return err
			}
			after = d.Last
			size := 0
			for _, b := range d.Data {
				size += len(b)
			}
			largest = max(largest, size)
		}
		limit = max(1, min(int64(stretchBytes/largest), 2*limit, checkedAtOnce))
	}
}

// checkBatch compares a batch with its checksum, and its numbers with what came
// before.
func (c *checker) checkBatch(ctx context.Context, name, what string, d *batchDoc, next *int64) error {
	if d.First > *next {
		c.report(store.Finding{Kind: store.FoundGap, What: what, Detail: fmt.Sprintf("it lacks the entries %d to %d", *next, d.First-1)})
	}
	if _, err := c.openBatch(ctx, *d, name); err != nil {
		if !errors.Is(err, store.ErrDamaged) {
			return err
		}
		c.report(store.Finding{Kind: store.FoundDamaged, What: what, Detail: fmt.Sprintf("the entries %d to %d are not what was written", d.First, d.Last)})
	}
	if d.First < *next || d.ID != batchID(name, d.First) {
		c.report(store.Finding{Kind: store.FoundDamaged, What: what, Detail: fmt.Sprintf("the entries %d to %d do not stand at their place", d.First, d.Last)})
	}
	c.looked(int(max(0, d.Last+1-max(*next, d.First))))
	*next = max(*next, d.Last+1)
	return nil
}
