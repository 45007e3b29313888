package sqlite

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/store"
)

// claimList writes what a write claims as its head says it.
func claimList(w *store.Write) string {
	if w.Deleted || len(w.Claims) == 0 {
		return ""
	}
	return claimText(w.Claims)
}

func claimText(claims []string) string {
	var list []string
	for _, c := range slices.Compact(slices.Sorted(slices.Values(claims))) {
		list = append(list, strings.ToUpper(hex.EncodeToString([]byte(c))))
	}
	return strings.Join(list, " ")
}

// claimsIn undoes claimText.
func claimsIn(list string) (out []string, err error) {
	for _, text := range strings.Fields(list) {
		c, err := hex.DecodeString(text)
		if err != nil {
			return nil, err
		}
		out = append(out, string(c))
	}
	return out, nil
}

const (
	// heldClaims is what the head of a row should say of its claims.
	heldClaims = `(SELECT coalesce(group_concat(hex(claim), ' ' ORDER BY claim), '') FROM claim WHERE claim.rid = head.rid)`
	// listsClaim is whether a live head says that it makes the claim of a row of claim.
	listsClaim = ` head.deleted = 0 AND instr(' ' || head.claims || ' ', ' ' || hex(claim.claim) || ' ') > 0`
)

// claims compares the claims that a resource holds with those that its head lists, and
// with those of which its record tells.
func (c *checker) claims(s *session, h headRow, rec *store.Record) (out []verdict, err error) {
	drift := func(detail string) verdict {
		return verdict{store.Finding{Kind: store.FoundHeadDrift, What: h.key.String(), Detail: detail}, func(t *txn) (bool, error) {
			n, err := t.change(t.ctx, `UPDATE head SET claims = CASE WHEN deleted THEN '' ELSE `+heldClaims+` END WHERE rid = ? AND version = ?`, h.rid, h.version)
			return n == 1, err
		}}
	}
	if rec.Deleted {
		if h.claims != "" {
			out = append(out, drift("it is deleted, and its head lists claims"))
		}
		return out, nil // those that it holds: see ownerless
	}
	makes, err := claimsIn(h.claims)
	if err != nil {
		return append(out, drift("what its head lists as its claims cannot be read")), nil
	}
	listed := slices.Clone(makes)
	if c.o.Entries != nil && c.o.Claims != nil {
		makes = append(makes, c.o.Claims(rec)...)
	}
	held, err := claimsOf(c.ctx, s, h.rid)
	if err != nil {
		return nil, err
	}
	for _, claim := range slices.Compact(slices.Sorted(slices.Values(makes))) {
		if !slices.Contains(held, claim) {
			v, err := c.lostClaim(s, h, claim)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
	}
	for _, claim := range held {
		if slices.Contains(listed, claim) {
			continue
		}
		// Where another says that it is its own, that is found there.
		var others int
		if _, err := s.one(c.ctx, `SELECT count(*) FROM claim, head WHERE claim.claim = ? AND head.rid <> claim.rid AND`+listsClaim, []any{blob(claim)}, &others); err != nil {
			return nil, err
		}
		if others == 0 {
			out = append(out, drift(fmt.Sprintf("its head does not list a claim that it holds, %d bytes long", len(claim))))
		}
	}
	return out, nil
}

// lostClaim is of a claim that a resource makes and does not hold.
func (c *checker) lostClaim(s *session, h headRow, claim string) (verdict, error) {
	f := store.Finding{Kind: store.FoundLostClaim, What: h.key.String(), Detail: fmt.Sprintf("it does not hold a claim that it makes, %d bytes long", len(claim))}
	found, err := s.one(c.ctx, `SELECT 1 FROM claim WHERE claim = ?`, []any{blob(claim)}, new(int))
	if found {
		f.Detail += "; another holds it"
	}
	return verdict{f, func(t *txn) (bool, error) { return t.takeBack(h, claim) }}, err
}

// takeBack gives a resource a claim that no live one both holds and lists. Whether one
// that does makes it, too, nobody can tell.
func (t *txn) takeBack(h headRow, claim string) (bool, error) {
	if found, err := t.one(t.ctx, `SELECT 1 FROM head WHERE rid = ? AND version = ?`, []any{h.rid, h.version}, new(int)); err != nil || !found {
		return found, err // written meanwhile: with the claims of that write
	}
	n, err := t.change(t.ctx, `INSERT INTO claim (claim, rid) VALUES (?, ?) ON CONFLICT (claim) DO UPDATE SET rid = excluded.rid
		WHERE claim.rid = excluded.rid OR NOT EXISTS (SELECT 1 FROM head WHERE head.rid = claim.rid AND`+listsClaim+`)`, blob(claim), h.rid)
	if err != nil || n != 1 {
		return false, err
	}
	listed, err := t.listedBy(h.rid)
	if err == nil && !slices.Contains(listed, claim) {
		err = t.exec(t.ctx, `UPDATE head SET claims = ? WHERE rid = ?`, claimText(append(listed, claim)), h.rid)
	}
	return err == nil, err
}

func (t *txn) listedBy(rid int64) (listed []string, err error) {
	var list string
	if _, err := t.one(t.ctx, `SELECT claims FROM head WHERE rid = ?`, []any{rid}, &list); err != nil {
		return nil, err
	}
	listed, err = claimsIn(list)
	if err != nil { // found as drift before
		return nil, nil //nolint:nilerr // see above
	}
	return listed, nil
}
