package webhook_test

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/adaptertest"
	"github.com/handoff-health/handoff/adapters/rms/webhook"
	"github.com/handoff-health/handoff/mappings"
)

func events(t testing.TB) adaptertest.Suite {
	return adaptertest.BuiltIn(t, "rms/webhook", "testdata")
}

func TestSuite(t *testing.T) {
	s := events(t)
	s.Good, s.Bad = adaptertest.Input(t, "testdata/events.golden"), adaptertest.Input(t, "testdata/refused.golden")
	s.Run(t)
}

func TestMapleValleyEvents(t *testing.T) {
	raw, err := os.ReadFile("../../../../shared/data/police/synthetic/rms_webhook_events_maple_valley.jsonl")
	if err != nil {
		t.Skip("../shared is absent: the events of Maple Valley were not tried")
	}
	s := events(t)
	out, _, _, reports, err := s.Convert(false, false, raw)
	if err != nil {
		t.Fatal(err)
	}
	if r := reports[0]; r.Records != 19 || r.Rejects != 0 || r.Duplicates != 2 || !r.AddsUp() {
		t.Errorf("%+v", r)
	}
	// In any order the same comes out, line for line.
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	for i, j := 0, len(lines)-1; i < j; i, j = i+1, j-1 {
		lines[i], lines[j] = lines[j], lines[i]
	}
	back, _, _, _, err := s.Convert(false, false, []byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range strings.Split(out, "\n") {
		if !strings.Contains(l, `"resourceType":"Provenance"`) && !strings.Contains(back, l) {
			t.Errorf("backwards this does not come out: %s", l)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(string(adaptertest.Input(f, "testdata/events.golden")))
	f.Add(string(adaptertest.Input(f, "testdata/refused.golden")))
	s := events(f)
	f.Fuzz(func(t *testing.T, in string) {
		src, err := webhook.Open(context.Background(), adapters.Input{Name: "f", Reader: strings.NewReader(in)}, s.Options)
		if err != nil {
			return
		}
		for {
			it, err := src.Next(context.Background())
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if it.Record == nil {
				continue
			}
			if _, err := s.Mapper.Apply(it.Record, mappings.Options{}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
