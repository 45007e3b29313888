package convert_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

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

// hospital writes n messages: each person has a visit of five, and one of two
// persons another one.
type hospital struct {
	n, at int
	rest  []byte
}

func (h *hospital) Read(p []byte) (int, error) {
	for len(h.rest) == 0 {
		if h.at == h.n {
			return 0, io.EOF
		}
		visit, k := h.at/5, h.at%5
		person := visit * 2 / 3
		trigger := []string{"A01", "A02", "A08", "A08", "A03"}[k]
		at := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(h.at) * time.Second).Format("20060102150405-0700")
		h.rest = fmt.Appendf(nil, "MSH|^~\\&|A|HOSP|||%s||ADT^%s|%d|P|2.5\rEVN||%s\rPID|1||P%d^^^HOSP^MR||EXAMPLE%d^PAT^Q||19%02d0314|F||2106-3|%d Test Plaza^^Sampleton^CO^80000||(303)555-%04d^PRN^PH|(303)555-%04d^WPN^PH\rPV1|1|I|WARD-%d^%d^A^HOSP||||70%02d^ATTEND^A|||||||ER|||||V%d^^^HOSP^VN|||||||||||||||||||||||||%s%s\rPV2|||^Chest pain %d\r",
			at, trigger, h.at, at, person, person, 40+person%60, person%900, person%10000, (person+7)%10000, k, visit%40, visit%99, visit, at, map[bool]string{true: "|" + at}[k == 4], visit%50)
		h.at++
	}
	n := copy(p, h.rest)
	h.rest = h.rest[n:]
	return n, nil
}

// TestUpdatesCostMemory converts HANDOFF_MESSAGES messages and prints rate and
// memory.
func TestUpdatesCostMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("memory is not measured in short mode: the race detector's own is larger")
	}
	n := 2000
	if s := os.Getenv("HANDOFF_MESSAGES"); s != "" {
		if _, err := fmt.Sscan(s, &n); err != nil {
			t.Fatal(err)
		}
	}
	j := updateJob(t)
	j.Out = io.Discard
	var peak, ms = uint64(0), runtime.MemStats{}
	seen := 0
	j.Tick = func(*flow.Report) {
		if seen++; seen%(max(1, n/10)) == 1 {
			runtime.ReadMemStats(&ms)
			peak = max(peak, ms.HeapInuse)
		}
	}
	start := time.Now()
	reports, err := j.Run(context.Background(), []convert.Path{{Name: "large", Open: func() (adapters.Input, io.Closer, error) {
		return adapters.Input{Name: "large", Reader: &hospital{n: n}}, io.NopCloser(nil), nil
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if r := reports[0]; r.Created != (n+4)/5 || !r.AddsUp() || r.Rejects > 0 {
		t.Errorf("%+v", *r)
	}
	t.Logf("%d messages twice in %v, %d MiB in use at most: %d bytes a message", n, time.Since(start).Round(time.Millisecond), peak>>20, peak/uint64(n))
}

// What an expunged visit said of a person does not come out, and what others
// said does.
func TestAnExpungedVisitTakesItsPartOfThePerson(t *testing.T) {
	j := updateJob(t)
	var with, without []string
	for _, m := range messages(t) {
		if with = append(with, m); !strings.Contains(m, "|V1") {
			without = append(without, m)
		}
	}
	with = append(with, "MSH|^~\\&|A|HOSP|||20250301||ADT^A23|99|P|2.5\nPID|1||P1\nPV1|1|I|||||||||||||||||V1\n")
	want, _, _ := last(t, j, strings.Join(without, "\n"), false, false)
	for _, bundle := range []bool{false, true} {
		got, r, n := last(t, j, strings.Join(with, "\n"), false, bundle)
		if !maps.Equal(got, want) || n != len(want) || r.Expunged != 1 || r.Created != 3 {
			t.Errorf("%+v: got %v\nwant %v", *r, got, want)
		}
	}
}
