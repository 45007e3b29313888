package search

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/handoff-health/handoff/fhir/store"
)

// Entries are "param|value"; values longer than maxEntry are cut and end in a
// hash, so that equal values stay equal and prefixes up to the cut stay
// prefixes.

func bound(v string) string {
	if len(v) <= maxEntry {
		return v
	}
	sum := sha256.Sum256([]byte(v))
	return v[:cut(v, maxEntry)] + "\x7f" + hex.EncodeToString(sum[:12])
}

func equal(param, v string) store.Expr {
	return store.Expr{Op: store.Equal, Param: param, Value: bound(v)}
}

func prefix(param, v string) store.Expr {
	if len(v) > maxEntry {
		v = v[:cut(v, maxEntry)]
	}
	return store.Expr{Op: store.Prefix, Param: param, Value: v}
}

// span finds low <= entry <= high among entries of one length; an empty bound
// is open.
func span(param, low, high string) store.Expr {
	if high != "" {
		high += "!" // the store's upper bound is exclusive
	}
	return store.Expr{Op: store.Range, Param: param, Low: low, High: high}
}
