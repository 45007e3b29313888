package convert_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/all"
	"github.com/handoff-health/handoff/adapters/convert"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/mappings"
)

// rows writes an export of n contacts, deterministic, of about 600 bytes a row.
type rows struct {
	n, at int
	rest  []byte
}

func (r *rows) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.at > r.n {
			return 0, io.EOF
		}
		r.rest = []byte(r.line(r.at))
		r.at++
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

var columns = func() []adapters.Field {
	m, err := mappings.Load(mappings.Files(), rivertonMapping, nil)
	if err != nil {
		panic(err)
	}
	return m.Fields()
}()

const rivertonMapping = "rms/riverton/contact.map.yaml"

func (r *rows) line(i int) string {
	var b strings.Builder
	for k, c := range columns {
		if k > 0 {
			b.WriteByte(',')
		}
		if i == 0 {
			b.WriteString(c.Name)
		} else {
			b.WriteString(value(c.Name, i))
		}
	}
	b.WriteString("\r\n")
	return b.String()
}

// value is what column name says in row i.
func value(name string, i int) string {
	pick := func(v ...string) string { return v[i%len(v)] }
	switch name {
	case "AgencyORI":
		return "ZZ0010100"
	case "IncidentNo":
		return fmt.Sprintf("25-%06d", i)
	case "SuppNo":
		return "0"
	case "MNI":
		return fmt.Sprintf("R%06d", i*7%60_000)
	case "LastName":
		return pick("EXAMPLE", "MUSTER", "MU\xd1OZ", "SAMPLE")
	case "FirstName":
		return pick("PAT", "ALEX", "ROBIN")
	case "DOB":
		return fmt.Sprintf("%02d/%02d/%d", 1+i%12, 13+i%15, 1940+i%60)
	case "Sex":
		return pick("M", "F")
	case "Race":
		return pick("W", "B", "A", "I")
	case "ContactDT":
		return fmt.Sprintf("05/%02d/2025 10:%02d", 1+i%28, i%60)
	case "ClearedDT":
		return fmt.Sprintf("05/%02d/2025 12:%02d", 1+i%28, i%60)
	case "IncLocation":
		return pick("1 TEST PLAZA", "CEDAR BRIDGE", "100 BLK 2ND AVE")
	case "InitialCallType", "FinalCallType":
		return pick("WELF", "MENTAL", "SUICT")
	case "CallSource":
		return pick("911", "988")
	case "Involvement":
		return "SUBJECT"
	case "CrisisFlag":
		return "Y"
	case "Behaviors":
		return pick("Paranoid", "Mania; Suicidal statements", "None")
	case "SuicideRisk":
		return pick("", "Ideation", "Denies")
	case "Disposition":
		return pick("RESOLVED ON SCENE", "DETOX", "REFERRED - MOBILE CRISIS")
	case "ConsentAsked":
		return pick("N", "Y")
	case "ConsentResult":
		return pick("", "GRANTED")
	case "ConsentMethod":
		return pick("", "VERBAL-BWC")
	case "OfficerBadge":
		return fmt.Sprintf("%d", 7000+i%40)
	case "OfficerName":
		return fmt.Sprintf("Ofc A. Sample%d", i%40)
	case "Narrative":
		return "\"Contact made, subject OK.\r\nSaid \"\"leave me alone\"\" and walked away. Case manager was called.\""
	case "LastModified":
		return fmt.Sprintf("2025-06-%02d 08:00:00", 1+i%28)
	case "RecStatus":
		return "A"
	}
	return ""
}

func rivertonFormat() (adapters.Format, string, error) {
	f, err := all.Find("rms/csv")
	return f, rivertonMapping, err
}

func riverton(tb testing.TB) (adapters.Format, adapters.Options, *mappings.Map) {
	tb.Helper()
	m, err := mappings.Load(mappings.Files(), rivertonMapping, nil)
	if err != nil {
		tb.Fatal(err)
	}
	f, _, err := rivertonFormat()
	if err != nil {
		tb.Fatal(err)
	}
	return f, adapters.Options{Profile: m.Profile(), Fields: m.Fields()}, m
}

func BenchmarkDecode(b *testing.B) {
	f, opts, _ := riverton(b)
	in := &rows{n: b.N}
	src, err := f.Open(context.Background(), adapters.Input{Name: "bench", Reader: in}, opts)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	n := 0
	for {
		it, err := src.Next(context.Background())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			b.Fatal(err)
		}
		if it.Kind == adapters.Data {
			n++
		}
	}
	if n != b.N {
		b.Fatalf("%d records of %d", n, b.N)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkDecodeAndMap(b *testing.B) {
	f, opts, m := riverton(b)
	job := convert.Job{Format: f, Options: opts, Mapper: m, Mapping: mappings.Options{IDs: mappings.TestIDs}, Out: io.Discard}
	b.ReportAllocs()
	b.ResetTimer()
	reports, err := job.Run(context.Background(), []convert.Path{{Name: "bench", Stream: true, Open: func() (adapters.Input, io.Closer, error) {
		return adapters.Input{Name: "bench", Reader: &rows{n: b.N}}, io.NopCloser(nil), nil
	}}})
	if err != nil {
		b.Fatal(err)
	}
	if r := reports[0]; r.Created != b.N {
		b.Fatalf("%+v", *r)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// TestLargeExportHasABoundedMemory converts HANDOFF_ROWS generated rows (100,000
// for the goal) and prints rate and memory.
func TestLargeExportHasABoundedMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("memory is not measured in short mode: the race detector's own is larger")
	}
	n := 3000
	if s := os.Getenv("HANDOFF_ROWS"); s != "" {
		if _, err := fmt.Sscan(s, &n); err != nil {
			t.Fatal(err)
		}
	}
	f, opts, m := riverton(t)
	var peak uint64
	var ms runtime.MemStats
	start, last := time.Now(), time.Now()
	job := convert.Job{Format: f, Options: opts, Mapper: m, Mapping: mappings.Options{IDs: mappings.TestIDs}, Out: io.Discard}
	seen := 0
	job.Tick = func(r *flow.Report) {
		if seen++; seen%(n/10) == 0 {
			runtime.ReadMemStats(&ms)
			peak = max(peak, ms.Sys-ms.HeapReleased)
			t.Logf("%7d records: %6.0f/s, %d MiB from the system", seen, float64(n/10)/time.Since(last).Seconds(), (ms.Sys-ms.HeapReleased)>>20)
			last = time.Now()
		}
	}
	reports, err := job.Run(context.Background(), []convert.Path{{Name: "large", Open: func() (adapters.Input, io.Closer, error) {
		return adapters.Input{Name: "large", Reader: &rows{n: n}}, io.NopCloser(nil), nil
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if r := reports[0]; r.Created != n || !r.AddsUp() {
		t.Errorf("%+v", *r)
	}
	t.Logf("%d rows twice in %v", n, time.Since(start).Round(time.Millisecond))
	if peak > 200<<20 {
		t.Errorf("%d MiB", peak>>20)
	}
}
