package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/handoff-health/handoff/adapters/inbox"
	"github.com/handoff-health/handoff/fhir/store/backend"
)

// feedSettings is the configuration under which records are stored.
const feedSettings = `server: {listen: "127.0.0.1:0"}
site: {key: %s, timeZone: America/New_York}
organizations:
  - {id: clinic, name: Clinic, kind: health}
  - {id: pd, name: Police, kind: police}
systems:
  - {key: adt, kind: feed, organization: clinic, adapter: ehr/hl7v2}
  - {key: rms, kind: feed, organization: pd, adapter: rms/csv}
telemetry: {level: warn}
`

// measureStored brings generated inputs into a store with the command, and takes
// messages into an inbox.
func measureStored(ctx context.Context, b *bench) error {
	binary := filepath.Join(b.dir, "handoff")
	if err := b.buildGateway(ctx, binary); err != nil {
		return err
	}
	t := b.report.table("Records into SQLite, one core", "what, records", column{"n", 0}, column{"records/s", 0}, column{"CPU µs/record", 0},
		column{"RSS MiB after a tenth", 0}, column{"peak RSS MiB", 0}, column{"store, bytes/record", 0})
	for _, format := range []string{"rms/csv", "ehr/hl7v2"} {
		if err := measureIngest(ctx, b, t, binary, format); err != nil {
			return fmt.Errorf("ingest %s: %w", format, err)
		}
	}
	t.note("`handoff ingest` reads the generated input from standard input; records/s is by the clock, with every fdatasync; the files of the store are counted with their log.")
	t = b.report.table("Inbox: messages acknowledged, SQLite, one core", "senders, messages", column{"n", 0}, column{"messages/s", 0}, column{"CPU µs/message", 0}, column{"peak RSS MiB", 0})
	for _, senders := range b.pace.clients {
		if err := measureInbox(ctx, b, t, senders); err != nil {
			return fmt.Errorf("inbox: %w", err)
		}
	}
	t.note("A message (ehr/hl7v2, as above) is acknowledged when it is durable in the inbox. Nothing takes the messages out meanwhile, and there is no network.")
	return nil
}

func measureIngest(ctx context.Context, b *bench, t *table, binary, format string) error {
	var rate, cpu, early, peak, size []number
	n := b.pace.stored
	for range min(b.pace.pairs, feedRounds) {
		x, err := runIngest(ctx, b, binary, format, n)
		if err != nil {
			return err
		}
		rate, cpu = append(rate, number(n)/number(x.elapsed.Seconds())), append(cpu, number(x.cpu.Microseconds())/number(n))
		early, peak = append(early, mebibytes(x.early)), append(peak, mebibytes(x.peak))
		size = append(size, number(x.size)/number(n))
	}
	t.add(fmt.Sprintf("handoff ingest --adapter %s, %s", format, number(n).text(0)), number(len(rate)), median(rate), median(cpu), median(early), median(peak), median(size))
	return nil
}

// An ingestion is one run of `handoff ingest` into an empty store.
type ingestion struct {
	elapsed, cpu      time.Duration
	early, peak, size int64 // bytes
}

func runIngest(ctx context.Context, b *bench, binary, format string, n int) (x *ingestion, err error) {
	dir, err := os.MkdirTemp(b.dir, "ingest-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	config := filepath.Join(dir, "handoff.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, feedSettings, benchKey), 0o600); err != nil {
		return nil, err
	}
	in, err := newFeedInput(format, n)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	p, out, err := start(ctx, "ingest", []string{"GOMAXPROCS=1"}, binary, "ingest", "--config", config, "--adapter", format, "-")
	if err != nil {
		return nil, err
	}
	x = &ingestion{}
	record := in.record
	in.record = func(i int) string { // what is read ahead is small beside a tenth
		if i == n/10 {
			x.early, _, _ = processMemory(p.pid())
		}
		return record(i)
	}
	stop := watchMemory(p.pid())
	fed := make(chan error, 1)
	go func() {
		_, err := io.Copy(p.stdin, in)
		fed <- errors.Join(err, p.stdin.Close())
	}()
	said, err := io.ReadAll(out)
	x.peak = stop()
	p.reap()
	x.elapsed = time.Since(began)
	if err := errors.Join(err, p.err, <-fed); err != nil {
		return nil, fmt.Errorf("%w: %s", err, p.log.String())
	}
	if want := fmt.Sprintf("%d created + 0 updated + 0 duplicates + 0 rejects", n); !strings.Contains(string(said), want) {
		return nil, fmt.Errorf("WRONG ANSWER: the counts are not %q: %s", want, said)
	}
	x.cpu = p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	x.size, err = sizeOf(dir, "handoff.db*")
	return x, err
}

