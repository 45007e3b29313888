package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/adapters/inbox"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/gateway/config"
)

// newFeedsCommand tells about the feeds of a configuration, and pauses them.
func newFeedsCommand() *cobra.Command {
	var f feedFlags
	cmd := &cobra.Command{
		Use:   "feeds",
		Short: "See what became of the messages and records of feeds; pause and resume them",
		Long: `Every feed keeps a report: messages by state and code, records by outcome, fields
and codes that no mapping knew, what waits and since when. It survives restarts.
The commands may be used while 'handoff serve' runs on the same store.`,
		Example: `  handoff feeds list --config handoff.yaml
  handoff feeds report --config handoff.yaml --system clinic-adt --json
  handoff feeds messages --config handoff.yaml --system clinic-adt --state deferred
  handoff feeds pause --config handoff.yaml --system clinic-adt --reason "new mapping"`,
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f.add(cmd)
	cmd.AddCommand(newFeedsList(&f), newFeedsReport(&f), newFeedsMessages(&f), newFeedsPause(&f), newFeedsResume(&f))
	return cmd
}

// reports reads the reports of the feeds that are meant.
func (f *feedFlags) reports(cmd *cobra.Command) (out []*inbox.Report, now time.Time, err error) {
	c, db, err := f.open(cmd)
	if err != nil {
		return nil, now, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	systems, err := f.feeds(c)
	if err != nil {
		return nil, now, err
	}
	for _, s := range systems {
		r, err := inbox.ReadReport(cmd.Context(), db, s.Key, s.Adapter)
		if err != nil {
			return nil, now, err
		}
		out = append(out, r)
	}
	return out, db.Now(), nil
}

// stale is after how long nothing was heard of a feed that it does not run.
const stale = 3 * tellEvery

// stateOf is how a feed is, in a word.
func stateOf(r *inbox.Report, now time.Time) string {
	switch {
	case r.Running == nil || now.Sub(r.Running.At) > stale:
		return "not running"
	case r.Running.Receiver == "broken":
		return "broken"
	case r.Running.Mapping.Missing():
		return "no mapping"
	case r.Paused != nil:
		return "paused"
	case r.Running.Retry != nil:
		return "retrying"
	case r.Running.Receiver == "stopped":
		return "stopped"
	}
	return "running"
}

func newFeedsList(f *feedFlags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "One line for each feed",
		Example: "  handoff feeds list --config handoff.yaml",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			reports, now, err := f.reports(cmd)
			if err != nil {
				return err
			}
			if asJSON {
				return printReports(cmd.OutOrStdout(), reports)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "SYSTEM\tADAPTER\tBY\tSTATE\tWAITING\tDEFERRED\tSTORED\tREJECTED\tRECORDS\tREJECTS\tLAST\tPROCESSED BY")
			for _, r := range reports {
				way := "-"
				if r.Running != nil {
					way = r.Running.Way
				}
				last := "-"
				if !r.Messages.Last.IsZero() {
					last = r.Messages.Last.Format(time.RFC3339)
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\n", r.System, r.Adapter, way, stateOf(r, now), r.Messages.Waiting, r.Messages.Deferred,
					r.Messages.Stored, r.Messages.Rejected, r.Records.Report.Records, r.Records.Rejects, last, cmp.Or(r.Holder, "-"))
			}
			if err := w.Flush(); err != nil {
				return err
			}
			return printFaults(cmd.OutOrStdout(), reports, now)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "the whole reports, one JSON object a line")
	return cmd
}

// printFaults tells why a gateway does not use what should be a feed's mapping.
func printFaults(w io.Writer, reports []*inbox.Report, now time.Time) error {
	for _, r := range reports {
		for _, x := range gatewaysOf(r) {
			m := &x.Mapping
			if m.Error == "" || now.Sub(x.At) > stale {
				continue
			}
			what := "a changed mapping is not used"
			if m.Missing() {
				what = "DOES NOT RUN, its mapping cannot be used"
			}
			if _, err := fmt.Fprintf(w, "%s at gateway %s: %s: %s\n", r.System, x.Gateway, what, m.Error); err != nil {
				return err
			}
		}
	}
	return nil
}

// gatewaysOf are all gateways that tell of a feed.
func gatewaysOf(r *inbox.Report) []inbox.Running {
	if len(r.Gateways) == 0 && r.Running != nil {
		return []inbox.Running{*r.Running}
	}
	return r.Gateways
}

func printReports(w io.Writer, reports []*inbox.Report) error {
	enc := json.NewEncoder(w)
	for _, r := range reports {
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

func newFeedsReport(f *feedFlags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "report",
		Short:   "What became of the messages and records of each feed",
		Example: "  handoff feeds report --config handoff.yaml --system clinic-adt",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			reports, now, err := f.reports(cmd)
			if err != nil {
				return err
			}
			if asJSON {
				return printReports(cmd.OutOrStdout(), reports)
			}
			for _, r := range reports {
				if err := printReport(cmd.OutOrStdout(), r, now); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	return cmd
}

func printReport(w io.Writer, r *inbox.Report, now time.Time) error {
	fmt.Fprintf(w, "%s (%s): %s\n", r.System, r.Adapter, stateOf(r, now))
	if p := r.Paused; p != nil {
		fmt.Fprintf(w, "  paused by %s at %s: %s\n", p.By, p.At.Format(time.DateTime), p.Reason)
	}
	m := &r.Messages
	if m.Received+m.Duplicates+m.Collisions > 0 {
		fmt.Fprintf(w, "  messages: %d received = %d stored + %d rejected + %d deferred + %d waiting; %d parsed, %d mapped; %d duplicates and %d collisions besides\n",
			m.Received, m.Stored, m.Rejected, m.Deferred, m.Waiting, m.Parsed, m.Mapped, m.Duplicates, m.Collisions)
		for _, code := range slices.Sorted(maps.Keys(m.RejectedBy)) {
			fmt.Fprintf(w, "    rejected: %s %d\n", code, m.RejectedBy[code])
		}
	}
	for i := range r.Gateways {
		x := &r.Gateways[i]
		role := "takes messages"
		if x.Holds {
			role = "processes the feed"
		}
		if now.Sub(x.At) > stale {
			role = "not heard of since then"
		}
		fmt.Fprintf(w, "  gateway %s: %s, receiver %s, as of %s\n", x.Gateway, role, x.Receiver, x.At.Format(time.DateTime))
	}
	if r.Running != nil {
		printRunning(w, r.Running)
	}
	r.Records.Report.Source = "  records"
	if _, err := r.Records.Report.WriteTo(w); err != nil {
		return err
	}
	for _, u := range r.Unmapped {
		fmt.Fprintf(w, "  unmapped: %s %d times, first %s\n", u.What, u.Count, u.Place)
	}
	return nil
}

// printRunning writes what a gateway says of a feed.
func printRunning(w io.Writer, x *inbox.Running) {
	fmt.Fprintf(w, "  as of %s, by %s: receiver %s, mapping %s %s\n", x.At.Format(time.DateTime), x.Way, x.Receiver, cmp.Or(x.Mapping.Name, "none"), x.Mapping.Version)
	if x.Waiting > 0 {
		fmt.Fprintf(w, "    waiting: %d messages, %d bytes, the oldest since %s\n", x.Waiting, x.WaitingBytes, x.Oldest.Format(time.DateTime))
	}
	if x.Error != "" {
		fmt.Fprintf(w, "    the receiver was restarted %d times: %s\n", x.Restarts, x.Error)
	}
	if x.Retry != nil {
		fmt.Fprintf(w, "    cannot store since %s; tried %d times (%s)\n", x.Retry.Since.Format(time.DateTime), x.Retry.Tries, x.Retry.Code)
	}
	switch {
	case x.Mapping.Missing():
		fmt.Fprintf(w, "    no mapping can be used, so nothing is processed here: %s\n", x.Mapping.Error)
	case x.Mapping.Error != "":
		fmt.Fprintf(w, "    a changed mapping is not used: %s\n", x.Mapping.Error)
	}
	for _, e := range slices.Sorted(maps.Keys(x.Events)) {
		fmt.Fprintf(w, "    seen: %s %d\n", e, x.Events[e])
	}
}

func newFeedsMessages(f *feedFlags) *cobra.Command {
	var state, code string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "messages [SEQ|FROM-TO]…",
		Short: "The states of messages that came by a receiver",
		Long: `List messages of a feed's inbox with state, code and times, without their text. A
message that was settled longer ago than receive.remember is not known any more.`,
		Example: "  handoff feeds messages --config handoff.yaml --system clinic-adt --state rejected 100-200",
		RunE: func(cmd *cobra.Command, args []string) error {
			spans, err := parseSpans(args)
			if err != nil {
				return err
			}
			switch inbox.State(state) {
			case "", inbox.Received, inbox.Parsed, inbox.Mapped, inbox.Stored, inbox.Rejected, inbox.Deferred:
			default:
				return usageError("--state must be received, parsed, mapped, stored, rejected or deferred")
			}
			if len(spans) == 0 {
				spans = []span{{1, 1<<63 - 1}}
			}
			return f.with(cmd, func(_ *config.Config, db backend.Backend, s config.System) error {
				return printMessages(cmd, db, s.Key, spans, func(m *inbox.Status) bool {
					return (state == "" || string(m.State) == state) && (code == "" || m.Code == code)
				}, asJSON)
			})
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "only those in this state")
	cmd.Flags().StringVar(&code, "code", "", "only those with this code")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	return cmd
}

func printMessages(cmd *cobra.Command, db backend.Backend, system string, spans []span, want func(*inbox.Status) bool, asJSON bool) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	enc := json.NewEncoder(cmd.OutOrStdout())
	if !asJSON {
		fmt.Fprintln(w, "SEQ\tSOURCE\tSTATE\tCODE\tRECEIVED\tDONE\tRECORDS\tREJECTS")
	}
	const each = 200
	for _, s := range spans {
		for from := s.from; ; from += each {
			list, err := inbox.Statuses(cmd.Context(), db, db, system, from, each)
			if err != nil {
				return err
			}
			for i := range list {
				m := &list[i]
				switch {
				case m.Seq > s.to || m.Forgotten || !want(m):
				case asJSON:
					if err := enc.Encode(m); err != nil {
						return err
					}
				default:
					done := "-"
					if !m.Done.IsZero() {
						done = m.Done.Format(time.RFC3339)
					}
					fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%d\t%d\n", m.Seq, m.Source, m.State, m.Code, m.Received.Format(time.RFC3339), done, m.Records.Records, m.Records.Rejects)
				}
			}
			if len(list) < each || list[each-1].Seq >= s.to {
				break
			}
		}
	}
	return w.Flush()
}

func newFeedsPause(f *feedFlags) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "pause",
		Short: "Let a feed's processing wait",
		Long: `Let the processing of a feed wait, within a second or two, until it is resumed.
What comes in is kept and acknowledged meanwhile, until the inbox is full; then
senders are asked to try again. Files in a watched folder stay there.`,
		Example: `  handoff feeds pause --config handoff.yaml --system clinic-adt --reason "new mapping"`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.with(cmd, func(_ *config.Config, db backend.Backend, s config.System) error {
				if err := inbox.PauseFeed(cmd.Context(), db, s.Key, inbox.Pause{At: db.Now().UTC(), By: f.who(), Reason: reason}); err != nil {
					return err
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: paused\n", s.Key)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the report")
	return cmd
}

func newFeedsResume(f *feedFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "resume",
		Short:   "End a pause",
		Example: "  handoff feeds resume --config handoff.yaml --system clinic-adt",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.with(cmd, func(_ *config.Config, db backend.Backend, s config.System) error {
				if err := inbox.ResumeFeed(cmd.Context(), db, s.Key); err != nil {
					return err
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: resumed\n", s.Key)
				return err
			})
		},
	}
}
