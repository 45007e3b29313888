package ingest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/ingest"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/mappings"
)

// newPersons ingests rows of the test system of persons, merges and unmerges.
func newPersons(t testing.TB, db backend.Backend) *ingest.Pipeline {
	t.Helper()
	m, err := mappings.Load(os.DirFS("../flow/testdata"), "persons.map.yaml", &mappings.Profile{TimeZone: "UTC"})
	if err != nil {
		t.Fatal(err)
	}
	p, _ := newPipeline(t)
	p.Store, p.Facts, p.Log, p.Mapper = db, db, db, m
	p.Options = adapters.Options{Fields: m.Fields(), Profile: m.Profile()}
	p.Origin.System = "persons"
	return p
}

func memory(t testing.TB) backend.Backend {
	t.Helper()
	db := backendtest.Open(t, backend.Options{})
	return db
}

const personsHead = "Key,Modified,MNI,Name,From,Act\n"

// mnis are the keys of persons by their references.
var mnis = func() map[string]string {
	ids, err := mappings.NewIDs(siteKey)
	if err != nil {
		panic(err)
	}
	m := map[string]string{}
	for i := range 20 {
		key := fmt.Sprint("R", i)
		m["Patient/"+ids("Patient", "urn:test:mni", key)] = key
	}
	return m
}()

// people shows the stored Patients: MNI, "-" if it is not active, name, uses,
// links.
func people(t testing.TB, db store.Store) string {
	t.Helper()
	shown := map[string]string{}
	for _, rec := range find(t, db, "Patient") {
		var p struct {
			Active     *bool
			Name       []struct{ Family string }
			Identifier []struct{ Use string }
			Link       []struct {
				Type  string
				Other struct{ Reference string }
			}
		}
		if err := json.Unmarshal(rec.Raw, &p); err != nil {
			t.Fatal(err)
		}
		s := mnis[rec.Key.String()]
		if p.Active != nil && !*p.Active {
			s += "-"
		}
		for _, n := range p.Name {
			s += " " + n.Family
		}
		for _, id := range p.Identifier {
			s += " " + id.Use
		}
		for _, l := range p.Link {
			s += " " + l.Type + " " + mnis[l.Other.Reference]
		}
		shown[s] = s
		head, err := db.Read(context.Background(), rec.Key)
		if err != nil {
			t.Fatal(err)
		}
		if want, err := (ingest.Entries{}).Index(mustParse(t, rec.Raw)); err != nil || len(want) != len(head.Index) {
			t.Errorf("%s is not indexed as it stands: %v", s, err)
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(shown)), "; ")
}

