package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/transfer"
	"github.com/handoff-health/handoff/gateway"
)

type storeCheck struct {
	store, config  string
	repair, asJSON bool
	young          time.Duration
}

func newStoreCheckCommand() *cobra.Command {
	var f storeCheck
	cmd := &cobra.Command{
		Use:   "check (--store ADDRESS | --config FILE) [--repair] [--json]",
		Short: "Look for damage in a store, and mend what can be mended",
		Long: `Read a whole store and compare what it holds with itself: versions that no head
reaches, heads that lack a version, index entries that are not those of the content
(as the gateway and ingest compute them), entries and claims of nobody, parts of
large contents that nobody refers to, units of work that nobody ends, gaps in
streams, counters that are behind, checksums, and the database's own indexes. Each
finding is a line: its kind, what it is about, details. No line shows content.

--repair mends what can be mended without losing anything that was acknowledged. A
version or an entry that is lost cannot be made: restore it from a backup. Damaged
content stays as it is. Versions that were acknowledged and have lost their head get it
back (lost-head), unless the store is an unfinished copy: the copy's next run sees to
those.

It may run beside a gateway. What a writer that is still at work may have left so
far (--young) is counted and left alone; look again later.

Exit status: 0 nothing is wrong any more, 1 something is, the store is an unfinished
copy, or the check failed, 2 the command line is wrong.`,
		Example: `  handoff store check --config handoff.yaml
  handoff store check --store 'mongodb://handoff:${env:DB_PASSWORD}@db.example/handoff' --repair
  handoff store check --store handoff.db --json | jq -r 'select(.kind=="lost-version").what'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	cmd.Flags().StringVar(&f.store, "store", "", "address of the store")
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "configuration that names the store")
	cmd.Flags().BoolVar(&f.repair, "repair", false, "mend what can be mended")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "one JSON object a finding, and one of the summary")
	cmd.Flags().DurationVar(&f.young, "young", 10*time.Minute, "how old what a writer may leave behind must be to be judged; 0 if nobody writes")
	return cmd
}

// A checkSummary as --json prints it at the end.
type checkSummary struct {
	Store    string `json:"store"`
	Findings int    `json:"findings"`
	Mended   int    `json:"mended"`
	Left     int    `json:"left"`
	Young    int    `json:"young"` // too young to judge
}

func (f *storeCheck) run(cmd *cobra.Command) (err error) {
	at, err := choosePlace("--store", f.store, "--config", f.config)
	if err != nil {
		return err
	}
	if f.young < 0 {
		return usageError("--young must not be negative")
	}
	db, err := at.open(cmd, backend.Options{AsIs: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	end, err := f.announce(cmd, db)
	if err != nil {
		return fmt.Errorf("%s: %w", at.name, err)
	}
	defer end()
	// Whether it is a finished copy may be what is damaged: then as if it were not.
	unfinished := transfer.Ready(cmd.Context(), db)
	bar := newBar(cmd.ErrOrStderr(), "check")
	sum := checkSummary{Store: at.name}
	o := store.CheckOptions{Repair: f.repair, Young: f.young, Unfinished: unfinished != nil, Entries: gateway.Entries, Claims: gateway.Claims, Name: contentOf,
		Progress: func(done, total int64) { bar.show("check", done, total, 0) }}
	if f.young == 0 {
		o.Young = -1
	}
	var werr error
	err = db.CheckStore(cmd.Context(), o, func(x store.Finding) {
		bar.end()
		werr = errors.Join(werr, f.report(cmd, x, &sum))
	})
	bar.end()
	if err = errors.Join(ended(cmd.Context(), err, "nothing was left half mended"), werr); err != nil {
		return err
	}
	if err := f.summary(cmd, &sum); err != nil {
		return err
	}
	if unfinished != nil { // what is there may be sound, but all of it is not there
		return unfinished
	}
	if sum.Left > 0 {
		return &exitError{code: exitFailed}
	}
	return nil
}

// announce tells whoever copies that the store is written to. What is damaged may not
// take the word: that is no reason not to mend it.
func (f *storeCheck) announce(cmd *cobra.Command, db backend.Backend) (end func(), err error) {
	u := useOf(cmd)
	if !u.writes {
		told(db, u)
		return func() {}, nil
	}
	l, err := announce(cmd.Context(), db, u)
	if errors.Is(err, errCopied) {
		return nil, err
	}
	if err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "the store was not told that it is being repaired, so a copy would not notice:", err)
	}
	told(db, u)
	return func() { _ = l.End() }, nil // it ends by itself
}

// report prints a finding and counts it.
func (f *storeCheck) report(cmd *cobra.Command, x store.Finding, sum *checkSummary) error {
	if x.Young {
		sum.Young++
		return nil
	}
	sum.Findings++
	outcome := ""
	if x.Mended {
		sum.Mended++
		outcome = " (mended)"
	} else {
		sum.Left++
		if f.repair {
			outcome = " (cannot be mended)"
		}
	}
	if f.asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(x)
	}
	// SQLite tells what is wrong with its file in lines.
	detail := strings.Join(strings.FieldsFunc(x.Detail, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s: %s%s\n", x.Kind, x.What, detail, outcome)
	return err
}

func (f *storeCheck) summary(cmd *cobra.Command, sum *checkSummary) error {
	if f.asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]*checkSummary{"summary": sum})
	}
	text := fmt.Sprintf("%s: ok", sum.Store)
	if sum.Findings > 0 {
		text = fmt.Sprintf("%s: %d findings, %d mended, %d left", sum.Store, sum.Findings, sum.Mended, sum.Left)
	}
	if sum.Young > 0 {
		text += fmt.Sprintf("; %d too young to judge, their writers may be at work", sum.Young)
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}

// contentOf tells which resource some content is of.
func contentOf(raw []byte) (store.Key, error) {
	r, err := resource.Parse(raw)
	if err != nil {
		return store.Key{}, err
	}
	return store.Key{Type: r.Type(), ID: r.ID()}, nil
}
