package mongo

import (
	"context"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// checkState compares what a head says with its newest version, and its entries with
// its content.
func (c *checker) checkState(ctx context.Context, h *headDoc, k store.Key, newest *store.Record) error {
	if newest == nil {
		return nil
	}
	set := func(f store.Finding, fields bson.M) error {
		if same, err := c.unchanged(ctx, h); err != nil || !same {
			return err
		}
		return c.mend(ctx, f, func(ctx context.Context) (bool, error) {
			done := false // one that was written meanwhile has the state of that write
			_, err := c.persist(ctx, "mend a head", func(ctx context.Context) error {
				res, err := c.coll(heads).UpdateOne(ctx, h.State.at(h.ID), bson.M{"$set": fields})
				done = err == nil && res.MatchedCount == 1
				return err
			})
			return done, err
		})
	}
	updated, err := parseInstant(h.State.Updated)
	if err != nil || !updated.Equal(newest.LastUpdated) || h.State.Deleted != newest.Deleted || h.Type != encode(k.Type) || h.ResourceID != encode(k.ID) {
		f := store.Finding{Kind: store.FoundHeadDrift, What: k.String(), Detail: "its head does not say what its newest version says"}
		fields := bson.M{"u": resource.FormatInstant(newest.LastUpdated), "d": newest.Deleted, "t": encode(k.Type), "i": encode(k.ID)}
		if err := set(f, fields); err != nil {
			return err
		}
	}
	return c.checkEntries(h, k, newest, set)
}

func (c *checker) checkEntries(h *headDoc, k store.Key, newest *store.Record, set func(store.Finding, bson.M) error) error {
	f := store.Finding{Kind: store.FoundIndexDrift, What: k.String()}
	var have, want []string
	foreign := 0
	for _, e := range h.State.Index {
		rest, mine := strings.CutPrefix(e, encode(k.Type)+"|")
		entry, ok := decode(rest)
		if !mine || !ok {
			foreign++
			continue
		}
		have = append(have, entry)
	}
	if !newest.Deleted {
		if c.o.Entries == nil {
			return nil
		}
		var err error
		newest.Index = have
		if want, err = c.o.Entries(newest); err != nil {
			f.Detail = "its content cannot be read"
			c.report(f)
			return nil
		}
	}
	if f.Detail = store.IndexDrift(have, want, foreign); f.Detail == "" {
		return nil
	}
	w := &store.Write{Record: store.Record{Key: k, Index: want, Deleted: newest.Deleted}}
	index := []string{}
	for _, e := range w.Entries() {
		index = append(index, entryOf(k.Type, e))
	}
	return set(f, bson.M{"ix": index})
}
