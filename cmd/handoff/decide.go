package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/law"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/policy/casefile"
)

func newDecideCommand() *cobra.Command {
	d := &decider{runner: casefile.NewRunner()}
	cmd := &cobra.Command{
		Use:   "decide CASE.json…",
		Short: "Evaluate decision cases: Consents, resources and a request in, what may be returned out",
		Long: `Decide runs decision cases through the same labelling, policy and enforcement
as the gateway and writes one JSON line a case:

  {"id", "resources": {"Type/id": {"decision": "permit|deny|redact",
   "reasons": […], "resource": the resource as it would be returned}},
   "obligations": […], "bundle": the answer to a search, "notice": […]}

With --explain it says for people, per resource, what is decided and why (rule,
citation, Consent and path of the provision), which labels the resource has and
of what they follow, what is cut out, what the obligations ask, and which changes
of the facts would let more or less out; each of them was decided again. With
--explain --json that is one line a case:

  {"id", "description", "resources": [{"reference", "decision", "reasons": […],
   "labels": [{"label", "basis", "element", "path", "system", "code",
   "valueSet", "valueSetName", "valueSetVersion", "source"}], "redacted": [paths],
   "obligations": […], "remedies": [{"opens", "effect", "changes": [{"code",
   "detail", "consent", "scope", "purpose", "basis", "needs", "at", "draft"}]}]}],
   "obligations": […], "notice": […]}

A case file holds one case or an array of cases; a directory stands for the
.json files below it, and - for standard input. In a case the Consents count as
recorded by somebody entitled to grant, a legalBasis as accepted, and
meta.source names the custodian.

A case that cannot be read is reported with file and place; the others run.
Exit status: 0 all ran; 1 nothing could be read, or --check found a difference;
3 some cases could not be read.`,
		Example: `  handoff decide case.json
  handoff decide --explain conformance/cases/data
  handoff decide --check ../shared/cases/consent
  handoff decide --pack us-federal --pack us-tx --pack ./our-agreement.yaml case.json
  jq -c '.[]' cases.json | head -1 | handoff decide -`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError("decide needs a case file, a directory or -; see 'handoff decide --help'")
			}
			return d.run(cmd, args)
		},
	}
	cmd.Flags().BoolVar(&d.explain, "explain", false, "say for people why, and what would change it, instead of JSON")
	cmd.Flags().BoolVar(&d.asJSON, "json", false, "with --explain: one JSON line a case with the whole explanation")
	cmd.Flags().BoolVar(&d.check, "check", false, "compare with what the cases expect; differences go to standard error and exit with 1")
	cmd.Flags().StringArrayVar(&d.packs, "pack", nil, "rule pack that is in force for cases that name none: a name, or a file; name+rule or file.yaml+rule turns an unverified rule on; default us-federal")
	cmd.Flags().StringSliceVar(&d.semantics, "semantics", nil, "run only cases whose expectation is this strong: peer, R4, regulation, recommended")
	return cmd
}

// A decider is one run of the command.
type decider struct {
	runner         *casefile.Runner
	explain, check bool
	asJSON         bool // of the explanation
	semantics      []string
	packs          []string

	ran, bad, differing, unexpecting int
}

// strengths are the values of a case's semantics.
var strengths = []string{"peer", "R4", "regulation", "recommended"}

func (d *decider) run(cmd *cobra.Command, args []string) error {
	for _, s := range d.semantics {
		if !slices.Contains(strengths, s) {
			return usageError("--semantics %q: want one of %s", s, strings.Join(strengths, ", "))
		}
	}
	if d.asJSON && !d.explain {
		return usageError("--json goes with --explain; without it the output is JSON anyway")
	}
	if err := d.choose(); err != nil {
		return err
	}
	d.ran, d.bad, d.differing, d.unexpecting = 0, 0, 0, 0
	out := bufio.NewWriter(cmd.OutOrStdout())
	for _, arg := range args {
		if err := d.input(cmd, out, arg); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("decide: write the answers: %w", err)
	}
	return d.verdict(cmd)
}

