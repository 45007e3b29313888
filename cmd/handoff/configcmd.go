package main

import (
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/adapters/all"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/law"
	"github.com/handoff-health/handoff/gateway/registration"
)

// newConfigCommand checks and prints configuration files.
func newConfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check and print configuration files",
		Long: `A configuration is one YAML file. 'handoff demo --data DIR' leaves a complete one
in DIR/handoff.yaml, to start from; every key is documented at its field in
gateway/config of the source, from config.go on.`,
		Example: `  handoff config check handoff.yaml
  handoff config print handoff.yaml`,
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:   "check FILE",
			Short: "Say whether a configuration can be used, and where it cannot",
			Long: `Read a configuration as 'serve' does, with the keys, certificates, mapping
profiles and rule packs that it names. All faults are printed, with line and column; nothing
that was filled in from outside is. A feed that cannot be mapped is a fault here;
'serve' starts without it. What is wider than it need be in the registration
of a client is a warning; 'handoff clients lint' says what instead.`,
			Example: "  handoff config check handoff.yaml",
			Args:    oneFile,
			RunE: func(cmd *cobra.Command, args []string) error {
				c, err := config.LoadWith(args[0], configChecks())
				if err != nil {
					return err
				}
				if err := warnOfClients(cmd.ErrOrStderr(), c); err != nil {
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
				if err := nameDatabase(c); err != nil {
					return fmt.Errorf("%s: store.mongo: the URI %w", args[0], err)
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

// loadConfig reads a configuration to run with, and looks at all that it names but
// the mappings of feeds: one that is broken must not keep the gateway from serving,
// or an operator from ending a client. Who needs a feed's mapping loads it.
func loadConfig(path string) (*config.Config, error) {
	checks := configChecks()
	checks.FeedsLater = true
	return config.LoadWith(path, checks)
}

// configChecks are what other packages know of a configuration.
func configChecks() config.Checks {
	k := config.Checks{Files: true}
	for _, f := range all.Formats() {
		k.Adapters = append(k.Adapters, f.Name)
	}
	k.KeySet = func(jwks []byte) error {
		_, err := auth.ParseKeySet(jwks)
		return err
	}
	k.Client = registration.Faults
	k.SharedKey = auth.SharedKey
	k.ClaimPath = func(path string) error {
		_, err := auth.ParseClaimPath(path)
		return err
	}
	k.PrivateKey = func(path string) error {
		_, err := auth.ReadPrivateKey(path)
		return err
	}
	k.Profile = func(adapter, path string) error {
		_, err := loadFeed(adapter, path)
		return err
	}
	k.StoreAddress = backend.Check
	k.Law = func(c *config.Config) *config.LawError {
		_, err := law.Load(c)
		if err == nil {
			return nil
		}
		e := &config.LawError{Pack: -1, Lines: law.Lines(err)}
		var named *law.PackError
		if errors.As(err, &named) && len(c.Packs) > 0 {
			e.Pack = named.Index
		}
		return e
	}
	return k
}

func oneFile(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError("%s takes one file; see '%s --help'", cmd.CommandPath(), cmd.CommandPath())
	}
	return nil
}
