package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// checkHeads looks at each resource: what stands on its head, its chain of versions,
// its entries, its claims.
func (c *checker) checkHeads(ctx context.Context) error {
	return c.each(ctx, heads, nil, func(ctx context.Context, page func(any) error) (last string, n int, err error) {
		var hs []*headDoc
		if err := page(&hs); err != nil || len(hs) == 0 {
			return "", 0, err
		}
		keys := make([]string, len(hs))
		for i, h := range hs {
			keys[i] = h.ID
		}
		marks, err := c.versionsOf(ctx, keys)
		if err != nil {
			return "", 0, err
		}
		p := &headPage{marks: marks, held: map[string]claimDoc{}}
		if err := c.prefetch(ctx, p, hs); err != nil {
			return "", 0, err
		}
		for _, h := range hs {
			if err := c.checkHead(ctx, h, p); err != nil {
				return "", 0, err
			}
		}
		c.looked(len(hs))
		return hs[len(hs)-1].ID, len(hs), nil
	})
}

// A headPage is what is read together for the heads of a page. What it says is looked
// at again before anything is found wrong.
type headPage struct {
	marks    map[string]map[string]*versionMark
	held     map[string]claimDoc // claims that the heads list, by id
	contents *versionReader      // of the chains of those heads on which nothing stands
}

func (c *checker) prefetch(ctx context.Context, p *headPage, hs []*headDoc) error {
	var ids, plan []string
	for _, h := range hs {
		ids = append(ids, claimIDs(h.State.Claims)...)
		if h.Intent == nil && !h.Expunging {
			chain, _ := walk(h.ID, &h.State, p.marks[h.ID])
			plan = append(plan, chain...)
		}
	}
	p.contents = &versionReader{db: c.DB, plan: plan, loaded: map[string]*versionDoc{}, atOnce: 32}
	if len(ids) == 0 {
		return nil
	}
	var docs []claimDoc
	err := c.findAll(ctx, claims, bson.M{"_id": bson.M{"$in": ids}}, nil, &docs)
	for _, d := range docs {
		p.held[d.ID] = d
	}
	return err
}

// A versionMark is a version document without its content.
type versionMark struct {
	ID       string `bson:"_id"`
	Key      string `bson:"k"`
	Version  int64  `bson:"v"`
	Nonce    string `bson:"n"`
	Previous string `bson:"p"`
	Chunks   int    `bson:"c"`
	At       int64  `bson:"at"`
}

func (m *versionMark) ref() versionRef { return versionRef{ID: m.ID, Chunks: m.Chunks} }

var markFields = bson.M{"k": 1, "v": 1, "n": 1, "p": 1, "c": 1, "at": 1}

// versionsOf reads the marks of all versions of some resources, by key and id.
func (c *checker) versionsOf(ctx context.Context, keys []string) (map[string]map[string]*versionMark, error) {
	var marks []*versionMark
	if err := c.findAll(ctx, versions, bson.M{"k": bson.M{"$in": keys}}, markFields, &marks); err != nil {
		return nil, err
	}
	out := map[string]map[string]*versionMark{}
	for _, m := range marks {
		if out[m.Key] == nil {
			out[m.Key] = map[string]*versionMark{}
		}
		out[m.Key][m.ID] = m
	}
	return out, nil
}

// checkHead looks at one resource.
func (c *checker) checkHead(ctx context.Context, read *headDoc, p *headPage) error {
	marks, contents := p.marks[read.ID], p.contents
	h, err := c.checkStanding(ctx, read, marks)
	if err != nil || h == nil {
		return err
	}
	if read.Intent != nil || read.Expunging { // what it was to be may be an orphan now
		all, err := c.versionsOf(ctx, []string{h.ID})
		if err != nil {
			return err
		}
		marks, contents = all[h.ID], nil
	}
	k, err := h.resource()
	if err != nil {
		return err
	}
	if h.State.Version == 0 {
		if h.Intent != nil {
			return nil
		}
		return c.mend(ctx, store.Finding{Kind: store.FoundOrphan, What: k.String(), Detail: "a head without a version"}, func(ctx context.Context) (bool, error) {
			_, err := c.coll(heads).DeleteOne(ctx, bson.M{"_id": h.ID, "v": int64(0), "x": bson.M{"$exists": false}, "e": bson.M{"$exists": false}})
			return err == nil, err
		})
	}
	chain, lost := walk(h.ID, &h.State, marks)
	if lost > 0 {
		if same, err := c.unchanged(ctx, h); err != nil || !same {
			return err // expunged or written meanwhile
		}
		c.report(store.Finding{Kind: store.FoundLostVersion, What: k.String(), Detail: lostText(lost, h.State.Version, marks)})
	}
	if err := c.checkOrphans(ctx, h, k, chain, lost, marks); err != nil {
		return err
	}
	if contents == nil {
		contents = &versionReader{db: c.DB, plan: chain, loaded: map[string]*versionDoc{}, atOnce: 32}
	}
	newest, err := c.checkContent(ctx, h, k, chain, contents)
	if err != nil {
		return err
	}
	if err := c.checkState(ctx, h, k, newest); err != nil {
		return err
	}
	return c.checkHeld(ctx, h, k, p.held)
}

