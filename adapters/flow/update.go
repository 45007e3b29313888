package flow

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/handoff-health/handoff/mappings"
)

// OutcomeOf is the outcome of a record that says what changes (Result.Partial),
// by the most that it does to one of its resources.
func OutcomeOf(c mappings.Change, known bool) Outcome {
	switch {
	case !known:
		return Created
	case c == mappings.Different:
		return Updated
	case c == mappings.Known:
		return Duplicate
	}
	return Superseded
}

// Sealing is what a record that says what changes restricts beyond the labels in
// its slots: a seal without any label. No later message lifts it.
func Sealing(res *mappings.Result) Restrictions {
	if res.Action != mappings.Seal {
		return 0
	}
	return OfResult(res)
}

// Merge puts a resource together with what is known of it: x becomes what both
// come to, restricted as r says. next is what is known then.
func Merge(x *mappings.Resource, known mappings.Slots, r Restrictions) (next mappings.Slots, c mappings.Change, err error) {
	next, raw, c, err := known.Update(x.Type, x.ID, x.Slots)
	if err == nil && r != 0 {
		raw, err = Restrict(x.Type, raw, r)
	}
	if err != nil {
		return nil, c, fmt.Errorf("putting a %s together: %w", x.Type, err)
	}
	Become(x, raw)
	return next, c, nil
}

// Become gives a resource another content.
func Become(x *mappings.Resource, raw []byte) { x.Raw, x.Digest = raw, Digest(raw) }

// Digest is the digest of a resource, as Resource.Digest has it.
func Digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}
