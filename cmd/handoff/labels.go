package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store/relabel"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway/smart"
)

// newLabelsCommand tells about value sets and explains labels.
func newLabelsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "labels",
		Short: "List the value sets that labels come from, explain labels, redo stale ones",
		Long: `Labels are computed from what a resource says and where it comes from. The value
sets that say which code or word means which sensitivity are data with a source,
a version and a licence.`,
		Example: `  handoff labels list
  handoff labels explain condition.json
  handoff labels sweep --config handoff.yaml --dry-run`,
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newLabelsListCommand(), newLabelsExplainCommand(), newLabelsSweepCommand())
	return cmd
}

// A listedSet is a value set as `labels list --json` writes it.
type listedSet struct {
	Sensitivity string `json:"sensitivity"`
	System      string `json:"system,omitempty"` // canonical URI; empty for words
	ID          string `json:"id"`
	Version     string `json:"version"`
	Name        string `json:"name"`
	Codes       int    `json:"codes"`
	Words       bool   `json:"words,omitempty"`
	Hash        string `json:"hash"`
	Source      string `json:"source"`
	Licence     string `json:"licence"`
}

func newLabelsListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [--json]",
		Short: "List the value sets with source, version, content hash and licence",
		Long: `List the value sets: the sensitivity that each implies, its code system, number
of codes, version and source. --json adds licence and content hash, one object a
set. The label set's own version names rules and data together; it is kept with
every stored resource.`,
		Example: "  handoff labels list --json | jq -r 'select(.sensitivity==\"SUD\") | .source'",
		Args:    noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			table, err := terminology.Load()
			if err != nil {
				return err
			}
			return listSets(cmd.OutOrStdout(), table, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a set")
	return cmd
}

func listSets(out io.Writer, table *terminology.Table, asJSON bool) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	enc := json.NewEncoder(out)
	for _, s := range table.Sets() {
		if asJSON {
			if err := enc.Encode(listedSet{s.Sensitivity, s.System.URI(), s.ID, s.Version, s.Name, s.Codes, s.Words, s.Hash, s.Source, s.Licence}); err != nil {
				return err
			}
			continue
		}
		system := s.System.URI()
		if s.Words {
			system = "words"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", s.Sensitivity, system, s.Codes, s.Version, s.ID, s.Name, s.Source)
	}
	if asJSON {
		return nil
	}
	fmt.Fprintf(w, "label set %s\n", label.New(label.Options{Table: table}).Version())
	return w.Flush()
}