// checkStanding looks at what stands on a head: an intent whose unit is decided, or
// whose writer is gone; an expunge that was interrupted. Whoever meets one may end
// it. It returns the head to go on with, nil for none.
func (c *checker) checkStanding(ctx context.Context, h *headDoc, marks map[string]*versionMark) (*headDoc, error) {
	f := store.Finding{Kind: store.FoundStaleIntent, What: h.ID}
	switch {
	case h.Expunging:
		f.Detail = "its expunge was begun and not ended"
	case h.Intent != nil:
		if open, err := c.isOpen(ctx, h.Intent.Unit); err != nil || open {
			return h, err // see checkUnits
		}
		if m := marks[versionID(h.ID, h.Intent.State.Version, h.Intent.State.Nonce)]; m != nil {
			f.Young = c.young(m.At)
		}
		f.Detail = "an intent stands on it and nobody ends it"
	default:
		return h, nil
	}
	if same, err := c.stillAfter(ctx, h); err != nil || !same {
		return nil, err
	}
	err := c.mend(ctx, f, func(ctx context.Context) (bool, error) { return true, c.settle(ctx, h) })
	switch {
	case err != nil:
		return nil, err
	case c.o.Repair && !f.Young:
		return c.headOf(ctx, h.ID)
	case h.Expunging:
		return nil, nil
	}
	return h, nil
}

// isOpen says whether there is a unit document that says that intents may stand.
func (c *checker) isOpen(ctx context.Context, unit string) (bool, error) {
	var docs []unitDoc
	err := c.findAll(ctx, units, bson.M{"_id": unit, "o": true}, bson.M{"s": 1}, &docs)
	return len(docs) > 0, err
}

// stillAfter looks at a head again after a while.
func (c *checker) stillAfter(ctx context.Context, h *headDoc) (bool, error) {
	if !c.sleep(ctx, secondLook) {
		return false, ctx.Err()
	}
	return c.unchanged(ctx, h)
}

// unchanged says whether a head is still as it was read.
func (c *checker) unchanged(ctx context.Context, h *headDoc) (bool, error) {
	now, err := c.headOf(ctx, h.ID)
	if err != nil || now == nil {
		return false, err
	}
	unit := func(h *headDoc) string {
		if h.Intent == nil {
			return ""
		}
		return h.Intent.Unit
	}
	return now.State.Nonce == h.State.Nonce && now.State.Version == h.State.Version && now.Expunging == h.Expunging && unit(now) == unit(h), nil
}

// walk follows a state down its versions. lost is the version that lacks, 0 if none;
// chain are the ids from the newest on down to there.
func walk(key string, top *state, marks map[string]*versionMark) (chain []string, lost int64) {
	for version, nonce := top.Version, top.Nonce; version > 0; version-- {
		id := versionID(key, version, nonce)
		m := marks[id]
		if m == nil {
			return chain, version
		}
		chain, nonce = append(chain, id), m.Previous
	}
	return chain, 0
}

func lostText(lost, newest int64, marks map[string]*versionMark) string {
	below := int64(0)
	for _, m := range marks {
		if m.Version < lost {
			below = max(below, m.Version)
		}
	}
	switch {
	case lost == newest:
		return fmt.Sprintf("it has no version %d, which its head names; the newest below it is %d", lost, below)
	case below == lost-1:
		return fmt.Sprintf("it has no version %d", lost)
	}
	return fmt.Sprintf("it has no versions %d to %d", below+1, lost)
}

// checkOrphans looks for versions of a resource that its head does not reach. Below a
// version that is lost nobody can tell, and all are kept.
func (c *checker) checkOrphans(ctx context.Context, h *headDoc, k store.Key, chain []string, lost int64, marks map[string]*versionMark) error {
	reached := map[string]bool{}
	for _, id := range chain {
		reached[id] = true
	}
	if h.Intent != nil {
		reached[versionID(h.ID, h.Intent.State.Version, h.Intent.State.Nonce)] = true
	}
	for _, id := range sortedIDs(marks) {
		m := marks[id]
		if reached[id] || m.Version < lost {
			continue
		}
		f := store.Finding{Kind: store.FoundOrphan, What: k.String(), Detail: fmt.Sprintf("no head reaches a version %d of it", m.Version), Young: c.young(m.At)}
		if same, err := c.unchanged(ctx, h); err != nil || !same {
			return err // the next check will see
		}
		if err := c.mend(ctx, f, func(ctx context.Context) (bool, error) { return c.dropOrphan(ctx, m) }); err != nil {
			return err
		}
	}
	return nil
}

