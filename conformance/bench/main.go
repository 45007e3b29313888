package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// wholeRun is when a run ends whatever happens.
const wholeRun = 90 * time.Minute

func main() {
	// Children die with the thread that started them (see dieWithParent), so
	// that thread has to be the one that lives longest.
	runtime.LockOSThread()
	if len(os.Args) > 1 {
		if role, ok := roles[os.Args[1]]; ok {
			if err := role(os.Args[2:]); err != nil {
				fmt.Fprintln(os.Stderr, os.Args[1]+":", err)
				os.Exit(1)
			}
			return
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, wholeRun)
	defer cancel()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		stop()
		os.Exit(1) //nolint:gocritic // everything that was started is stopped by now
	}
}

// options are the command line.
type options struct {
	short, asJSON bool
	only          *regexp.Regexp
	rows          int    // of the longest input; 0: those of the pace
	sizes         []int  // of the parts stores and costly; none: those of the pace
	profile       string // folder for CPU profiles; "" for none
}

// A part is one section of the table.
type part struct {
	name    string
	measure func(context.Context, *bench) error
}

// parts are what can be measured, in the order of the table. Parts that need a
// gateway share one.
func parts() []part {
	return []part{
		{"adapter", measureAdapter},
		{"feeds", measureFeeds},
		{"feeds-stored", measureStored},
		{"deciding", measureDeciding},
		{"token", measureTokens},
		{"stores", measureStores},
		{"costly", measureCostly},
		{"gateways", measureGateways},
		{"start", measureStart},
		{"own", measureOwn},
		{"read", measureReads},
		{"search", measureSearches},
		{"memory", measureMemory},
	}
}

// A bench is one run.
type bench struct {
	options
	pace   pace
	report report
	log    io.Writer
	dir    string // temporary files
	world  *world // the processes; nil until a part needs them
}

// A pace is how long things are measured.
type pace struct {
	pairs   int           // interleaved rounds
	window  time.Duration // of load in one round
	inside  time.Duration // of one round in this process
	rows    int           // of the generated export
	records int           // of the input of each format
	many    int           // rows over which memory must stay flat
	stored  int           // records into a store
	starts  int
	clients []int
}

var (
	fullPace  = pace{pairs: 5, window: 1200 * time.Millisecond, inside: 300 * time.Millisecond, rows: 100_000, records: 20_000, many: 1_000_000, stored: 10_000, starts: 10, clients: []int{1, 8, 64}}
	shortPace = pace{pairs: 2, window: 150 * time.Millisecond, inside: 15 * time.Millisecond, rows: 4_000, records: 300, many: 3_000, stored: 300, starts: 2, clients: []int{1, 8, 64}}
)

func run(ctx context.Context, args []string, out, log io.Writer) (err error) {
	o, err := parseOptions(args, log)
	if err != nil {
		return err
	}
	b := &bench{options: o, pace: fullPace, log: log}
	if o.short {
		b.pace = shortPace
	}
	if o.rows > 0 {
		b.pace.many, b.pace.records, b.pace.stored = o.rows, max(o.rows/10, 100), max(o.rows/10, 100)
	}
	if b.dir, err = os.MkdirTemp("", "handoff-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.world.close(), os.RemoveAll(b.dir)) }()
	b.report.Machine = machine()
	b.report.Short = o.short
	began := time.Now()
	for _, p := range parts() {
		if o.only != nil && !o.only.MatchString(p.name) {
			continue
		}
		fmt.Fprintf(log, "bench: %s…\n", p.name)
		if err := p.measure(ctx, b); err != nil {
			_ = b.report.write(log) // what was found until then
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	b.report.Took = time.Since(began).Round(time.Second).String()
	if o.asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(&b.report)
	}
	return b.report.write(out)
}

func parseOptions(args []string, log io.Writer) (options, error) {
	var o options
	var only string
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(log)
	fs.BoolVar(&o.short, "short", false, "a smoke test: the same checks, too short for figures")
	fs.StringVar(&only, "only", "", "measure the parts whose name matches this regular expression: adapter, feeds, feeds-stored, deciding, token, stores, costly, gateways, start, own, read, search, memory")
	fs.IntVar(&o.rows, "rows", 0, "rows of the longest input of the parts feeds and feeds-stored, instead of 1,000,000; the others have a tenth")
	fs.Func("resources", "how many resources the stores of the parts stores and costly hold, instead of 20000,100000", func(s string) error {
		return readSizes(s, &o.sizes)
	})
	fs.BoolVar(&o.asJSON, "json", false, "print the report as JSON")
	fs.StringVar(&o.profile, "profile", "", "folder for CPU profiles of the gateway under load")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if only != "" {
		re, err := regexp.Compile(only)
		if err != nil {
			return o, fmt.Errorf("-only: %w", err)
		}
		o.only = re
	}
	if o.profile != "" {
		if err := os.MkdirAll(o.profile, 0o755); err != nil {
			return o, fmt.Errorf("-profile: %w", err)
		}
	}
	return o, nil
}

// readSizes reads numbers in ascending order with commas between them.
func readSizes(s string, to *[]int) error {
	*to = nil
	for f := range strings.SplitSeq(s, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(f))
		if err != nil || n < 100 || len(*to) > 0 && n <= (*to)[len(*to)-1] {
			return fmt.Errorf("numbers from 100 in ascending order are wanted, as in 20000,100000")
		}
		*to = append(*to, n)
	}
	return nil
}
