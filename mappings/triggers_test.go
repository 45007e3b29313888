package mappings_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/mappings"
)

// visit is what the golden of triggers shows of an Encounter.
type visit struct {
	Status   string
	Class    struct{ Code string }
	Period   struct{ Start, End string }
	Meta     struct{ Security []struct{ Code string } }
	Location []struct{ Status string }
}

func (v *visit) String() string {
	var labels, places []string
	for _, s := range v.Meta.Security {
		labels = append(labels, s.Code)
	}
	for _, l := range v.Location {
		places = append(places, l.Status)
	}
	return fmt.Sprintf("%s %s %s/%s labels %s places %s", v.Status, v.Class.Code, v.Period.Start, v.Period.End, strings.Join(labels, ","), strings.Join(places, ","))
}

// event is a message of a trigger: one person, one visit, another person to merge.
func event(trigger, time string) string {
	ended := ""
	if trigger == "A03" {
		ended = time
	}
	discharged := strings.Repeat("|", 25) + "20260102080000-0500|" + ended
	m := "MSH|^~\\&|EHR|CLINIC|||" + time + "||ADT^" + trigger + "|" + trigger + time + "|P|2.5.1\n" +
		"EVN|" + trigger + "|" + time + "\n" +
		"PID|1||P1^^^CLINIC^MR||Sample^Ada||19800203|F\n"
	switch trigger {
	case "A18", "A30", "A34", "A36", "A39", "A40", "A47":
		m += "MRG|P0^^^CLINIC^MR\n"
	}
	if trigger == "A37" {
		return m + "PID|2||P0^^^CLINIC^MR||Sample^Bea||19800203|F\n"
	}
	return m + "PV1|1|I|4W^12^A|||ED^1^B|||||||||||||V1^^^CLINIC" + discharged + "\n" + "PV2||||||||||||||||||||||Y\n"
}

// Each trigger of ADT: what its message comes to when nothing is known of the
// visit, after an admission, and after a discharge.
func TestEachTriggerGivesItsGolden(t *testing.T) {
	m := load(t, adt)
	var b strings.Builder
	b.WriteString("# What each ADT trigger makes of a visit: alone, after an A01, after an A01 and an A03.\n")
	for i := 1; i <= 62; i++ {
		trigger := fmt.Sprintf("A%02d", i)
		res := apply(t, m, message(t, event(trigger, "20260104100000-0500")), mappings.Options{})
		fmt.Fprintf(&b, "\n%s: %s", trigger, res.Action)
		if res.Reason != "" {
			fmt.Fprintf(&b, " (%s)", res.Reason)
		}
		b.WriteString("\n")
		for _, g := range res.Merges {
			fmt.Fprintf(&b, "  %s: survivor %s, loser %s\n", map[bool]string{true: "parts", false: "merges"}[g.Undo], named(res, g.Survivor), named(res, g.Loser))
		}
		if len(of(res, "Encounter")) == 0 {
			if len(res.Resources) > 0 {
				b.WriteString("  no visit\n")
			}
			continue
		}
		for _, before := range [][]string{nil, {"A01"}, {"A01", "A03"}} {
			when := "alone"
			if len(before) > 0 {
				when = "after " + strings.Join(before, "+")
			}
			fmt.Fprintf(&b, "  %-14s %s\n", when+":", after(t, m, before, res))
		}
	}
	const golden = "testdata/triggers.golden"
	if f := flag.Lookup("update"); f != nil && f.Value.String() == "true" {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || string(want) != b.String() {
		t.Errorf("%v: not the golden:\n%s", err, b.String())
	}
}

// after is the visit when a message comes after those of other triggers.
func after(t *testing.T, m *mappings.Map, before []string, res *mappings.Result) *visit {
	t.Helper()
	var state mappings.Slots
	for i, trigger := range before {
		first := apply(t, m, message(t, event(trigger, fmt.Sprintf("2026010%d093000-0500", i+2))), mappings.Options{})
		state = state.Merge(of(first, "Encounter")[0].Slots)
	}
	one := of(res, "Encounter")[0]
	raw, err := state.Merge(one.Slots).Assemble("Encounter", one.ID)
	if err != nil {
		t.Fatal(err)
	}
	v := new(visit)
	if err := json.Unmarshal(raw, v); err != nil {
		t.Fatal(err)
	}
	return v
}

// named is a Patient's number.
func named(res *mappings.Result, ref string) string {
	for _, x := range of(res, "Patient") {
		if ref == "Patient/"+x.ID {
			var p struct{ Identifier []struct{ Value string } }
			if json.Unmarshal(x.Raw, &p) == nil && len(p.Identifier) > 0 {
				return p.Identifier[0].Value
			}
		}
	}
	return ref
}
