package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/disclosure"
	"github.com/handoff-health/handoff/gateway/identity"
	"github.com/handoff-health/handoff/gateway/policy"
)

// An accounting is one run of `audit disclosures`.
type accounting struct {
	file, anchor, key   string
	patient, kind       string
	from, to            string
	suspend, trails     []string
	asJSON, asCSV, each bool

	now        time.Time
	start, end time.Time
	suspended  map[string]time.Time // by recipient
	people     []denoted
	begins     time.Time // the first record of all trails
	missing    []unread  // trails that were not read
}

// A denoted is one reference that denotes the person, with where it is from.
type denoted struct {
	Reference string `json:"reference"`
	System    string `json:"system,omitempty"` // key of the connected system; "" for the own store
}

// kinds are the lists of each --kind and how far they reach back at most.
var kinds = map[string]struct {
	lists []string
	years int
}{
	"part2":      {[]string{disclosure.Intermediary, disclosure.Part2}, 3},
	"accounting": {[]string{disclosure.Accounting}, 6},
	"all":        {nil, 6},
}

func newAuditDisclosuresCommand() *cobra.Command {
	a := &accounting{now: time.Now()}
	cmd := &cobra.Command{
		Use:   "disclosures --config FILE --patient REF",
		Short: "List to whom a person's records were disclosed",
		Long: `Lists what the gateway disclosed of a person's records, for the patient who asks:

  part2       to whom Part 2 records went on a Consent in the last 3 years: the
              accounting of 42 CFR 2.25, and among it what went on a general
              designation, which an intermediary lists under 42 CFR 2.24
  accounting  the accounting of 45 CFR 164.528, the last 6 years: without what
              164.528(a)(1) leaves out (treatment, payment, operations;
              authorizations; custody); several to one recipient for one purpose
              are told once, unless --each
  all         every disclosure of the last 6 years, with the lists that it
              belongs in, and for the rest why none

REF is one of the person's Patients; all that confirmed links join are looked
for, and each entry says which it was about. What went to its own custodian is
no disclosure. If it is not certain whether an entry belongs in the list it is
there and marked. The trail is verified as it is read, and one with a gap gives
no list. --suspend ORGANIZATION=DATE leaves out what went to a law enforcement
agency that has asked for it in a written statement (164.528(a)(2)), until the
end of that day, and says on stderr that it did.

Every gateway of a store has a trail of its own: all are read that audit.others of
the configuration and --trail name. If the store knows of a gateway whose trail was
not among them, that is said on stderr and in the list, and the exit status is 3.

Each use is recorded before anything is printed: in the trail, or, while the
gateway runs (one process writes a trail), in the store's log "audit-uses".`,
		Example: `  handoff audit disclosures --config handoff.yaml --patient Patient/p7
  handoff audit disclosures --config handoff.yaml --patient Patient/p7 --kind accounting --csv`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&a.file, "config", "", "configuration file (required)")
	f.StringVar(&a.patient, "patient", "", "one of the person's Patients, Patient/… (required)")
	f.StringVar(&a.kind, "kind", "all", "part2, accounting or all")
	f.StringVar(&a.from, "from", "", "from this time on; as far back as the law asks if empty")
	f.StringVar(&a.to, "to", "", "before this time")
	f.StringArrayVar(&a.suspend, "suspend", nil, "ORGANIZATION=DATE: an agency that has asked for a suspension, and until when; may be repeated")
	f.BoolVar(&a.each, "each", false, "tell every disclosure by itself")
	f.BoolVar(&a.asJSON, "json", false, "print one JSON object")
	f.BoolVar(&a.asCSV, "csv", false, "print a table as CSV")
	f.StringVar(&a.anchor, "anchor", "", "file with the signed checkpoints, in place of the configuration's")
	f.StringVar(&a.key, "key", "", "key that checks them, in place of the configuration's")
	f.StringArrayVar(&a.trails, "trail", nil, "DIR,ANCHOR,KEY: the trail of another gateway of the store, beside those of the configuration; may be repeated")
	return cmd
}

// check reads what was asked for.
func (a *accounting) check() (err error) {
	kind, ok := kinds[a.kind]
	switch {
	case a.file == "" || a.patient == "":
		return usageError("--config and --patient are required")
	case !ok:
		return usageError("--kind must be part2, accounting or all")
	case a.asJSON && a.asCSV:
		return usageError("--json or --csv, not both")
	}
	if !strings.HasPrefix(a.patient, "Patient/") {
		a.patient = "Patient/" + a.patient
	}
	if a.start, err = parseWhen(a.from, a.now); err != nil {
		return err
	}
	if a.end, err = parseWhen(a.to, a.now); err != nil {
		return err
	}
	if a.start.IsZero() {
		a.start = a.now.AddDate(-kind.years, 0, 0)
	}
	return inOrder("--from", a.start, "--to", a.end)
}

// suspensions reads --suspend: only law enforcement and health oversight can
// ask for one.
func (a *accounting) suspensions(c *config.Config) error {
	zone, err := time.LoadLocation(c.Site.TimeZone)
	if err != nil {
		return err
	}
	a.suspended = map[string]time.Time{}
	for _, s := range a.suspend {
		ref, day, ok := strings.Cut(s, "=")
		last, err := time.ParseInLocation(time.DateOnly, day, zone)
		if !ok || err != nil {
			return usageError("--suspend %q: want ORGANIZATION=DATE, such as Organization/riverton-pd=2026-12-31", s)
		}
		id := strings.TrimPrefix(ref, "Organization/")
		if o := c.Organization(id); o == nil || o.Kind != "police" {
			return usageError("--suspend %s: that is no law enforcement agency of the configuration", ref)
		}
		a.suspended[attribute.Reference(id)] = last.AddDate(0, 0, 1)
	}
	return nil
}

