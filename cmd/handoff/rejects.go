package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/adapters/ingest"
	"github.com/handoff-health/handoff/adapters/mask"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/gateway/config"
)

// newRejectsCommand lets an operator see, mend and replay rejected records.
func newRejectsCommand() *cobra.Command {
	var f feedFlags
	cmd := &cobra.Command{
		Use:   "rejects",
		Short: "See, edit and replay rejected records",
		Long: `Records that could not be read, mapped or stored are kept with their text and a
reason, whether they came by a receiver or by 'handoff ingest'. They are numbered
per system. Each stays in the queue until a replay has stored it.

Values are masked unless --reveal is given; revealing, editing and replaying are
noted in the events of the system, with who did it. The commands may be used
while 'handoff serve' runs on the same store.

A replay reads the text, or its newest edited copy, with the mapping as it is
now. It can be repeated: what is known is a duplicate, and nothing old is applied
over something newer.`,
		Example: `  handoff rejects list --config handoff.yaml --system clinic-adt
  handoff rejects show --config handoff.yaml --system clinic-adt 17
  handoff rejects edit --config handoff.yaml --system clinic-adt 17 --out 17.hl7
  handoff rejects edit --config handoff.yaml --system clinic-adt 17 --from 17.hl7
  handoff rejects replay --config handoff.yaml --system clinic-adt --code unknown-kind`,
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f.add(cmd)
	cmd.AddCommand(newRejectsList(&f), newRejectsShow(&f), newRejectsEdit(&f), newRejectsReplay(&f))
	return cmd
}

// feedFlags are the flags of commands about one feed.
type feedFlags struct{ config, system, by string }

func (f *feedFlags) add(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVarP(&f.config, "config", "c", "", "configuration file (required)")
	cmd.PersistentFlags().StringVar(&f.system, "system", "", "key of the feed; needed if there are several")
	cmd.PersistentFlags().StringVar(&f.by, "by", "", "who does it, for what is noted of it; default the user of this process")
}

// who is for the audit.
func (f *feedFlags) who() string {
	if f.by != "" {
		return f.by
	}
	for _, name := range []string{"USER", "LOGNAME", "USERNAME"} {
		if v := os.Getenv(name); v != "" {
			return v
		}
	}
	return "uid " + strconv.Itoa(os.Getuid())
}

// open opens the store of the configuration, which must be there.
func (f *feedFlags) open(cmd *cobra.Command) (*config.Config, backend.Backend, error) {
	if f.config == "" {
		return nil, nil, usageError("--config is required")
	}
	c, err := loadConfig(f.config)
	if err != nil {
		return nil, nil, err
	}
	db, err := storeFor(cmd, c)
	return c, db, err
}

// feeds are the systems that a command means: the one named, or all feeds.
func (f *feedFlags) feeds(c *config.Config) ([]config.System, error) {
	var out []config.System
	var keys []string
	for _, s := range c.Systems {
		if s.Kind != "feed" {
			continue
		}
		keys = append(keys, s.Key)
		if f.system == "" || f.system == s.Key {
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		return nil, usageError("the configuration has no feed %q; it has: %s", f.system, strings.Join(keys, ", "))
	}
	return out, nil
}

// with opens the store and runs do on the one feed that is meant.
func (f *feedFlags) with(cmd *cobra.Command, do func(*config.Config, backend.Backend, config.System) error) (err error) {
	c, db, err := f.open(cmd)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	systems, err := f.feeds(c)
	if err != nil {
		return err
	}
	if len(systems) > 1 {
		var keys []string
		for _, s := range systems {
			keys = append(keys, s.Key)
		}
		return usageError("there are several feeds; say which with --system: %s", strings.Join(keys, ", "))
	}
	return do(c, db, systems[0])
}

func queueOf(db backend.Backend, system string) *ingest.Queue {
	return &ingest.Queue{Log: db, Facts: db, System: system}
}

// A span is a range of numbers, both ends included.
type span struct{ from, to uint64 }

// parseSpans reads "17", "17-20" and "17-".
func parseSpans(args []string) ([]span, error) {
	var out []span
	for _, a := range args {
		first, last, ranged := strings.Cut(a, "-")
		s := span{}
		var err error
		if s.from, err = strconv.ParseUint(first, 10, 63); err != nil || s.from == 0 {
			return nil, usageError("%q is neither a number nor a range FROM-TO", a)
		}
		switch {
		case !ranged:
			s.to = s.from
		case last == "":
			s.to = 1<<63 - 1
		default:
			if s.to, err = strconv.ParseUint(last, 10, 63); err != nil || s.to < s.from {
				return nil, usageError("%q is neither a number nor a range FROM-TO", a)
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// A rejectFilter says which rejects a command means.
type rejectFilter struct {
	spans []span
	state string
	code  string
}

func (x *rejectFilter) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&x.state, "state", "open", "only those in this state: open, replayed, expunged or all")
	cmd.Flags().StringVar(&x.code, "code", "", "only those with this code")
}

func (x *rejectFilter) check(args []string) (err error) {
	switch x.state {
	case "open", "replayed", "expunged", "all":
	default:
		return usageError("--state must be open, replayed, expunged or all")
	}
	x.spans, err = parseSpans(args)
	return err
}

// each calls do for every reject that is meant, in order of number.
func (x *rejectFilter) each(ctx context.Context, q *ingest.Queue, do func(ingest.Queued) error) error {
	spans := x.spans
	if len(spans) == 0 {
		spans = []span{{1, 1<<63 - 1}}
	}
	for _, s := range spans {
		for from := s.from; from > 0; {
			list, next, err := q.List(ctx, from, 200)
			if err != nil {
				return err
			}
			for _, k := range list {
				if k.Seq > s.to {
					next = 0
					break
				}
				if (x.state == "all" || x.state == string(k.State)) && (x.code == "" || x.code == k.Code) {
					if err := do(k); err != nil {
						return err
					}
				}
			}
			from = next
		}
	}
	return nil
}

// rejectJSON is a reject as list and show print it: without its text.
type rejectJSON struct {
	System  string    `json:"system"`
	Seq     uint64    `json:"seq"`
	At      time.Time `json:"at"`
	Source  string    `json:"source"`
	Line    int       `json:"line,omitempty"`
	Field   string    `json:"field,omitempty"`
	State   string    `json:"state"`
	Code    string    `json:"code"`
	Message string    `json:"message"`
	Edited  bool      `json:"edited,omitempty"`
	Tries   int       `json:"tries,omitempty"`
	Tried   time.Time `json:"tried,omitzero"`
	Outcome string    `json:"outcome,omitempty"`
}

func rejectOf(system string, k *ingest.Queued) rejectJSON {
	return rejectJSON{System: system, Seq: k.Seq, At: k.At, Source: k.Source, Line: k.Line, Field: k.Field, State: string(k.State),
		Code: k.Code, Message: k.Message, Edited: k.Edited, Tries: k.Tries, Tried: k.Tried, Outcome: k.Outcome}
}

func newRejectsList(f *feedFlags) *cobra.Command {
	var filter rejectFilter
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list [SEQ|FROM-TO]…",
		Short:   "List rejected records, without their text",
		Example: "  handoff rejects list --config handoff.yaml --system clinic-adt --code unknown-kind 100-200",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := filter.check(args); err != nil {
				return err
			}
			return f.listRejects(cmd, &filter, asJSON)
		},
	}
	filter.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	return cmd
}

func (f *feedFlags) listRejects(cmd *cobra.Command, filter *rejectFilter, asJSON bool) (err error) {
	c, db, err := f.open(cmd)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	systems, err := f.feeds(c)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	enc := json.NewEncoder(cmd.OutOrStdout())
	n := 0
	for _, s := range systems {
		err := filter.each(cmd.Context(), queueOf(db, s.Key), func(k ingest.Queued) error {
			x := rejectOf(s.Key, &k)
			if asJSON {
				return enc.Encode(x)
			}
			if n++; n == 1 {
				fmt.Fprintln(w, "SYSTEM\tSEQ\tAT\tSTATE\tCODE\tPLACE\tTRIES")
			}
			_, err := fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%d\n", x.System, x.Seq, x.At.Format(time.DateTime), x.State, x.Code, placeOf(&x), x.Tries)
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil || n > 0 || asJSON {
		return err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "no such rejects")
	return nil
}

func placeOf(x *rejectJSON) string {
	p := x.Source
	if x.Line > 0 {
		p += ":" + strconv.Itoa(x.Line)
	}
	if x.Field != "" {
		p += " " + x.Field
	}
	return p
}

func newRejectsShow(f *feedFlags) *cobra.Command {
	var reveal bool
	cmd := &cobra.Command{
		Use:   "show SEQ",
		Short: "Show one rejected record, its values masked",
		Long: `Show why a record was rejected, and its text: segments, columns, tags and names
stay, values are ***, the value at the place of the fault is shown as its shape.
--reveal shows the text as it came; that is noted in the system's events.`,
		Example: "  handoff rejects show --config handoff.yaml --system clinic-adt 17",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.withReject(cmd, args[0], func(q *ingest.Queue, k ingest.Queued) error {
				return showReject(cmd, q, &k, reveal, f.who())
			})
		},
	}
	cmd.Flags().BoolVar(&reveal, "reveal", false, "show the values; audited")
	return cmd
}

// withReject finds the reject that an argument names.
func (f *feedFlags) withReject(cmd *cobra.Command, arg string, do func(*ingest.Queue, ingest.Queued) error) error {
	seq, err := strconv.ParseUint(arg, 10, 63)
	if err != nil {
		return usageError("%q is no number of a reject", arg)
	}
	return f.with(cmd, func(_ *config.Config, db backend.Backend, s config.System) error {
		q := queueOf(db, s.Key)
		k, err := q.Get(cmd.Context(), seq)
		if err != nil {
			return err
		}
		return do(q, k)
	})
}

func showReject(cmd *cobra.Command, q *ingest.Queue, k *ingest.Queued, reveal bool, by string) error {
	x := rejectOf(q.System, k)
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "reject %d of %s: %s\nat %s, %s\n%s: %s\n", x.Seq, x.System, x.State, x.At.Format(time.DateTime), placeOf(&x), x.Code, x.Message)
	if x.Tries > 0 {
		fmt.Fprintf(w, "replayed %d times, last %s: %s\n", x.Tries, x.Tried.Format(time.DateTime), x.Outcome)
	}
	if k.State == ingest.Expunged {
		_, err := fmt.Fprintln(w, "the text was destroyed")
		return err
	}
	head, raw, err := q.Text(cmd.Context(), k)
	if err != nil {
		return err
	}
	if k.Edited {
		fmt.Fprintln(w, "the text is the newest edited copy")
	}
	if len(raw) == 0 {
		_, err := fmt.Fprintln(w, "the text is not kept")
		return err
	}
	if !reveal {
		_, err = io.WriteString(w, "\n"+strings.TrimRight(mask.Text(head, raw, x.Field), "\n")+"\n")
		return err
	}
	if err := q.Audit(cmd.Context(), k.Event("reveal", by)); err != nil {
		return err
	}
	if len(head) > 0 {
		head = append(bytes.TrimRight(bytes.Clone(head), "\r\n"), '\n')
	}
	_, err = fmt.Fprintf(w, "\n%s%s\n", head, strings.ReplaceAll(string(raw), "\r", "\n"))
	return err
}
