package mongo

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
)

// Prints implements store.Transferer.
func (db *DB) Prints(ctx context.Context, after store.Key, limit int) ([]store.Print, error) {
	hs, err := db.headsAfter(ctx, after, limit, false, nil)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(hs))
	for i, h := range hs {
		ids[i] = h.ID
	}
	links, sums, err := db.linksOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := make([]store.Print, len(hs))
	for i, h := range hs {
		if out[i].Mark, err = h.mark(); err != nil {
			return nil, fmt.Errorf("%s: %w", db.where(), err)
		}
		chain, err := db.reached(out[i].Key, &h.State, links[h.ID])
		if err != nil { // damaged, or expunged this moment: who reads it whole is told
			continue
		}
		c := newChainSum()
		for _, id := range chain {
			c.add(id, sums[id])
		}
		out[i].Chain = c.sum()
	}
	return out, nil
}

// A chainSum is over the names of a resource's versions, oldest first, and what guards
// their content.
type chainSum struct{ hash.Hash }

func newChainSum() chainSum { return chainSum{sha256.New()} }

func (c chainSum) add(id string, sum int64) { fmt.Fprintf(c, "%s %d\n", id, sum) }

func (c chainSum) sum() (out [sha256.Size]byte) {
	c.Sum(out[:0])
	return out
}

// linksOf reads what all versions of some resources say of their chains, by key and id,
// and their checksums, by id.
func (db *DB) linksOf(ctx context.Context, keys []string) (map[string]map[string]link, map[string]int64, error) {
	var docs []struct {
		Key      string `bson:"k"`
		Version  int64  `bson:"v"`
		Nonce    string `bson:"n"`
		Previous string `bson:"p"`
		Sum      int64  `bson:"sum"`
	}
	if err := db.findAll(ctx, versions, bson.M{"k": bson.M{"$in": keys}}, bson.M{"k": 1, "v": 1, "n": 1, "p": 1, "sum": 1}, &docs); err != nil {
		return nil, nil, err
	}
	out, sums := make(map[string]map[string]link, len(keys)), make(map[string]int64, len(docs))
	for _, d := range docs {
		if out[d.Key] == nil {
			out[d.Key] = map[string]link{}
		}
		id := versionID(d.Key, d.Version, d.Nonce)
		out[d.Key][id], sums[id] = link{d.Version, d.Nonce, d.Previous}, d.Sum
	}
	return out, sums, nil
}

// reached lists the ids of the versions that a state reaches, oldest first.
func (db *DB) reached(k store.Key, top *state, links map[string]link) ([]string, error) {
	out := make([]string, top.Version)
	for version, nonce := top.Version, top.Nonce; version > 0; version-- {
		id := versionID(keyOf(k), version, nonce)
		l, ok := links[id]
		if !ok {
			return nil, fmt.Errorf("%s: %w: %s has lost its version %d", db.where(), store.ErrDamaged, k, version)
		}
		out[version-1], nonce = id, l.Previous
	}
	return out, nil
}
