package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/registration"
)

// newClientsLint reviews registrations.
func newClientsLint(file *string) *cobra.Command {
	var asJSON, strict bool
	cmd := &cobra.Command{
		Use:   "lint [CLIENT…]",
		Short: "Say which registrations are wider, longer or weaker than they need be",
		Long: `Lint looks at scopes (for every type, to write what cannot be written, covered by
others, without a category, with criteria that nothing meets, for types that no
connected system serves), at purposes that no agreement and no rule of law names, at
lifetimes and refresh tokens, at keys that are weak or not one client's alone, and at
clients that nobody used for 90 days (CJIS AC-2). It stops nothing.

Exit status: 0, or with --strict 1 if there are findings; 2 wrong usage.`,
		Example: `  handoff clients lint --config handoff.yaml
  handoff clients lint --config handoff.yaml --strict --json | jq .why`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClients(cmd, *file, func(v *clientsView) error {
				all := v.all
				if len(args) > 0 {
					all = nil
				}
				for _, id := range args {
					c, err := v.client(id)
					if err != nil {
						return err
					}
					all = append(all, c)
				}
				findings, err := v.lint(cmd.Context(), all)
				if err != nil {
					return err
				}
				if asJSON {
					if err := printLines(cmd, findings, func(f registration.Finding) registration.Finding { return f }); err != nil {
						return err
					}
				} else {
					printFindings(cmd.OutOrStdout(), findings)
					fmt.Fprintf(cmd.ErrOrStderr(), "%d clients, %d findings\n", len(all), len(findings))
				}
				if strict && len(findings) > 0 {
					return &exitError{code: exitFailed}
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one finding a line")
	cmd.Flags().BoolVar(&strict, "strict", false, "exit with 1 if there are findings")
	return cmd
}

// lint lists the findings of some clients, as compared with all.
func (v *clientsView) lint(ctx context.Context, some []*auth.Client) ([]registration.Finding, error) {
	w, err := newWorld(v.config)
	if err != nil {
		return nil, err
	}
	w.Others, w.Used, w.Now = v.all, v.used, time.Now()
	created := map[string]time.Time{}
	if v.store != nil {
		records, err := v.store.Records(ctx)
		if err != nil {
			return nil, err
		}
		for _, rec := range records {
			created[rec.ID] = rec.Created
		}
	}
	var out []registration.Finding
	for _, c := range some {
		w.Created = created[c.ID]
		out = append(out, registration.Lint(c, *w)...)
	}
	return out, nil
}

func printFindings(w io.Writer, findings []registration.Finding) {
	for _, f := range findings {
		about := f.Client
		if f.Scope != "" {
			about += " " + f.Scope
		}
		fmt.Fprintf(w, "%s: %s [%s]\n", about, f.Why, f.Code)
		if f.Instead != "" {
			fmt.Fprintf(w, "    instead: %s\n", f.Instead)
		}
	}
}

// warnOfClients prints what lint finds in the clients of a configuration.
func warnOfClients(w io.Writer, c *config.Config) error {
	given, err := registration.Configured(c)
	if err != nil {
		return err
	}
	v := &clientsView{config: c}
	for i := range given {
		v.all = append(v.all, &given[i])
	}
	findings, err := v.lint(context.Background(), v.all)
	if err != nil {
		return err
	}
	for _, f := range findings {
		about := "client " + f.Client
		if f.Scope != "" {
			about += ", " + f.Scope
		}
		fmt.Fprintf(w, "warning: %s: %s\n", about, f.Why)
	}
	return nil
}