// sizeOf adds up the files of a pattern in a folder.
func sizeOf(dir, pattern string) (sum int64, err error) {
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	for _, f := range files {
		info, e := os.Stat(f)
		if e != nil {
			return 0, e
		}
		sum += info.Size()
	}
	return sum, err
}

// An inboxRun is what one process found that took messages into an inbox.
type inboxRun struct {
	Nanoseconds, CPU int64
	Peak             int64
}

func measureInbox(ctx context.Context, b *bench, t *table, senders int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	n := max(b.pace.stored/10, senders)
	if senders > 1 {
		n = max(b.pace.stored, senders)
	}
	var rate, cpu, peak []number
	for round := range min(b.pace.pairs, feedRounds) {
		file := filepath.Join(b.dir, fmt.Sprintf("inbox-%d-%d.db", senders, round))
		p, out, err := start(ctx, "inbox", []string{"GOMAXPROCS=1"}, self, "role-inbox", file, fmt.Sprint(senders), fmt.Sprint(n))
		if err != nil {
			return err
		}
		raw, err := io.ReadAll(out)
		p.reap()
		if err := errors.Join(err, p.err); err != nil {
			return fmt.Errorf("%w: %s", err, p.log.String())
		}
		var r inboxRun
		if err := json.Unmarshal(raw, &r); err != nil {
			return err
		}
		rate = append(rate, number(n)*1e9/number(max(1, r.Nanoseconds)))
		cpu, peak = append(cpu, number(r.CPU)/1e3/number(n)), append(peak, mebibytes(r.Peak))
	}
	t.add(fmt.Sprintf("%d, %s", senders, number(n).text(0)), number(len(rate)), median(rate), median(cpu), median(peak))
	return nil
}

// runInboxRole is such a process: role-inbox FILE SENDERS MESSAGES.
func runInboxRole(args []string) (err error) {
	if len(args) != 3 {
		return errors.New("a file, senders and messages are wanted")
	}
	var senders, n int
	if _, err := fmt.Sscan(args[1]+" "+args[2], &senders, &n); err != nil {
		return err
	}
	ctx := context.Background()
	db, err := backend.Open(ctx, args[0], backend.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	box, err := inbox.Open(ctx, inbox.Options{Log: db, Facts: db, System: "bench", SiteKey: []byte(benchKey), MaxWaiting: n, MaxWaitingBytes: 4 << 30})
	if err != nil {
		return err
	}
	in, err := newFeedInput("ehr/hl7v2", n)
	if err != nil {
		return err
	}
	before, _ := ownCPU()
	began := time.Now()
	if err := send(ctx, box, in, senders, n); err != nil {
		return err
	}
	r := inboxRun{Nanoseconds: time.Since(began).Nanoseconds()}
	after, _ := ownCPU()
	r.CPU = (after - before).Nanoseconds()
	_, r.Peak, _ = processMemory(os.Getpid())
	if got := box.Counts().Waiting; got != int64(n) {
		return fmt.Errorf("WRONG ANSWER: %d messages wait of %d", got, n)
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// send hands n messages to a box from several senders, each of which waits for
// its receipt.
func send(ctx context.Context, box inbox.Receiver, in *feedInput, senders, n int) error {
	var next atomic.Int64
	var group sync.WaitGroup
	errs := make([]error, senders)
	for s := range senders {
		group.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				r, err := box.Receive(ctx, inbox.Arrival{Source: "bench", Key: fmt.Sprint("M", i), Body: []byte(in.record(i)), At: time.Now()})
				if err == nil && (r.Duplicate || r.Seq == 0) {
					err = fmt.Errorf("WRONG ANSWER: message %d was not taken: %+v", i, r)
				}
				if err != nil {
					errs[s] = err
					return
				}
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}
