package match

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const febrl = "../../../shared/data/police/linkage/febrl"

// readFEBRL reads one of the FEBRL data sets. They have no sex: it is given as
// one and the same, so that the rule can be tried at all. The last four digits
// of the number serve as token.
func readFEBRL(t *testing.T, file, system string) []Person {
	t.Helper()
	f, err := os.Open(filepath.Join(febrl, file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []Person
	for _, row := range rows[1:] {
		for i := range row {
			row[i] = strings.TrimSpace(row[i])
		}
		p := Person{Ref: row[0], System: system, Sex: "other"}
		p.AddName(row[1], row[2], "")
		if d := row[9]; len(d) == 8 {
			p.SetBirthDate(d[:4] + "-" + d[4:6] + "-" + d[6:])
		}
		p.AddAddress(row[3]+" "+row[4], row[6], row[7])
		if n := row[10]; len(n) > 4 {
			p.AddIdentifier(SSN4System+"1", n[len(n)-4:])
		}
		out = append(out, p)
	}
	return out
}

// true pairs have the same number in rec-<number>-org and rec-<number>-dup-<n>.
func truth(ref string) string { return strings.SplitN(ref, "-", 3)[1] }

// TestFEBRL4IsLinkedAsWellAsBefore is a gate against regressions, no proof of
// quality: the data are easy, and the rule wants more than they vary in.
func TestFEBRL4IsLinkedAsWellAsBefore(t *testing.T) {
	if _, err := os.Stat(febrl); err != nil {
		t.Skip("../shared is absent: linkage was not tried on the FEBRL data sets")
	}
	people := append(readFEBRL(t, "dataset4a.csv", "a"), readFEBRL(t, "dataset4b.csv", "b")...)
	var right, wrong int
	found := map[string]bool{}
	for _, p := range Pairs(people) {
		hit := truth(p.A.Ref) == truth(p.B.Ref)
		if hit {
			found[truth(p.A.Ref)] = true
		}
		if p.Level == Certain {
			if hit {
				right++
			} else {
				wrong++
			}
		}
	}
	t.Logf("automatic: %d right, %d wrong of 5000; in a reviewer's reach: %d", right, wrong, len(found))
	if wrong > 0 {
		t.Errorf("%d wrong automatic links", wrong)
	}
	if right < febrlAutomatic || len(found) < febrlReach {
		t.Errorf("automatic %d (before: %d), in reach %d (before: %d)", right, febrlAutomatic, len(found), febrlReach)
	}
}

const (
	febrlAutomatic = 1880
	febrlReach     = 4650
)
