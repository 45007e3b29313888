package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/all"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/mappings"
)

// memoryFlat is how much more memory a run may need in its last nine tenths than
// in its first.
const memoryFlat = 1.25

// feedRounds is how often each input is read: a round takes long enough.
const feedRounds = 3

// A feedRun is what one process found that read a generated input of a format on
// one core, with or without mapping.
type feedRun struct {
	Records, Made int
	Bytes         int64
	CPU           int64 // ns, of decoding (and mapping) with the garbage collector's
	Early, Peak   int64 // resident bytes after a tenth, and at most
}

// measureFeeds reads a generated input of every format, decoding alone and with
// mapping, in turn, each in a process of its own on one core.
func measureFeeds(ctx context.Context, b *bench) error {
	t := b.report.table("Adapters: records and bytes a second on one core", "format, records",
		column{"n", 0}, column{"bytes/record", 0}, column{"decoding records/s", 0}, column{"decoding MB/s", 1},
		column{"with mapping records/s", 0}, column{"with mapping MB/s", 1}, column{"× decoding", 1}, column{"RSS MiB after a tenth", 0}, column{"peak RSS MiB", 0})
	for _, f := range all.Formats() {
		n := b.pace.records
		if f.Name == "rms/csv" {
			n = b.pace.many
		}
		if err := measureFeed(ctx, b, t, f.Name, n); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	t.note("Each process makes the input as it reads it, so that no disk is measured; making it alone is measured too and taken off. Every record makes at least one resource; a reject fails the bench.")
	return nil
}

func measureFeed(ctx context.Context, b *bench, t *table, format string, n int) error {
	rounds := min(b.pace.pairs, feedRounds)
	if n > 200_000 {
		rounds = 1
	}
	var decode, mapped []number
	var last feedRun
	var grown number
	for range rounds {
		idle, err := b.runFeed(ctx, format, "make", n)
		if err != nil {
			return err
		}
		alone, err := b.runFeed(ctx, format, "decode", n)
		if err != nil {
			return err
		}
		if last, err = b.runFeed(ctx, format, "map", n); err != nil {
			return err
		}
		decode = append(decode, number(max(1, alone.CPU-idle.CPU))/1e9)
		mapped = append(mapped, number(max(1, last.CPU-idle.CPU))/1e9)
		grown = number(last.Peak) / number(max(1, last.Early))
	}
	records, bytes := number(last.Records), number(last.Bytes)
	d, m := median(decode), median(mapped)
	if b.profile != "" {
		b.report.Profiles = append(b.report.Profiles, b.feedProfile(format))
	}
	t.add(fmt.Sprintf("%s, %s", format, records.text(0)), number(rounds), bytes/records, records/d, bytes/1e6/d, records/m, bytes/1e6/m,
		median(pairwise(mapped, decode, ratio)), mebibytes(last.Early), mebibytes(last.Peak))
	if n >= 1_000_000 {
		b.report.goal("memory flat over "+records.text(0)+" rows ("+format+")", fmt.Sprintf("peak ≤ %.2f × after a tenth", memoryFlat), grown <= memoryFlat, "%.2f ×, %.0f MiB", grown, mebibytes(last.Peak))
	}
	return nil
}

// runFeed starts a process of this program for one run.
func (b *bench) runFeed(ctx context.Context, format, what string, n int) (feedRun, error) {
	self, err := os.Executable()
	if err != nil {
		return feedRun{}, err
	}
	args := []string{"role-feed", format, what, fmt.Sprint(n)}
	if b.profile != "" && what == "map" {
		args = append(args, b.feedProfile(format))
	}
	p, out, err := start(ctx, "feed", []string{"GOMAXPROCS=1"}, self, args...)
	if err != nil {
		return feedRun{}, err
	}
	raw, err := io.ReadAll(out)
	p.reap()
	if err := errors.Join(err, p.err); err != nil {
		return feedRun{}, fmt.Errorf("%s: %w: %s", what, err, p.log.String())
	}
	var r feedRun
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, err
	}
	if what != "make" && r.Records != n || what == "map" && r.Made < n {
		return r, fmt.Errorf("WRONG ANSWER of %s: %d records and %d resources of %d", what, r.Records, r.Made, n)
	}
	return r, nil
}

// feedProfile is where the CPU profile of mapping a format goes.
func (b *bench) feedProfile(format string) string {
	return filepath.Join(b.profile, "feed-"+strings.ReplaceAll(format, "/", "-")+".pprof")
}

