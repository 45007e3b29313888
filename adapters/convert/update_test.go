package convert_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/all"
	"github.com/handoff-health/handoff/adapters/convert"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/mappings"
)

// messages are those of the tests of slots.
func messages(tb testing.TB) []string {
	tb.Helper()
	text, err := os.ReadFile("../../mappings/testdata/update.hl7")
	if err != nil {
		tb.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n\n")
}

func updateJob(tb testing.TB) convert.Job {
	tb.Helper()
	m, err := mappings.Load(os.DirFS("../../mappings/testdata"), "update.map.yaml", nil)
	if err != nil {
		tb.Fatal(err)
	}
	f, err := all.Find("ehr/hl7v2")
	if err != nil {
		tb.Fatal(err)
	}
	return convert.Job{Format: f, Options: adapters.Options{Profile: &mappings.Profile{Mapping: "x"}, Kinds: m.Kinds()}, Mapper: m}
}

// last converts messages and returns the last form of each resource.
func last(t *testing.T, j convert.Job, in string, stream, bundle bool) (map[string]string, *flow.Report, int) {
	t.Helper()
	var out bytes.Buffer
	j.Out, j.Bundle = &out, bundle
	reports, err := j.Run(context.Background(), []convert.Path{path(in, stream)})
	if err != nil || !reports[0].AddsUp() {
		t.Fatal(err, reports)
	}
	forms := map[string]string{}
	all := raws(t, out.Bytes(), bundle)
	for _, raw := range all {
		var r struct{ ResourceType, ID string }
		if err := json.Unmarshal(raw, &r); err != nil {
			t.Fatal(err)
		}
		forms[r.ResourceType+"/"+r.ID] = string(raw)
	}
	return forms, reports[0], len(all)
}

func TestUpdatesComeToTheSameInEveryOrder(t *testing.T) {
	j := updateJob(t)
	msgs := messages(t)
	want, r, n := last(t, j, strings.Join(msgs, "\n"), false, false)
	if len(want) != 3 || n != 3 || r.Created != 3 || r.Updated < 5 || r.Rejects != 0 {
		t.Fatalf("%+v: %v", *r, want)
	}
	for _, s := range []string{`"status":"cancelled"`, `"status":"in-progress"`, "WARD-C", `"value":"555-3"`} {
		if !strings.Contains(fmt.Sprint(want), s) {
			t.Errorf("%s is missing in %v", s, want)
		}
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for range 25 {
		order := slices.Clone(msgs)
		for range rng.IntN(4) {
			order = append(order, msgs[rng.IntN(len(msgs))])
		}
		rng.Shuffle(len(order), func(i, k int) { order[i], order[k] = order[k], order[i] })
		counts := ""
		for _, mode := range [][2]bool{{}, {true, false}, {false, true}, {true, true}} {
			got, r, n := last(t, j, strings.Join(order, "\n"), mode[0], mode[1])
			if !maps.Equal(got, want) {
				t.Fatalf("%v: got %v\nwant %v", mode, got, want)
			}
			if !(mode[0] && !mode[1]) && n != len(want) {
				t.Errorf("%v: %d resources came out", mode, n)
			}
			c := fmt.Sprint(r.Created, r.Updated, r.Duplicates, r.Superseded)
			if counts != "" && c != counts {
				t.Errorf("%v: %s, else %s", mode, c, counts)
			}
			counts = c
		}
	}
}

func TestWhatBecomesOfAnUpdate(t *testing.T) {
	j := updateJob(t)
	msgs := messages(t)
	for _, c := range []struct {
		order []int
		want  string // created, updated, duplicates, superseded among them
	}{
		{[]int{1, 2, 3}, "1 2 0 0"},
		{[]int{1, 1}, "1 0 1 0"},
		{[]int{1, 2, 1, 2}, "1 1 2 0"},
		{[]int{4, 1}, "1 1 0 0"},    // older, and fills what was open
		{[]int{1, 5, 2}, "1 1 1 1"}, // older, and fills nothing
		{[]int{1, 6}, "2 0 0 0"},    // a person without a visit is another record
	} {
		var in []string
		for _, i := range c.order {
			in = append(in, msgs[i-1])
		}
		for _, mode := range [][2]bool{{}, {true, false}, {true, true}} {
			_, r, _ := last(t, j, strings.Join(in, "\n"), mode[0], mode[1])
			if got := fmt.Sprint(r.Created, r.Updated, r.Duplicates, r.Superseded); got != c.want {
				t.Errorf("%v, %v: got %s, want %s", c.order, mode, got, c.want)
			}
		}
	}
}
