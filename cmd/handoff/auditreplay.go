package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/replay"
)

// A replaying is one run of `audit replay`.
type replaying struct {
	file, anchor, key  string
	request, resource  string
	at, since, until   string
	files              []string
	whatIf             []string
	trails             []string
	asJSON             bool
	when, first, after time.Time // of at, since and until
}

func newAuditReplayCommand() *cobra.Command {
	p := &replaying{}
	cmd := &cobra.Command{
		Use:   "replay --config FILE [--request ID | --resource REF [--at TIME]]",
		Short: "Make past decisions again and compare",
		Long: `Reads decisions from the trail that the configuration names and makes them
again, from the facts, Consents, resource, rules and labels of that moment: is
the outcome the same? Without a choice every decision of the trail is made
again; --resource with --at takes the last decision on it that was made by then.
The trail is verified as it is read, and nothing is said from one that does not
hold.

Some decisions cannot be made again: the resource or a Consent was expunged; the
resource is a connected system's, of which only the digest is kept (give it with
--resource-file, as that system has it; it must be what was decided on); its
labels come out otherwise under today's label set; or the event is of a release
that did not keep what decisions depended on. Each is listed with the reason.

With --what-if the decisions are made by another rule pack than then, such as
that of a state which a county is about to turn on: what would have come out
otherwise is listed as different.

Exit status: 0 all came out the same; 1 one came out otherwise, or nothing could
be said; 3 some could not be made again.`,
		Example: `  handoff audit replay --config handoff.yaml --request 4kdu2…
  handoff audit replay --config handoff.yaml --resource CarePlan/p7 --at 2026-03-01T22:15:00-06:00
  handoff audit replay --config handoff.yaml --since 2026-03-01 --json
  handoff audit replay --config handoff.yaml --since 720h --what-if us-tx`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&p.file, "config", "", "configuration file (required)")
	f.StringVar(&p.request, "request", "", "only the decisions of the request with this X-Request-Id")
	f.StringVar(&p.resource, "resource", "", "only decisions on this resource: Type/id, or one version of it")
	f.StringVar(&p.at, "at", "", "with --resource: the last decision that was made by this time")
	f.StringVar(&p.since, "since", "", "only events from this time on")
	f.StringVar(&p.until, "until", "", "only events before this time")
	f.StringArrayVar(&p.files, "resource-file", nil, "a connected system's resource, as JSON; may be repeated")
	f.StringArrayVar(&p.whatIf, "what-if", nil, "a rule pack, by its name or its file: decide by it too, or in place of the one of its name, and show what would come out otherwise; may be repeated")
	f.StringVar(&p.anchor, "anchor", "", "file with the signed checkpoints, in place of the configuration's")
	f.StringVar(&p.key, "key", "", "key that checks them, in place of the configuration's")
	f.StringArrayVar(&p.trails, "trail", nil, "DIR,ANCHOR,KEY: the trail of another gateway of the store, beside those of the configuration; may be repeated")
	f.BoolVar(&p.asJSON, "json", false, "print one JSON object a decision")
	return cmd
}

// check reads the times and looks for what does not go together.
func (p *replaying) check() (err error) {
	if p.file == "" {
		return usageError("--config is required")
	}
	if p.at != "" && p.resource == "" {
		return usageError("--at goes with --resource: whose decision is meant?")
	}
	for _, t := range []struct {
		text string
		to   *time.Time
	}{{p.at, &p.when}, {p.since, &p.first}, {p.until, &p.after}} {
		if *t.to, err = parseWhen(t.text, time.Now()); err != nil {
			return err
		}
	}
	return inOrder("--since", p.first, "--until", p.after)
}

