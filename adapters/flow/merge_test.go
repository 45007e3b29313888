package flow

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/mappings"
)

// kin is a set of Patients with what is known of their merges.
type kin map[string]*Merged

func (k kin) tell(version, digest string, merges ...mappings.Merge) (bool, error) {
	work := kin{}
	o := Orders{Merges: merges, Version: version, Digest: digest}
	changed, err := o.Apply(func(ref string) (*Merged, error) {
		if work[ref] == nil {
			work[ref] = &Merged{}
			if m := k[ref]; m != nil {
				work[ref].Pairs = maps.Clone(m.Pairs)
			}
		}
		return work[ref], nil
	})
	if err == nil {
		maps.Copy(k, work)
	}
	return changed, err
}

func into(survivor, loser string) mappings.Merge {
	return mappings.Merge{Survivor: survivor, Loser: loser}
}

func apart(survivor, loser string) mappings.Merge {
	return mappings.Merge{Survivor: survivor, Loser: loser, Undo: true}
}

func TestMergesThatAreRefusedChangeNothing(t *testing.T) {
	chain := func() kin {
		k := kin{}
		for i, m := range []mappings.Merge{into("B", "A"), into("C", "B")} {
			if changed, err := k.tell(fmt.Sprint(i), "", m); err != nil || !changed {
				t.Fatal(changed, err)
			}
		}
		return k
	}
	for name, c := range map[string]struct {
		orders []mappings.Merge
		pair   int
		code   string
	}{
		"itself":                  {[]mappings.Merge{into("A", "A")}, 0, "merge-cycle"},
		"swapped":                 {[]mappings.Merge{into("A", "B")}, 0, "merge-cycle"},
		"over another":            {[]mappings.Merge{into("A", "C")}, 0, "merge-cycle"},
		"the second of a message": {[]mappings.Merge{into("D", "E"), into("A", "C")}, 1, "merge-cycle"},
		"within one message":      {[]mappings.Merge{into("D", "E"), into("E", "D")}, 1, "merge-cycle"},
	} {
		k := chain()
		before := fmt.Sprint(k["A"], k["B"], k["C"], k["D"], k["E"])
		_, err := k.tell("9", "", c.orders...)
		var refused *MergeError
		if !errors.As(err, &refused) || refused.Pair != c.pair || refused.Code() != c.code {
			t.Errorf("%s: %v", name, err)
		}
		if after := fmt.Sprint(k["A"], k["B"], k["C"], k["D"], k["E"]); after != before {
			t.Errorf("%s: %s became %s", name, before, after)
		}
	}
	k := chain()
	if changed, err := k.tell("5", "", into("B", "A")); changed || err != nil {
		t.Errorf("a repeat: %v, %v", changed, err)
	}
	if changed, err := k.tell("6", "", apart("A", "B")); !changed || err != nil { // the ends named the other way round
		t.Errorf("an unmerge: %v, %v", changed, err)
	}
	if changed, err := k.tell("1", "", into("B", "A")); changed || err != nil {
		t.Errorf("the old merge again: %v, %v", changed, err)
	}
	if changed, err := k.tell("7", "", into("A", "B")); !changed || err != nil {
		t.Errorf("the other way, after the unmerge: %v, %v", changed, err)
	}
}

func TestTooManyPatientsAreNoPerson(t *testing.T) {
	k := kin{}
	for i := range maxMerged - 1 {
		if _, err := k.tell("1", "", into("S", fmt.Sprint(i))); err != nil {
			t.Fatal(i, err)
		}
	}
	if _, err := k.tell("1", "", into("S", "more")); !errors.Is(err, ErrMergeLimit) {
		t.Error(err)
	}
}

func TestOrdersWithoutATimeCountAsTheyCome(t *testing.T) {
	k := kin{}
	for i, c := range []struct {
		digest string
		m      mappings.Merge
		change bool
	}{
		{"a", into("S", "L"), true}, {"a", into("S", "L"), false}, {"b", apart("S", "L"), true},
		{"a", into("S", "L"), false}, {"b", apart("S", "L"), false},
	} {
		if changed, err := k.tell("", c.digest, c.m); changed != c.change || err != nil {
			t.Errorf("%d: %v, %v", i, changed, err)
		}
	}
}

