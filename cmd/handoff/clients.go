package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/registration"
)

// newClientsCommand lets the operator see, review, disable and unlock clients.
func newClientsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "clients",
		Short: "See, review, disable and unlock registered clients",
		Long: `Clients are registered in the configuration and through the registration API
(POST /oauth/register). These commands work on both, also while the gateway runs:
what they change is in force on every node for each request that starts after they
return, and is put into the audit trail. docs/clients.md says how to register,
rotate and disable.`,
		Example: `  handoff clients list --config handoff.yaml
  handoff clients lint --config handoff.yaml --strict
  handoff clients disable --config handoff.yaml --by mlopez --reason "key lost" riverton-rms`,
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var file string
	cmd.PersistentFlags().StringVarP(&file, "config", "c", "", "configuration file (required)")
	cmd.AddCommand(newClientsList(&file), newClientsShow(&file), newClientsLint(&file),
		newClientsState(&file, "disable", true), newClientsState(&file, "enable", false), newClientsSecret(&file), newClientsUnlock(&file))
	return cmd
}

// A clientsView is what the command line sees of clients.
type clientsView struct {
	config *config.Config
	db     backend.Backend // nil where the gateway never ran
	store  *registration.Store
	all    []*auth.Client // in order of ids
	used   map[string]time.Time
	states map[string]registration.State
}

// withClients reads the clients of a configuration and, if there is a store, those
// that were registered since.
func withClients(cmd *cobra.Command, file string, do func(*clientsView) error) (err error) {
	ctx := cmd.Context()
	if file == "" {
		return usageError("--config FILE is required")
	}
	c, err := loadConfig(file)
	if err != nil {
		return err
	}
	v := &clientsView{config: c}
	given, err := registration.Configured(c)
	if err != nil {
		return err
	}
	var source auth.Source
	if v.db, err = storeFor(cmd, c); err != nil && !noStore(err) {
		return err
	}
	if v.db != nil {
		defer func() { err = errors.Join(err, v.db.Close()) }()
		v.store = registration.NewStore(v.db, c, nil, nil)
		if v.used, err = v.store.LastUsed(ctx); err != nil {
			return err
		}
		if v.states, err = v.store.States(ctx); err != nil {
			return err
		}
		source = v.store
	}
	registry, err := auth.FollowingRegistry(given, source, auth.NewHTTPFetcher(), nil)
	if err != nil {
		return err
	}
	if v.all, err = registry.All(ctx); err != nil {
		return err
	}
	slices.SortFunc(v.all, func(a, b *auth.Client) int { return strings.Compare(a.ID, b.ID) })
	return do(v)
}

// client finds one by its id.
func (v *clientsView) client(id string) (*auth.Client, error) {
	i := slices.IndexFunc(v.all, func(c *auth.Client) bool { return c.ID == id })
	if i < 0 {
		return nil, fmt.Errorf("there is no client %q; 'handoff clients list' shows them", id)
	}
	return v.all[i], nil
}

// operate notes for the trail what the operator does, and does it.
func (v *clientsView) operate(ctx context.Context, verb, id, by string, about url.Values, do func() error) error {
	if err := answeredFor(by); err != nil {
		return err
	}
	if v.db == nil {
		return errors.New("the gateway has no store yet: change its configuration instead")
	}
	about.Set("client", id)
	about.Set("action", verb)
	e := &audit.Event{
		ID: newRequestID(), At: v.db.Now().UTC(), Interaction: audit.ClientChange, User: by, Operation: "handoff", Path: "clients " + verb, Query: about.Encode(),
	}
	return noted(ctx, v.config, v.db, e, do)
}

// noted notes for the trail what the operator does, does it, and records it.
func noted(ctx context.Context, c *config.Config, db backend.Backend, e *audit.Event, do func() error) error {
	if err := registration.Note(ctx, db, e); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	err := withTrail(ctx, c, db, func(trail *audit.Trail) error { return registration.RecordNotes(ctx, db, trail) })
	if errors.Is(err, audit.ErrInUse) {
		return nil // the gateway that runs finds the note
	}
	return err
}

func oneClient(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError("%s takes the id of a client; see '%s --help'", cmd.CommandPath(), cmd.CommandPath())
	}
	return nil
}

