package mongo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/storetest"
)

// asIs opens a store to check it: what is wrong with its indexes stays.
func asIs(ctx context.Context, uri string, now func() time.Time) (*storetest.Backend, error) {
	db, err := Open(ctx, uri, Options{Now: now, Grace: -1, SweepEvery: -1, AsIs: true})
	if errors.Is(err, fs.ErrNotExist) {
		return openQuiet(ctx, uri, now)
	}
	if err != nil {
		return nil, err
	}
	return &storetest.Backend{Store: db, Facts: db, Log: db}, nil
}

// broken is a store in the hands of one who breaks it.
type broken struct {
	*DB
	t   *testing.T
	ctx context.Context
}

func breaks(do func(*broken)) func(*testing.T, string) {
	return func(t *testing.T, uri string) {
		// By the suite's clock: what is left is then as old as everything else.
		now := func() time.Time { return time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC) }
		db, err := Open(t.Context(), uri, Options{SweepEvery: -1, AsIs: true, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		do(&broken{db, t, t.Context()})
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func (b *broken) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *broken) set(c collection, filter, fields bson.M) {
	b.t.Helper()
	res, err := b.coll(c).UpdateMany(b.ctx, filter, bson.M{"$set": fields})
	b.must(err)
	if res.MatchedCount == 0 {
		b.t.Fatalf("nothing of %s fits %v", c.name, filter)
	}
}

func (b *broken) drop(c collection, filter bson.M) {
	b.t.Helper()
	res, err := b.coll(c).DeleteMany(b.ctx, filter)
	b.must(err)
	if res.DeletedCount == 0 {
		b.t.Fatalf("nothing of %s fits %v", c.name, filter)
	}
}

func (b *broken) put(c collection, doc any) {
	b.t.Helper()
	_, err := b.coll(c).InsertOne(b.ctx, doc)
	b.must(err)
}

func (b *broken) head(key string) *headDoc {
	b.t.Helper()
	h, err := b.headOf(b.ctx, key)
	b.must(err)
	if h == nil {
		b.t.Fatalf("no head %s", key)
	}
	return h
}

// goneHead is what an expunge has left of a patient.
func (b *broken) goneHead(id string) *headDoc {
	h := newHead(store.Key{Type: "Patient", ID: id}, nothing())
	h.State.Nonce, h.Gone = newNonce(), b.now().UnixNano()
	return h
}

// become puts another's head in the place of one.
func (b *broken) become(key string, h *headDoc) {
	b.t.Helper()
	other := *h
	other.ID = key
	res, err := b.coll(heads).ReplaceOne(b.ctx, bson.M{"_id": key}, other)
	b.must(err)
	if res.MatchedCount != 1 {
		b.t.Fatalf("no head %s", key)
	}
}

// version gives a version document that a head reaches.
func (b *broken) version(key string, version int64) *versionDoc {
	b.t.Helper()
	var doc versionDoc
	b.must(b.coll(versions).FindOne(b.ctx, bson.M{"k": key, "v": version}).Decode(&doc))
	return &doc
}

// dies does work in a process that ends at a point of its steps.
func (b *broken) dies(point string, do func() error) {
	b.t.Helper()
	b.onStep = func(p string) error {
		if p == point {
			return errDied
		}
		return nil
	}
	if err := do(); !errors.Is(err, errDied) {
		b.t.Fatalf("it ends with %v", err)
	}
}

const fullKey, goneKey = "Patient/full", "Patient/gone"

func bodyOf(id string) []byte { return []byte(`{"resourceType":"Patient","id":"` + id + `","n":9}`) }

func twoWrites() []store.Write {
	return []store.Write{
		{Record: store.Record{Key: store.Key{Type: "Patient", ID: "new"}, Raw: bodyOf("new")}, Expect: store.Absent, Claims: []string{"c/new"}},
		{Record: store.Record{Key: store.Key{Type: "Patient", ID: "full"}, Raw: bodyOf("full")}, Expect: 8, Claims: []string{"c/1"}},
	}
}

// What is foreign to a store, or half of it, and stays.
var (
	lostStream = []string{
		`damaged position "raw/a/r"`, `damaged position "raw/a/r\x00\xfe"`, `damaged position "raw/\xff/r"`, `damaged position "raw/ÿ/r"`,
	}
	unnamed = []string{
		"damaged the collection chunk", "damaged the collection claim", "damaged the collection head", "damaged the collection log",
		"damaged the collection position", "damaged the collection unit", "damaged the collection version", "damaged the collection fact", "damaged the collection number",
		"damaged unit *",
	}
	unreadAbove = []string{
		`damaged version "Consent/A-1.b/0000000000000001/*"`, `damaged version "Patient/full/0000000000000005/*"`,
		`damaged version "Patient/full/0000000000000006/*"`,
	}
	unreadNewest = []string{`damaged version "Patient/full/0000000000000003/*"`, `damaged version "Patient/full/0000000000000008/*"`}
	unmendable   = []string{"orphan Patient/new", `damaged head "Patient/unborn"`}
)

// What is left of a resource whose head nobody can make again; its claims stay.
var (
	unsaidHead = []string{"orphan Consent/A-1.b", "stale-claim a claim of Consent/A-1.b", "stale-claim a claim of Consent/A-1.b"}
	ousted     = []string{
		"lost-head Consent/A-1.b", "lost-head Patient/full",
		"stale-claim a claim of Consent/A-1.b", "stale-claim a claim of Consent/A-1.b", "stale-claim a claim of Patient/full",
	}
	begunForAnother = []string{`damaged head "Patient/full"`, "foreign-index fact.foreign"}
	beheaded        = []string{"lost-head Patient/full", "stale-claim a claim of Patient/full"}
)

var (
	misformedOnes = []string{
		`damaged head "Observation/o01"`, `damaged head "Observation/o02"`, `damaged head "Observation/o03"`, `damaged head "Observation/o04"`,
		`damaged head "Observation/o05"`, `damaged head "Observation/o06"`, `damaged fact "forever"`,
	}
)

var damages = []storetest.Damage{
	{Name: "a version that a dead writer left", Do: breaks(func(b *broken) {
		b.dies("version", func() error {
			_, err := b.Write(b.ctx, store.Write{Record: store.Record{Key: store.Key{Type: "Patient", ID: "full"}, Raw: bodyOf("full")}, Expect: 8, Claims: []string{"c/1"}})
			return err
		})
	}), Want: []string{"orphan Patient/full"}},
	{Name: "a first version that a dead writer left", Do: breaks(func(b *broken) {
		b.dies("version", func() error {
			_, err := b.Write(b.ctx, store.Write{Record: store.Record{Key: store.Key{Type: "Patient", ID: "new"}, Raw: bodyOf("new")}, Expect: store.Absent})
			return err
		})
	}), Want: []string{"orphan Patient/new"}},
	{Name: "a version beside another", Do: breaks(func(b *broken) {
		v := b.version(fullKey, 3)
		v.Nonce = "other"
		v.ID = versionID(v.Key, 3, v.Nonce)
		b.put(versions, v)
	}), Want: []string{"orphan Patient/full"}},
	{Name: "a unit died before its commit", Do: breaks(func(b *broken) {
		b.dies("intents", func() error { _, err := b.Apply(b.ctx, twoWrites()); return err })
	}), Want: []string{"open-unit unit *"}},
	{Name: "a writer died with its intent on the head", Do: breaks(func(b *broken) {
		b.dies("intent", func() error {
			_, err := b.Write(b.ctx, store.Write{Record: store.Record{Key: store.Key{Type: "Patient", ID: "full"}, Raw: bodyOf("full")}, Expect: 8, Claims: []string{"c/1", "c/more"}})
			return err
		})
	}), Want: []string{"stale-intent Patient/full"}},
	{Name: "a unit died after its commit", Changed: true, Do: breaks(func(b *broken) {
		b.dies("visible", func() error { _, err := b.Apply(b.ctx, twoWrites()); return err })
	}), Want: []string{"open-unit unit *"}},
	{Name: "an intent of a unit that is gone", Do: breaks(func(b *broken) {
		h := b.head(fullKey)
		b.set(heads, bson.M{"_id": fullKey}, bson.M{"x": &intent{Unit: "gone", State: h.State}, "xt": "Patient"})
	}), Want: []string{"stale-intent Patient/full"}},
	{Name: "an expunge was interrupted", Changed: true, Do: breaks(func(b *broken) {
		b.dies("expunging", func() error { return b.Expunge(b.ctx, store.Key{Type: "Patient", ID: "again"}) })
	}), Want: []string{"stale-intent Patient/again"}},
	{Name: "a head is lost", Do: breaks(func(b *broken) { b.drop(heads, bson.M{"_id": fullKey}) }),
		Want: []string{"lost-head Patient/full", "stale-claim a claim of Patient/full"}},
	{Name: "a head of a single version is lost", Do: breaks(func(b *broken) { b.drop(heads, bson.M{"_id": "Consent/A-1.b"}) }),
		Want: []string{"lost-head Consent/A-1.b", "stale-claim a claim of Consent/A-1.b", "stale-claim a claim of Consent/A-1.b"}, Uncopied: true},
	{Name: "a head is lost, and sweeps come before anybody sees it", Sweep: true, Do: breaks(func(b *broken) {
		b.drop(heads, bson.M{"_id": "Consent/A-1.b"})
		b.drop(heads, bson.M{"_id": fullKey})
		b.set(versions, bson.M{"k": bson.M{"$in": bson.A{fullKey, "Consent/A-1.b"}}}, bson.M{"at": int64(1)})
	}), Want: []string{
		"lost-head Consent/A-1.b", "lost-head Patient/full",
		"stale-claim a claim of Consent/A-1.b", "stale-claim a claim of Consent/A-1.b", "stale-claim a claim of Patient/full",
	}},
	{Name: "a head is lost, and a unit in its place came to nothing", Do: breaks(func(b *broken) {
		b.drop(heads, bson.M{"_id": "Consent/A-1.b"})
		_, err := b.Write(b.ctx, store.Write{Record: store.Record{Key: store.Key{Type: "Consent", ID: "A-1.b"}, Raw: bodyOf("A-1.b")}, Expect: store.Absent, Claims: []string{"c/1"}})
		if !errors.Is(err, store.ErrExists) {
			b.t.Fatalf("got %v", err)
		}
	}), Want: []string{"lost-head Consent/A-1.b", "stale-claim a claim of Consent/A-1.b", "stale-claim a claim of Consent/A-1.b"}, Uncopied: true},
	{Name: "a head is lost, and who wrote its only version did not say that it stood", Do: breaks(func(b *broken) {
		b.drop(heads, bson.M{"_id": "Consent/A-1.b"})
		_, err := b.coll(versions).UpdateMany(b.ctx, bson.M{"k": "Consent/A-1.b"}, bson.M{"$unset": bson.M{"h": ""}, "$set": bson.M{"at": int64(1)}})
		b.must(err)
	}), Want: unsaidHead, Left: unsaidHead, Uncopied: true},
	{Name: "a head is lost, and the newest version of some", Do: breaks(func(b *broken) {
		b.drop(heads, bson.M{"_id": fullKey})
		b.drop(versions, bson.M{"k": fullKey, "v": 7})
	}), Want: beheaded, Left: beheaded},
	{Name: "the newest version is lost", Do: breaks(func(b *broken) { b.drop(versions, bson.M{"k": fullKey, "v": 8}) }),
		Want: []string{"lost-version Patient/full"}, Left: []string{"lost-version Patient/full"}},
	{Name: "the name of the newest version is damaged on the head", Do: breaks(func(b *broken) { b.set(heads, bson.M{"_id": fullKey}, bson.M{"n": "other"}) }),
		Want: []string{"head-drift Patient/full"}},
	{Name: "the newest version is lost, and a dead writer left another", Do: breaks(func(b *broken) {
		v := b.version(fullKey, 8)
		b.drop(versions, bson.M{"_id": v.ID})
		v.Nonce, v.Updated = "other", "2026-03-01T07:00:00.000Z"
		v.ID, v.Sum = versionID(v.Key, 8, v.Nonce), v.checksum(v.Raw)
		b.put(versions, v)
	}), Want: []string{"lost-version Patient/full"}, Left: []string{"lost-version Patient/full"}},
	{Name: "versions in the middle are lost", Do: breaks(func(b *broken) { b.drop(versions, bson.M{"k": fullKey, "v": bson.M{"$in": bson.A{3, 4}}}) }),
		Want: []string{"lost-version Patient/full"}, Left: []string{"lost-version Patient/full"}},
	{Name: "content was altered", Do: breaks(func(b *broken) { b.set(versions, bson.M{"k": fullKey, "v": 3}, bson.M{"raw": []byte("{}")}) }),
		Want: []string{"damaged Patient/full"}, Left: []string{"damaged Patient/full"}},
	{Name: "labels were altered", Do: breaks(func(b *broken) { b.set(versions, bson.M{"k": fullKey, "v": 8}, bson.M{"l": []byte("[]")}) }),
		Want: []string{"damaged Patient/full"}, Left: []string{"damaged Patient/full"}},
	{Name: "a head says otherwise than its version", Do: breaks(func(b *broken) {
		b.set(heads, bson.M{"_id": fullKey}, bson.M{"d": true, "u": "2020-01-01T00:00:00.000Z"})
	}), Want: []string{"head-drift Patient/full"}},
	{Name: "entries are missing and wrong", Do: breaks(func(b *broken) {
		b.set(heads, bson.M{"_id": fullKey}, bson.M{"ix": bson.A{"Patient|name|jones", "Observation|n|1"}})
	}), Want: []string{"index-drift Patient/full"}},
	{Name: "single entries are missing, wrong, too many, of another type, of a reserved parameter", Do: breaks(func(b *broken) {
		for id, change := range map[string]bson.M{
			"o01": {"$pull": bson.M{"ix": "Observation|n|01"}},
			"o02": {"$set": bson.M{"ix": bson.A{"Observation|n|03"}}},
			"o03": {"$push": bson.M{"ix": "Observation|n|04"}},
			"o04": {"$push": bson.M{"ix": "Patient|n|04"}},
			"o05": {"$push": bson.M{"ix": "Observation|_id|o06"}},
		} {
			_, err := b.coll(heads).UpdateOne(b.ctx, bson.M{"_id": "Observation/" + id}, change)
			b.must(err)
		}
	}), Want: []string{"index-drift Observation/o01", "index-drift Observation/o02", "index-drift Observation/o03", "index-drift Observation/o04", "index-drift Observation/o05"}},
	{Name: "entries of a deleted resource", Do: breaks(func(b *broken) { b.set(heads, bson.M{"_id": goneKey}, bson.M{"ix": bson.A{"Patient|name|x"}}) }),
		Want: []string{"index-drift Patient/gone"}},
	{Name: "claims of nobody", Do: breaks(func(b *broken) {
		b.put(claims, claimDoc{ID: "x", Key: "Patient/nobody", Unit: "u"})
		b.put(claims, claimDoc{ID: "y", Key: goneKey, Unit: "u"})
	}), Want: []string{"stale-claim a claim of Patient/gone", "stale-claim a claim of Patient/nobody"}},
	{Name: "a claim is lost", Do: breaks(func(b *broken) { b.drop(claims, bson.M{"_id": "c/1"}) }),
		Want: []string{"lost-claim Patient/full"}},
	{Name: "a claim stands under another", Do: breaks(func(b *broken) { b.set(claims, bson.M{"_id": "c/1"}, bson.M{"k": goneKey}) }),
		Want: []string{"lost-claim Patient/full", "stale-claim a claim of Patient/gone"}},
	{Name: "a head does not list a claim that it makes", Do: breaks(func(b *broken) { b.set(heads, bson.M{"_id": fullKey}, bson.M{"cl": bson.A{}}) }),
		Want: []string{"lost-claim Patient/full", "stale-claim a claim of Patient/full"}},
	{Name: "two heads list a claim", Do: breaks(func(b *broken) { b.set(heads, bson.M{"_id": fullKey}, bson.M{"cl": bson.A{"c/1", "c/2"}}) }),
		Want: []string{"lost-claim Patient/full"}, Left: []string{"lost-claim Patient/full"}},
	{Name: "parts of nothing", Do: breaks(func(b *broken) {
		_, err := b.storeChunks(b.ctx, "v/Patient/nobody/0000000000000001/x", bytes.Repeat([]byte("x"), chunkSize+1))
		b.must(err)
		_, err = b.storeChunks(b.ctx, "log/nobody", []byte("x"))
		b.must(err)
		b.put(chunks, bson.M{"_id": "zzz/0", "b": []byte("x")})
	}), Want: []string{"stale-chunk log/nobody", "stale-chunk v/Patient/nobody/0000000000000001/x", "stale-chunk zzz"}},
	{Name: "an index is missing", Do: breaks(func(b *broken) { b.must(b.coll(heads).Indexes().DropOne(b.ctx, "entry")) }),
		Want: []string{"missing-index head.entry"}},
	{Name: "an index is another", Do: breaks(func(b *broken) {
		b.must(b.coll(claims).Indexes().DropOne(b.ctx, "holder"))
		_, err := b.coll(claims).Indexes().CreateOne(b.ctx, index{of: claims, name: "holder", keys: bson.D{{Key: "tx", Value: 1}}}.model())
		b.must(err)
	}), Want: []string{"missing-index claim.holder"}},
	{Name: "documents of another form, and under other names", Do: breaks(func(b *broken) {
		b.set(facts, bson.M{"_id": "forever"}, bson.M{"v": "x"})
		b.set(heads, bson.M{"_id": "Observation/o02"}, bson.M{"n": "other"})
		b.put(heads, bson.M{"_id": "nokey", "v": int64(1), "n": "x"})
		b.put(claims, bson.M{"_id": "x"})
		for _, c := range []collection{versions, logs, positions} {
			b.put(c, bson.M{"_id": "junk"})
		}
	}), Want: []string{
		`damaged fact "forever"`, `damaged head "nokey"`, `damaged log "junk"`, `damaged position "junk"`, `damaged version "junk"`,
		"head-drift Observation/o02", "stale-claim a claim of ",
	}, Left: []string{
		`damaged fact "forever"`, `damaged head "nokey"`, `damaged log "junk"`, `damaged position "junk"`, `damaged version "junk"`,
	}},
	{Name: "versions that cannot be read, and damage beyond them", Do: breaks(func(b *broken) {
		b.set(versions, bson.M{"k": "Consent/A-1.b"}, bson.M{"at": "x"})
		b.set(versions, bson.M{"k": fullKey, "v": 6}, bson.M{"raw": 7})
		b.set(versions, bson.M{"k": fullKey, "v": 5}, bson.M{"p": 7})
		b.set(heads, bson.M{"_id": "Observation/o02"}, bson.M{"n": "other"})
		b.set(heads, bson.M{"_id": goneKey}, bson.M{"ix": bson.A{"Patient|name|x"}})
	}), Want: append([]string{"head-drift Observation/o02", "index-drift Patient/gone"}, unreadAbove...), Left: unreadAbove},
	{Name: "the newest version cannot be read, nor contents", Do: breaks(func(b *broken) {
		b.set(versions, bson.M{"k": fullKey, "v": 8}, bson.M{"v": "x", "c": "x"})
		b.set(versions, bson.M{"k": fullKey, "v": 3}, bson.M{"raw": 7})
		b.set(heads, bson.M{"_id": goneKey}, bson.M{"ix": bson.A{"Patient|name|x"}})
	}), Want: append([]string{"index-drift Patient/gone"}, unreadNewest...), Left: unreadNewest},
	{Name: "a head is lost, and its newest version cannot be read", Do: breaks(func(b *broken) {
		b.drop(heads, bson.M{"_id": fullKey})
		b.set(versions, bson.M{"k": fullKey, "v": 8}, bson.M{"v": "x"})
	}), Want: append([]string{unreadNewest[1]}, beheaded...), Left: append([]string{unreadNewest[1]}, beheaded...)},
	{Name: "heads are those of other resources that are gone", Uncopied: true, Do: breaks(func(b *broken) {
		b.become(fullKey, b.goneHead("other"))
		b.become("Consent/A-1.b", b.goneHead("other"))
	}), Want: ousted},
	{Name: "heads are those of other resources that are gone, and a sweep comes before anybody sees it", Uncopied: true, Sweep: true, Do: breaks(func(b *broken) {
		h := b.goneHead("other")
		h.Gone = 1
		b.become(fullKey, h)
		b.become("Consent/A-1.b", h)
		b.set(versions, bson.M{"k": bson.M{"$in": bson.A{fullKey, "Consent/A-1.b"}}}, bson.M{"at": int64(1)})
	}), Want: ousted},
	{Name: "a head is that of another resource", Do: breaks(func(b *broken) { b.become(fullKey, b.head("Observation/o01")) }), Want: beheaded},
	{Name: "a head is that of another resource, which is being expunged, and an index of somebody else lets a value stand only once", Do: breaks(func(b *broken) {
		h := b.goneHead("other")
		h.Expunging = true
		b.become(fullKey, h)
		_, err := b.coll(facts).Indexes().CreateOne(b.ctx, index{of: facts, name: "foreign", keys: bson.D{{Key: "v", Value: 1}}, unique: true}.model())
		b.must(err)
	}), Want: begunForAnother, Left: begunForAnother},
	{Name: "the stream of a position is no text", Do: breaks(func(b *broken) {
		b.set(positions, bson.M{"s": "raw/a", "r": "r"}, bson.M{"s": []any{"raw/a"}})
	}), Want: []string{`damaged position "5/raw/a/r"`}, Left: []string{`damaged position "5/raw/a/r"`}, Uncopied: true},
	{Name: "documents whose ids are no names, and a unit of no status", Do: breaks(func(b *broken) {
		for i, c := range []collection{heads, versions, units, claims, facts, logs, positions, numbers, chunks} {
			b.put(c, bson.M{"_id": []any{42, "", bson.M{"a": "b"}, 1.5, true}[i%5]})
		}
		b.put(units, bson.M{"_id": "foreign", "s": "x", "y": 1})
	}), Want: unnamed, Left: unnamed},
	{Name: "what lacks the field by which it would be removed", Do: breaks(func(b *broken) {
		b.put(versions, bson.M{"_id": versionID("Patient/new", 1, "n"), "k": "Patient/new", "v": int64(1), "n": "n"})
		b.put(heads, bson.M{"_id": "Patient/unborn"})
		b.put(claims, bson.M{"_id": "x", "k": goneKey})
	}), Want: append([]string{"stale-claim a claim of Patient/gone"}, unmendable...), Left: unmendable},
	{Name: "fields of heads and facts are of another type, or not there", Do: breaks(func(b *broken) {
		b.set(heads, bson.M{"_id": "Observation/o01"}, bson.M{"d": 0})
		b.set(heads, bson.M{"_id": "Observation/o02"}, bson.M{"v": int64(0)})
		b.set(heads, bson.M{"_id": "Observation/o03"}, bson.M{"v": int64(-1)})
		b.set(heads, bson.M{"_id": "Observation/o04"}, bson.M{"x": nil})
		b.set(heads, bson.M{"_id": "Observation/o05"}, bson.M{"g": int64(1)})
		b.set(heads, bson.M{"_id": "Observation/o06"}, bson.M{"u": 7})
		b.set(facts, bson.M{"_id": "forever"}, bson.M{"e": nil})
	}), Want: misformedOnes, Left: misformedOnes},
	{Name: "a unit's fields are of another type", Do: breaks(func(b *broken) {
		b.put(units, bson.M{"_id": "odd", "s": committed, "o": 1, "c": int64(1), "ts": bson.A{}, "m": bson.A{}, "at": int64(1)})
	}), Want: []string{"damaged unit *"}, Left: []string{"damaged unit *"}},
	{Name: "a fact was altered", Do: breaks(func(b *broken) { b.set(facts, bson.M{"_id": "forever"}, bson.M{"b": []byte("w")}) }),
		Want: []string{`damaged fact "forever"`}, Left: []string{`damaged fact "forever"`}},
	{Name: "a fact's expiry was damaged into the past", Sweep: true, Uncopied: true, Do: breaks(func(b *broken) { b.set(facts, bson.M{"_id": "forever"}, bson.M{"e": int64(1)}) }),
		Want: []string{`damaged fact "forever"`}, Left: []string{`damaged fact "forever"`}},
	{Name: "a fact's expiry was damaged into that of one removed", Sweep: true, Uncopied: true, Do: breaks(func(b *broken) { b.set(facts, bson.M{"_id": "forever"}, bson.M{"e": int64(-1)}) }),
		Want: []string{`damaged fact "forever"`}, Left: []string{`damaged fact "forever"`}},
	{Name: "counters are behind", Changed: true, Do: breaks(func(b *broken) {
		b.set(numbers, bson.M{"_id": "fact"}, bson.M{"n": int64(1)})
		b.drop(numbers, bson.M{"_id": "epoch"})
	}), Want: []string{"counter-behind the epoch", "counter-behind versions of facts"}},
	{Name: "counters are no numbers, and a claim names nobody", Changed: true, Do: breaks(func(b *broken) {
		b.set(numbers, bson.M{"_id": "fact"}, bson.M{"n": "x"})
		b.set(numbers, bson.M{"_id": "epoch"}, bson.M{"n": "x"})
		_, err := b.coll(claims).UpdateOne(b.ctx, bson.M{"_id": "c/1"}, bson.M{"$unset": bson.M{"k": 1}})
		b.must(err)
	}), Want: []string{"counter-behind the epoch", "counter-behind versions of facts", "lost-claim Patient/full", "stale-claim a claim of "}},
	{Name: "entries of a stream are lost", Do: breaks(func(b *broken) { b.drop(logs, bson.M{"s": "raw/a", "f": 1}) }),
		Want: []string{`gap stream "raw/a"`}, Left: []string{`gap stream "raw/a"`}},
	{Name: "a stream is lost, and readers stand beyond ends", Do: breaks(func(b *broken) {
		b.drop(logs, bson.M{"s": "raw/a"})
		b.must(b.Checkpoint(b.ctx, encode("raw/\xff"), "r", 1))
		b.must(b.Checkpoint(b.ctx, "raw/\xff", "r", 4))
	}), Want: lostStream, Left: lostStream},
	{Name: "an entry cannot be read, and others were altered", Do: breaks(func(b *broken) {
		b.set(logs, bson.M{"s": "raw/a", "f": 1}, bson.M{"b": 7})
		b.set(logs, bson.M{"s": "raw/a", "f": 4}, bson.M{"b": bson.A{[]byte("x")}})
	}), Want: []string{`damaged stream "raw/a"`, `damaged stream "raw/a"`}, Left: []string{`damaged stream "raw/a"`, `damaged stream "raw/a"`}},
	{Name: "an entry was altered", Do: breaks(func(b *broken) { b.set(logs, bson.M{"s": "raw/a", "f": 4}, bson.M{"b": bson.A{[]byte("x")}}) }),
		Want: []string{`damaged stream "raw/a"`}, Left: []string{`damaged stream "raw/a"`}},
}

// The sweep keeps what a repair needs: where a head names a version that is not there,
// the one that it should name looks like one of nobody.
func TestSweepKeepsWhatADamagedHeadLost(t *testing.T) {
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	db := openAt(t, freshURI(t), Options{SweepEvery: -1, Now: func() time.Time { return at }})
	b := &broken{db, t, t.Context()}
	k := store.Key{Type: "Patient", ID: "p"}
	for n := range 2 {
		_, err := db.Write(b.ctx, store.Write{Record: store.Record{Key: k, Raw: bodyOf("p")}, Expect: int64(n)})
		b.must(err)
	}
	key, was := keyOf(k), b.head(keyOf(k)).State
	at = at.Add(orphanAge + time.Minute)
	for name, damage := range map[string]bson.M{
		"its name":   {"n": "other"},
		"its number": {"v": int64(1)},
	} {
		b.set(heads, bson.M{"_id": key}, damage)
		_, err := db.Sweep(b.ctx)
		b.must(err)
		for n := int64(1); n <= 2; n++ {
			if count, err := db.coll(versions).CountDocuments(b.ctx, bson.M{"k": key, "v": n}); err != nil || count != 1 {
				t.Errorf("%s: version %d is there %d times, %v", name, n, count, err)
			}
		}
		b.set(heads, bson.M{"_id": key}, bson.M{"n": was.Nonce, "v": was.Version})
		b.set(numbers, bson.M{"_id": swept}, bson.M{"n": int64(0)}) // ask about all once more
	}
	if rec, err := db.Read(b.ctx, k); err != nil || rec.Version != 2 {
		t.Errorf("%+v, %v", rec, err)
	}
}

// A version that names another resource than its id does is nobody's orphan: its name put
// right, all is as it was.
func TestRepairAndSweepKeepVersionsOfAnotherName(t *testing.T) {
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	db := openAt(t, freshURI(t), Options{SweepEvery: -1, Now: func() time.Time { return at }})
	b := &broken{db, t, t.Context()}
	for _, id := range []string{"p", "q"} {
		_, err := db.Write(b.ctx, store.Write{Record: store.Record{Key: store.Key{Type: "Patient", ID: id}, Raw: bodyOf(id)}, Expect: store.Absent})
		b.must(err)
	}
	b.set(versions, bson.M{"k": "Patient/p"}, bson.M{"k": "Patient/q"})
	at = at.Add(orphanAge + time.Minute)
	_, err := db.Sweep(b.ctx)
	b.must(err)
	for range 2 {
		var left []string
		b.must(db.CheckStore(b.ctx, store.CheckOptions{Young: -1, Repair: true}, func(f store.Finding) {
			if !f.Mended {
				left = append(left, f.Kind)
			}
		}))
		if !slices.Equal(left, []string{store.FoundLostVersion, store.FoundDamaged}) {
			t.Errorf("left %v", left)
		}
	}
	b.set(versions, bson.M{"_id": bson.M{"$gt": "Patient/p/", "$lt": "Patient/p0"}}, bson.M{"k": "Patient/p"})
	b.must(db.CheckStore(b.ctx, store.CheckOptions{Young: -1}, func(f store.Finding) { t.Errorf("%+v", f) }))
	if rec, err := db.Read(b.ctx, store.Key{Type: "Patient", ID: "p"}); err != nil || rec.Version != 1 {
		t.Errorf("%+v, %v", rec, err)
	}
}

// A fact whose expiry is gone is damaged: who wants to replace it is told so, and does not
// try for ever.
func TestAFactWithoutExpiryIsDamaged(t *testing.T) {
	db := fresh(t)
	b := &broken{db, t, t.Context()}
	f, err := db.PutIfAbsent(b.ctx, "k", []byte("v"), time.Time{})
	b.must(err)
	for _, change := range []bson.M{{"$set": bson.M{"e": nil}}, {"$unset": bson.M{"e": 1}}} {
		_, err := db.coll(facts).UpdateOne(b.ctx, bson.M{"_id": "k"}, change)
		b.must(err)
		if _, err := db.CompareAndSet(b.ctx, "k", f.Version, []byte("w"), time.Time{}); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%v: %v", change, err)
		}
	}
}

// What a writer may still be at work on is left alone.
func TestCheckLeavesWhatIsYoung(t *testing.T) {
	db := fresh(t)
	b := &broken{db, t, t.Context()}
	b.dies("intents", func() error {
		ws := twoWrites()
		ws[1].Expect = store.Absent
		_, err := b.Apply(b.ctx, ws)
		return err
	})
	b.onStep = nil
	b.put(versions, versionDoc{ID: versionID("Patient/p", 1, "n"), Key: "Patient/p", Version: 1, Nonce: "n", At: db.now().UnixNano(), Stood: notYet})
	kinds := func(o store.CheckOptions) (young, other []string) {
		b.must(db.CheckStore(b.ctx, o, func(f store.Finding) {
			if f.Young {
				young = append(young, f.Kind)
			} else {
				other = append(other, f.Kind)
			}
		}))
		return young, other
	}
	young, other := kinds(store.CheckOptions{Repair: true})
	if !slices.Equal(young, []string{store.FoundOpenUnit, store.FoundOrphan}) || len(other) > 0 {
		t.Errorf("young: %v, other: %v", young, other)
	}
	if _, other = kinds(store.CheckOptions{Young: -1, Repair: true}); !slices.Equal(other, []string{store.FoundOpenUnit, store.FoundOrphan}) {
		t.Errorf("found %v", other)
	}
	if young, other = kinds(store.CheckOptions{Young: -1}); len(young)+len(other) > 0 {
		t.Errorf("found after the repair: %v %v", young, other)
	}
}

// A collection that was dropped is told, and what a repair makes is an empty one: it does not
// call the loss mended.
func TestCheckTellsOfALostCollection(t *testing.T) {
	db := fresh(t)
	b := &broken{db, t, t.Context()}
	_, err := db.PutIfAbsent(b.ctx, "revoked", []byte("v"), time.Time{})
	b.must(err)
	b.must(db.coll(facts).Drop(b.ctx))
	for round, want := range [][]string{
		{"damaged the collection fact false", "missing-index fact.expiry false"},
		{"damaged the collection fact false", "missing-index fact.expiry true"},
		nil,
	} {
		var got []string
		b.must(db.CheckStore(b.ctx, store.CheckOptions{Young: -1, Repair: round == 1}, func(f store.Finding) {
			t.Logf("%+v", f)
			got = append(got, fmt.Sprintf("%s %s %t", f.Kind, f.What, f.Mended))
		}))
		if !slices.Equal(got, want) {
			t.Errorf("round %d: %v, want %v", round, got, want)
		}
	}
	_, err = db.PutIfAbsent(b.ctx, "revoked", []byte("w"), time.Time{})
	b.must(err)
}

// The sweep goes on past a version that cannot be read.
func TestSweepPassesWhatItCannotRead(t *testing.T) {
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	db := openAt(t, freshURI(t), Options{SweepEvery: -1, Now: func() time.Time { return at }})
	b := &broken{db, t, t.Context()}
	for _, id := range []string{"p", "q"} {
		b.put(versions, versionDoc{ID: versionID("Patient/"+id, 1, "n"), Key: "Patient/" + id, Version: 1, Nonce: "n", At: at.UnixNano(), Stood: notYet})
	}
	b.set(versions, bson.M{"k": "Patient/p"}, bson.M{"v": "x"})
	at = at.Add(orphanAge + time.Minute)
	_, err := db.Sweep(b.ctx)
	b.must(err)
	for id, want := range map[string]int64{"p": 1, "q": 0} {
		if n, err := db.coll(versions).CountDocuments(b.ctx, bson.M{"k": "Patient/" + id}); err != nil || n != want {
			t.Errorf("%s: %d versions, %v, want %d", id, n, err, want)
		}
	}
}

func TestCheckFindsAndMends(t *testing.T) {
	serverURI(t)
	storetest.RunCheck(t, storetest.Target{Address: func(t *testing.T) string { return freshURI(t) }, Open: asIs}, damages)
}
