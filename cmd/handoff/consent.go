package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/law"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/whatif"
)

func newConsentCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "consent",
		Short:   "Look at Consents",
		Example: "  handoff consent lint release.json",
		Args:    noSubcommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConsentLintCommand())
	return cmd
}

func newConsentLintCommand() *cobra.Command {
	l := &consentLinter{now: time.Now}
	cmd := &cobra.Command{
		Use:   "lint FILE…|-",
		Short: "Say what is wrong with a Consent and what it would and would not open",
		Long: `Lint reads Consents (one, an array, a Bundle or NDJSON) and says of each, with
its place: which elements of 42 CFR 2.31 and 45 CFR 164.508 are missing and what
that means; which clauses are void, will never match or contradict each other;
and what it would open: for kinds of requesters and classes of data, decided by
the gateway's own decision point on samples, once without and once with it.

Without --config the recorder counts as entitled to grant and nothing is known
of the organisations. With --config the site's organisations and agreements
count, and with --recorder also for whose data that organisation may record.

Exit status: 0 nothing wrong; 1 errors were found, or something could not be
read; 2 wrong usage.`,
		Example: `  handoff consent lint release.json
  handoff consent lint --json consents.ndjson | jq .findings
  handoff consent lint --config handoff.yaml --recorder clinic -`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError("consent lint needs a file or -; see 'handoff consent lint --help'")
			}
			return l.run(cmd, args)
		},
	}
	cmd.Flags().BoolVar(&l.json, "json", false, "write one JSON line a Consent")
	cmd.Flags().StringVar(&l.recorder, "recorder", "", "id of the organisation that records it; needs --config")
	cmd.Flags().StringVar(&l.file, "config", "", "configuration of the site")
	cmd.Flags().StringVar(&l.at, "at", "", "instant to judge for (RFC 3339); default now")
	return cmd
}

// A consentLinter is one run of the command.
type consentLinter struct {
	json               bool
	recorder, file, at string
	now                func() time.Time

	when      time.Time
	engine    *policy.Engine
	labeller  *label.Labeller
	directory *attribute.Directory
	bad       int // errors found, things that could not be read
}

func (l *consentLinter) run(cmd *cobra.Command, args []string) error {
	if err := l.prepare(); err != nil {
		return err
	}
	out := bufio.NewWriter(cmd.OutOrStdout())
	for _, arg := range args {
		raw, err := readArgument(cmd, arg)
		if err == nil {
			err = l.input(out, arg, raw)
		}
		if err != nil {
			l.bad++
			fmt.Fprintf(cmd.ErrOrStderr(), "%s:%s\n", arg, spaced(err))
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("consent lint: write the findings: %w", err)
	}
	if l.bad > 0 {
		return &exitError{exitFailed, errors.New("something is wrong with the Consents")}
	}
	return nil
}

// prepare reads the settings. What is wrong with them is wrong usage.
func (l *consentLinter) prepare() error {
	l.when, l.bad, l.directory = l.now(), 0, nil
	if l.at != "" {
		var err error
		if l.when, err = time.Parse(time.RFC3339, l.at); err != nil {
			return usageError("--at %q: want an instant such as 2026-01-02T15:04:05-06:00", l.at)
		}
	}
	l.labeller = label.New(label.Options{})
	l.engine = policy.New(policy.Options{})
	if l.file == "" {
		if l.recorder != "" {
			return usageError("--recorder needs --config: whom it may record for stands there")
		}
		return nil
	}
	c, err := config.Load(l.file)
	if err != nil {
		return usageError("%v", err)
	}
	if l.directory, err = attribute.NewDirectory(c); err != nil {
		return usageError("%v", err)
	}
	rules, err := law.Load(c)
	if err != nil {
		return usageError("%v", err)
	}
	l.engine = policy.New(policy.Options{Law: rules})
	if l.recorder != "" && c.Organization(l.recorder) == nil {
		return usageError("--recorder %q is not among the organizations of %s", l.recorder, l.file)
	}
	return nil
}

func readArgument(cmd *cobra.Command, arg string) ([]byte, error) {
	if arg == "-" {
		return io.ReadAll(io.LimitReader(cmd.InOrStdin(), resource.MaxBytes+1))
	}
	return readBounded(arg)
}

// source says how a Consent of the recorder counts.
func (l *consentLinter) source() func(custodian, requester string) consent.Source {
	if l.recorder == "" {
		return nil
	}
	recorder := attribute.Reference(l.recorder)
	custodians := l.directory.RecordsFor(recorder)
	return func(custodian, requester string) consent.Source {
		others := recorder != requester || recorder == custodian
		return consent.Source{Recorder: recorder, Entitled: others && slices.Contains(custodians, custodian)}
	}
}

// foresee asks what one Consent would open.
func (l *consentLinter) foresee(r *resource.Resource) ([]whatif.Matrix, error) {
	o := whatif.Options{At: l.when, Engine: l.engine, Labeller: l.labeller, Source: l.source()}
	if l.directory != nil {
		o.Directory = l.directory
	}
	if l.recorder != "" {
		o.Custodians = l.directory.RecordsFor(attribute.Reference(l.recorder))
	}
	return whatif.Foresee(r, o)
}

// tabled puts a matrix into a table for people.
func tabled(out io.Writer, ms []whatif.Matrix) {
	for _, m := range ms {
		fmt.Fprintf(out, "  what it would do with the data of %s:\n", m.Custodian)
		tell := map[bool]string{true: "opens", false: "withholds"}
		for _, r := range m.Rows {
			as := "not named"
			if r.As != "" {
				as = r.As
			}
			fmt.Fprintf(out, "    %s (%s)\n", r.Title, as)
			cells := map[string][]string{}
			for _, c := range r.Cells {
				kind := "stays closed"
				switch {
				case c.Changed:
					kind = tell[c.Without == whatif.Closed]
				case c.With != whatif.Closed:
					kind = "stays open"
				}
				name := c.Class
				if c.With == whatif.Some {
					name += " (what it names)"
				}
				if c.With == whatif.Part {
					name += " (some elements)"
				}
				cells[kind] = append(cells[kind], name)
			}
			for _, kind := range []string{"opens", "withholds", "stays open", "stays closed"} {
				if len(cells[kind]) > 0 {
					fmt.Fprintf(out, "      %-13s %s\n", kind, strings.Join(cells[kind], ", "))
				}
			}
		}
	}
}