func sortedIDs(marks map[string]*versionMark) []string {
	var ids []string
	for id := range marks {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// dropOrphan removes a version, unless the sweep's own judgement is another.
func (c *checker) dropOrphan(ctx context.Context, m *versionMark) (bool, error) {
	h, err := c.headOf(ctx, m.Key)
	if err != nil {
		return false, err
	}
	orphans, err := c.orphansOf(ctx, m.Key, h, []suspect{{Ref: m.ref(), Key: m.Key, Version: m.Version, Nonce: m.Nonce, At: m.At}})
	if err != nil || len(orphans) == 0 {
		return false, err
	}
	return true, c.dropVersions(ctx, orphans)
}

// checkContent reads what a head reaches and compares it with its checksums. It
// returns the newest version, nil if that is damaged or gone.
func (c *checker) checkContent(ctx context.Context, h *headDoc, k store.Key, chain []string, r *versionReader) (newest *store.Record, err error) {
	for i, id := range chain {
		doc, err := r.next(ctx, id)
		var rec *store.Record
		if err == nil {
			rec, err = c.record(ctx, k, doc)
		}
		if errors.Is(err, store.ErrDamaged) {
			same, again := c.unchanged(ctx, h)
			if again != nil || !same {
				return nil, again // expunged meanwhile
			}
			c.report(store.Finding{Kind: store.FoundDamaged, What: k.String(), Detail: fmt.Sprintf("its version %d is not what was written", h.State.Version-int64(i))})
			if doc == nil {
				return newest, nil
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		if i == 0 && rec.Version == h.State.Version {
			newest = rec
		}
	}
	return newest, nil
}

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
			_, err := c.persist(ctx, "mend a head", func(ctx context.Context) error {
				_, err := c.coll(heads).UpdateOne(ctx, h.State.at(h.ID), bson.M{"$set": fields})
				return err
			})
			return err == nil, err // one that was written meanwhile has the state of that write
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
	f.Detail = store.IndexDrift(have, want)
	if foreign > 0 {
		f.Detail = strings.TrimSuffix(fmt.Sprintf("%d entries that are of no parameter of its type; %s", foreign, f.Detail), "; ")
	}
	if f.Detail == "" {
		return nil
	}
	w := &store.Write{Record: store.Record{Key: k, Index: want, Deleted: newest.Deleted}}
	index := []string{}
	for _, e := range w.Entries() {
		index = append(index, entryOf(k.Type, e))
	}
	return set(f, bson.M{"ix": index})
}

// checkHeld looks whether a resource holds the claims that its head lists.
func (c *checker) checkHeld(ctx context.Context, h *headDoc, k store.Key, held map[string]claimDoc) error {
	holds := func(d claimDoc) bool { return d.Key == h.ID || d.PreviousKey == h.ID }
	for _, claim := range h.State.Claims {
		if holds(held[claimID(claim)]) {
			continue
		}
		if same, err := c.stillAfter(ctx, h); err != nil || !same {
			return err
		}
		var docs []claimDoc
		if err := c.findAll(ctx, claims, bson.M{"_id": claimID(claim)}, nil, &docs); err != nil {
			return err
		}
		if len(docs) > 0 && holds(docs[0]) {
			continue
		}
		text, _ := decode(claim)
		f := store.Finding{Kind: store.FoundLostClaim, What: k.String(), Detail: fmt.Sprintf("it does not hold the claim that its head lists, %d bytes long", len(text))}
		do := func(ctx context.Context) (bool, error) { return c.takeBack(ctx, h, claim) }
		if len(docs) > 0 {
			f.Detail += "; another holds it"
		}
		if err := c.mend(ctx, f, do); err != nil {
			return err
		}
	}
	return nil
}

// takeBack gives a head a claim that it lists. Where another lists it too nobody can
// tell whose it is.
func (c *checker) takeBack(ctx context.Context, h *headDoc, claim string) (bool, error) {
	var found []claimDoc
	if err := c.findAll(ctx, claims, bson.M{"_id": claimID(claim)}, nil, &found); err != nil {
		return false, err
	}
	doc := claimDoc{ID: claimID(claim), Key: h.ID, Unit: restoredUnit}
	if len(found) == 0 {
		_, err := c.coll(claims).InsertOne(ctx, doc)
		if isDuplicate(err) {
			return false, nil
		}
		return err == nil, c.explain(err)
	}
	stale, err := c.staleClaims(ctx, found)
	if err != nil || len(stale) == 0 {
		return false, err
	}
	res, err := c.coll(claims).ReplaceOne(ctx, bson.M{"_id": doc.ID, "k": found[0].Key, "tx": found[0].Unit}, doc)
	return err == nil && res.MatchedCount == 1, c.explain(err)
}
