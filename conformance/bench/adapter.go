package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// adapterRSS is the goal for the memory of a conversion.
const adapterRSS = 200 << 20

// A conversion is one run of `handoff convert`, or of decoding alone.
type conversion struct {
	elapsed, cpu time.Duration
	peak         int64   // resident, bytes
	first, last  float64 // rows per second at both ends of the output
}

// measureAdapter converts a generated export as a user would, and decodes the
// same file alone, in turn.
func measureAdapter(ctx context.Context, b *bench) error {
	binary := filepath.Join(b.dir, "handoff")
	if err := b.buildGateway(ctx, binary); err != nil {
		return err
	}
	x, err := writeExport(filepath.Join(b.dir, "export.csv"), b.pace.rows)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(x.path) }() // the folder goes as well
	pairs := b.pace.pairs
	var convert, decode []*conversion
	for range pairs {
		c, err := runConversion(ctx, binary, x)
		if err != nil {
			return err
		}
		d, err := runDecoding(ctx, x)
		if err != nil {
			return err
		}
		convert, decode = append(convert, c), append(decode, d)
	}
	reportAdapter(b, x, convert, decode)
	return nil
}

func reportAdapter(b *bench, x *export, convert, decode []*conversion) {
	t := b.report.table(fmt.Sprintf("Adapter: rms/csv, %s rows, %.0f MB", number(x.rows).text(0), float64(x.bytes)/1e6), "what",
		column{"n", 0}, column{"records/s", 0}, column{"CPU µs/record", 1}, column{"peak RSS MiB", 0}, column{"first tenth, rows/s", 0}, column{"last tenth, rows/s", 0})
	each := func(cs []*conversion, f func(*conversion) number) []number {
		out := make([]number, len(cs))
		for i, c := range cs {
			out[i] = f(c)
		}
		return out
	}
	rate := func(c *conversion) number { return number(float64(x.rows) / c.elapsed.Seconds()) }
	cpu := func(c *conversion) number { return number(float64(c.cpu.Microseconds()) / float64(x.rows)) }
	rss := func(c *conversion) number { return mebibytes(c.peak) }
	first := each(convert, func(c *conversion) number { return number(c.first) })
	last := each(convert, func(c *conversion) number { return number(c.last) })
	t.add("handoff convert --adapter rms/csv FILE", number(len(convert)), median(each(convert, rate)), median(each(convert, cpu)), median(each(convert, rss)), median(first), median(last))
	t.add("decoding alone, the same file", number(len(decode)), median(each(decode, rate)), median(each(decode, cpu)), median(each(decode, rss)), missing, missing)
	costs := pairwise(each(convert, cpu), each(decode, cpu), ratio)
	t.note("`convert` reads a file twice, so that each resource comes out once in its final state: records/s is over both readings, and the tenths are timed on the output, which is of the second. CPU of convert / CPU of decoding once: %s.", span(costs))
	steady := pairwise(last, first, ratio)
	t.note("Rate of the last tenth / rate of the first: %s. Every run: %s Encounters, %s Patients, no reject, counts that add up.", span(steady), number(x.rows).text(0), number(x.patients).text(0))
	r := median(steady)
	b.report.goal(number(x.rows).text(0)+" rows at a constant rate", "last tenth ≥ 0.8 × the first", r >= 0.8, "%.2f", r)
	if peak := median(each(convert, rss)); peak.known() {
		b.report.goal(number(x.rows).text(0)+" rows under 200 MB", "≤ 200 MB resident", peak <= number(adapterRSS)/(1<<20), "%.0f MiB", peak)
	}
}

func mebibytes(n int64) number {
	if n == 0 {
		return missing
	}
	return number(float64(n) / (1 << 20))
}

// runConversion runs the command and reads all of its output.
func runConversion(ctx context.Context, binary string, x *export) (*conversion, error) {
	began := time.Now()
	p, out, err := start(ctx, "convert", nil, binary, "convert", "--adapter", "rms/csv", x.path)
	if err != nil {
		return nil, err
	}
	stop := watchMemory(p.pid())
	seen := newOutput(x)
	err = seen.read(out)
	c := &conversion{peak: stop()}
	p.reap()
	c.elapsed = time.Since(began)
	if err := errors.Join(err, p.err); err != nil {
		return nil, fmt.Errorf("convert: %w: %s", err, p.log.String())
	}
	c.cpu = p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	if err := seen.check(p.log.String()); err != nil {
		return nil, fmt.Errorf("WRONG ANSWER of convert: %w", err)
	}
	tenth := float64(x.rows / 10)
	c.first, c.last = tenth/seen.at[1].Sub(seen.at[0]).Seconds(), tenth/seen.at[3].Sub(seen.at[2]).Seconds()
	return c, nil
}