func newClientsList(file *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List clients with when they were last used",
		Example: "  handoff clients list --config handoff.yaml",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withClients(cmd, *file, func(v *clientsView) error {
				if asJSON {
					return printLines(cmd, v.all, v.describe)
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
				fmt.Fprintln(w, "CLIENT\tORGANIZATION\tPROVES ITS NAME BY\tGRANTS\tSTATE\tLAST USED")
				for _, c := range v.all {
					d := v.describe(c)
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", d.ID, d.Organization, d.Method, strings.Join(d.Grants, " "), d.State, d.LastUsed)
				}
				return w.Flush()
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one object a line")
	return cmd
}

func newClientsShow(file *string) *cobra.Command {
	return &cobra.Command{
		Use:     "show CLIENT",
		Short:   "Show one client as JSON; no secret is in it",
		Example: "  handoff clients show --config handoff.yaml riverton-rms",
		Args:    oneClient,
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClients(cmd, *file, func(v *clientsView) error {
				c, err := v.client(args[0])
				if err != nil {
					return err
				}
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(v.describe(c))
			})
		},
	}
}

func printLines[T, D any](cmd *cobra.Command, list []T, describe func(T) D) error {
	enc := json.NewEncoder(cmd.OutOrStdout())
	for _, x := range list {
		if err := enc.Encode(describe(x)); err != nil {
			return err
		}
	}
	return nil
}

// A described client is how the command line shows one.
type describedClient struct {
	ID            string   `json:"id"`
	Name          string   `json:"name,omitempty"`
	Organization  string   `json:"organization"`
	Source        string   `json:"source"` // configuration or registration
	State         string   `json:"state"`
	Reason        string   `json:"reason,omitempty"`
	Method        string   `json:"method"`
	Grants        []string `json:"grants"`
	Scopes        []string `json:"scopes"`
	Roles         []string `json:"roles"`
	Purposes      []string `json:"purposes"`
	RedirectURIs  []string `json:"redirectUris,omitempty"`
	LaunchURL     string   `json:"launchUrl,omitempty"`
	Origins       []string `json:"origins,omitempty"`
	Providers     []string `json:"providers,omitempty"`
	JWKSURL       string   `json:"jwksUrl,omitempty"`
	Keys          []string `json:"keys,omitempty"`          // kids
	RetiringUntil []string `json:"retiringUntil,omitempty"` // of keys and secrets that were replaced
	LastUsed      string   `json:"lastUsed"`                // to the hour; "-" where it is not known
}

func (v *clientsView) describe(c *auth.Client) describedClient {
	d := describedClient{
		ID: c.ID, Name: c.Name, Organization: c.Organization, Source: "registration", State: "enabled", Method: methodOf(c), Grants: c.Grants,
		Scopes: slices.Concat(c.ContextScopes, strings.Fields(c.Scopes.String()), c.Operations), Purposes: c.Purposes, RedirectURIs: c.RedirectURIs,
		LaunchURL: c.LaunchURL, Origins: c.Origins, Providers: c.Providers, JWKSURL: c.JWKSURL, LastUsed: "-",
	}
	if slices.ContainsFunc(v.config.Clients, func(cl config.Client) bool { return cl.ID == c.ID }) {
		d.Source = "configuration"
	}
	if len(d.Grants) == 0 {
		d.Grants = []string{auth.GrantClientCredentials}
	}
	for _, r := range c.Roles {
		d.Roles = append(d.Roles, r.Code)
	}
	for _, k := range auth.KeysOf(c.JWKS) {
		d.Keys = append(d.Keys, k.ID)
	}
	for _, r := range c.Retiring {
		if v.db.Now().Before(r.Until) {
			d.RetiringUntil = append(d.RetiringUntil, r.Until.Format(time.RFC3339))
		}
	}
	if at, ok := v.used[c.ID]; ok {
		d.LastUsed = at.Format(time.RFC3339)
	}
	if c.Disabled {
		d.State, d.Reason = "disabled", v.states[c.ID].Reason
	}
	return d
}

func methodOf(c *auth.Client) string {
	switch {
	case c.Issuer != "":
		return "outside issuer"
	case c.Public:
		return "nothing (public)"
	case len(c.SecretHashes) > 0:
		return "secret"
	}
	return "key"
}
