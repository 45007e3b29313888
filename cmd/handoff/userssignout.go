package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/oauth"
	"github.com/handoff-health/handoff/gateway/signin"
)

// A signedInPerson is somebody who is signed in, or has let an app in that still may get
// tokens.
type signedInPerson struct {
	Provider     string    `json:"provider"` // "-" where an earlier release did not keep it
	User         string    `json:"user"`     // id at the organisation
	Name         string    `json:"name"`
	Practitioner string    `json:"practitioner,omitempty"`
	Organization string    `json:"organization"`
	SignedIn     time.Time `json:"signedIn"` // at the provider, the last time
	SignIns      int       `json:"signIns"`  // browsers
	Apps         []string  `json:"apps"`     // client ids

	subject string
}

// peopleIn reads who is signed in. ended: also those whose sign-ins and tokens have all
// been ended and not gone yet.
func peopleIn(ctx context.Context, facts store.Facts, now time.Time, ended bool) ([]*signedInPerson, error) {
	known := map[string]*signedInPerson{}
	person := func(subject string) *signedInPerson {
		if known[subject] == nil {
			known[subject] = &signedInPerson{Provider: "-", Apps: []string{}, subject: subject}
		}
		return known[subject]
	}
	err := signin.EachSession(ctx, facts, now, func(k *signin.Kept) error {
		over, err := auth.SignInEnded(ctx, facts, k.SignIn)
		if err != nil || over && !ended {
			return err
		}
		p := person(k.Person.Subject)
		if !over {
			p.SignIns++
		}
		p.says(k.Person.Provider, k.Person.ID, k.Person.Name, k.Person.FHIRUser, k.Person.Organization, k.Person.SignedIn)
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = oauth.EachAuthorization(ctx, facts, now, func(a *auth.Authorization, began time.Time) error {
		over, err := auth.FamilyEnded(ctx, facts, a, began)
		if err != nil || over && !ended {
			return err
		}
		p := person(a.Subject)
		if !over && !slices.Contains(p.Apps, a.Client) {
			p.Apps = append(p.Apps, a.Client)
		}
		p.says(a.Provider, a.Said.UserID, a.Said.UserName, a.FHIRUser, a.Said.Organization, a.SignedIn)
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]*signedInPerson, 0, len(known))
	for _, p := range known {
		slices.Sort(p.Apps)
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *signedInPerson) int {
		return strings.Compare(a.Provider+"\x00"+a.User+"\x00"+a.subject, b.Provider+"\x00"+b.User+"\x00"+b.subject)
	})
	return out, nil
}

// says takes what the newest sign-in says of the person.
func (p *signedInPerson) says(provider, user, name, practitioner, organization string, at time.Time) {
	if provider != "" {
		p.Provider = provider
	}
	if p.User == "" || !at.Before(p.SignedIn) {
		p.User, p.Name, p.Practitioner, p.Organization, p.SignedIn = user, name, practitioner, organization, at
	}
}

// is says whether somebody means this person: the id at the organisation, also without
// its naming system, or the Practitioner. What an earlier release kept has no provider,
// but the organisation.
func (p *signedInPerson) is(provider, organization, user string) bool {
	at := p.Provider == provider || p.Provider == "-" && organization != "" && p.Organization == organization
	return at && (p.User == user || strings.HasSuffix(p.User, "#"+user) || p.Practitioner != "" && p.Practitioner == user)
}

func newUsersSignedIn(file *string) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "signed-in",
		Short: "List who is signed in, or has let an app in",
		Long: `Signed-in lists the people who are signed in at a browser, and those who have let an
app in that can still get or use tokens for them. A sign-in that is not used ends by
itself; it is listed until its time has passed.`,
		Example: "  handoff users signed-in --config handoff.yaml",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := tableOrJSON(format); err != nil {
				return err
			}
			return withFacts(cmd, *file, func(_ *config.Config, db backend.Backend) error {
				all, err := peopleIn(cmd.Context(), db, db.Now(), false)
				if err != nil {
					return err
				}
				if format == "json" {
					return printLines(cmd, all, func(p *signedInPerson) *signedInPerson { return p })
				}
				if len(all) == 0 {
					fmt.Fprintln(cmd.OutOrStdout(), "nobody is signed in")
					return nil
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
				fmt.Fprintln(w, "PROVIDER\tUSER\tNAME\tSIGNED IN\tSIGN-INS\tAPPS")
				for _, p := range all {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", p.Provider, p.User, p.Name, p.SignedIn.UTC().Format(time.RFC3339), p.SignIns, strings.Join(p.Apps, " "))
				}
				return w.Flush()
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table, or json for one object a line")
	return cmd
}

func newUsersSignOut(file *string) *cobra.Command {
	var by, reason string
	cmd := &cobra.Command{
		Use:   "sign-out PROVIDER USER",
		Short: "End a person's sign-ins and every token for them, at once",
		Long: `Sign-out ends every sign-in of a person here and every access and refresh token that
apps have for them, on every gateway of the store, for each request that starts after
it returns. USER is the id at the organisation as 'handoff users signed-in' has it,
also without its naming system, or the Practitioner.

The person can sign in again, once they have proven anew at the provider who they are.
Who must not is to be locked there, before. Tokens of outside issuers end at their
issuer.

Exit status: 0; 1 if nobody is meant, or several are; 2 wrong usage.`,
		Example: `  handoff users sign-out --config handoff.yaml --by mlopez --reason "laptop stolen" clinic-idp 4711`,
		Args:    providerAndUser,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := answeredFor(by); err != nil {
				return err
			}
			return withFacts(cmd, *file, func(c *config.Config, db backend.Backend) error {
				return signOut(cmd, c, db, args[0], args[1], url.Values{"reason": {reason}}, by)
			})
		},
	}
	cmd.Flags().StringVar(&by, "by", "", "who does it; it is recorded")
	cmd.Flags().StringVar(&reason, "reason", "", "why; it is recorded")
	return cmd
}

// signOut ends the one person who is meant, under each of their subjects.
func signOut(cmd *cobra.Command, c *config.Config, db backend.Backend, provider, user string, about url.Values, by string) error {
	ctx := cmd.Context()
	found, err := meant(ctx, c, db, provider, user)
	if err != nil {
		return err
	}
	who := found[0]
	about.Set("provider", provider)
	about.Set("user", who.User)
	e := &audit.Event{
		ID: newRequestID(), At: db.Now().UTC(), Interaction: audit.SignOut, User: by, Operation: "handoff", Path: "users sign-out",
		Organization: who.Organization, Query: about.Encode(),
	}
	signIns, apps := 0, map[string]bool{}
	err = noted(ctx, c, db, e, func() error {
		for _, p := range found {
			if err := auth.EndSubject(ctx, db, p.subject, db.Now()); err != nil {
				return err
			}
			signIns += p.SignIns
			for _, a := range p.Apps {
				apps[a] = true
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s (%s) is signed out: sign-ins %d, apps %d\n", who.Name, who.User, signIns, len(apps))
	return nil
}

// meant finds whom a provider and a user mean: one person, who may have signed in under
// several subjects.
func meant(ctx context.Context, c *config.Config, db backend.Backend, provider, user string) ([]*signedInPerson, error) {
	organization := ""
	for _, p := range c.SignIn.Providers {
		if p.ID == provider {
			organization = attribute.Reference(p.Organization)
		}
	}
	// In doubt somebody is ended who was ended before.
	all, err := peopleIn(ctx, db, db.Now(), true)
	if err != nil {
		return nil, err
	}
	var found []*signedInPerson
	var ids []string
	for _, p := range all {
		if p.is(provider, organization, user) {
			found = append(found, p)
			if !slices.Contains(ids, p.User) {
				ids = append(ids, p.User)
			}
		}
	}
	switch {
	case len(found) == 0:
		return nil, fmt.Errorf("nobody whom %s knows as %q is signed in or has let an app in; 'handoff users signed-in' shows who is", provider, user)
	case len(ids) > 1:
		return nil, fmt.Errorf("%q at %s means several people: %s", user, provider, strings.Join(ids, ", "))
	}
	return found, nil
}
