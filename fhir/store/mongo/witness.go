package mongo

import (
	"context"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A witness says of a first version whether its head ever stood. A create writes the
// version, then the head: so where there is a version and no head, either its writer has
// died in between, and nobody was told of it, or the head is what was lost. What follows
// a first version needs no witness: its writer has seen a head.
type witness uint8

const (
	unsaid witness = iota // by an earlier program, which said nothing; or the field is damaged
	notYet                // it is written; nobody has said since that its head stands
	stood                 // its head stands, or has stood
)

// MarshalBSONValue implements bson.ValueMarshaler: false, true.
func (w witness) MarshalBSONValue() (typ byte, data []byte, err error) {
	t, data, err := bson.MarshalValue(w == stood)
	return byte(t), data, err
}

// UnmarshalBSONValue implements bson.ValueUnmarshaler. What is no boolean says nothing.
func (w *witness) UnmarshalBSONValue(typ byte, data []byte) error {
	yes, ok := bson.RawValue{Type: bson.Type(typ), Value: data}.BooleanOK()
	switch {
	case !ok:
		*w = unsaid
	case yes:
		*w = stood
	default:
		*w = notYet
	}
	return nil
}

// vouch says of the first versions of drafts whose heads can be read by now that their
// heads stood, and lists those that are not there. It changes nothing but documents that
// are there, so that one which comes late brings nothing back.
func (db *DB) vouch(ctx context.Context, ds []*draft) (lost []*draft, err error) {
	ids := make([]string, len(ds))
	for i, d := range ds {
		ids[i] = d.doc.ID
	}
	n, err := db.vouchFor(ctx, ids)
	if err != nil || n == len(ids) {
		return nil, err
	}
	var found []versionRef
	if err := db.findAll(ctx, versions, bson.M{"_id": bson.M{"$in": ids}}, bson.M{"_id": 1}, &found); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(ds), func(d *draft) bool {
		return slices.ContainsFunc(found, func(f versionRef) bool { return f.ID == d.doc.ID })
	}), nil
}

// vouchFor says of versions that their heads stood, and how many of them are there.
func (db *DB) vouchFor(ctx context.Context, ids []string) (there int, err error) {
	if len(ids) == 0 {
		return 0, nil
	}
	_, err = db.persist(ctx, "vouch for versions", func(ctx context.Context) error {
		filter := bson.M{"_id": bson.M{"$in": ids}}
		if len(ids) == 1 {
			filter["_id"] = ids[0]
		}
		res, err := db.coll(versions).UpdateMany(ctx, filter, bson.M{"$set": bson.M{"h": true}})
		if err == nil {
			there = int(res.MatchedCount)
		}
		return err
	})
	return there, err
}
