package mongo

import (
	"context"
	"errors"
	"time"
)

// assure has the version stand of each head that can be read by now, and says of first
// ones that it does. Two kinds may be gone, because the process was halted in between,
// which it may be for hours:
//   - one that was written so long before its head that the sweep may have taken it for
//     an orphan; it is written again without asking.
//   - one of a resource that was not there: another process may have made the resource
//     and expunged it, and an expunge removes all versions that it finds.
func (db *DB) assure(ctx context.Context, ds []*draft) error {
	if err := db.step("standing"); err != nil {
		return err
	}
	var again, made []*draft
	for _, d := range ds {
		switch {
		case time.Since(d.begun)+db.late >= orphanAge/2:
			again = append(again, d)
		case d.first():
			made = append(made, d)
		}
	}
	lost, err := db.vouch(ctx, made)
	if err != nil {
		return err
	}
	if again = append(again, lost...); len(again) > 0 {
		if err := db.writeAgain(ctx, again); err != nil {
			return err
		}
	}
	return db.step("vouched")
}

// first says whether a draft makes a resource that was not there.
func (d *draft) first() bool { return d.was.Version == 0 }

// writeAgain writes versions that may be gone. Nobody vouches for them before it is
// known that their heads reach them.
func (db *DB) writeAgain(ctx context.Context, ds []*draft) error {
	docs := make([]*versionDoc, len(ds))
	for i, d := range ds {
		docs[i] = d.doc
	}
	if err := db.putVersions(ctx, docs); err != nil {
		return err
	}
	if err := db.step("written again"); err != nil {
		return err
	}
	reached, err := db.takeBack(ctx, ds)
	if err != nil {
		return err
	}
	_, err = db.vouch(ctx, reached)
	return err
}

// takeBack removes again what was written again of a resource that was expunged in
// the meantime: an expunge leaves no content. It gives the first versions that stay.
func (db *DB) takeBack(ctx context.Context, ds []*draft) (reached []*draft, err error) {
	for _, d := range ds {
		is, err := db.inChain(ctx, d.key, &d.next)
		switch {
		case errors.Is(err, errBroken): // one above it is to be written again too; the sweep will ask
		case err != nil:
			return nil, err
		case !is:
			if err := db.dropVersions(ctx, []versionRef{d.doc.ref()}); err != nil {
				return nil, err
			}
		case d.first():
			reached = append(reached, d)
		}
	}
	return reached, nil
}
