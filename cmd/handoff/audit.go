package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/gateway/audit"
)

// auditPlace is where a trail and what vouches for it are.
type auditPlace struct{ dir, anchor, key string }

func newAuditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Check, follow and review the audit trail",
		Long: `The audit trail holds one record per interaction, permitted or refused, chained
by SHA-256 and anchored by signed checkpoints in a second place. These commands
read it, and work while the gateway writes; each use of disclosures is itself
recorded.`,
		Example: `  handoff audit verify /var/lib/handoff/audit --anchor /mnt/worm/handoff.anchor --key audit.pub
  handoff audit tail /var/lib/handoff/audit --follow
  handoff audit report /var/lib/handoff/audit --since 168h`,
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAuditVerifyCommand(), newAuditTailCommand(), newAuditReportCommand(), newAuditReplayCommand(), newAuditDisclosuresCommand())
	return cmd
}

func (p *auditPlace) verify() (audit.Report, error) {
	pub, err := audit.LoadPublicKey(p.key)
	if err != nil {
		return audit.Report{}, err
	}
	if _, err := os.Stat(p.anchor); err != nil {
		return audit.Report{}, fmt.Errorf("read the anchor: %w", err)
	}
	return audit.Verify(p.dir, &audit.FileAnchor{Path: p.anchor}, pub)
}