func mustParse(t testing.TB, raw []byte) *resource.Resource {
	t.Helper()
	r, err := resource.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const (
	rowAna, rowAnna = "1,2026-01-01,R1,ANA,,\n", "2,2026-01-01,R2,ANNA,,\n"
	rowMerge        = "m,2026-02-01,R1,,R2,merge\n"
	rowUndo         = "u,2026-03-01,R1,,R2,unmerge\n"
	joinedPeople    = "R1 ANA official  replaces R2; R2- ANNA old old replaced-by R1"
	twoPeople       = "R1 ANA official ; R2 ANNA official "
)

func TestMergedPersonsAreLinked(t *testing.T) {
	for _, c := range []struct{ name, in, want, counts string }{
		{"known", rowAna + rowAnna + rowMerge, joinedPeople, "c3 u0 d0 r0 n1"},
		{"unknown before", rowMerge + rowAna + rowAnna, joinedPeople, "c3 u0 d0 r0 n1"},
		{"unknown at all", rowMerge, "R1  replaces R2; R2- old replaced-by R1", "c1 u0 d0 r0 n1"},
		{"loser updated since", rowAna + rowAnna + rowMerge + "2,2026-02-02,R2,ANNE,,\n", strings.ReplaceAll(joinedPeople, "ANNA", "ANNE"), "c3 u1 d0 r0 n1"},
		{"loser told by a new record", rowAna + rowAnna + rowMerge + "3,2026-02-02,R2,ANNE,,\n", strings.ReplaceAll(joinedPeople, "ANNA", "ANNE"), "c4 u0 d0 r0 n1"},
		{"survivor updated since", rowAna + rowAnna + rowMerge + "1,2026-02-02,R1,ANITA,,\n", strings.ReplaceAll(joinedPeople, "ANA", "ANITA"), "c3 u1 d0 r0 n1"},
		{"twice", rowAna + rowAnna + rowMerge + rowMerge + "n,2026-02-02,R1,,R2,merge\n", joinedPeople, "c4 u0 d1 r0 n1"},
		{"undone", rowAna + rowAnna + rowMerge + rowUndo, twoPeople, "c4 u0 d0 r0 n1"},
		{"undone, the other way round", rowAna + rowAnna + rowMerge + "u,2026-03-01,R2,,R1,unmerge\n", twoPeople, "c4 u0 d0 r0 n1"},
		{"undone before", rowAna + rowUndo + rowAnna + rowMerge, twoPeople, "c4 u0 d0 r0 n1"},
		{"undone, and the old merge again", rowAna + rowAnna + rowMerge + rowUndo + "n,2026-02-01,R1,,R2,merge\n" + rowMerge, twoPeople, "c5 u0 d1 r0 n1"},
		{"undone and merged again", rowAna + rowAnna + rowMerge + rowUndo + "n,2026-04-01,R1,,R2,merge\n", joinedPeople, "c5 u0 d0 r0 n1"},
		{"swapped", rowAna + rowAnna + rowMerge + "n,2026-02-02,R2,,R1,merge\n", joinedPeople, "c3 u0 d0 r1 n1"},
		{"swapped, of an older time", rowAna + rowAnna + rowMerge + "n,2025-02-02,R2,,R1,merge\n", joinedPeople, "c3 u0 d0 r1 n1"},
		{"itself", rowAna + "n,2025-02-02,R1,,R1,merge\n", "R1 ANA official ", "c1 u0 d0 r1 n1"},
		{"chain", rowAna + rowAnna + rowMerge + "n,2026-02-02,R3,,R1,merge\n", "R1- ANA old old replaced-by R3 replaces R2; R2- ANNA old old replaced-by R1; R3  replaces R1", "c4 u0 d0 r0 n1"},
		{"an older version of the order merges others", "m,2026-05-01,R4,,R5,merge\n" + rowMerge,
			"R1  replaces R2; R2- old replaced-by R1; R4  replaces R5; R5- old replaced-by R4", "c1 u1 d0 r0 n1"},
		{"a merge of a record that is newer", "1,2026-05-01,R1,ANA,,\n" + rowAnna + "1,2026-02-01,R1,,R2,merge\n", joinedPeople, "c2 u1 d0 r0 n1"},
		{"without a time", rowAna + rowAnna + "m,,R1,,R2,merge\nu,,R1,,R2,unmerge\nm,,R1,,R2,merge\n", twoPeople, "c4 u0 d1 r0 n1"},
	} {
		db := memory(t)
		p := newPersons(t, db)
		if counts := sum(run(t, p, personsHead+c.in)); counts != c.counts {
			t.Errorf("%s: %s, want %s", c.name, counts, c.counts)
		}
		if got := people(t, db); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		var before []int64
		for _, rec := range find(t, db, "Patient") {
			before = append(before, rec.Version)
		}
		r := run(t, p, personsHead+c.in) // a replay changes nothing
		if got := people(t, db); got != c.want || r.Created+r.Updated > 0 {
			t.Errorf("%s, replayed: got %q and %s, want %q", c.name, got, sum(r), c.want)
		}
		var after []int64
		for _, rec := range find(t, db, "Patient") {
			after = append(after, rec.Version)
		}
		if !slices.Equal(before, after) {
			t.Errorf("%s, replayed: versions %v became %v", c.name, before, after)
		}
	}
}

func TestARefusedMergeSaysSoAndIsKept(t *testing.T) {
	db := memory(t)
	p := newPersons(t, db)
	run(t, p, personsHead+rowAna+rowAnna+rowMerge)
	r := run(t, p, personsHead+"n,2026-02-02,R2,,R1,merge\n")
	if r.RejectedBy["merge-cycle"] != 1 {
		t.Errorf("%+v", *r)
	}
	kept, err := ingest.Read(context.Background(), db, db, "persons", ingest.RejectStream("persons"), 1, 10)
	if err != nil || len(kept) != 1 || kept[0].Reject == nil || kept[0].Reject.Code != "merge-cycle" || !strings.Contains(string(kept[0].Raw), "R2,,R1,merge") {
		t.Fatalf("%+v, %v", kept, err)
	}
	// After the unmerge the same text is taken.
	if got := sum(run(t, p, personsHead+"u,2026-02-01,R2,,R1,unmerge\n"+"n,2026-02-02,R2,,R1,merge\n")); got != "c2 u0 d0 r0 n1" {
		t.Error(got)
	}
	if got := people(t, db); got != "R1- ANA old old replaced-by R2; R2 ANNA official  replaces R1" {
		t.Error(got)
	}
}

func TestAMergeJoinsNothingOfAnotherSystem(t *testing.T) {
	db := memory(t)
	other := newPersons(t, db)
	other.Origin.System = "other"
	run(t, other, personsHead+rowAnna)
	p := newPersons(t, db)
	before := people(t, db)
	r := run(t, p, personsHead+rowMerge)
	if r.RejectedBy["merge-system"] != 1 || people(t, db) != before {
		t.Errorf("%+v, %s", *r, people(t, db))
	}
}

func TestExpungeOfAMergedPersonTellsNothingOfIt(t *testing.T) {
	for name, in := range map[string]string{
		"loser":                     rowAna + rowAnna + rowMerge + "2,2026-05-01,R2,,,expunge\n",
		"loser that came later":     rowAna + rowMerge + rowAnna + "2,2026-05-01,R2,,,expunge\n",
		"loser, and the merge then": rowAna + rowAnna + "2,2026-05-01,R2,,,expunge\n" + rowMerge,
		"loser that was survivor":   rowAna + rowAnna + "m,2026-02-01,R2,,R1,merge\n" + "2,2026-05-01,R2,,,expunge\n",
	} {
		db := memory(t)
		p := newPersons(t, db)
		run(t, p, personsHead+in)
		if got := people(t, db); got != "R1 ANA official " {
			t.Errorf("%s: %q", name, got)
		}
		run(t, p, personsHead+rowMerge+"n,2026-06-01,R1,,R2,merge\n")
		if got := people(t, db); got != "R1 ANA official " {
			t.Errorf("%s, merged again: %q", name, got)
		}
	}
	// Another process expunges the loser: what this one remembers of it does not count.
	db := memory(t)
	feed := newPersons(t, db)
	run(t, feed, personsHead+rowAna+rowAnna)
	run(t, newPersons(t, db), personsHead+"2,2026-05-01,R2,,,expunge\n")
	run(t, feed, personsHead+rowMerge)
	if got := people(t, db); got != "R1 ANA official " {
		t.Errorf("loser, by another process: %q", got)
	}
	// A person whom another record tells of too stays, with its links.
	db = memory(t)
	p := newPersons(t, db)
	run(t, p, personsHead+rowAna+rowAnna+"3,2026-01-02,R2,ANNE,,\n"+rowMerge+"3,2026-05-01,R2,,,expunge\n")
	if got := people(t, db); got != joinedPeople {
		t.Errorf("put back: %q", got)
	}
	run(t, p, personsHead+rowUndo)
	if got := people(t, db); got != twoPeople {
		t.Errorf("put back and parted: %q", got)
	}
}

// toldPersons notes what the linker is told, and can fail.
type toldPersons struct {
	joined map[string]bool
	fail   error
}

func (l *toldPersons) Link(context.Context, *store.Record) error { return l.fail }

func (l *toldPersons) Merge(_ context.Context, survivor, loser string, joined bool, reason string) (bool, error) {
	if l.fail == nil {
		l.joined[mnis[survivor]+" "+mnis[loser]] = joined
	}
	if !strings.Contains(reason, "persons at 2026-") {
		return false, errors.New("no reason: " + reason)
	}
	return false, l.fail
}

func TestTheLinkerIsToldOfMerges(t *testing.T) {
	db := memory(t)
	p := newPersons(t, db)
	l := &toldPersons{joined: map[string]bool{}}
	p.Linker = l
	run(t, p, personsHead+rowAna+rowAnna+rowMerge)
	if !l.joined["R1 R2"] {
		t.Errorf("%v", l.joined)
	}
	l.fail = errors.New("no links today")
	in := adapters.Input{Name: "undo.csv", Reader: strings.NewReader(personsHead + rowUndo)}
	if _, err := p.Run(context.Background(), in); err == nil {
		t.Fatal("a parting that nobody was told of was acknowledged")
	}
	l.fail = nil
	in.Reader = strings.NewReader(personsHead + rowUndo)
	if _, err := p.Run(context.Background(), in); err != nil {
		t.Fatal(err)
	}
	if l.joined["R1 R2"] || people(t, db) != twoPeople {
		t.Errorf("%v, %s", l.joined, people(t, db))
	}
	run(t, p, personsHead+rowMerge) // the old one once more
	if l.joined["R1 R2"] {
		t.Error("an old merge joined the persons again")
	}
}

// frail breaks off after so many writes.
type frail struct {
	backend.Backend
	left atomic.Int64
}

var errFrail = errors.New("broke off")

func (f *frail) spend() error {
	if f.left.Add(-1) < 0 {
		return errFrail
	}
	return nil
}

func (f *frail) Apply(ctx context.Context, ws []store.Write) ([]*store.Record, error) {
	if err := f.spend(); err != nil {
		return nil, err
	}
	return f.Backend.Apply(ctx, ws)
}

func (f *frail) Write(ctx context.Context, w store.Write) (*store.Record, error) {
	if err := f.spend(); err != nil {
		return nil, err
	}
	return f.Backend.Write(ctx, w)
}

func (f *frail) PutIfAbsent(ctx context.Context, key string, value []byte, expires time.Time) (store.Fact, error) {
	if err := f.spend(); err != nil {
		return store.Fact{}, err
	}
	return f.Backend.PutIfAbsent(ctx, key, value, expires)
}

func (f *frail) CompareAndSet(ctx context.Context, key string, version int64, value []byte, expires time.Time) (store.Fact, error) {
	if err := f.spend(); err != nil {
		return store.Fact{}, err
	}
	return f.Backend.CompareAndSet(ctx, key, version, value, expires)
}

// TestAnyOrderOfArrivalOfMergesEndsInTheSameState tells persons, updates, merges
// and unmerges in any order, repeated, over processes that die in the middle.
func TestAnyOrderOfArrivalOfMergesEndsInTheSameState(t *testing.T) {
	rnd := rand.New(rand.NewPCG(25, 5))
	rounds := 10
	if testing.Short() {
		rounds = 2
	}
	for range rounds {
		var rows []string
		for i := range 4 {
			for v := range 1 + rnd.IntN(2) {
				rows = append(rows, fmt.Sprintf("c%d,2026-01-%02d,R%d,NAME%d,,\n", i, 1+v, i, v))
			}
		}
		for i := range 2 + rnd.IntN(5) {
			s := rnd.IntN(3)
			l := s + 1 + rnd.IntN(3-s) // one direction: no cycle in any order
			act := []string{"merge", "merge", "unmerge"}[rnd.IntN(3)]
			rows = append(rows, fmt.Sprintf("m%d,2026-02-%02d,R%d,,R%d,%s\n", i, 1+rnd.IntN(5), s, l, act))
		}
		want := ""
		for try := range 4 {
			rnd.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
			db := memory(t)
			told := &toldPersons{joined: map[string]bool{}}
			sent := append(slices.Clone(rows), rows[rnd.IntN(len(rows))])
			for i := 0; i < len(sent); {
				n := min(len(sent), i+1+rnd.IntN(4))
				p := newPersons(t, db)
				p.Linker = told
				f := &frail{Backend: db}
				if f.left.Store(1 << 30); try > 1 {
					f.left.Store(rnd.Int64N(25))
				}
				p.Store, p.Facts = f, f
				in := adapters.Input{Name: fmt.Sprint(i), Reader: strings.NewReader(personsHead + strings.Join(sent[i:n], ""))}
				if _, err := p.Run(context.Background(), in); err == nil {
					i = n
				} else if !errors.Is(err, errFrail) {
					t.Fatal(err)
				}
			}
			var links []string
			for _, pair := range slices.Sorted(maps.Keys(told.joined)) {
				links = append(links, fmt.Sprint(pair, " ", told.joined[pair]))
			}
			got := people(t, db) + "\n" + strings.Join(links, ", ")
			if want == "" {
				want = got
			} else if got != want {
				t.Fatalf("%q:\n%s\nand in another order:\n%s", sent, got, want)
			}
		}
	}
}