// TestAnyOrderOfMergesEndsInOneState tells the same merges and unmerges in many
// orders, with Patients that are imposed on each time and updated in between.
func TestAnyOrderOfMergesEndsInOneState(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 25))
	name := func(s string) string { return s }
	refs := []string{"Patient/a", "Patient/b", "Patient/c", "Patient/d"}
	for range 300 {
		type event struct {
			version string
			m       mappings.Merge
		}
		var events []event
		for range 2 + rnd.IntN(6) {
			s := rnd.IntN(3)
			m := into(refs[s], refs[s+1+rnd.IntN(3-s)]) // never the other way: no cycle
			if m.Undo = rnd.IntN(3) == 0; m.Undo && rnd.IntN(2) == 0 {
				m.Survivor, m.Loser = m.Loser, m.Survivor
			}
			events = append(events, event{fmt.Sprint(rnd.IntN(6)), m})
		}
		want := ""
		for range 6 {
			rnd.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
			k, stored := kin{}, map[string]string{}
			for _, r := range refs {
				stored[r] = patientForm(r)
			}
			version := 0
			for _, e := range slices.Concat(events, events[:1]) {
				own := map[string]*Own{}
				for r, m := range k {
					own[r] = m.Own
				}
				if _, err := k.tell(e.version, "", e.m); err != nil {
					t.Fatal(err)
				}
				if rnd.IntN(2) == 0 { // an update of one, from its source
					version++
				}
				for i, r := range refs {
					m := k[r]
					if m == nil {
						continue
					}
					if m.Own == nil {
						m.Own = own[r]
					}
					from := stored[r]
					if i == version%len(refs) {
						from = patientForm(r)
					}
					raw, err := m.Impose([]byte(from), name)
					if err != nil {
						t.Fatal(err)
					}
					stored[r] = string(raw)
				}
			}
			got := ""
			for _, r := range refs {
				got += stored[r] + "\n"
			}
			if want == "" {
				want = got
			} else if got != want {
				t.Fatalf("%v:\n%s\nand before:\n%s", events, got, want)
			}
		}
	}
}

func patientForm(ref string) string {
	id := strings.TrimPrefix(ref, "Patient/")
	active := map[string]string{"a": `"active":true,`, "b": `"active":false,`}[id]
	return `{"resourceType":"Patient","id":"` + id + `",` + active + `"identifier":[{"use":"official","value":"1"},{"value":"2","type":{"text":"x"}}],` +
		`"gender":"female","link":[{"other":{"reference":"Patient/other"},"type":"seealso"}]}`
}

func TestImposeSaysWhoReplacesWhom(t *testing.T) {
	k := kin{}
	name := func(s string) string { return s }
	if _, err := k.tell("1", "", into("Patient/s", "Patient/l"), into("Patient/s", "Patient/m")); err != nil {
		t.Fatal(err)
	}
	plain := `{"resourceType":"Patient","id":"l","active":true,"identifier":[{"use":"official","value":"1"},{"value":"2"}],"gender":"male"}`
	raw, err := k["Patient/l"].Impose([]byte(plain), name)
	want := `{"resourceType":"Patient","id":"l","active":false,"identifier":[{"use":"old","value":"1"},{"value":"2","use":"old"}],"gender":"male","link":[{"other":{"reference":"Patient/s"},"type":"replaced-by"}]}`
	if err != nil || string(raw) != want {
		t.Errorf("loser: %v\n%s", err, raw)
	}
	again, err := k["Patient/l"].Impose(raw, name)
	if err != nil || string(again) != want {
		t.Errorf("again: %v\n%s", err, again)
	}
	survivor := `{"resourceType":"Patient","id":"s","active":true}`
	raw, err = k["Patient/s"].Impose([]byte(survivor), name)
	if err != nil || string(raw) != `{"resourceType":"Patient","id":"s","active":true,"link":[{"other":{"reference":"Patient/l"},"type":"replaces"},{"other":{"reference":"Patient/m"},"type":"replaces"}]}` {
		t.Errorf("survivor: %v\n%s", err, raw)
	}
	own := k["Patient/l"].Own
	if _, err := k.tell("2", "", apart("Patient/s", "Patient/l")); err != nil {
		t.Fatal(err)
	}
	k["Patient/l"].Own = own
	if back, err := k["Patient/l"].Impose(again, name); err != nil || string(back) != plain {
		t.Errorf("parted: %v\n%s", err, back)
	}
	if raw, err = k["Patient/s"].Part("Patient/m", raw, name); err != nil || string(raw) != survivor {
		t.Errorf("the other gone: %v\n%s", err, raw)
	}
	if _, err := k["Patient/s"].Impose([]byte(`{"resourceType":`), name); err == nil {
		t.Error("what cannot be read was taken")
	}
}