// runFeedRole is such a process: role-feed FORMAT make|decode|map N [PROFILE].
func runFeedRole(args []string) error {
	if len(args) < 3 {
		return errors.New("format, make|decode|map and a number are wanted")
	}
	format, err := all.Find(args[0])
	if err != nil {
		return err
	}
	var n int
	if _, err := fmt.Sscan(args[2], &n); err != nil {
		return err
	}
	in, err := newFeedInput(args[0], n)
	if err != nil {
		return err
	}
	if len(args) > 3 {
		f, err := os.Create(args[3])
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // a profile that is cut is told by pprof
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	m, err := mappings.Load(mappings.Files(), format.Mapping, nil)
	if err != nil {
		return err
	}
	before, _ := ownCPU() // a mapping is loaded once
	r := feedRun{}
	if args[1] == "make" {
		r.Bytes, err = io.Copy(io.Discard, in)
	} else {
		err = readFeed(&r, format, m, in, args[1] == "map", n)
	}
	if err != nil {
		return err
	}
	r.Bytes = in.given
	cpu, _ := ownCPU()
	r.CPU = (cpu - before).Nanoseconds()
	_, r.Peak, _ = processMemory(os.Getpid())
	return json.NewEncoder(os.Stdout).Encode(r)
}

func readFeed(r *feedRun, format adapters.Format, m *mappings.Map, in io.Reader, mapping bool, n int) error {
	ctx := context.Background()
	src, err := format.Open(ctx, adapters.Input{Name: "bench", Reader: in}, adapters.Options{Profile: m.Profile(), Fields: m.Fields(), Kinds: m.Kinds()})
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }() // was only read
	for {
		it, err := src.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if it.Kind != adapters.Data {
			if it.Kind == adapters.Rejected {
				return fmt.Errorf("record %d was rejected: %+v", r.Records+1, it.Issues)
			}
			continue
		}
		if r.Records++; r.Records == n/10 {
			r.Early, _, _ = processMemory(os.Getpid())
		}
		if !mapping {
			continue
		}
		res, err := m.Apply(it.Record, mappings.Options{})
		if err != nil {
			return err
		}
		if res.Action != mappings.Upsert {
			return fmt.Errorf("record %d: %s %s: %+v", r.Records, res.Action, res.Reason, flow.RejectOf(&flow.Mapped{Item: it, Result: res}))
		}
		r.Made += len(res.Resources)
	}
}

// A feedInput makes the records of an input as they are read.
type feedInput struct {
	head, tail string
	record     func(i int) string
	i, n       int
	rest       string
	given      int64
}

// newFeedInput finds the sample of a format.
func newFeedInput(format string, n int) (*feedInput, error) {
	s, ok := feedSamples[format]
	if !ok {
		return nil, fmt.Errorf("there is no sample of the format %s in conformance/bench", format)
	}
	in := s(n)
	in.n, in.rest = n, in.head
	return in, nil
}

// Read implements io.Reader.
func (f *feedInput) Read(p []byte) (int, error) {
	for f.rest == "" {
		switch {
		case f.i < f.n:
			f.rest = f.record(f.i)
			f.i++
		case f.tail != "":
			f.rest, f.tail = f.tail, ""
		default:
			return 0, io.EOF
		}
	}
	k := copy(p, f.rest)
	f.rest = f.rest[k:]
	f.given += int64(k)
	return k, nil
}

// numbered writes a template's record: {N} is its number in seven digits, {L} the
// same in letters, for names that nobody else has, {B} a birth date (HL7: {b}), of
// which there are 14,400 as of living persons, {A} a number from 10 to 27 for times.
func numbered(template string) func(int) string {
	return func(i int) string {
		digits := fmt.Sprintf("%07d", i+1)
		letters := strings.Map(func(r rune) rune { return r - '0' + 'a' }, digits)
		month, day, year := born(i)
		return strings.NewReplacer("{N}", digits, "{L}", letters, "{A}", fmt.Sprintf("%02d", 10+i%18),
			"{B}", fmt.Sprintf("%d-%02d-%02d", year, month, day), "{b}", fmt.Sprintf("%d%02d%02d", year, month, day)).Replace(template)
	}
}

// born is a person's birth date. Linking compares persons of one birth date, so
// these are spread as widely as those of a county.
func born(person int) (month, day, year int) {
	return 1 + person%12, 13 + person/12%15, 1930 + person/180%80
}
