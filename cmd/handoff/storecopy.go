package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/transfer"
	"github.com/handoff-health/handoff/gateway/peers"
)

type storeCopy struct {
	from, to, fromConfig, toConfig string
	verify                         string
	live, verifyOnly, asJSON       bool
}

func newStoreCopyCommand() *cobra.Command {
	var f storeCopy
	cmd := &cobra.Command{
		Use:   "copy --from ADDRESS --to ADDRESS [--live | --verify-only] [--verify full|ahead] [--json]",
		Short: "Copy everything that a store holds to an empty one, and compare both",
		Long: `Copy a store, of either kind, to an empty one: resources with every version,
deleted ones too, index entries and claims; facts with versions and expiries;
streams with their positions. Then both sides are read and compared item by item,
and one hash of each kind is printed. Nothing is deleted from the source.

Stop the gateway first, and whatever else writes: a store that a process has
announced to use is refused (one that was killed counts for a minute), and if the
source changes meanwhile the copy fails in the end. A destination that holds
something else is refused. Run again, the same command brings over what lacks, what
has changed in the source since, and takes away what the source holds no more: so a
copy that was interrupted, or killed, goes on where it stopped. Until a copy has been
verified no gateway starts on the destination; run again after that, it compares only.

--live copies while gateways go on working on the source. What comes of it is NO
FINISHED COPY: it is not compared, and may hold what the source has revoked or
expunged meanwhile. Run it ahead, as often as you like; then stop the gateways and run
the same command without it, which brings over what has changed, and compares.

--verify says how much the comparison reads: full, the default, reads everything.
With ahead the runs with --live read what is there whole and note what is the same on
both sides; the last run then reads only those resources whole of which either side
has other versions, entries or claims by now, and all facts and streams. It does not
see bytes that a disk has altered since they were read; --verify-only does, later.

Not in the store, and to be copied as files: the audit folder with its anchor and
signing key, the keys that the configuration names, rule packs, value sets, mapping
overlays, and the configuration itself, whose section store then names the new one.
Keep the site key: ids and fingerprints depend on it.

--verify-only copies nothing and compares.

Exit status: 0 both hold the same, 1 they do not or the copy failed, 2 the command
line is wrong.`,
		Example: `  handoff store copy --from handoff.db --to 'mongodb://handoff:${env:DB_PASSWORD}@db1,db2,db3/handoff?replicaSet=rs0'
  handoff store copy --from-config old.yaml --to-config new.yaml --live   # gateways run
  handoff store copy --from-config old.yaml --to-config new.yaml          # gateways stand still
  handoff store copy --from config:new.yaml --to backup.db
  handoff store copy --from handoff.db --to-config new.yaml --verify-only --json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	cmd.Flags().StringVar(&f.from, "from", "", "address of the source")
	cmd.Flags().StringVar(&f.to, "to", "", "address of the destination")
	cmd.Flags().StringVar(&f.fromConfig, "from-config", "", "configuration that names the source; the same as --from config:FILE")
	cmd.Flags().StringVar(&f.toConfig, "to-config", "", "configuration that names the destination")
	cmd.Flags().BoolVar(&f.live, "live", false, "copy ahead while the source is in use; what comes of it is no finished copy")
	cmd.Flags().BoolVar(&f.verifyOnly, "verify-only", false, "copy nothing, compare")
	cmd.Flags().StringVar(&f.verify, "verify", verifyFull, "how much the comparison reads: full, or ahead, what has changed since runs with --live --verify ahead")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print one JSON object")
	return cmd
}

// How much a comparison reads.
const (
	verifyFull  = "full"
	verifyAhead = "ahead"
)

func (f *storeCopy) run(cmd *cobra.Command) (err error) {
	switch {
	case f.live && f.verifyOnly:
		return usageError("--live and --verify-only exclude each other")
	case f.verify != verifyFull && f.verify != verifyAhead:
		return usageError("--verify is %q; it may be %s or %s", f.verify, verifyFull, verifyAhead)
	case f.verify == verifyAhead && f.verifyOnly:
		return usageError("--verify %s and --verify-only exclude each other: a copy that is finished is compared whole", verifyAhead)
	}
	source, err := choosePlace("--from", f.from, "--from-config", f.fromConfig)
	if err != nil {
		return err
	}
	target, err := choosePlace("--to", f.to, "--to-config", f.toConfig)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	a, err := source.open(cmd, backend.Options{Existing: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	if err := f.sameSite(ctx, a, source, target); err != nil {
		return err
	}
	from := transfer.Side{Store: a, Name: source.name}
	if !f.verifyOnly {
		// Before the destination is made: what is refused leaves nothing.
		if err := transfer.CheckSource(ctx, from, f.live); err != nil {
			return err
		}
	}
	b, err := target.open(cmd, backend.Options{Existing: f.verifyOnly})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	bar := newBar(cmd.ErrOrStderr(), "copy")
	report, err := f.work(ctx, from, transfer.Side{Store: b, Name: target.name}, transfer.Options{Live: f.live, Ahead: f.verify == verifyAhead, Progress: func(p transfer.Progress) {
		what := "copy"
		if p.Verifying {
			what = "verify"
		}
		bar.show(what, p.Done, p.Total, p.Bytes)
	}})
	bar.end()
	if err = ended(ctx, err, "run the same command again to go on"); err != nil && report.Comparison == nil && !f.asJSON {
		return err
	}
	if werr := f.write(cmd.OutOrStdout(), source.name, target.name, report, err); werr != nil {
		return werr
	}
	if err == nil && !f.live && !report.Comparison.Same() {
		err = fmt.Errorf("%s and %s do not hold the same: %d differences", source.name, target.name, report.Comparison.Differing)
		if report.Resumed {
			err = fmt.Errorf("%w; one of them was used since the copy was finished, or is damaged: copy to an empty destination", err)
		}
	}
	return err
}

// sameSite refuses configurations whose site key is not the source's: no gateway would
// start with them on the copy.
func (f *storeCopy) sameSite(ctx context.Context, from backend.Backend, places ...storePlace) error {
	if f.verifyOnly {
		return nil
	}
	for _, p := range places {
		if p.config == nil {
			continue
		}
		err := peers.CheckSite(ctx, from, []byte(p.config.Site.Key.Reveal()), false)
		if errors.Is(err, peers.ErrKeys) {
			err = fmt.Errorf("site.key at %s would let no gateway start on the copy: %w", p.config.SiteKeyAt(), err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *storeCopy) work(ctx context.Context, from, to transfer.Side, o transfer.Options) (transfer.Report, error) {
	if f.verifyOnly {
		return transfer.Verify(ctx, from, to, o)
	}
	r, err := transfer.Run(ctx, from, to, o)
	if errors.Is(err, store.ErrDamaged) {
		err = fmt.Errorf("%w; 'handoff store check' tells what is wrong, and mends what can be", err)
	}
	return r, err
}

// A copyReport as --json prints it.
type copyReport struct {
	From          string               `json:"from"`
	To            string               `json:"to"`
	Resumed       bool                 `json:"resumed"`
	Copied        transfer.Counts      `json:"copied"` // by this run
	CopySeconds   float64              `json:"copySeconds"`
	VerifySeconds float64              `json:"verifySeconds"`
	Live          bool                 `json:"live"`
	VerifiedAhead int64                `json:"verifiedAhead"` // resources: by a live run in all, by another those not read again
	Same          bool                 `json:"same"`          // compared, and found the same
	Comparison    *transfer.Comparison `json:"comparison,omitempty"`
	Error         string               `json:"error,omitempty"`
}

func (f *storeCopy) write(w io.Writer, from, to string, r transfer.Report, failed error) error {
	if f.asJSON {
		x := copyReport{From: from, To: to, Resumed: r.Resumed, Copied: r.Copied, CopySeconds: r.CopyTime.Seconds(), VerifySeconds: r.VerifyTime.Seconds(),
			Live: f.live, VerifiedAhead: r.Proven, Same: failed == nil && r.Comparison != nil && r.Comparison.Same(), Comparison: r.Comparison}
		if r.Comparison != nil {
			x.VerifiedAhead = r.Comparison.Spared
		}
		if failed != nil {
			x.Error = failed.Error()
		}
		return json.NewEncoder(w).Encode(x)
	}
	fmt.Fprintf(w, "from  %s\nto    %s\n", from, to)
	if !f.verifyOnly {
		writeCopied(w, r)
	}
	c := r.Comparison
	if c == nil {
		if f.live && f.verify == verifyAhead && failed == nil {
			fmt.Fprintf(w, "verified ahead %d resources in %.1f s, %d of them by earlier runs\n", r.Proven, r.VerifyTime.Seconds(), r.Spared)
		}
		if f.live && failed == nil {
			fmt.Fprint(w, "NO FINISHED COPY: the source may have been written to meanwhile, and nothing was compared as a whole. Stop what uses\n"+
				"it and run the same command without --live; until then no gateway starts on the destination.\n")
		}
		return nil
	}
	verdict := "both hold the same"
	if !c.Same() {
		verdict = fmt.Sprintf("NOT THE SAME: %d differences", c.Differing)
	}
	spared := ""
	if c.Spared > 0 {
		spared = fmt.Sprintf(" (%d resources as verified ahead)", c.Spared)
	}
	fmt.Fprintf(w, "compared in %.1f s: %s%s\n", r.VerifyTime.Seconds(), verdict, spared)
	for _, d := range c.Differences {
		fmt.Fprintf(w, "  %s %s: %s\n", d.Kind, d.What, d.How)
	}
	if n := c.Differing - int64(len(c.Differences)); n > 0 {
		fmt.Fprintf(w, "  and %d more\n", n)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "KIND\tSOURCE\tDESTINATION\tSHA-256")
	for _, kind := range transfer.Kinds() {
		a, b := c.Source[kind], c.Destination[kind]
		sum := a.Hash
		if a.Hash != b.Hash {
			sum += " ≠ " + b.Hash
		}
		fmt.Fprintf(tw, "%s\t%d\t%d\t%s\n", kind, a.Count, b.Count, sum)
	}
	return tw.Flush()
}

func writeCopied(w io.Writer, r transfer.Report) {
	c, took := r.Copied, max(r.CopyTime.Seconds(), 0.001)
	again, gone := "", ""
	if r.Resumed {
		again = " (went on with a copy that was begun before)"
	}
	if c.Removed+c.FactsRemoved > 0 {
		gone = fmt.Sprintf("removed %d resources and %d facts that the source holds no more\n", c.Removed, c.FactsRemoved)
	}
	fmt.Fprintf(w, "copied %d resources in %d versions, %d facts, %d entries of %d streams%s\n%s", c.Resources, c.Versions, c.Facts, c.Entries, c.Streams, again, gone)
	fmt.Fprintf(w, "       %.1f MB in %.1f s: %.0f resources/s, %.1f MB/s\n", float64(c.Bytes)/1e6, r.CopyTime.Seconds(), float64(c.Resources)/took, float64(c.Bytes)/took/1e6)
}
