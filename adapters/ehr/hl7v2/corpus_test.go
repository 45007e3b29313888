package hl7v2_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/all"
	"github.com/handoff-health/handoff/adapters/convert"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/fhir/validate"
	"github.com/handoff-health/handoff/mappings"
)

// The public sample messages are not in this repository. Each converts, is kept
// or is rejected with a reason and a place, and what comes out is valid.
func TestSampleMessagesConvertOrAreRejectedWithAReason(t *testing.T) {
	files, _ := filepath.Glob("../../../../shared/data/ehr/hl7v2/*/*.hl7")
	if len(files) == 0 {
		t.Skip("SKIPPED: no sample messages in ../shared/data/ehr/hl7v2: nothing was converted")
	}
	f, err := all.Find("ehr/hl7v2")
	if err != nil {
		t.Fatal(err)
	}
	m, err := mappings.Load(mappings.Files(), f.Mapping, nil)
	if err != nil {
		t.Fatal(err)
	}
	var total flow.Report
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var out, rejects bytes.Buffer
		job := convert.Job{Format: f, Options: adapters.Options{Profile: m.Profile(), Kinds: m.Kinds()}, Mapper: m,
			Mapping: mappings.Options{IDs: mappings.TestIDs}, Out: &out, Rejects: &rejects}
		base := filepath.Base(name)
		reports, err := job.Run(context.Background(), []convert.Path{{Name: base, Open: func() (adapters.Input, io.Closer, error) {
			return adapters.Input{Name: base, Reader: bytes.NewReader(raw)}, io.NopCloser(nil), nil
		}}})
		if err != nil {
			t.Errorf("%s: %v", base, err)
			continue
		}
		if !reports[0].AddsUp() {
			t.Errorf("%s: the counts do not add up: %+v", base, reports[0])
		}
		total.Add(reports[0])
		for sc := lines(&rejects); sc.Scan(); {
			var r adapters.Reject
			if err := json.Unmarshal(sc.Bytes(), &r); err != nil || r.Code == "" || r.Message == "" || r.Line == 0 || r.Code == "mapping-failed" {
				t.Errorf("%s: the reject %s has no reason or place", base, sc.Bytes())
			}
		}
		for sc := lines(&out); sc.Scan(); {
			for _, is := range validate.Bytes(sc.Bytes()) {
				t.Errorf("%s: not valid: %+v in %s", base, is, sc.Bytes())
			}
		}
	}
	if total.Created < 150 || total.Kept == 0 {
		t.Errorf("hardly anything was converted: %+v", total)
	}
	t.Logf("%d files: %d records, %d created (%d kept unread), %d rejects %v", len(files), total.Records, total.Created, total.Kept, total.Rejects, total.RejectedBy)
	var b bytes.Buffer
	_, _ = total.WriteTo(&b)
	t.Log(b.String())
}

func lines(r io.Reader) *bufio.Scanner {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 8<<20)
	return sc
}
