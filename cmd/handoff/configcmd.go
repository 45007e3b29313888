package main

import (
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/gateway/config"
)

// newConfigCommand checks and prints configuration files.
func newConfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check and print configuration files",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:     "check FILE",
			Short:   "Say whether a configuration can be used, and where it cannot",
			Example: "  handoff config check handoff.yaml",
			Args:    oneFile,
			RunE: func(cmd *cobra.Command, args []string) error {
				if _, err := config.Load(args[0]); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: ok\n", args[0])
				return nil
			},
		},
		&cobra.Command{
			Use:     "print FILE",
			Short:   "Print the effective values, secrets hidden",
			Example: "  handoff config print handoff.yaml",
			Args:    oneFile,
			RunE: func(cmd *cobra.Command, args []string) error {
				c, err := config.Load(args[0])
				if err != nil {
					return err
				}
				out, err := yaml.Marshal(c)
				if err != nil {
					return err
				}
				_, err = cmd.OutOrStdout().Write(out)
				return err
			},
		},
	)
	return cmd
}

func oneFile(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError("%s takes one file; see '%s --help'", cmd.CommandPath(), cmd.CommandPath())
	}
	return nil
}