// An output is what came out of a conversion.
type output struct {
	x                    *export
	encounters, patients int
	incidents            map[string]bool
	at                   [4]time.Time // Encounter 1, a tenth, all but a tenth, all
	firstRow, lastRow    bool
	lines                int
}

func newOutput(x *export) *output { return &output{x: x, incidents: make(map[string]bool, x.rows)} }

var (
	encounterStart = []byte(`{"resourceType":"Encounter"`)
	patientStart   = []byte(`{"resourceType":"Patient"`)
	incidentStart  = []byte(`/ZZ0010100/incident","value":"`)
)

func (o *output) read(r io.Reader) error {
	in := bufio.NewReaderSize(r, 256<<10)
	for {
		raw, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		o.lines++
		switch {
		case bytes.HasPrefix(raw, patientStart):
			o.patients++
		case bytes.HasPrefix(raw, encounterStart):
			o.encounter(raw)
		}
	}
}

func (o *output) encounter(raw []byte) {
	_, rest, _ := bytes.Cut(raw, incidentStart)
	incident, _, _ := bytes.Cut(rest, []byte(`"`))
	o.incidents[string(incident)] = true
	o.encounters++
	for i, n := range []int{1, o.x.rows / 10, o.x.rows - o.x.rows/10, o.x.rows} {
		if o.encounters == n {
			o.at[i] = time.Now()
		}
	}
	// A known element of the first and the last row: 14:02Z is not what the
	// source says, so the offset of the agency's zone has to be there.
	for row, found := range map[int]*bool{1: &o.firstRow, o.x.rows: &o.lastRow} {
		if string(incident) == fmt.Sprintf("25-%06d", row) {
			*found = bytes.Contains(raw, []byte(fmt.Sprintf(`"start":"2025-05-%02dT10:%02d:00-04:00"`, 1+row%28, row%60)))
		}
	}
}

// check holds the output against what the generator wrote.
func (o *output) check(summary string) error {
	if o.encounters != o.x.rows || len(o.incidents) != o.x.rows {
		return fmt.Errorf("%d Encounters of %d incidents from %d rows", o.encounters, len(o.incidents), o.x.rows)
	}
	if o.patients != o.x.patients {
		return fmt.Errorf("%d Patients instead of %d", o.patients, o.x.patients)
	}
	if !o.firstRow || !o.lastRow {
		return errors.New("the first or the last contact does not start when the source says")
	}
	want := fmt.Sprintf("%d records = %d created + 0 updated + 0 duplicates + 0 rejects + 1 non-records", o.x.rows+1, o.x.rows)
	if !strings.Contains(summary, want) {
		return fmt.Errorf("the counts are not %q: %s", want, summary)
	}
	return nil
}

// runDecoding decodes the file in a process of its own.
func runDecoding(ctx context.Context, x *export) (*conversion, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	p, out, err := start(ctx, "decode", nil, self, "role-decode", x.path)
	if err != nil {
		return nil, err
	}
	stop := watchMemory(p.pid())
	raw, err := io.ReadAll(out)
	d := &conversion{peak: stop()}
	p.reap()
	d.elapsed = time.Since(began)
	if err := errors.Join(err, p.err); err != nil {
		return nil, fmt.Errorf("decode: %w: %s", err, p.log.String())
	}
	if got := strings.TrimSpace(string(raw)); got != fmt.Sprint(x.rows) {
		return nil, fmt.Errorf("WRONG ANSWER of decoding: %s records of %d", got, x.rows)
	}
	d.cpu = p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	return d, nil
}

// watchMemory follows a process's peak until it is stopped.
func watchMemory(pid int) (stop func() int64) {
	end, result := make(chan struct{}), make(chan int64, 1)
	go func() {
		var most int64
		for {
			if _, peak, ok := processMemory(pid); ok {
				most = max(most, peak)
			}
			select {
			case <-end:
				result <- most
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() int64 {
		close(end)
		return <-result
	}
}
