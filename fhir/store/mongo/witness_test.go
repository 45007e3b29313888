package mongo

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/transfer"
)

func TestAWitnessSaysNothingButABoolean(t *testing.T) {
	for name, x := range map[string]struct {
		doc  bson.M
		want witness
	}{
		"nothing":     {bson.M{}, unsaid},
		"false":       {bson.M{"h": false}, notYet},
		"true":        {bson.M{"h": true}, stood},
		"a number":    {bson.M{"h": int64(1)}, unsaid},
		"null":        {bson.M{"h": nil}, unsaid},
		"a string":    {bson.M{"h": "true"}, unsaid},
		"a subdoc":    {bson.M{"h": bson.M{"h": true}}, unsaid},
		"as written":  {written(t, &versionDoc{Version: 1, Stood: notYet}), notYet},
		"as restored": {written(t, &versionDoc{Version: 1, Stood: stood}), stood},
		"of a second": {written(t, &versionDoc{Version: 2}), unsaid},
	} {
		raw, err := bson.Marshal(x.doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, into := range []any{&versionDoc{}, &versionMark{}, &suspect{}} {
			if err := bson.Unmarshal(raw, into); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			var got witness
			switch d := into.(type) {
			case *versionDoc:
				got = d.Stood
			case *versionMark:
				got = d.Stood
			case *suspect:
				got = d.Stood
			}
			if got != x.want {
				t.Errorf("%s: %T has %d, want %d", name, into, got, x.want)
			}
		}
	}
}

func written(t *testing.T, doc *versionDoc) bson.M {
	t.Helper()
	raw, err := bson.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	var out bson.M
	if err := bson.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWhatVersionsWithoutAHeadTell(t *testing.T) {
	type v struct {
		version         int64
		nonce, previous string
		stood           witness
	}
	for name, x := range map[string]struct {
		of           []v
		lost, unsaid bool
		newest       string
	}{
		"a writer died":                           {of: []v{{1, "a", "", notYet}}},
		"two died":                                {of: []v{{1, "a", "", notYet}, {1, "b", "", notYet}}},
		"a head is lost":                          {of: []v{{1, "a", "", stood}}, lost: true, newest: "a"},
		"a head is lost, and another died":        {of: []v{{1, "a", "", stood}, {1, "b", "", notYet}}, lost: true, newest: "a"},
		"two heads are lost":                      {of: []v{{1, "a", "", stood}, {1, "b", "", stood}}, lost: true},
		"an earlier program":                      {of: []v{{1, "a", "", unsaid}}, unsaid: true},
		"an earlier program's history":            {of: []v{{1, "a", "", unsaid}, {2, "b", "a", unsaid}}, lost: true, unsaid: true, newest: "b"},
		"a history":                               {of: []v{{1, "a", "", stood}, {2, "b", "a", unsaid}, {3, "c", "b", unsaid}}, lost: true, newest: "c"},
		"a history whose first was not told of":   {of: []v{{1, "a", "", notYet}, {2, "b", "a", unsaid}}, lost: true, newest: "b"},
		"two wanted to be the next":               {of: []v{{1, "a", "", stood}, {2, "b", "a", unsaid}, {2, "c", "a", unsaid}}, lost: true},
		"a history with a gap":                    {of: []v{{1, "a", "", stood}, {3, "c", "b", unsaid}}, lost: true},
		"what an update left beside an expunge":   {of: []v{{2, "b", "a", unsaid}}},
		"the end of a history, its first is gone": {of: []v{{2, "b", "a", unsaid}, {3, "c", "b", unsaid}}},
	} {
		marks := map[string]*versionMark{}
		for _, m := range x.of {
			id := versionID("Patient/p", m.version, m.nonce)
			marks[id] = &versionMark{ID: id, Key: "Patient/p", Version: m.version, Nonce: m.nonce, Previous: m.previous, Stood: m.stood}
		}
		r := remainsOf("Patient/p", marks)
		newest := ""
		if r.newest != nil {
			newest = r.newest.Nonce
		}
		if r.lost != x.lost || r.unsaid != x.unsaid || newest != x.newest || r.kept() != (x.lost || x.unsaid) {
			t.Errorf("%s: lost %v, unsaid %v, newest %q", name, r.lost, r.unsaid, newest)
		}
	}
}

// byEntries computes the index of what a scene writes.
func byEntries(rec *store.Record) ([]string, error) {
	var x struct{ By string }
	err := json.Unmarshal(rec.Raw, &x)
	return []string{"by|" + x.By}, err
}

// A create dies at each of its points, and then a head is lost. What was acknowledged,
// and what a sweep has seen, comes back whole; what was not goes.
func TestALostHeadIsToldFromADeadWriter(t *testing.T) {
	s := newScene(t, 2)
	for _, d := range deaths {
		if !strings.Contains(d.name, "creates") && !strings.HasPrefix(d.name, "a create") {
			continue
		}
		points := strings.Fields(d.points)
		for _, point := range points {
			for _, swept := range []bool{false, true} {
				if swept && point != "visible" && point != points[0] {
					continue
				}
				s.run(d.name+"/"+point+map[bool]string{true: ", swept"}[swept], func(s *scene) {
					s.apply(s.dbs[0], s.change("a", "first", "x", "y"))
					s.apply(s.dbs[0], s.change("a", "second", "x", "y"), s.change("b", "second", "z"))
					s.die(point, d.writes(s))
					if swept {
						s.sweep(s.dbs[1])
					}
					known := after(points, point, "vouched") || swept && point == "visible"
					s.behead("c", known)
					if swept || !after(points, point, "visible") {
						s.sweep(s.dbs[1]) // it keeps what a repair needs
					}
					s.repair()
					s.whole()
					want := map[string]int64{"c": 0}
					if known {
						want["c"] = 1
					}
					s.versions(s.dbs[1], want)
					if n := s.remains(versions, "Patient/"+s.prefix+"c/", nil); n != want["c"] {
						t.Errorf("%d versions are left", n)
					}
					if known {
						s.holders(s.dbs[1], "vwxyz", d.holders, want)
						s.found("c", "dead")
					}
				})
			}
		}
	}
}

// behead removes a head.
func (s *scene) behead(id string, must bool) {
	s.Helper()
	res, err := s.dbs[1].coll(heads).DeleteOne(s.Context(), bson.M{"_id": keyOf(s.key(id))})
	if err != nil || must && res.DeletedCount != 1 {
		s.Fatalf("%+v, %v", res, err)
	}
}

func (s *scene) repair() {
	s.Helper()
	err := s.dbs[1].CheckStore(s.Context(), store.CheckOptions{Repair: true, Young: -1, Entries: byEntries}, func(f store.Finding) {
		if !f.Mended {
			s.Errorf("left: %+v", f)
		}
	})
	if err != nil {
		s.Fatal(err)
	}
}

// found wants a search to find a resource.
func (s *scene) found(id, by string) {
	s.Helper()
	p := store.Plan{Type: "Patient", Where: store.Expr{Op: store.And, Args: []store.Expr{
		{Op: store.Equal, Param: "by", Value: by}, {Op: store.Equal, Param: store.ParamID, Value: s.key(id).ID},
	}}, Limit: 5}
	page, err := s.dbs[1].Search(s.Context(), p)
	if err != nil || len(page.Records) != 1 {
		s.Errorf("%s is not found: %+v, %v", id, page, err)
	}
}

// A resource that is made anew soon after it was expunged, or by a unit after one that
// came to nothing, has its witness as well.
func TestWhatIsMadeAnewHasAWitness(t *testing.T) {
	s := newScene(t, 2)
	for name, ws := range map[string]func(*scene) []store.Write{
		"a write": func(s *scene) []store.Write { return []store.Write{s.change("a", "anew")} },
		"a unit":  func(s *scene) []store.Write { return []store.Write{s.change("a", "anew"), s.change("b", "anew")} },
	} {
		s.run(name, func(s *scene) {
			s.apply(s.dbs[0], s.change("a", "first"))
			s.expunge("a")
			s.apply(s.dbs[0], ws(s)...)
			s.behead("a", true)
			s.sweep(s.dbs[1])
			s.repair()
			s.versions(s.dbs[1], map[string]int64{"a": 1})
		})
	}
}

// A head that was lost and made anew by somebody else: what it was stays, and is told,
// until it is expunged.
func TestWhatALostHeadReachedStaysBesideANewOne(t *testing.T) {
	s := newScene(t, 2)
	s.apply(s.dbs[0], s.change("a", "first"))
	s.behead("a", true)
	s.apply(s.dbs[0], s.change("a", "anew"))
	s.sweep(s.dbs[1])
	var kinds []string
	err := s.dbs[1].CheckStore(t.Context(), store.CheckOptions{Repair: true, Young: -1, Entries: byEntries}, func(f store.Finding) {
		kinds = append(kinds, f.Kind)
		if f.Mended {
			t.Errorf("mended: %+v", f)
		}
	})
	if err != nil || !slices.Equal(kinds, []string{store.FoundOrphan}) {
		t.Errorf("found %v, %v", kinds, err)
	}
	s.expunge("a")
	s.emptied()
}

// What an earlier program wrote tells nothing. A sweep says of it what it has seen, and a
// repair of all that heads reach; what neither has seen stays, and is told.
func TestVersionsOfAnEarlierProgram(t *testing.T) {
	s := newScene(t, 2)
	silence := func(s *scene) {
		s.Helper()
		all := "Patient/" + s.prefix
		if _, err := s.dbs[0].coll(versions).UpdateMany(s.Context(), bson.M{"_id": bson.M{"$gte": all, "$lt": all + "~"}}, bson.M{"$unset": bson.M{"h": ""}}); err != nil {
			s.Fatal(err)
		}
	}
	for name, see := range map[string]func(*scene){"a sweep": func(s *scene) { s.sweep(s.dbs[1]) }, "a repair": (*scene).repair} {
		s.run(name, func(s *scene) {
			s.apply(s.dbs[0], s.change("a", "first"), s.change("b", "first"))
			silence(s)
			see(s)
			s.behead("a", true)
			s.sweep(s.dbs[1])
			s.repair()
			s.versions(s.dbs[1], map[string]int64{"a": 1, "b": 1})
		})
	}
	s.run("nobody has seen it", func(s *scene) {
		s.die("version", []store.Write{s.change("a", "dead")})
		silence(s)
		s.sweep(s.dbs[1])
		var left []store.Finding
		err := s.dbs[1].CheckStore(s.Context(), store.CheckOptions{Repair: true, Young: -1}, func(f store.Finding) { left = append(left, f) })
		if err != nil || len(left) != 1 || left[0].Kind != store.FoundOrphan || left[0].Mended {
			s.Errorf("found %+v, %v", left, err)
		}
		s.apply(s.dbs[0], s.change("a", "anew")) // as the finding says
		s.repair()
		s.whole()
	})
}

// A version that is written again, because an answer was lost, keeps its witness.
func TestAVersionWrittenAgainKeepsItsWitness(t *testing.T) {
	s := newScene(t, 1)
	db := s.dbs[0]
	w := s.change("a", "first")
	doc, err := newVersion(&w, &state{Version: 1, Nonce: "n", Updated: "2026-03-01T07:00:00.000Z"}, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []witness{notYet, notYet, stood} {
		if want == stood {
			if n, err := db.vouchFor(t.Context(), []string{doc.ID, "Patient/nobody"}); n != 1 || err != nil {
				t.Errorf("%d are there, %v", n, err)
			}
		}
		if err := db.putVersions(t.Context(), []*versionDoc{doc}); err != nil {
			t.Fatal(err)
		}
		var m versionMark
		if err := db.coll(versions).FindOne(t.Context(), bson.M{"_id": doc.ID}).Decode(&m); err != nil || m.Stood != want {
			t.Errorf("it has %d, %v, want %d", m.Stood, err, want)
		}
	}
}

// A head that is lost after a copy comes back; what a copy that is not finished holds
// without a head no repair makes a resource of.
func TestTransferredHeads(t *testing.T) {
	from, to := fresh(t), fresh(t)
	for _, id := range []string{"p", "q"} {
		for range map[string]int{"p": 1, "q": 2}[id] {
			w := store.Write{Record: store.Record{Key: store.Key{Type: "Patient", ID: id}, Raw: bodyOf(id)}, Expect: store.AnyVersion, Claims: []string{"c/" + id}}
			if _, err := from.Write(t.Context(), w); err != nil {
				t.Fatal(err)
			}
		}
	}
	check := func(unfinished bool) (found []string) {
		t.Helper()
		o := store.CheckOptions{Repair: true, Young: -1, Unfinished: unfinished, Entries: func(*store.Record) ([]string, error) { return nil, nil }}
		if err := to.CheckStore(t.Context(), o, func(f store.Finding) {
			if f.Mended == unfinished {
				t.Errorf("unfinished %v: %+v", unfinished, f)
			}
			found = append(found, f.Kind+" "+f.What)
		}); err != nil {
			t.Fatal(err)
		}
		slices.Sort(found)
		return found
	}
	b := &broken{to, t, t.Context()}
	to.onCall = func(what string, done bool) error {
		if what == "write heads" && !done {
			return errDied
		}
		return nil
	}
	run := func() (transfer.Report, error) {
		return transfer.Run(t.Context(), transfer.Side{Store: from, Name: "the source"}, transfer.Side{Store: to, Name: "the destination"}, transfer.Options{})
	}
	if _, err := run(); err == nil {
		t.Fatal("it is not cut off")
	}
	to.onCall = nil
	if got := check(true); !slices.Equal(got, []string{"orphan Patient/p", "orphan Patient/q", "stale-claim a claim of Patient/p", "stale-claim a claim of Patient/q"}) {
		t.Errorf("found in an unfinished copy: %v", got)
	}
	if n, err := to.coll(heads).CountDocuments(t.Context(), bson.M{}); n != 0 || err != nil {
		t.Errorf("%d heads, %v", n, err)
	}
	if r, err := run(); err != nil || !r.Comparison.Same() {
		t.Fatalf("%+v, %v", r, err)
	}
	b.drop(heads, bson.M{"t": "Patient"})
	if got := check(false); !slices.Equal(got, []string{"lost-head Patient/p", "lost-head Patient/q"}) {
		t.Errorf("found in a copy that has lost its heads: %v", got)
	}
	c, err := transfer.Compare(t.Context(), transfer.Side{Store: from, Name: "from"}, transfer.Side{Store: to, Name: "to"}, transfer.Options{})
	if err != nil || !c.Same() {
		t.Errorf("%+v, %v", c, err)
	}
}

// A copy is refused where lists leave out what was acknowledged, and not for what writers
// leave that died, or are at work, or for what is half expunged.
func TestUnlistedIsWhatWasAcknowledged(t *testing.T) {
	for name, x := range map[string]struct {
		damage  func(*scene)
		refused bool
	}{
		"a writer died": {func(s *scene) { s.die("version", []store.Write{s.change("c", "dead")}) }, false},
		"a unit died":   {func(s *scene) { s.die("intents", []store.Write{s.change("c", "dead"), s.change("a", "dead")}) }, false},
		"an expunge died": {func(s *scene) {
			b := &broken{s.dbs[0], s.T, s.Context()}
			b.dies("expunging", func() error { return s.dbs[0].Expunge(s.Context(), s.key("a")) })
			s.dbs[0].onStep = nil
		}, false},
		"an earlier program's writer is at work": {func(s *scene) { s.silent(0) }, false},
		"an earlier program's writer died":       {func(s *scene) { s.silent(2 * orphanAge) }, true},
		"a head is lost":                         {func(s *scene) { s.behead("a", true) }, true},
		"the head of a history is lost":          {func(s *scene) { s.behead("b", true) }, true},
		"a head is lost, and a unit in its place is open": {func(s *scene) {
			s.behead("a", true)
			s.die("intents", []store.Write{s.change("a", "dead"), s.change("c", "dead")})
			s.sweep(s.dbs[1])
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, 2)
			s.apply(s.dbs[0], s.change("a", "first"), s.change("b", "first"))
			s.apply(s.dbs[0], s.change("b", "second"))
			x.damage(s)
			if err := s.dbs[1].Unlisted(t.Context()); errors.Is(err, store.ErrDamaged) != x.refused || err != nil && !x.refused {
				t.Errorf("got %v", err)
			}
		})
	}
}

// silent leaves a version as an earlier program's writer did that came no further.
func (s *scene) silent(age time.Duration) {
	s.Helper()
	s.die("version", []store.Write{s.change("c", "dead")})
	id := keyOf(s.key("c")) + "/"
	res, err := s.dbs[0].coll(versions).UpdateMany(s.Context(), bson.M{"_id": bson.M{"$gte": id, "$lt": id + "~"}}, bson.M{"$unset": bson.M{"h": ""}})
	if err != nil || res.MatchedCount != 1 {
		s.Fatalf("%+v, %v", res, err)
	}
	s.clock.advance(age)
}
