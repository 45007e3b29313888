package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

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
	cmd.AddCommand(newMapCheckCommand(), newMapTestCommand(), newMapExplainCommand(), newMapDiffCommand(), newMapFunctionsCommand())
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
