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
	"github.com/handoff-health/handoff/adapters/convert"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

// county maps a row that is a number to what an export of a county makes: each
// row a record of its own, in an incident, changed at a time of its own, three
// persons for five records.
type county struct{ n int }

func (c county) Apply(rec *tree.Record, _ mappings.Options) (*mappings.Result, error) {
	var i int
	if _, err := fmt.Sscan(rec.Root.First("key").Value(), &i); err != nil {
		return nil, err
	}
	incident := fmt.Sprintf("rms|ZZ0010100|25-%07d", i)
	at := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i*7919%(31*c.n))*time.Second).Format("2006-01-02T15:04:05Z") + "/000000"
	person := i * 7 % max(1, c.n*6/10)
	res := &mappings.Result{Action: mappings.Upsert, Key: fmt.Sprintf("%s|R%07d", incident, person), Groups: []string{incident, ""}, Version: at, Digest: flow.Digest([]byte(incident))}
	for _, x := range []mappings.Resource{{Type: "Organization", ID: "agency"}, {Type: "Patient", ID: fmt.Sprint("p", person)}, {Type: "Practitioner", ID: fmt.Sprint("o", i%40)}, {Type: "Encounter", ID: fmt.Sprint("e", i), Owned: true}} {
		x.Raw = fmt.Appendf(nil, `{"resourceType":%q,"id":%q}`, x.Type, x.ID)
		x.SourceVersion, x.Digest = at, flow.Digest(x.Raw)
		res.Resources = append(res.Resources, x)
	}
	return res, nil
}

// numbers writes the numbers up to n, one a line.
type numbers struct {
	n, at int
	rest  string
}

func (r *numbers) Read(p []byte) (int, error) {
	for r.rest == "" {
		if r.at > r.n {
			return 0, io.EOF
		}
		if r.rest = fmt.Sprintf("%d,1,,\n", r.at); r.at == 0 {
			r.rest = "key,version,content,action\n"
		}
		r.at++
	}
	k := copy(p, r.rest)
	r.rest = r.rest[k:]
	return k, nil
}

// bytesARecord is the most that a record may cost while a file is converted.
const bytesARecord = 150

// TestWhatARecordCosts converts HANDOFF_ROWS records and holds what is in use
// against what was before.
func TestWhatARecordCosts(t *testing.T) {
	if testing.Short() {
		t.Skip("memory is not measured in short mode: the race detector's own is larger")
	}
	n := 60_000
	if s := os.Getenv("HANDOFF_ROWS"); s != "" {
		if _, err := fmt.Sscan(s, &n); err != nil {
			t.Fatal(err)
		}
	}
	j := job(io.Discard, io.Discard)
	j.Mapper = county{n}
	used := func() uint64 {
		var ms runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&ms)
		return ms.HeapAlloc
	}
	before, at, after := used(), 0, uint64(0)
	j.Tick = func(*flow.Report) {
		if at++; at == n { // of the second time, the item before the last
			after = used()
		}
	}
	began := time.Now()
	reports, err := j.Run(context.Background(), []convert.Path{{Name: "n", Open: func() (adapters.Input, io.Closer, error) {
		return adapters.Input{Name: "n", Reader: &numbers{n: n}}, io.NopCloser(nil), nil
	}}})
	if err != nil || reports[0].Created != n || !reports[0].AddsUp() {
		t.Fatal(err, reports)
	}
	each := (float64(after) - float64(before)) / float64(n)
	t.Logf("%d records: %.0f bytes a record, %v", n, each, time.Since(began).Round(time.Millisecond))
	if each <= 0 || each > bytesARecord {
		t.Errorf("%.0f bytes a record, want at most %d", each, bytesARecord)
	}
}

// An input that is another one the second time is told, whatever differs.
func TestAChangedInputIsTold(t *testing.T) {
	const head = "key,version,content,action\n"
	first := head + "a1,1,A,\na2,1,A,\na2,2,B,\n"
	for name, second := range map[string]string{
		"shorter":        head + "a1,1,A,\na2,1,A,\n",
		"longer":         first + "a3,1,A,\n",
		"a blank line":   head + "a1,1,A,\n\na2,2,B,\n",
		"another record": head + "a1,1,A,\na2,1,A,reject\na2,2,B,\n",
		"nothing":        head,
	} {
		at := 0
		j := job(io.Discard, io.Discard)
		_, err := j.Run(context.Background(), []convert.Path{{Name: "f", Open: func() (adapters.Input, io.Closer, error) {
			at++
			return adapters.Input{Name: "f", Reader: strings.NewReader([]string{first, second}[at-1])}, io.NopCloser(nil), nil
		}}})
		if err == nil || !errors.Is(err, convert.ErrChanged) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
