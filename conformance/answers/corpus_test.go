package answers

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/all"
	"github.com/handoff-health/handoff/adapters/convert"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/mappings"
)

// copies is how often each resource is there, under ids of its own: so there are ties
// in every order, and types with more resources than fit in one query.
const copies = 10

const demodata = "../../cmd/handoff/demodata"

// corpus is what is written: records with Key, Raw and Index.
func corpus(t *testing.T) []store.Record {
	t.Helper()
	raws := slices.Concat(official(t), clinics(t), contacts(t))
	var out []store.Record
	for i := range copies {
		for _, raw := range raws {
			r, err := resource.Parse(raw)
			if err != nil {
				t.Fatalf("%.100s: %v", raw, err)
			}
			id := r.ID()
			if i > 0 {
				id = fmt.Sprintf("%.60s-%d", id, i)
			}
			out = append(out, store.Record{Key: store.Key{Type: r.Type(), ID: id}, Raw: raw, Index: search.Index(r)})
		}
	}
	// What comes twice (a demo's person in two clinics) is there once.
	slices.SortStableFunc(out, func(a, b store.Record) int { return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.ID, b.ID)) })
	return slices.CompactFunc(out, func(a, b store.Record) bool { return a.Key == b.Key })
}

// official are examples of R4 4.0.1; see docs/SOURCES.md.
func official(t *testing.T) [][]byte {
	t.Helper()
	f, err := os.Open("testdata/r4-examples.ndjson.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	out := lines(t, z)
	if len(out) != 200 {
		t.Fatalf("%d examples, want 200", len(out))
	}
	return out
}

func lines(t *testing.T, r io.Reader) (out [][]byte) {
	t.Helper()
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		out = append(out, bytes.Clone(s.Bytes()))
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// clinics is what the demo's connected systems hold.
func clinics(t *testing.T) (out [][]byte) {
	t.Helper()
	files, err := filepath.Glob(demodata + "/*/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("the demo's data: %d files, %v", len(files), err)
	}
	for _, name := range files {
		raw, err := os.ReadFile(name) //nolint:gosec // the demo's
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, raw)
	}
	return out
}

// contacts is what the demo's police exports become.
func contacts(t *testing.T) (out [][]byte) {
	t.Helper()
	var format adapters.Format
	for _, f := range all.Formats() {
		if f.Name == "rms/csv" {
			format = f
		}
	}
	for _, agency := range []string{"riverton", "cedar"} {
		dir := filepath.Join(demodata, agency)
		profile, err := mappings.LoadProfile(os.DirFS(dir), "profile.yaml")
		if err != nil {
			t.Fatal(err)
		}
		m, err := mappings.Load(mappings.Files(), profile.Mapping, profile)
		if err != nil {
			t.Fatal(err)
		}
		var made bytes.Buffer
		job := convert.Job{
			Format: format, Mapper: m, Mapping: mappings.Options{IDs: mappings.TestIDs}, Out: &made, Rejects: io.Discard,
			Options: adapters.Options{Profile: m.Profile(), Fields: m.Fields(), Kinds: m.Kinds()},
		}
		name := filepath.Join(dir, "contacts.csv")
		_, err = job.Run(t.Context(), []convert.Path{{Name: name, Open: func() (adapters.Input, io.Closer, error) {
			f, err := os.Open(name) //nolint:gosec // the demo's
			return adapters.Input{Name: name, Reader: f}, f, err
		}}})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out = append(out, lines(t, &made)...)
	}
	if len(out) < 40 {
		t.Fatalf("the demo's exports become %d resources", len(out))
	}
	return out
}
