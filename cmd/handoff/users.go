package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/signin"
)

// newUsersCommand tells who is locked or signed in, lets in again whom too many failures
// have locked, and signs people out.
func newUsersCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "users",
		Short: "See who is signed in and sign people out; let locked users in again",
		Long: `Sign-out ends the sign-ins of a person and every token that apps have for them, as
when a device is stolen or somebody leaves.

Five sign-ins that fail within fifteen minutes lock a user whom the gateway knows
by itself (those of the demo) until an administrator lets the user in again.
Users of an organisation's own identity provider are locked and let in there.

It works beside a running gateway: what was done is in the gateway's audit trail
a few seconds later.`,
		Example: `  handoff users signed-in --config handoff.yaml
  handoff users sign-out --config handoff.yaml --by mlopez --reason "laptop stolen" clinic-idp 4711
  handoff users list --config handoff.yaml
  handoff users unlock --config handoff.yaml --by mlopez demo-riverton ortiz`,
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVarP(&file, "config", "c", "", "configuration file")
	cmd.AddCommand(newUsersList(&file), newUsersUnlock(&file), newUsersSignedIn(&file), newUsersSignOut(&file))
	return cmd
}

func newUsersList(file *string) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the users who are locked",
		Example: "  handoff users list --config handoff.yaml",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := tableOrJSON(format); err != nil {
				return err
			}
			return withFacts(cmd, *file, func(_ *config.Config, db backend.Backend) error {
				all, err := signin.LockedUsers(cmd.Context(), db)
				if err != nil {
					return err
				}
				return printLocked(cmd, format, all)
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table, or json for one object a line")
	return cmd
}

func printLocked(cmd *cobra.Command, format string, all []signin.Locked) error {
	if format == "json" {
		enc := json.NewEncoder(cmd.OutOrStdout())
		for _, l := range all {
			if err := enc.Encode(l); err != nil {
				return err
			}
		}
		return nil
	}
	if len(all) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "no user is locked")
		return nil
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "PROVIDER\tUSER\tLOCKED SINCE")
	for _, l := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\n", l.Provider, l.Name, l.Since.UTC().Format(time.RFC3339))
	}
	return w.Flush()
}

func tableOrJSON(format string) error {
	if format != "table" && format != "json" {
		return usageError("--format must be table or json")
	}
	return nil
}

// answeredFor refuses what an operator does without a name.
func answeredFor(by string) error {
	if by == "" {
		return usageError("--by is required: somebody answers for it")
	}
	return nil
}

func providerAndUser(cmd *cobra.Command, args []string) error {
	if len(args) != 2 {
		return usageError("%s takes a provider and a user; see '%s --help'", cmd.CommandPath(), cmd.CommandPath())
	}
	return nil
}

func newUsersUnlock(file *string) *cobra.Command {
	var by, reason string
	cmd := &cobra.Command{
		Use:     "unlock PROVIDER USER",
		Short:   "Let a locked user sign in again",
		Example: "  handoff users unlock --config handoff.yaml --by mlopez demo-riverton ortiz",
		Args:    providerAndUser,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := answeredFor(by); err != nil {
				return err
			}
			return withFacts(cmd, *file, func(c *config.Config, db backend.Backend) error {
				if err := signin.Unlock(cmd.Context(), db, signin.Unlocking{Provider: args[0], Name: args[1], By: by, Reason: reason, At: db.Now()}); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s can sign in again at %s\n", args[1], args[0])
				return recordNow(cmd.Context(), c, db)
			})
		},
	}
	cmd.Flags().StringVar(&by, "by", "", "who lets the user in; it is recorded")
	cmd.Flags().StringVar(&reason, "reason", "", "why; it is recorded")
	return cmd
}

// recordNow records the unlocking, unless a gateway that runs has the trail: it
// finds the note and does it.
func recordNow(ctx context.Context, c *config.Config, db backend.Backend) error {
	err := withTrail(ctx, c, db, func(trail *audit.Trail) error { return signin.RecordNotes(ctx, db, trail, newRequestID) })
	if errors.Is(err, audit.ErrInUse) {
		return nil
	}
	return err
}

// withFacts opens the store of a configuration.
func withFacts(cmd *cobra.Command, file string, do func(*config.Config, backend.Backend) error) (err error) {
	if file == "" {
		return usageError("--config FILE is required")
	}
	c, err := loadConfig(file)
	if err != nil {
		return err
	}
	db, err := storeFor(cmd, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return do(c, db)
}
