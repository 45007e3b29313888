package match

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAroundIsWhatPairsSaysOfOneRecord compares the two over random people who
// share names, dates, numbers and addresses: Around gives all pairs that lead to
// the first record, and no other.
func TestAroundIsWhatPairsSaysOfOneRecord(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	pairs, alone := 0, 0
	for range 400 {
		var people []Person
		for i := range 2 + r.IntN(14) {
			p := person(pick("a", "b", "c"), pick("Ann||Lee", "Anne||Lee", "Bo|J|Day", "Cy||Roe", "Roe||Cy"), pick("1984-06-12", "1984-06-13", "1990-01-01", "1971-03-04"),
				pick("male", "female", ""), pick("tel:(555) 202-0143", "tel:(555) 202-0177", "addr:12 Alder Street", "id:urn:mrn|A77", "id:urn:mrn|B78", "twin"))
			p.Ref = fmt.Sprint("Patient/", i)
			if i > 0 && r.IntN(6) == 0 {
				p.ReplacedBy = []string{fmt.Sprint("Patient/", r.IntN(i))}
			}
			people = append(people, p)
		}
		all := Pairs(people)
		near := map[string]bool{people[0].Ref: true}
		for range people { // as far as it goes
			for _, x := range all {
				if near[x.A.Ref] || near[x.B.Ref] {
					near[x.A.Ref], near[x.B.Ref] = true, true
				}
			}
		}
		var want []Pair
		for _, x := range all {
			if near[x.A.Ref] {
				want = append(want, x)
			}
		}
		got := Around(people)
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
		pairs += len(got)
		alone += len(all) - len(got)
	}
	if pairs == 0 || alone == 0 {
		t.Errorf("%d pairs around, %d elsewhere: the people do not test it", pairs, alone)
	}
	if got := Around(nil); len(got) > 0 {
		t.Error(got)
	}
}