func (p *replaying) run(cmd *cobra.Command) (err error) {
	if err := p.check(); err != nil {
		return err
	}
	c, err := loadConfig(p.file)
	if err != nil {
		return err
	}
	db, err := storeFor(cmd, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	from, err := newArchive(c, db, p.files)
	if err != nil {
		return err
	}
	if from.whatIf, err = readPacks(p.whatIf); err != nil {
		return err
	}
	again := &replay.Replayer{Archive: from, Labeller: label.New(label.Options{}), LabelSet: label.LabelSetVersion, Zones: time.LoadLocation, WhatIf: len(p.whatIf) > 0}
	more, err := parseTrails(p.trails)
	if err != nil {
		return err
	}
	from.trails = trailsOf(c, p.anchor, p.key, more)
	results, reports, err := p.replay(cmd.Context(), from.trails, again)
	if err != nil {
		return err
	}
	missing, err := unreadTrails(cmd.Context(), db, reports)
	if err != nil {
		return err
	}
	tellUnread(cmd.ErrOrStderr(), missing)
	if err := p.report(cmd.OutOrStdout(), results); err != nil {
		return err
	}
	return incomplete(missing)
}

// replay reads the trails and makes the chosen decisions again.
func (p *replaying) replay(ctx context.Context, places []auditPlace, again *replay.Replayer) ([]replay.Result, []audit.Report, error) {
	var results []replay.Result
	var last *audit.Event
	reports, err := readTrails(places, func(r *audit.Record) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !p.wants(&r.Event) {
			return nil
		}
		if !p.when.IsZero() {
			if e := r.Event; !e.At.After(p.when) && (last == nil || !e.At.Before(last.At)) {
				last = &e
			}
			return nil
		}
		out, err := again.Event(ctx, &r.Event, p.picks)
		results = append(results, out...)
		return err
	})
	if err == nil && last != nil {
		results, err = again.Event(ctx, last, p.picks)
	}
	return results, reports, err
}

// wants says whether an event is among those chosen.
func (p *replaying) wants(e *audit.Event) bool {
	switch {
	case p.request != "" && e.ID != p.request,
		!p.first.IsZero() && e.At.Before(p.first),
		!p.after.IsZero() && !e.At.Before(p.after):
		return false
	}
	return slices.ContainsFunc(e.Resources, func(j audit.Judged) bool { return p.picks(&j) })
}

// picks says whether a decision is among those chosen.
func (p *replaying) picks(j *audit.Judged) bool {
	if p.resource == "" || j.Reference == p.resource {
		return true
	}
	name, _, _ := strings.Cut(j.Reference, "/_history/")
	return name == p.resource
}

// report prints the results and turns them into the exit status.
func (p *replaying) report(w io.Writer, results []replay.Result) error {
	count := map[replay.Verdict]int{}
	for i := range results {
		r := &results[i]
		count[r.Verdict]++
		print := printReplay
		if p.asJSON {
			print = printLine
		}
		if err := print(w, r); err != nil {
			return err
		}
	}
	if !p.asJSON {
		fmt.Fprintf(w, "%d decisions: %d the same, %d different, %d not replayable\n",
			len(results), count[replay.Same], count[replay.Different], count[replay.NotReplayable])
	}
	switch {
	case len(results) == 0:
		return errors.New("the trail has no such decision")
	case count[replay.Different] > 0:
		return &exitError{exitFailed, fmt.Errorf("%d of %d decisions came out otherwise", count[replay.Different], len(results))}
	case count[replay.NotReplayable] > 0:
		return &exitError{exitRejected, fmt.Errorf("%d of %d decisions could not be made again", count[replay.NotReplayable], len(results))}
	}
	return nil
}

func printLine(w io.Writer, r *replay.Result) error {
	raw, err := jsonLine(r)
	if err == nil {
		_, err = w.Write(raw)
	}
	return err
}

// printReplay writes a result for people; where it is not the same, with both
// chains of reasons.
func printReplay(w io.Writer, r *replay.Result) error {
	_, err := fmt.Fprintf(w, "%s  %s  request %s  %s  %s", r.Verdict, stamp(r.At), printable(r.Request), printable(r.Reference), r.Then.Effect)
	if err == nil && r.Why != "" {
		_, err = fmt.Fprintf(w, ": %s", r.Why)
	}
	if err == nil {
		_, err = fmt.Fprintln(w)
	}
	if err != nil || r.Verdict != replay.Different {
		return err
	}
	return errors.Join(printOutcome(w, "then", &r.Then), printOutcome(w, "now", r.Now))
}

func printOutcome(w io.Writer, name string, o *replay.Outcome) error {
	for _, reason := range o.Reasons {
		if _, err := fmt.Fprintf(w, "  %-4s  %s\n", name, reasonLine(&reason)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "  %-4s  %s, obligations: %s\n", name, o.Effect, strings.Join(o.Obligations, " "))
	return err
}

// reasonLine writes a reason on one line.
func reasonLine(r *policy.Reason) string {
	var parts []string
	for _, s := range []string{r.Effect, r.Rule, r.Pack, r.Consent, r.Path, r.Basis, r.Citation, r.Detail} {
		if s != "" {
			parts = append(parts, printable(s))
		}
	}
	return strings.Join(parts, "  ")
}
