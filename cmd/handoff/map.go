package main

import (
	"errors"
	"fmt"
	"io"
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

func newMapFunctionsCommand() *cobra.Command {
	markdown := false
	cmd := &cobra.Command{
		Use:     "functions",
		Short:   "List the functions that mapping expressions can call",
		Example: "  handoff map functions\n  handoff map functions --markdown > docs/mapping-reference.md",
		Args:    noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if markdown {
				_, err := io.WriteString(cmd.OutOrStdout(), mappings.Reference())
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
			for _, f := range mappings.Functions() {
				fmt.Fprintf(w, "%s\t%s\n", strings.ReplaceAll(f.Signature, "mappings.", ""), f.Doc)
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&markdown, "markdown", false, "print the reference of functions, paths and keys: docs/mapping-reference.md")
	return cmd
}
