package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/enforce"
	"github.com/handoff-health/handoff/gateway/law"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/policy/packs"
)

// newPacksCommand shows and checks rule packs.
func newPacksCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "packs",
		Short: "Show and check rule packs: the law as data",
		Example: `  handoff packs list
  handoff packs show us-federal
  handoff packs check our-agreement.yaml`,
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPacksList(), newPacksShow(), newPacksCheck(), newPacksSchema())
	return cmd
}

func newPacksList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the packs that are built in",
		Long: `List the packs that are built in, with their version, how many rules they have,
and how many of these are off because they were not compared with the text.`,
		Example: "  handoff packs list",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ids, err := packs.BuiltinIDs()
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "ID\tVERSION\tKIND\tJURISDICTION\tRULES\tOFF\tTITLE")
			for _, id := range ids {
				p, err := packs.Builtin(id)
				if err != nil {
					return err
				}
				off := 0
				for i := range p.Rules {
					if p.Rules[i].Unverified {
						off++
					}
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%s\n", p.ID, p.Version, p.Kind, p.Jurisdiction, len(p.Rules), off, p.Title)
			}
			return w.Flush()
		},
	}
}

func newPacksShow() *cobra.Command {
	var source bool
	cmd := &cobra.Command{
		Use:   "show PACK",
		Short: "Show the rules of a pack: one that is built in, or a file",
		Long: `Show each rule with its effect, what it says, its paragraph and where that was
compared with the text. With --yaml: the bytes of a pack that is built in, to
copy it.`,
		Example: "  handoff packs show us-federal\n  handoff packs show --yaml us-tx > ours.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("packs show takes one pack; see 'handoff packs list'")
			}
			if source {
				raw, err := packs.SourceOf(args[0])
				if err != nil {
					return err
				}
				_, err = cmd.OutOrStdout().Write(raw)
				return err
			}
			p, err := law.Open(args[0], asIs)
			if err != nil {
				return faulty(err)
			}
			return showPack(cmd.OutOrStdout(), p)
		},
	}
	cmd.Flags().BoolVar(&source, "yaml", false, "write the pack itself")
	return cmd
}

// asIs resolves a path of the command line: against the working directory.
func asIs(path string) string { return path }

// faulty gives every fault of a pack a line of its own.
func faulty(err error) error { return errors.New(strings.Join(law.Lines(err), "\n")) }

func showPack(w io.Writer, p *packs.Pack) error {
	fmt.Fprintf(w, "%s  %s\n%s\n%s, %s, rules combined by %s\n", p.Versioned(), p.Hash(), p.Title, p.Kind, p.Jurisdiction, p.Combining)
	for i := range p.Rules {
		r := &p.Rules[i]
		fmt.Fprintf(w, "\n%s (%s)\n", r.ID, r.Effect)
		if r.Says != "" {
			fmt.Fprintf(w, "  %s\n", r.Says)
		}
		fmt.Fprintf(w, "  %s\n", r.Citation)
		switch {
		case r.Unverified:
			fmt.Fprintln(w, "  OFF: not compared with the text; enable it by name in the configuration")
		case r.Verified != nil:
			fmt.Fprintf(w, "  compared %s: %s\n", r.Verified.On, p.Source(r.Verified.Where))
			if r.Verified.Note != "" {
				fmt.Fprintf(w, "  NOTE: %s\n", r.Verified.Note)
			}
		}
	}
	return nil
}

func newPacksCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE…",
		Short: "Say whether packs can be used, and where they cannot",
		Long: `Read packs strictly and compile them together with the federal one, and with
the states' overlays that are built in; one of federal law by itself. Every fault
is printed as file:line:column. An obligation that the gateway cannot carry out
is no fault, and told on standard error: what it goes with is withheld.
Exit status: 0 all can be used; 1 one cannot; 2 wrong arguments.`,
		Example: "  handoff packs check our-agreement.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError("packs check needs at least one file")
			}
			bad := 0
			for _, path := range args {
				strange, err := checkPack(path)
				if err != nil {
					bad++
					for _, line := range law.Lines(err) {
						fmt.Fprintln(cmd.ErrOrStderr(), line)
					}
					continue
				}
				for _, o := range strange {
					fmt.Fprintf(cmd.ErrOrStderr(), "%s: obligation %q cannot be carried out here: what it goes with is withheld\n", path, o)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: ok\n", path)
			}
			if bad > 0 {
				return &exitError{exitFailed, fmt.Errorf("%d of %d packs cannot be used", bad, len(args))}
			}
			return nil
		},
	}
}

// checkPack reads a file as a pack and compiles it with those that are built in:
// in the place of one that has its id, if there is one. It lists the obligations that the gateway cannot carry out.
func checkPack(path string) ([]policy.Obligation, error) {
	if !law.IsPath(path) { // a file without a folder or ending is still a file
		path = "./" + path
	}
	p, err := law.Open(path, asIs)
	if err != nil {
		return nil, err
	}
	selected := []policy.Selected{{Pack: p}}
	if p.Kind != packs.Federal {
		ids, err := packs.BuiltinIDs()
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			if b, err := packs.Builtin(id); err != nil {
				return nil, err
			} else if id != p.ID {
				selected = append(selected, policy.Selected{Pack: b})
			}
		}
	}
	rules, err := policy.Compile(selected...)
	if err != nil {
		return nil, err
	}
	return enforce.Unknown(rules.Obligations()), nil
}

func newPacksSchema() *cobra.Command {
	return &cobra.Command{
		Use:     "schema",
		Short:   "Write the JSON Schema (draft 2020-12) of a pack",
		Example: "  handoff packs schema > pack.schema.json",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(packs.Schema())
			return err
		},
	}
}

// named turns names of the command line into packs, with unverified rules that
// are turned on: see splitRules.
func named(list []string) []config.Pack {
	var out []config.Pack
	for _, text := range list {
		id, rules := splitRules(text)
		p := config.Pack{ID: id}
		if rules != "" {
			p.Enable = strings.Split(rules, "+")
		}
		out = append(out, p)
	}
	return out
}

// splitRules cuts "pack+rule+rule" after the pack, if that is one that is built
// in or a file that ends in .yaml or .yml. Any other + is part of a path.
func splitRules(text string) (name, rules string) {
	if name, rules, _ = strings.Cut(text, "+"); !law.IsPath(name) {
		if _, err := packs.Builtin(name); err == nil {
			return name, rules
		}
	}
	for _, ending := range []string{".yaml+", ".yml+"} {
		if i := strings.LastIndex(text, ending); i >= 0 {
			i += len(ending)
			return text[:i-1], text[i:]
		}
	}
	return text, ""
}