func newAuditVerifyCommand() *cobra.Command {
	var (
		t      auditTrails
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "verify DIR… --anchor FILE… --key FILE",
		Short: "Check that no record was changed, removed, moved or cut off",
		Long: `Reads each trail whole and compares it with itself and with the signed
checkpoints. Exits with 1 and names segment, byte and record if anything was
changed, removed, put in another order or cut off, as far as the anchor reaches.

Every gateway process has a trail of its own, with an anchor of its own. Give all
of them, each with its --anchor in the order of the folders, and one --key for all
or one for each; or --config, for those that it names. With --config the store is
asked whose trails there are: exit status 3 if one of them was not read.`,
		Example: `  handoff audit verify /var/lib/handoff/audit --anchor /mnt/worm/handoff.anchor --key audit.pub
  handoff audit verify /mnt/a/audit /mnt/b/audit --anchor a.anchor --anchor b.anchor --key a.pub --key b.pub
  handoff audit verify --config handoff.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			places, err := t.places()
			if err != nil {
				return err
			}
			reports, err := verifyAll(places)
			if err != nil && !errors.Is(err, audit.ErrTampered) {
				return err
			}
			if perr := printVerifications(cmd.OutOrStdout(), reports, asJSON); perr != nil {
				return perr
			}
			if err != nil {
				return err
			}
			missing, err := unreadOf(cmd, t.config, reports)
			if err != nil {
				return err
			}
			tellUnread(cmd.ErrOrStderr(), missing)
			return incomplete(missing)
		},
	}
	t.flags(cmd, false)
	cmd.Flags().StringVarP(&t.config, "config", "c", "", "configuration, for the trails that it names")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON; of several trails a list")
	return cmd
}

func printVerifications(w io.Writer, reports []audit.Report, asJSON bool) error {
	if asJSON && len(reports) != 1 {
		return printJSON(w, reports)
	}
	for i := range reports {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := printVerification(w, &reports[i], asJSON); err != nil {
			return err
		}
	}
	return nil
}

func printVerification(w io.Writer, r *audit.Report, asJSON bool) error {
	if asJSON {
		return printJSON(w, r)
	}
	verdict := "OK"
	if len(r.Problems) > 0 {
		verdict = "TAMPERED"
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(tw, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("verdict", "%s", verdict)
	row("trail", "%s", r.Trail)
	row("records", "%d in %d segments, %d of them events", r.Records, r.Segments, r.Events)
	if r.Records > 0 {
		row("time", "%s to %s", stamp(r.First), stamp(r.Last))
	}
	row("head", "%s", r.Head)
	row("checkpoints", "%d, the newest covers %d records", r.Checkpoints, r.Anchored)
	if open := r.Records - min(r.Anchored, r.Records); open > 0 {
		row("not anchored", "the last %d records: they are chained, but their removal would not show", open)
	}
	if r.Cuts > 0 {
		row("crashes", "%d torn ends were moved aside and noted", r.Cuts)
	}
	for _, p := range r.Problems {
		row("problem", "%s", p)
	}
	if r.More {
		row("problem", "there are more")
	}
	return tw.Flush()
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.00Z07:00") }

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func newAuditTailCommand() *cobra.Command {
	var (
		t      auditTrails
		n      uint64
		follow bool
		format string
	)
	cmd := &cobra.Command{
		Use:   "tail DIR",
		Short: "Print the newest records, and those that come",
		Long: `Prints the newest records, oldest first: as a line for people, as the record's
JSON, or as FHIR AuditEvents (NDJSON). It checks nothing; see verify.`,
		Example: `  handoff audit tail /var/lib/handoff/audit -n 50 --format fhir`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			show, ok := tailFormats[format]
			if !ok {
				return usageError("unknown format %q; known are %s", format, strings.Join(slices.Sorted(maps.Keys(tailFormats)), ", "))
			}
			last, err := audit.LastSeq(t.dirs[0])
			if err != nil {
				return err
			}
			from := last + 1 - min(n, last)
			poll := time.Duration(0)
			if follow {
				poll = 200 * time.Millisecond
			}
			err = audit.Follow(cmd.Context(), t.dirs[0], from, poll, func(r audit.Record) error { return show(cmd.OutOrStdout(), &r) })
			if follow && errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		},
	}
	t.flags(cmd, true)
	cmd.Flags().Uint64VarP(&n, "lines", "n", 10, "how many of the newest records")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what comes, until interrupted")
	cmd.Flags().StringVar(&format, "format", "text", "text, json or fhir")
	return cmd
}

var tailFormats = map[string]func(io.Writer, *audit.Record) error{
	"text": func(w io.Writer, r *audit.Record) error {
		_, err := fmt.Fprintln(w, eventLine(r))
		return err
	},
	"json": func(w io.Writer, r *audit.Record) error { return json.NewEncoder(w).Encode(r) },
	"fhir": func(w io.Writer, r *audit.Record) error {
		raw, err := audit.Render(&r.Event)
		if err != nil {
			return fmt.Errorf("record %d: %w", r.Seq, err)
		}
		_, err = fmt.Fprintf(w, "%s\n", raw)
		return err
	},
}

// eventLine is an event on one line. What callers have sent is quoted, so that
// it cannot move the cursor or fake a line.
func eventLine(r *audit.Record) string {
	e := &r.Event
	parts := []string{fmt.Sprint(r.Seq), stamp(e.At), e.Outcome.String(), e.Interaction}
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, fmt.Sprintf("%s=%q", name, value))
		}
	}
	if e.Status != 0 {
		parts = append(parts, fmt.Sprintf("status=%d", e.Status))
	}
	add("path", e.Path)
	add("reason", e.Reason)
	add("client", e.Client)
	add("user", e.User)
	add("organization", e.Organization)
	add("patients", strings.Join(e.Patients, " "))
	add("purposes", strings.Join(e.Purposes, " "))
	if e.Incomplete {
		parts = append(parts, "incomplete")
	}
	if n := len(e.Resources); n > 0 {
		parts = append(parts, fmt.Sprintf("resources=%d", n))
	}
	add("request", e.ID)
	return strings.Join(parts, "  ")
}

func newAuditReportCommand() *cobra.Command {
	var (
		t            auditTrails
		since, until string
		asJSON       bool
		settings     string
	)
	cmd := &cobra.Command{
		Use:   "report DIR… [--since 168h] [--until TIME]",
		Short: "Count events, refusals and incomplete answers, for the weekly review",
		Long: `Counts the events of a time span, of one trail or of those of several gateways, by interaction, outcome, client, user, purpose
and reason of refusal, and lists each use of $explain-access. Times are a day (2026-03-01), an instant
(2026-03-01T08:00:00Z) or a duration before now (168h). With --anchor and --key
the trail is verified first. With --config the reviews of emergencies that nobody
has closed are listed too, from the store that the configuration names.`,
		Example: `  handoff audit report /var/lib/handoff/audit --since 2026-03-01 --anchor handoff.anchor --key audit.pub`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			from, err := parseWhen(since, time.Now())
			if err != nil {
				return err
			}
			to, err := parseWhen(until, time.Now())
			if err != nil {
				return err
			}
			if len(t.anchors)+len(t.keys) > 0 {
				places, err := t.places()
				if err != nil {
					return err
				}
				if _, err := verifyAll(places); err != nil {
					return fmt.Errorf("there is nothing to report on: %w", err)
				}
			} else {
				fmt.Fprintln(cmd.ErrOrStderr(), "The trail was not verified: give --anchor and --key.")
			}
			s, err := audit.Summarize(cmd.Context(), from, to, t.dirs...)
			if err != nil {
				return err
			}
			var reviews []openReview
			if settings != "" {
				if reviews, err = reviewsOf(cmd, settings, time.Now()); err != nil {
					return err
				}
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), struct {
					audit.Summary
					Reviews []openReview `json:"openReviews,omitempty"`
				}{s, reviews})
			}
			if err := printSummary(cmd.OutOrStdout(), &s); err != nil || settings == "" {
				return err
			}
			return printReviews(cmd.OutOrStdout(), reviews)
		},
	}
	t.flags(cmd, false)
	cmd.Flags().StringVar(&since, "since", "168h", "from when on; empty: from the beginning")
	cmd.Flags().StringVar(&until, "until", "", "until when, not included; empty: to the end")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the counts as JSON")
	cmd.Flags().StringVarP(&settings, "config", "c", "", "configuration, whose store holds the open reviews")
	return cmd
}

// parseWhen reads a day, an instant or a duration before now; "" is no bound.
func parseWhen(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339Nano} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, usageError("%q is neither a day (2026-03-01), nor an instant (2026-03-01T08:00:00Z), nor a duration (168h)", s)
}

// inOrder refuses a span of time in which nothing could be: an empty answer would
// look like a finding.
func inOrder(from string, start time.Time, to string, end time.Time) error {
	if !end.IsZero() && !start.Before(end) {
		return usageError("%s must be before %s", from, to)
	}
	return nil
}

func printSummary(w io.Writer, s *audit.Summary) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name string, value any) { fmt.Fprintf(tw, "%s\t%v\n", name, value) }
	row("events", s.Events)
	if s.Events > 0 {
		row("from", stamp(s.From))
		row("to", stamp(s.To))
	}
	row("patients", s.Patients)
	row("refused", s.Refused)
	row("incomplete answers", s.Incomplete)
	row("resources permitted", s.Permitted)
	row("resources redacted", s.Redacted)
	row("resources denied", s.Denied)
	row("starts after a crash", s.Crashes)
	row("torn ends cut", s.Cuts)
	for _, group := range []struct {
		name   string
		counts map[string]int
	}{
		{"interaction", s.Interactions},
		{"outcome", s.Outcomes},
		{"client", s.Clients},
		{"user", s.Users},
		{"purpose", s.Purposes},
		{"refused for", s.Reasons},
	} {
		for _, key := range byCount(group.counts) {
			row(group.name+" "+printable(key), group.counts[key])
		}
	}
	for _, u := range s.Explanations {
		row("explained "+stamp(u.At), fmt.Sprintf("by %q (%s) of %s, client %s: %q, status %d, request %s",
			u.UserName, printable(u.User), printable(u.Organization), printable(u.Client), u.Asked, u.Status, u.Request))
	}
	return tw.Flush()
}

// byCount sorts the most frequent first.
func byCount(counts map[string]int) []string {
	return slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		if counts[a] != counts[b] {
			return counts[b] - counts[a]
		}
		return strings.Compare(a, b)
	})
}

// printable quotes a caller's text if it holds more than plain characters.
func printable(s string) string {
	if q := fmt.Sprintf("%q", s); q != `"`+s+`"` {
		return q
	}
	return s
}
