package mongo

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// assure has the version stand of each head that can be read by now. Two kinds may be
// gone, because the process was halted in between, which it may be for hours:
//   - one that was written so long before its head that the sweep may have taken it for
//     an orphan; it is written again without asking.
//   - one of a resource that was not there: another process may have made the resource
//     and expunged it, and an expunge removes all versions that it finds.
func (db *DB) assure(ctx context.Context, ds []*draft) error {
	var again, made []*draft
	for _, d := range ds {
		switch {
		case time.Since(d.begun)+db.late >= orphanAge/2:
			again = append(again, d)
		case !d.there:
			made = append(made, d)
		}
	}
	lost, err := db.lost(ctx, made)
	if err != nil {
		return err
	}
	if again = append(again, lost...); len(again) == 0 {
		return nil
	}
	docs := make([]*versionDoc, len(again))
	for i, d := range again {
		docs[i] = d.doc
	}
	if err := db.putVersions(ctx, docs); err != nil {
		return err
	}
	return db.takeBack(ctx, again)
}

// lost lists those whose version is not there.
func (db *DB) lost(ctx context.Context, ds []*draft) ([]*draft, error) {
	if len(ds) == 0 {
		return nil, nil
	}
	ids := make([]string, len(ds))
	for i, d := range ds {
		ids[i] = d.doc.ID
	}
	there := make(map[string]bool, len(ds))
	_, err := db.persist(ctx, "look for versions", func(ctx context.Context) error {
		c, err := db.coll(versions).Find(ctx, bson.M{"_id": bson.M{"$in": ids}},
			options.Find().SetProjection(bson.M{"_id": 1}).SetBatchSize(int32(len(ids)+1))) //nolint:gosec // a unit is bounded
		if err != nil {
			return err
		}
		var found []versionRef
		if err := c.All(ctx, &found); err != nil {
			return err
		}
		for _, f := range found {
			there[f.ID] = true
		}
		return nil
	})
	var lost []*draft
	for _, d := range ds {
		if !there[d.doc.ID] {
			lost = append(lost, d)
		}
	}
	return lost, err
}

// takeBack removes again what was written again of a resource that was expunged in
// the meantime: an expunge leaves no content.
func (db *DB) takeBack(ctx context.Context, ds []*draft) error {
	for _, d := range ds {
		is, err := db.inChain(ctx, d.key, &d.next)
		if errors.Is(err, errBroken) {
			continue // one above it is to be written again too; the sweep will ask
		}
		if err == nil && !is {
			err = db.dropVersions(ctx, []versionRef{d.doc.ref()})
		}
		if err != nil {
			return err
		}
	}
	return nil
}
