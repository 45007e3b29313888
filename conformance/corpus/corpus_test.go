package corpus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/all"
	"github.com/handoff-health/handoff/adapters/convert"
	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/validate"
	"github.com/handoff-health/handoff/mappings"
)

const (
	data = "../../../shared/data"
	// most is how much of a file is read: what is longer is cut, which adapters
	// must bear as well.
	most = 2 << 20
)

// files lists the sample data. It skips, and says so, where there are none.
func files(t *testing.T) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(data, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			out = append(out, p)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("SKIPPED: %s is absent: its files were not tried", data)
	}
	if err != nil || len(out) < 100 {
		t.Fatalf("%d files in %s: %v", len(out), data, err)
	}
	if testing.Short() {
		var some []string
		for i := 0; i < len(out); i += 10 {
			some = append(some, out[i])
		}
		return some
	}
	return out
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestEverythingConvertsOrIsRefusedWithAReason(t *testing.T) {
	names := files(t)
	for _, format := range all.Formats() {
		t.Run(strings.ReplaceAll(format.Name, "/", "-"), func(t *testing.T) {
			t.Parallel()
			m, err := mappings.Load(mappings.Files(), format.Mapping, nil)
			if err != nil {
				t.Fatal(err)
			}
			w := &walk{t: t, format: format, m: m, made: map[string]int{}, refused: map[string]int{}}
			for _, n := range names {
				w.file(n, read(t, n))
			}
			t.Logf("%d files: %d read, %d refused as a whole %v; %d records, %d rejected; made %v", len(names), w.read, len(names)-w.read, w.refused, w.records, w.rejects, w.made)
			if !testing.Short() && (w.read == 0 || w.records == w.rejects || len(w.made) == 0) {
				t.Errorf("nothing of the sample data is this format's: the walk proves nothing")
			}
		})
	}
}

// A walk gives files to one format.
type walk struct {
	t       *testing.T
	format  adapters.Format
	m       *mappings.Map
	read    int
	records int
	rejects int
	refused map[string]int // codes of files
	made    map[string]int // types of resources
}

func (w *walk) file(name string, raw []byte) {
	defer func() {
		if r := recover(); r != nil {
			w.t.Errorf("%s: panic: %v", name, r)
		}
	}()
	var out, rejects bytes.Buffer
	job := convert.Job{Format: w.format, Mapper: w.m, Mapping: mappings.Options{IDs: mappings.TestIDs}, Out: &out, Rejects: &rejects,
		Options: adapters.Options{Profile: w.m.Profile(), Fields: w.m.Fields(), Kinds: w.m.Kinds()}}
	reports, err := job.Run(context.Background(), []convert.Path{{Name: name, Open: func() (adapters.Input, io.Closer, error) {
		return adapters.Input{Name: name, Reader: bytes.NewReader(raw)}, io.NopCloser(nil), nil
	}}})
	if err != nil {
		var fe *adapters.FileError
		if !errors.As(err, &fe) || fe.Reason == "" || fe.Code == "" {
			w.t.Errorf("%s: %v: neither records nor a reason", name, err)
			return
		}
		w.refused[fe.Code]++
		return
	}
	w.read++
	for _, r := range reports {
		if !r.AddsUp() {
			w.t.Errorf("%s: the counts do not add up: %+v", name, r)
		}
		w.records += r.Records - r.NonRecords()
		w.rejects += r.Rejects
	}
	w.reasons(name, rejects.Bytes())
	for line := range bytes.Lines(out.Bytes()) {
		w.resource(name, bytes.TrimSpace(line))
	}
}

// reasons wants each reject to say where and why.
func (w *walk) reasons(name string, lines []byte) {
	n := 0
	for line := range bytes.Lines(lines) {
		n++
		var x adapters.Reject
		if err := json.Unmarshal(line, &x); err != nil || x.Code == "" || x.Message == "" || x.Line == 0 {
			w.t.Errorf("%s: a reject without code, message or line: %s", name, line)
		}
	}
}

func (w *walk) resource(name string, raw []byte) {
	r, err := resource.Parse(raw)
	if err != nil {
		w.t.Errorf("%s: no resource came out: %v", name, err)
		return
	}
	w.made[r.Type()]++
	for _, is := range slices.Concat(validate.Resource(r), validate.Claims(r), w.usCore(r)) {
		if is.Severity == outcome.Failure || is.Severity == outcome.Fatal {
			w.t.Errorf("%s: %s/%s: %s", name, r.Type(), r.ID(), is)
		}
	}
}

// bareOf names what the sources of a format never have, as far as its built-in
// mapping is known.
var bareOf = map[string][]string{
	"rms/jsonl": {"Patient.gender"}, // a consent names the person, not their sex
	"ehr/hl7v2": {"Patient.gender"}, // MRG has no sex, and merges often leave PID-8 out
}

// usCore wants US Core of every Patient and Encounter whose source has the data:
// what R4 calls optional and US Core requires may lack only if the source has no
// value for it. Names and kinds of visits are such; identifiers and persons are
// not, since every record is keyed by them.
func (w *walk) usCore(r *resource.Resource) []validate.Issue {
	url := map[string]string{"Patient": validate.USCorePatient, "Encounter": validate.USCoreEncounter}[r.Type()]
	issues, known := validate.Profile(r, url)
	if !known {
		return nil
	}
	bare := append([]string{"Patient.name", "Encounter.type"}, bareOf[w.format.Name]...)
	if !r.Root().Get("subject").Get("reference").Exists() {
		bare = append(bare, "Encounter.subject")
	}
	return slices.DeleteFunc(issues, func(is validate.Issue) bool { return slices.Contains(bare, is.Expression) })
}

// Every format of the sample data has somebody who reads it.
func TestEachKindOfSampleHasAReader(t *testing.T) {
	files(t)
	for file, format := range map[string]string{
		"police/synthetic/rms_contacts_cit_riverton_cp1252.csv":        "rms/csv",
		"ehr/hl7v2/microsoft/008_ADT_A04_ADT-A04-02.hl7":               "ehr/hl7v2",
		"police/synthetic/rms_webhook_events_maple_valley.jsonl":       "rms/webhook",
		"police/synthetic/onscene_consents.jsonl":                      "rms/jsonl",
		"police/synthetic/eido_01_mental_nonviolent_988_transfer.json": "rms/eido",
		"police/synthetic/eido_02_suicide_threat_weapon.json":          "rms/eido",
		"police/eido/Sample call transfer EIDO.json":                   "rms/eido",
		"police/synthetic/ndex_like_01_incident_arrest_cit.xml":        "rms/ndex",
		"police/synthetic/ndex_like_03_field_contact_partial_dob.xml":  "rms/ndex",
		"police/ndex-2.1.1/service-call.xml":                           "rms/ndex",
	} {
		t.Run(filepath.Base(file), func(t *testing.T) {
			f, err := all.Find(format)
			if err != nil {
				t.Fatal(err)
			}
			m, err := mappings.Load(mappings.Files(), f.Mapping, nil)
			if err != nil {
				t.Fatal(err)
			}
			w := &walk{t: t, format: f, m: m, made: map[string]int{}, refused: map[string]int{}}
			w.file(filepath.Join(data, file), read(t, filepath.Join(data, file)))
			if len(w.made) == 0 {
				t.Errorf("%d records, %d rejected, refused %s: nothing was made", w.records, w.rejects, fmt.Sprint(slices.Collect(maps.Keys(w.refused))))
			}
		})
	}
}
