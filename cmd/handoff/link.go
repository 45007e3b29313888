package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/gateway/identity"
)

// ownStore is how the command line names the gateway's own store where a
// connected system could stand.
const ownStore = "-"

// newLinkCommand lets a reviewer see, confirm and undo links between Patients.
func newLinkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "link",
		Short: "See, confirm and undo links between Patients",
		Long: `Links say that Patients of different systems are one person. A query for one of
them reaches the others once the link is confirmed; a candidate does nothing
until somebody has looked at it. Every change keeps the versions before it, and
a link that was undone does not come back by itself.

A link goes from a Patient here to a Patient of a connected system, or with "-"
in place of the system to another Patient here.`,
		Example: `  handoff link list --config handoff.yaml --state candidate
  handoff link confirm --config handoff.yaml --reviewer mlopez Patient/p1 riverton-health 4711
  handoff link undo --config handoff.yaml --reviewer mlopez Patient/p1 - p2
  handoff link import --config handoff.yaml roster.csv`,
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var file string
	cmd.PersistentFlags().StringVar(&file, "config", "", "configuration file (required)")
	cmd.AddCommand(newLinkList(&file), newLinkHistory(&file), newLinkImport(&file),
		newLinkDecision(&file, "confirm", "Make a link count", (*identity.Links).Confirm),
		newLinkDecision(&file, "undo", "Take a link back", (*identity.Links).Undo))
	return cmd
}

// withLinks opens the store that a configuration names and runs do on its links.
func withLinks(cmd *cobra.Command, file string, do func(backend.Backend, *identity.Links) error) (err error) {
	if file == "" {
		return usageError("--config is required")
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
	ids, err := identity.NewIDMap(db, []byte(c.Site.Key.Reveal()), slugs(c))
	if err != nil {
		return err
	}
	return do(db, identity.NewLinks(db, ids, db.Now))
}

func newLinkList(file *string) *cobra.Command {
	var patient, state, format string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List links, candidates among them",
		Example: "  handoff link list --config handoff.yaml --state candidate",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch state {
			case "", "candidate", "confirmed", "undone":
			default:
				return usageError("--state must be candidate, confirmed or undone")
			}
			return withLinks(cmd, *file, func(_ backend.Backend, l *identity.Links) error {
				if patient != "" && !strings.HasPrefix(patient, "Patient/") {
					patient = "Patient/" + patient
				}
				all, err := l.List(cmd.Context(), patient)
				if err != nil {
					return err
				}
				var shown []identity.Link
				for _, link := range all {
					if state == "" || link.State.String() == state {
						shown = append(shown, link)
					}
				}
				return printLinks(cmd, format, shown)
			})
		},
	}
	cmd.Flags().StringVar(&patient, "patient", "", "only links of this Patient here")
	cmd.Flags().StringVar(&state, "state", "", "only candidate, confirmed or undone links")
	cmd.Flags().StringVar(&format, "format", "table", "table, or json for one object a line")
	return cmd
}

func newLinkHistory(file *string) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "history PATIENT SYSTEM REMOTE-ID",
		Short:   "Show all versions of one link, oldest first",
		Example: "  handoff link history --config handoff.yaml Patient/p1 riverton-health 4711",
		Args:    linkArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			return withLinks(cmd, *file, func(_ backend.Backend, l *identity.Links) error {
				patient, system, id := linkEnds(args)
				versions, err := l.History(cmd.Context(), patient, system, id)
				if err != nil {
					return err
				}
				return printLinks(cmd, format, versions)
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table, or json for one object a line")
	return cmd
}

func newLinkDecision(file *string, verb, short string, decide func(*identity.Links, context.Context, string, string, string, string) error) *cobra.Command {
	var reviewer string
	cmd := &cobra.Command{
		Use:     verb + " PATIENT SYSTEM REMOTE-ID",
		Short:   short,
		Example: "  handoff link " + verb + " --config handoff.yaml --reviewer mlopez Patient/p1 riverton-health 4711",
		Args:    linkArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			if reviewer == "" {
				return usageError("--reviewer is required: somebody answers for a link")
			}
			return withLinks(cmd, *file, func(db backend.Backend, l *identity.Links) error {
				patient, system, id := linkEnds(args)
				ends := []string{patient}
				if system == "" {
					ends = append(ends, "Patient/"+id)
				}
				for _, ref := range ends {
					k := store.Key{Type: "Patient", ID: strings.TrimPrefix(ref, "Patient/")}
					if _, err := db.Read(cmd.Context(), k); err != nil { // a slip of the pen must not become a link
						return fmt.Errorf("the store has no such Patient: %w", err)
					}
				}
				return decide(l, cmd.Context(), patient, system, id, reviewer)
			})
		},
	}
	cmd.Flags().StringVar(&reviewer, "reviewer", "", "who decides (required)")
	return cmd
}

func newLinkImport(file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "import ROSTER.csv",
		Short: "Bring in a roster of confirmed links",
		Long: `A roster is a CSV file in UTF-8 with a header. Its columns are system (key of the
connected system), remote_id (the Patient's id there), and one of: patient (a
reference here), identifier (system|value), identifier_system with
identifier_value, or ori with mni. Reading it again changes nothing. Lines that
cannot be used are printed on stderr with their number; the exit code is then 3.`,
		Example: "  handoff link import --config handoff.yaml roster.csv",
		Args:    oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			return withLinks(cmd, *file, func(db backend.Backend, l *identity.Links) error {
				res, err := l.ReadRoster(cmd.Context(), f, storedPeople{db}.references)
				for _, bad := range res.Rejected {
					fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", args[0], bad.Error())
				}
				if err != nil {
					return fmt.Errorf("%s: %w", args[0], err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%d lines: %d added, %d unchanged, %d rejected\n", res.Lines, res.Added, res.Unchanged, len(res.Rejected))
				if len(res.Rejected) > 0 {
					return &exitError{code: exitRejected}
				}
				return nil
			})
		},
	}
}

func linkArguments(cmd *cobra.Command, args []string) error {
	if len(args) != 3 {
		return usageError("%s takes a Patient here, a system (%s for the own store) and an id there; see '%s --help'", cmd.CommandPath(), ownStore, cmd.CommandPath())
	}
	return nil
}

// linkEnds reads the three arguments of a link. The two ends of a link within
// the own store may be given in either order; it is kept in one.
func linkEnds(args []string) (patient, system, id string) {
	patient, system, id = strings.TrimPrefix(args[0], "Patient/"), args[1], strings.TrimPrefix(args[2], "Patient/")
	if system == ownStore {
		system = ""
		if patient > id {
			patient, id = id, patient
		}
	}
	return "Patient/" + patient, system, id
}

func printLinks(cmd *cobra.Command, format string, links []identity.Link) error {
	out := cmd.OutOrStdout()
	switch format {
	case "json":
		for _, l := range links {
			line, err := json.Marshal(struct {
				identity.Link
				State string `json:"state"`
			}{l, l.State.String()})
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(out, "%s\n", line); err != nil {
				return err
			}
		}
		return nil
	case "table":
	default:
		return usageError("--format must be table or json")
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PATIENT\tSYSTEM\tREMOTE ID\tSTATE\tMETHOD\tSCORE\tREVIEWER\tVERSION\tAT\tREASON")
	for _, l := range links {
		system := l.System
		if system == "" {
			system = ownStore
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.2f\t%s\t%d\t%s\t%s\n", l.Patient, system, l.RemoteID, l.State, l.Method, l.Score, l.Reviewer, l.Version, l.At.Format(time.RFC3339), l.Reason)
	}
	return w.Flush()
}
