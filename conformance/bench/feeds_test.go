package main

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/all"
	"github.com/handoff-health/handoff/adapters/convert"
	"github.com/handoff-health/handoff/mappings"
)

// Every format has a sample; its records are told apart, and each makes
// resources of its own.
func TestEveryFormatHasASampleThatConverts(t *testing.T) {
	const n = 30
	for _, f := range all.Formats() {
		in, err := newFeedInput(f.Name, n)
		if err != nil {
			t.Error(err)
			continue
		}
		m, err := mappings.Load(mappings.Files(), f.Mapping, nil)
		if err != nil {
			t.Fatal(err)
		}
		var out, rejects bytes.Buffer
		j := convert.Job{Format: f, Options: adapters.Options{Profile: m.Profile(), Fields: m.Fields(), Kinds: m.Kinds()}, Mapper: m, Out: &out, Rejects: &rejects}
		reports, err := j.Run(context.Background(), []convert.Path{{Name: "bench", Stream: true, Open: func() (adapters.Input, io.Closer, error) {
			return adapters.Input{Name: "bench", Reader: in}, io.NopCloser(nil), nil
		}}})
		if err != nil {
			t.Errorf("%s: %v", f.Name, err)
			continue
		}
		if r := reports[0]; r.Created != n || r.Updated+r.Duplicates+r.Rejects != 0 || !r.AddsUp() {
			t.Errorf("%s: %+v %s", f.Name, *r, rejects.String())
		}
		if got := bytes.Count(out.Bytes(), []byte("\n")); got < 2*n {
			t.Errorf("%s: %d resources of %d records", f.Name, got, n)
		}
	}
	if _, err := newFeedInput("rms/none", n); err == nil {
		t.Error("a format without a sample passes")
	}
}
