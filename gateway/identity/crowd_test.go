package identity_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/identity"
)

func person(id, system, given, more string) *store.Record {
	return &store.Record{Key: store.Key{Type: "Patient", ID: id}, Origin: resource.Origin{System: system},
		Raw: fmt.Appendf(nil, `{"resourceType":"Patient","id":%q,"name":[{"family":"Lee","given":[%q]}],"gender":"female","birthDate":"1984-06-12"%s}`, id, given, more)}
}

const samePhone = `,"telecom":[{"system":"phone","value":"555-202-0143"}]`

// bring stores a Patient and links it.
func bring(t *testing.T, k *identity.Linker, p *people, rec *store.Record) error {
	t.Helper()
	p.records = append(p.records, rec)
	r, err := resource.Parse(rec.Raw)
	if err != nil {
		t.Fatal(err)
	}
	err = k.Link(ctx, r, rec.Origin)
	var crowd *identity.Crowd
	if err != nil && !errors.As(err, &crowd) {
		t.Fatal(err)
	}
	return err
}

func TestACrowdOfEqualsCostsEachOfItTheSame(t *testing.T) {
	for name, given := range map[string]func(n int) string{
		"one name":      func(int) string { return "Ann" },
		"names like it": func(n int) string { return fmt.Sprint("Annabelle", n) },
	} {
		t.Run(name, func(t *testing.T) {
			l, _, f := newLinks(t)
			p := &people{}
			k := identity.NewLinker(l, p)
			var read, asked, wrote []int64
			const n = 400
			for i := range n {
				r, a, w := int64(p.read), f.Reads.Load(), f.Writes.Load()
				err := bring(t, k, p, person(fmt.Sprintf("p%03d", i), fmt.Sprint("s", i%4), given(i), samePhone))
				read, asked, wrote = append(read, int64(p.read)-r), append(asked, f.Reads.Load()-a), append(wrote, f.Writes.Load()-w)
				if i >= 100 && err == nil {
					t.Fatalf("nobody was told that Patient %d is one of a crowd", i)
				}
			}
			for i := 100; i < n; i++ {
				if read[i] > 40 || asked[i] > 600 || wrote[i] > 0 {
					t.Fatalf("Patient %d: %d Patients and %d facts were read, %d written", i, read[i], asked[i], wrote[i])
				}
			}
			all, err := l.List(ctx, "")
			if err != nil {
				t.Fatal(err)
			}
			for _, link := range all {
				if link.State == identity.Confirmed {
					t.Errorf("of a crowd two were linked: %+v", link)
				}
			}
		})
	}
}

func TestTheLinkOfTwoGoesWhenACrowdComes(t *testing.T) {
	for name, atOnce := range map[string]bool{"one by one": false, "stored together before any is linked": true} {
		t.Run(name, func(t *testing.T) {
			l, _, _ := newLinks(t)
			p := &people{}
			k := identity.NewLinker(l, p)
			_ = bring(t, k, p, person("a", "ehr", "Ann", samePhone))
			_ = bring(t, k, p, person("b", "rms", "Ann", samePhone))
			if c := class(t, l, "Patient/a"); len(c.Own) != 2 {
				t.Fatalf("two that agree in all were not linked: %+v", c)
			}
			var crowd []*store.Record
			for i := range 60 {
				crowd = append(crowd, person(fmt.Sprintf("c%02d", i), "jail", "Ann", samePhone))
			}
			crowd = append(crowd, person("d", "ehr", "Ann", samePhone)) // a second candidate for b
			if atOnce {
				p.records = append(p.records, crowd...)
				r, err := resource.Parse(crowd[len(crowd)-1].Raw)
				if err != nil {
					t.Fatal(err)
				}
				var many *identity.Crowd
				if err := k.Link(ctx, r, crowd[len(crowd)-1].Origin); !errors.As(err, &many) || many.Code() != "link-crowd" {
					t.Fatalf("told %v", err)
				}
			} else {
				for _, rec := range crowd {
					_ = bring(t, k, p, rec)
				}
			}
			if c := class(t, l, "Patient/a"); len(c.Own) != 1 {
				t.Errorf("the link stands although another may be meant: %+v", c)
			}
		})
	}
}

func TestASharedIdentifierIsACandidateInACrowdToo(t *testing.T) {
	l, _, _ := newLinks(t)
	p := &people{}
	k := identity.NewLinker(l, p)
	const card = `,"identifier":[{"system":"urn:oid:1.2.3","value":"A-4711"}]`
	_ = bring(t, k, p, person("a", "ehr", "Ann", card))
	for i := range 60 {
		_ = bring(t, k, p, person(fmt.Sprintf("c%02d", i), "jail", "Ann", ""))
	}
	if err := bring(t, k, p, person("b", "rms", "Ann", card)); err == nil {
		t.Error("nobody was told of the crowd")
	}
	h, err := l.History(ctx, "Patient/a", "", "b")
	if err != nil || len(h) != 1 || h[0].State != identity.Candidate || h[0].Method != "identifier" {
		t.Errorf("%+v, %v", h, err)
	}
}

// TestSeveralProcessesChangeLinksAtOnce has several Links on one store, as several
// feeds and commands have: no change fails, and each is seen by all at once.
func TestSeveralProcessesChangeLinksAtOnce(t *testing.T) {
	first, _, f := newLinks(t)
	if _, err := first.Propose(ctx, identity.Link{Patient: "Patient/z", RemoteID: "y", State: identity.Confirmed, Method: "roster"}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range 6 {
		mine := identity.NewLinks(f, newMap(t, f, key, slugs), time.Now)
		theirs := identity.NewLinks(f, newMap(t, f, key, slugs), time.Now)
		wg.Go(func() {
			for i := range 50 {
				a, b := fmt.Sprintf("a%d-%d", w, i), fmt.Sprintf("b%d-%d", w, i)
				for _, joined := range []int{1, 2, 1, 2} {
					var err error
					if joined == 2 {
						err = mine.Confirm(ctx, "Patient/"+a, "", b, "rev")
					} else if err = mine.Undo(ctx, "Patient/"+a, "", b, "rev"); errors.Is(err, identity.ErrNoLink) {
						err = nil
					}
					if err != nil {
						t.Error(err)
						return
					}
					if c, err := theirs.For(ctx, "Patient/"+a); err != nil || len(c.Own) != joined {
						t.Errorf("another process sees %+v, %v; it should be %d", c, err, joined)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// Many of one birth date are not read for each of them; who has the name too is
// found nevertheless, and nothing is certain.
func TestManyOfOneBirthDateAreNotReadForEachOfThem(t *testing.T) {
	l, _, _ := newLinks(t)
	p := &people{}
	k := identity.NewLinker(l, p)
	for i := range 400 {
		name := fmt.Sprintf("%c%c%c%c", 'A'+i%26, 'a'+i*7%26, 'a'+i/26, 'a'+i*11%26)
		rec := person(fmt.Sprintf("p%03d", i), fmt.Sprint("s", i%2), name, "")
		rec.Raw = []byte(strings.Replace(string(rec.Raw), "Lee", name, 1))
		p.records = append(p.records, rec)
	}
	p.records = append(p.records, person("z", "rms", "Ann", samePhone))
	p.read = 0
	if err := bring(t, k, p, person("b", "ehr", "Ann", samePhone)); err != nil {
		t.Errorf("told %v", err)
	}
	if p.read > 320 {
		t.Errorf("%d were read", p.read)
	}
	h, err := l.History(ctx, "Patient/b", "", "z")
	if err != nil || len(h) != 1 || h[0].State != identity.Candidate {
		t.Errorf("%+v, %v", h, err)
	}
}
