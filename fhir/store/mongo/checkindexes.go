package mongo

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
)

// checkCollections looks for collections that are not there. Opening a store makes all of
// them, so that one which lacks was dropped with all that was in it. Making it anew, as
// checkIndexes does, brings nothing back: it is said and not mended.
func (c *checker) checkCollections(ctx context.Context) error {
	var there []string
	err := c.retry(ctx, "list the collections", func(ctx context.Context) (err error) {
		there, err = c.base.ListCollectionNames(ctx, bson.D{})
		return err
	})
	if err != nil {
		return err
	}
	all := []collection{numbers}
	for _, ix := range c.wanted.indexes {
		all = append(all, ix.of)
	}
	slices.SortFunc(all, func(a, b collection) int { return cmp.Compare(a.name, b.name) })
	for _, of := range slices.Compact(all) {
		if slices.Contains(there, of.name) {
			continue
		}
		f := store.Finding{Kind: store.FoundDamaged, What: "the collection " + of.name, Detail: "it is not there: what it held is lost; restore from a backup"}
		if of == facts {
			last, _, err := c.counterAt(ctx, factVersions)
			if err != nil {
				return err
			}
			f.Detail = fmt.Sprintf("it is not there, and the versions of facts that were given out reach to %d: what it held is lost, revocations among it; restore from a backup", last)
		}
		c.report(f)
	}
	return nil
}

// checkIndexes compares the database's indexes with those of the layout.
func (c *checker) checkIndexes(ctx context.Context) error {
	found := map[collection][]foundIndex{}
	for _, ix := range append([]index{{of: numbers}}, c.wanted.indexes...) {
		there, seen := found[ix.of]
		if !seen {
			var err error
			if there, err = c.indexesOf(ctx, ix.of); err != nil {
				return err
			}
			found[ix.of] = there
			c.tellForeign(ix.of, there)
		}
		if ix.name == "" { // none of ours is wanted there
			continue
		}
		if err := c.checkIndex(ctx, ix, there); err != nil {
			return err
		}
	}
	return nil
}

// tellForeign tells of indexes that refuse what the store has to write. Whether they may go
// their owner alone knows.
func (c *checker) tellForeign(of collection, there []foundIndex) {
	for _, f := range there {
		if c.refuses(of, f) {
			c.report(store.Finding{
				Kind: store.FoundForeignIndex, What: of.name + "." + f.Name,
				Detail: fmt.Sprintf("it is %s, none of the store's, and refuses what the store has to write: drop it, with db.getCollection(%q).dropIndex(%q)", f, of.name, f.Name),
			})
		}
	}
}

// checkIndex looks for one index of the layout among those of its collection.
func (c *checker) checkIndex(ctx context.Context, ix index, there []foundIndex) error {
	if slices.ContainsFunc(there, ix.is) {
		return nil
	}
	f := store.Finding{Kind: store.FoundMissingIndex, What: ix.of.name + "." + ix.name, Detail: "it is not there"}
	other := slices.ContainsFunc(there, func(x foundIndex) bool { return x.Name == ix.name })
	if other {
		f.Detail = "its definition is another"
	}
	way := slices.IndexFunc(there, func(x foundIndex) bool { return x.Name != ix.name && describe(x.Keys) == describe(ix.keys) })
	if way >= 0 {
		f.Detail += fmt.Sprintf("; the index %q, %s, may be in its way", there[way].Name, there[way])
	}
	return c.mend(ctx, f, func(ctx context.Context) (bool, error) {
		if other {
			if err := c.coll(ix.of).Indexes().DropOne(ctx, ix.name); err != nil {
				return false, c.explain(err)
			}
		}
		err := c.makeIndexes(ctx, []index{ix})
		if err != nil && way >= 0 && c.inTheWay(ctx, ix) != nil {
			return false, nil // it is: that is said
		}
		return err == nil, err
	})
}
