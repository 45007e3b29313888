package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/peers"
)

// newGatewaysCommand tells which gateways serve from a store.
func newGatewaysCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "gateways",
		Short: "See which gateways serve from one store, and forget those that are gone",
		Long: `Several gateways may serve from one store. Each has an audit trail of its own,
which names it, and all hold the same site.key, issuer.keyFile and
issuer.signingKeyFile: a gateway with other keys does not start. See
docs/adr/0034-several-gateways.md.`,
		Example: `  handoff gateways list --config handoff.yaml
  handoff gateways forget --config handoff.yaml 4f1c…
  handoff gateways accept-keys --config handoff.yaml`,
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVarP(&file, "config", "c", "", "configuration file (required)")
	cmd.AddCommand(newGatewaysList(&file), newGatewaysForget(&file), newGatewaysAcceptKeys(&file), newGatewaysAcceptStore(&file))
	return cmd
}

func newGatewaysList(file *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "One line for each gateway that serves or has served from the store",
		Long: `Lists the gateways by their audit trails. A gateway that is alone says nothing
after its start, so HEARD is then when it started. One that has not stopped, and of
which nothing was heard for a minute while others went on, is silent: it was killed,
stands still or cannot reach the store.`,
		Example: "  handoff gateways list --config handoff.yaml",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withFacts(cmd, *file, func(_ *config.Config, db backend.Backend) error {
				list, err := peers.List(cmd.Context(), db)
				if err != nil {
					return err
				}
				if asJSON {
					enc := json.NewEncoder(cmd.OutOrStdout())
					for i := range list {
						if err := enc.Encode(listed{list[i], list[i].Silent(list)}); err != nil {
							return err
						}
					}
					return nil
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "TRAIL\tGATEWAY\tSTATE\tSTARTED\tHEARD\tFOLDER OF ITS TRAIL")
				for i := range list {
					m, state := &list[i], "started"
					switch {
					case m.Stopped:
						state = "stopped"
					case m.Silent(list):
						state = "silent"
					case m.Entering:
						state = "starting"
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", m.ID, printable(m.Name), state, m.Started.Format(time.RFC3339), m.Heard.Format(time.RFC3339), printable(m.Trail))
				}
				return w.Flush()
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	return cmd
}

// listed is a gateway with what the others know of it.
type listed struct {
	peers.Member
	Silent bool `json:"silent,omitempty"`
}

func newGatewaysForget(file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "forget TRAIL",
		Short: "Take a gateway that is gone for good off the list",
		Long: `Takes a gateway off the list, by the id of its audit trail. Accountings of
disclosures no longer ask for that trail: keep it, and name it under audit.others,
for as long as the law asks for what is in it. One that was heard of within a minute
and has not stopped is refused.`,
		Example: "  handoff gateways forget --config handoff.yaml 4f1c…",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("%s takes the id of a trail; see '%s --help'", cmd.CommandPath(), cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return withFacts(cmd, *file, func(_ *config.Config, db backend.Backend) error {
				if err := peers.Forget(cmd.Context(), db, args[0], db.Now()); err != nil {
					return err
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is forgotten\n", args[0])
				return err
			})
		},
	}
}

func newGatewaysAcceptKeys(file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "accept-keys",
		Short: "Let whoever writes next say which keys count",
		Long: `Forgets the fingerprints of the keys with which the store was served: the next
gateway to start, or the next 'handoff ingest', says which count. For an operator
who has changed site.key for good: every opaque id, link and page cursor that went
out before counts no more. Stop all gateways first: while anything uses the store it
is refused.`,
		Example: "  handoff gateways accept-keys --config handoff.yaml",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withFacts(cmd, *file, func(_ *config.Config, db backend.Backend) error {
				return peers.AcceptKeys(cmd.Context(), db)
			})
		},
	}
}