func (a *accounting) run(cmd *cobra.Command) (err error) {
	if err := a.check(); err != nil {
		return err
	}
	c, err := loadConfig(a.file)
	if err != nil {
		return err
	}
	if err := a.suspensions(c); err != nil {
		return err
	}
	db, err := storeFor(cmd, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	list, err := a.gather(cmd.Context(), c, db)
	if err != nil {
		return err
	}
	if a.begins.After(a.start) {
		fmt.Fprintf(cmd.ErrOrStderr(), "The trail begins at %s: what was disclosed before, from %s on, is not in it.\n", stamp(a.begins), stamp(a.start))
	}
	list = a.withoutSuspended(cmd, list)
	where, err := a.recordUse(cmd.Context(), c, db, len(list))
	if err != nil {
		return fmt.Errorf("the use cannot be recorded, so nothing is told: %w", err)
	}
	if where != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), where)
	}
	tellUnread(cmd.ErrOrStderr(), a.missing)
	if err := a.print(cmd.OutOrStdout(), c, list); err != nil {
		return err
	}
	return incomplete(a.missing)
}

// gather finds the person and reads the trail.
func (a *accounting) gather(ctx context.Context, c *config.Config, db backend.Backend) ([]disclosure.Disclosure, error) {
	person, err := a.person(ctx, c, db)
	if err != nil {
		return nil, err
	}
	from, err := newArchive(c, db, nil)
	if err != nil {
		return nil, err
	}
	g := &disclosure.Gatherer{Person: person, From: a.start, To: a.end, Designation: from.designation(ctx)}
	more, err := parseTrails(a.trails)
	if err != nil {
		return nil, err
	}
	from.trails = trailsOf(c, a.anchor, a.key, more)
	reports, err := readTrails(from.trails, func(r *audit.Record) error {
		g.Add(&r.Event)
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	for _, r := range reports {
		if a.begins.IsZero() || r.First.Before(a.begins) {
			a.begins = r.First
		}
	}
	if a.missing, err = unreadTrails(ctx, db, reports); err != nil {
		return nil, err
	}
	if !g.Known { // a slip of the pen must not become an empty list
		_, err := db.Read(ctx, store.Key{Type: "Patient", ID: strings.TrimPrefix(a.patient, "Patient/")})
		if err != nil {
			return nil, fmt.Errorf("neither the trail nor the store knows %s: %w", a.patient, err)
		}
	}
	return g.List(!a.each, kinds[a.kind].lists...), nil
}

// person lists the references of the person, as confirmed links stand now.
func (a *accounting) person(ctx context.Context, c *config.Config, db backend.Backend) ([]string, error) {
	ids, err := identity.NewIDMap(db, []byte(c.Site.Key.Reveal()), slugs(c))
	if err != nil {
		return nil, err
	}
	// An id that leads to no Patient of its system leads to none of its links. One that
	// was forgotten with an expunged Patient has none; the trail still knows it.
	if id := strings.TrimPrefix(a.patient, "Patient/"); ids.IsOpaque(id) {
		_, _, ok, err := ids.Resolve(ctx, "Patient", id)
		if err != nil {
			return nil, err
		}
		given, err := ids.Given(ctx, "Patient", id)
		if err != nil {
			return nil, err
		}
		if !ok && given {
			return nil, fmt.Errorf("which of a system's Patients %s is, is not known here: give another of the person's", a.patient)
		}
	}
	class, err := identity.NewLinks(db, ids, db.Now).For(ctx, a.patient)
	if err != nil {
		return nil, usageError("--patient: %w", err)
	}
	refs := class.References
	if !slices.Contains(refs, a.patient) {
		refs = append(refs, a.patient)
	}
	for _, ref := range refs {
		from := ""
		for _, t := range class.Targets {
			if opaque, ok := ids.Opaque(t.System, "Patient", t.ID); ok && ref == "Patient/"+opaque {
				from = t.System
			}
		}
		a.people = append(a.people, denoted{ref, from})
	}
	return refs, nil
}

// designation asks the Consent of a reason, in the version that was heard, how
// it named the recipient.
func (a *archive) designation(ctx context.Context) func(*audit.Event, *audit.Judged, *policy.Reason) consent.Designation {
	return func(e *audit.Event, j *audit.Judged, r *policy.Reason) consent.Designation {
		if e.Facts == nil || j.Question == 0 {
			return consent.Undetermined
		}
		q, err := e.Facts.Request(j.Question, time.LoadLocation)
		if err != nil {
			return consent.Undetermined
		}
		heard, err := e.Facts.Heard(j.Question)
		if err != nil {
			return consent.Undetermined
		}
		for i := range heard {
			if heard[i].Reference != r.Consent {
				continue
			}
			res, err := a.Consent(ctx, &heard[i])
			if err != nil { // expunged: it stays undetermined, and in the list
				return consent.Undetermined
			}
			return consent.Parse(res, heard[i].Source).Designates(r.Path, policy.New(policy.Options{}).Begin(q).Actor())
		}
		return consent.Undetermined
	}
}

// withoutSuspended leaves out what a law enforcement agency has asked not to be
// told yet. Whoever runs the command must know.
func (a *accounting) withoutSuspended(cmd *cobra.Command, list []disclosure.Disclosure) []disclosure.Disclosure {
	return slices.DeleteFunc(list, func(d disclosure.Disclosure) bool {
		until, ok := a.suspended[d.Recipient]
		if !ok || !a.now.Before(until) || !slices.Contains(d.Lists, disclosure.Accounting) {
			return false
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "Left out under 45 CFR 164.528(a)(2) before %s: %d to %s, request %s.\n", stamp(until), d.Times, d.Recipient, printable(d.Request))
		return true
	})
}
