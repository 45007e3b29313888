package main

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/limit"
	"github.com/handoff-health/handoff/gateway/registration"
)

// newClientsState makes the commands that disable a client and enable it again.
func newClientsState(file *string, verb string, disabled bool) *cobra.Command {
	var by, reason string
	long := `Disabling refuses new tokens, ends those already issued, and refuses refresh tokens,
on every node at once. A client that is disabled here is enabled here again, not
through the registration API.`
	short := "Refuse a client everything, at once"
	if !disabled {
		short, long = "Let a client in again that was disabled", "Tokens that were issued before it was disabled stay ended. A client that the configuration\ndisables is enabled in the configuration."
	}
	cmd := &cobra.Command{
		Use:     verb + " CLIENT",
		Short:   short,
		Long:    long,
		Example: "  handoff clients " + verb + " --config handoff.yaml --by mlopez riverton-rms",
		Args:    oneClient,
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClients(cmd, *file, func(v *clientsView) error {
				c, err := v.client(args[0])
				if err != nil {
					return err
				}
				for _, cl := range v.config.Clients {
					if cl.ID == c.ID && cl.Disabled && !disabled {
						return fmt.Errorf("client %s is disabled in the configuration; enable it there", c.ID)
					}
				}
				err = v.operate(cmd.Context(), verb, c.ID, by, url.Values{"changed": {"disabled"}, "reason": {reason}}, func() error {
					return v.store.SetDisabled(cmd.Context(), c.ID, registration.State{Disabled: disabled, Operator: true, By: by, Reason: reason})
				})
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s is %sd\n", c.ID, verb)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&by, "by", "", "who does it; it is recorded")
	cmd.Flags().StringVar(&reason, "reason", "", "why; it is recorded")
	return cmd
}

func newClientsSecret(file *string) *cobra.Command {
	var (
		by, reason string
		overlap    time.Duration
	)
	cmd := &cobra.Command{
		Use:   "rotate-secret CLIENT",
		Short: "Give an app another client secret",
		Long: `Rotate-secret makes a secret of 256 bits and prints it once. The one before counts
for the overlap.

A client of the configuration is not changed: its line secretHashes is printed, with
the new hash and the former ones; take those out when the app has the new secret.`,
		Example: "  handoff clients rotate-secret --config handoff.yaml --by mlopez --overlap 24h client-x7…",
		Args:    oneClient,
		RunE: func(cmd *cobra.Command, args []string) error {
			if overlap < 0 || overlap > registration.MaxOverlap {
				return usageError("--overlap is from 0 to %v", registration.MaxOverlap)
			}
			return withClients(cmd, *file, func(v *clientsView) error {
				c, err := v.client(args[0])
				if err != nil {
					return err
				}
				if len(c.SecretHashes) == 0 {
					return fmt.Errorf("client %s has no secret: it proves its name by %s", c.ID, methodOf(c))
				}
				if v.describe(c).Source == "configuration" {
					secret, hash := auth.NewSecret()
					fmt.Fprintf(cmd.OutOrStdout(), "%s\n", secret)
					fmt.Fprintf(cmd.ErrOrStderr(), "in the configuration, client %s:\n    secretHashes: [%q, %q]\n", c.ID, hash, c.SecretHashes[0])
					return nil
				}
				return v.rotate(cmd, c.ID, by, reason, overlap)
			})
		},
	}
	cmd.Flags().StringVar(&by, "by", "", "who does it; it is recorded")
	cmd.Flags().StringVar(&reason, "reason", "", "why; it is recorded")
	cmd.Flags().DurationVar(&overlap, "overlap", 0, "how long the former secret still counts, at most 720h")
	return cmd
}

func (v *clientsView) rotate(cmd *cobra.Command, id, by, reason string, overlap time.Duration) error {
	var secret string
	var until time.Time
	err := v.operate(cmd.Context(), "rotate-secret", id, by, url.Values{"changed": {"client_secret"}, "reason": {reason}}, func() error {
		rec, err := v.store.Record(cmd.Context(), id)
		if err != nil {
			return err
		}
		if rec == nil {
			return errors.New("the registration has gone meanwhile")
		}
		secret, until, err = v.store.RotateSecret(cmd.Context(), rec, overlap)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), secret)
	if overlap > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "the former secret counts until %s\n", until.Format(time.RFC3339))
	}
	return nil
}

func newClientsUnlock(file *string) *cobra.Command {
	var by, reason string
	cmd := &cobra.Command{
		Use:   "unlock CLIENT",
		Short: "Let a client try again where wrong secrets locked it out",
		Long: `A client is locked out at one address after as many wrong secrets from there as
limits.failures says, for limits.window. Unlock ends that before its time.`,
		Example: "  handoff clients unlock --config handoff.yaml --by mlopez clinic-app",
		Args:    oneClient,
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClients(cmd, *file, func(v *clientsView) error {
				c, err := v.client(args[0])
				if err != nil {
					return err
				}
				n := 0
				err = v.operate(cmd.Context(), "unlock", c.ID, by, url.Values{"reason": {reason}}, func() (err error) {
					n, err = limit.Unlock(cmd.Context(), v.db, c.ID)
					return err
				})
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s was locked out at %d addresses and may try again\n", c.ID, n)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&by, "by", "", "who does it; it is recorded")
	cmd.Flags().StringVar(&reason, "reason", "", "why; it is recorded")
	return cmd
}

// newTokenSecretCommand makes a client secret for a configuration.
func newTokenSecretCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "secret",
		Short: "Make a client secret and its hash",
		Long: `Secret prints a new client secret of 256 bits to standard output, and to standard
error its hash, which is what the configuration holds (clients[].secretHashes). It
keeps nothing.`,
		Example: "  handoff token secret > app.secret",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			secret, hash := auth.NewSecret()
			fmt.Fprintf(cmd.ErrOrStderr(), "secretHashes: [%q]\n", hash)
			_, err := fmt.Fprintln(cmd.OutOrStdout(), secret)
			return err
		},
	}
}