func newLabelsExplainCommand() *cobra.Command {
	var asJSON bool
	var origin resource.Origin
	cmd := &cobra.Command{
		Use:   "explain [--part2] [--police] [--json] FILE…",
		Short: "Tell for every label of a resource which code, where, by which value set",
		Long: `Label resources as the gateway does and print, for each label of the resource and
of its elements, what brings it: the code or the word, the place as FHIRPath, the
value set with its version, and where that set comes from. - is standard input.

The origin is no part of a file: --part2 and --police say what the configuration
would say of the system that it comes from.`,
		Example: `  handoff labels explain condition.json
  handoff labels explain --part2 --json encounter.json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError("labels explain needs a file, or -")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			l := label.New(label.Options{})
			for _, name := range args {
				r, err := readResource(cmd, name)
				if err != nil {
					return err
				}
				if err := explainLabels(cmd.OutOrStdout(), name, l, r, origin, asJSON); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a resource")
	cmd.Flags().BoolVar(&origin.Part2, "part2", false, "it comes from a 42 CFR Part 2 program or unit")
	cmd.Flags().BoolVar(&origin.Police, "police", false, "it comes from a law-enforcement agency")
	return cmd
}

// readResource reads one resource from a file or standard input.
func readResource(cmd *cobra.Command, name string) (*resource.Resource, error) {
	var raw []byte
	var err error
	if name == "-" {
		raw, err = io.ReadAll(io.LimitReader(cmd.InOrStdin(), resource.MaxBytes+1))
	} else {
		raw, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, err
	}
	r, err := resource.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", name, err)
	}
	return r, nil
}

// An explained resource as `labels explain --json` writes it.
type explained struct {
	File     string           `json:"file"`
	Resource string           `json:"resource"`
	LabelSet string           `json:"labelSet"`
	Labels   []string         `json:"labels"` // "system|code", as meta.security would have them
	Causes   []explainedCause `json:"causes"`
}

type explainedCause struct {
	Label      string `json:"label"`
	Element    string `json:"element,omitempty"` // the element that is labelled; absent for the resource
	Path       string `json:"path,omitempty"`
	System     string `json:"system,omitempty"`
	Code       string `json:"code,omitempty"`
	Set        string `json:"set,omitempty"`
	SetName    string `json:"setName,omitempty"`
	SetVersion string `json:"setVersion,omitempty"`
	Source     string `json:"source,omitempty"`
	Basis      string `json:"basis"`
}

func explainLabels(out io.Writer, name string, l *label.Labeller, r *resource.Resource, o resource.Origin, asJSON bool) error {
	var labels label.Labels
	l.Label(r, o, &labels)
	causes := l.Explain(r, o)
	if asJSON {
		x := explained{File: name, Resource: r.Reference(), LabelSet: labels.Version, Labels: labels.Texts(), Causes: make([]explainedCause, len(causes))}
		for i, c := range causes {
			x.Causes[i] = explainedCause(c)
		}
		return json.NewEncoder(out).Encode(x)
	}
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, "%s: %s, label set %s\n", name, r.Reference(), labels.Version)
	if len(causes) == 0 {
		fmt.Fprintln(w, "  no labels")
	}
	for _, c := range causes {
		of := "the resource"
		if c.Element != "" {
			of = c.Element
		}
		fmt.Fprintf(w, "  %-11s of %s, by %s", c.Label, of, c.Basis)
		if what := because(c); what != "" {
			fmt.Fprintf(w, " %s", what)
		}
		if c.Path != "" {
			fmt.Fprintf(w, " at %s", c.Path)
		}
		if c.Set != "" {
			fmt.Fprintf(w, "\n              %s (%s), version %s\n              from %s", c.Set, c.SetName, c.SetVersion, c.Source)
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

// because names the code or the words of a cause.
func because(c label.Cause) string {
	switch {
	case c.System != "":
		return c.System + "|" + c.Code
	case c.Code != "":
		return fmt.Sprintf("%q", c.Code)
	}
	return ""
}

func newLabelsSweepCommand() *cobra.Command {
	var file string
	var dry bool
	cmd := &cobra.Command{
		Use:   "sweep --config FILE [--dry-run]",
		Short: "Redo labels in the store that were computed with another label set",
		Long: `Label anew what the store keeps with the labels of another label set. Where the
labels come out differently the resource gets a new version; Consents are left as
they are. Decisions never use stale labels: they label what they judge. Run it
while the gateway is stopped.`,
		Example: "  handoff labels sweep --config handoff.yaml --dry-run",
		Args:    noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return usageError("labels sweep needs --config FILE")
			}
			return sweepLabels(cmd, file, dry)
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration of the gateway")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "count, write nothing")
	return cmd
}

func sweepLabels(cmd *cobra.Command, file string, dry bool) (err error) {
	c, err := loadConfig(file)
	if err != nil {
		return err
	}
	db, err := storeFor(cmd, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	s := relabel.Sweep{Store: db, Labeller: label.New(label.Options{}), Types: smart.ResourceTypes(), DryRun: dry}
	r, err := s.Run(cmd.Context())
	_, werr := fmt.Fprintf(cmd.OutOrStdout(), "%d resources, %d with labels of another set, %d with other labels now, %d changed by others meanwhile\n", r.Seen, r.Stale, r.Changed, r.Busy)
	return errors.Join(err, werr)
}