// choose has the cases decided by the packs of the command line.
func (d *decider) choose() error {
	if len(d.packs) == 0 {
		return nil
	}
	selected, err := law.Select(named(d.packs), asIs)
	if err != nil {
		return faulty(err)
	}
	rules, err := policy.Compile(selected...)
	if err != nil {
		return faulty(err)
	}
	d.runner.Engine = policy.New(policy.Options{Law: rules})
	return nil
}

// verdict turns the counts into the exit status.
func (d *decider) verdict(cmd *cobra.Command) error {
	if d.check {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d cases: %d as expected, %d different, %d without expectation; %d inputs unreadable\n",
			d.ran, d.ran-d.differing-d.unexpecting, d.differing, d.unexpecting, d.bad)
	}
	switch {
	case d.differing > 0:
		return &exitError{exitFailed, fmt.Errorf("%d of %d cases came out otherwise than expected", d.differing, d.ran)}
	case d.bad > 0 && d.ran == 0:
		return &exitError{exitFailed, errors.New("no case could be read")}
	case d.bad > 0:
		return &exitError{exitRejected, fmt.Errorf("%d cases or files could not be read", d.bad)}
	case d.ran == 0 && len(d.semantics) == 0:
		return &exitError{exitFailed, errors.New("there was no case")}
	}
	return nil
}

// input runs what one argument names. Only a failure to write is an error.
func (d *decider) input(cmd *cobra.Command, out *bufio.Writer, arg string) error {
	if arg == "-" {
		raw, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), resource.MaxBytes+1))
		return d.file(cmd, out, "-", raw, err)
	}
	info, err := os.Stat(arg)
	if err != nil {
		return d.file(cmd, out, arg, nil, err)
	}
	if !info.IsDir() {
		raw, err := readBounded(arg)
		return d.file(cmd, out, arg, raw, err)
	}
	found := false
	err = filepath.WalkDir(arg, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return d.file(cmd, out, path, nil, err)
		}
		if e.IsDir() || filepath.Ext(path) != ".json" {
			return nil
		}
		found = true
		raw, err := readBounded(path)
		return d.file(cmd, out, path, raw, err)
	})
	if err == nil && !found {
		d.complain(cmd, arg, errors.New("there is no .json file below this directory"))
	}
	return err
}

// readBounded reads a file that may not be larger than a document.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, resource.MaxBytes+1))
}

func (d *decider) complain(cmd *cobra.Command, path string, err error) {
	d.bad++
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s:%v\n", path, spaced(err))
}

// spaced puts a space before a message that does not begin with its line.
func spaced(err error) string {
	text := err.Error()
	if text != "" && text[0] >= '0' && text[0] <= '9' {
		return text
	}
	return " " + text
}

// file runs the cases of one file.
func (d *decider) file(cmd *cobra.Command, out *bufio.Writer, path string, raw []byte, err error) error {
	if err != nil {
		d.complain(cmd, path, err)
		return nil
	}
	cases, errs := casefile.Read(raw)
	for _, err := range errs {
		d.complain(cmd, path, err)
	}
	for _, c := range cases {
		if len(d.semantics) > 0 && !slices.Contains(d.semantics, c.Semantics) {
			continue
		}
		if err := d.one(cmd, out, path, c); err != nil {
			return fmt.Errorf("decide: write the answers: %w", err)
		}
	}
	return nil
}

func (d *decider) one(cmd *cobra.Command, out *bufio.Writer, path string, c *casefile.Case) error {
	d.ran++
	var o *casefile.Outcome
	var e *casefile.Explained
	if d.explain {
		e = d.runner.Explain(c)
		o = e.Outcome
	} else {
		o = d.runner.Run(c)
	}
	if d.check {
		if c.Expected == nil {
			d.unexpecting++
		}
		if diff := o.Check(c); len(diff) > 0 {
			d.differing++
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: case %s (%s)\n  %s\n", path, c.ID, c.Semantics, strings.Join(diff, "\n  "))
		}
	}
	if d.explain && !d.asJSON {
		return e.Text(out)
	}
	render := o.JSON
	if d.explain {
		render = e.JSON
	}
	line, err := render()
	if err != nil {
		return err
	}
	_, err = out.Write(append(line, '\n'))
	return err
}
