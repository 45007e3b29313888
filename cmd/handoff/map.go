package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/mappings"
)

// newMapCommand checks and explains mapping files.
func newMapCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "map",
		Short: "Check and explain mapping files",
		Long: `Check mapping files and tell where each element of the output comes from.

A mapping file says, one row for each target element, how the fields of a source
become FHIR. Every fault is found when the file is loaded and named with
file:line:column.`,
		Example: `  handoff map check
  handoff map check --profile our.profile.yaml our/contact.map.yaml
  handoff map explain --adapter rms/csv --line 2 export.csv
  handoff map functions`,
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newMapCheckCommand(), newMapExplainCommand(), newMapFunctionsCommand())
	return cmd
}

func noSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError("unknown command %q; see '%s --help'", args[0], cmd.CommandPath())
	}
	return nil
}

func newMapCheckCommand() *cobra.Command {
	var profile string
	cmd := &cobra.Command{
		Use:   "check [--profile FILE] [FILE…]",
		Short: "Load mapping files and report what they read and make",
		Long: `Load mapping files with their vocabularies, data types and profiles, and report
every fault with its place, or what the mapping reads and makes. Columns that
no row reads and nobody left out on purpose are listed.

A FILE is a path, or the name of a built-in mapping. Without FILE all built-in
mappings are checked. A vocabulary /codes/x.csv is looked for in the directory
codes of the working directory, then among the built-in ones.`,
		Example: `  handoff map check
  handoff map check our/contact.map.yaml`,
		RunE: func(cmd *cobra.Command, args []string) error { return checkMaps(cmd, args, profile) },
	}
	cmd.Flags().StringVarP(&profile, "profile", "p", "", "profile of a sender (default: the one that the mapping names)")
	return cmd
}

// localFiles opens files of this machine, and built-in ones where there are none.
type localFiles struct{ builtIn fs.FS }

// Open takes any path that the operating system takes.
func (l localFiles) Open(name string) (fs.File, error) {
	f, err := os.Open(filepath.FromSlash(name))
	if errors.Is(err, fs.ErrNotExist) {
		if g, e := l.builtIn.Open(name); e == nil {
			return g, nil
		}
	}
	return f, err
}

func checkMaps(cmd *cobra.Command, args []string, profile string) error {
	files := localFiles{mappings.Files()}
	var p *mappings.Profile
	if profile != "" {
		var err error
		if p, err = mappings.LoadProfile(files, filepath.ToSlash(profile)); err != nil {
			return err
		}
	}
	if len(args) == 0 {
		args = mappings.Names(mappings.Files())
	}
	failed := 0
	for _, name := range args {
		m, err := mappings.Load(files, filepath.ToSlash(name), p)
		if err != nil {
			failed++
			fmt.Fprintln(cmd.ErrOrStderr(), err)
			continue
		}
		c := m.Coverage()
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "ok  %s (%s %s): %s\n", name, m.Name, m.Version, c); err != nil {
			return err
		}
		if len(c.Unread) > 0 {
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "    unread: %s\n", strings.Join(c.Unread, ", ")); err != nil {
				return err
			}
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d mapping files have faults", failed, len(args))
	}
	return nil
}

type explainFlags struct {
	adapter, profile string
	line             int
}

func newMapExplainCommand() *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use:   "explain --adapter NAME [--profile FILE] [--line N] FILE",
		Short: "Tell which row and which input each element comes from",
		Long: `Map the records of a file and print, for each element of the output, the row of
the mapping file that set it and the places in the input that the row read. The
record's values are not printed.

With --line only the record that starts on that line is shown.`,
		Example: `  handoff map explain --adapter rms/csv --line 2 export.csv
  handoff map explain --adapter ehr/hl7v2 message.hl7`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("map explain takes one file")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return explainFile(cmd, args[0], f) },
	}
	cmd.Flags().StringVarP(&f.adapter, "adapter", "a", "", "format of the records: "+adapterNames())
	cmd.Flags().StringVarP(&f.profile, "profile", "p", "", "profile of the sender (default: the one of the mapping)")
	cmd.Flags().IntVar(&f.line, "line", 0, "only the record that starts on this line")
	return cmd
}

func explainFile(cmd *cobra.Command, name string, f explainFlags) error {
	fd, err := loadFeed(f.adapter, f.profile)
	if err != nil {
		return err
	}
	in, closer, err := adapters.OpenFile(name)
	if err != nil {
		return err
	}
	defer func() { _ = closer.Close() }()
	src, err := fd.format.Open(cmd.Context(), in, fd.options)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	shown, err := explainSource(cmd.Context(), cmd.OutOrStdout(), src, fd.mapping, f.line)
	if err == nil && shown == 0 {
		if f.line > 0 {
			return fmt.Errorf("%s: no record starts on line %d", name, f.line)
		}
		return fmt.Errorf("%s: no record could be read", name)
	}
	return err
}

func explainSource(ctx context.Context, out io.Writer, src adapters.Source, m *mappings.Map, line int) (shown int, err error) {
	for {
		item, err := src.Next(ctx)
		if errors.Is(err, io.EOF) {
			return shown, nil
		}
		if err != nil {
			return shown, err
		}
		if item.Kind != adapters.Data || line > 0 && item.Pos.Line != line {
			continue
		}
		res, err := m.Apply(item.Record, mappings.Options{Trace: true})
		if err != nil {
			return shown, err
		}
		shown++
		if err := explainResult(out, item, res); err != nil {
			return shown, err
		}
	}
}

// explainResult prints one record: what became of it, its elements, findings.
func explainResult(out io.Writer, item adapters.Item, res *mappings.Result) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "%s:%d: %s %s\n", item.Pos.Source, item.Pos.Line, res.Action, res.Reason)
	current := ""
	for _, t := range res.Trace {
		if t.Resource != current {
			current = t.Resource
			fmt.Fprintf(w, "  %s\n", current)
		}
		fmt.Fprintf(w, "    %s\t%s\t%s\n", t.Element, t.Row, places(t))
	}
	for _, is := range slices.Concat(item.Issues, res.Issues) {
		fmt.Fprintf(w, "  %s %s %s: %s\n", is.Severity, is.Code, is.Field, is.Message)
	}
	return w.Flush()
}

// places lists the inputs of an element by their own addresses.
func places(t mappings.Trace) string {
	var s []string
	for _, p := range t.Inputs {
		at := p.Path
		if at == "" {
			at = p.String()
		}
		if !slices.Contains(s, at) {
			s = append(s, at)
		}
	}
	if len(s) == 0 {
		return "(constant)"
	}
	return strings.Join(s, ", ")
}

func newMapFunctionsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "functions",
		Short:   "List the functions that mapping expressions can call",
		Example: "  handoff map functions",
		Args:    noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
			for _, f := range mappings.Functions() {
				fmt.Fprintf(w, "%s\t%s\n", strings.ReplaceAll(f.Signature, "mappings.", ""), f.Doc)
			}
			return w.Flush()
		},
	}
}
