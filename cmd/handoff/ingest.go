package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/adapters/convert"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/adapters/ingest"
	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/part2"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/identity"
)

// newIngestCommand brings source records into the store.
func newIngestCommand() *cobra.Command {
	var f ingestFlags
	cmd := &cobra.Command{
		Use:   "ingest --config FILE --adapter NAME [--system KEY] PATH…",
		Short: "Bring source records into the store",
		Long: `Bring the records of files, or of standard input (-), into the store that the
configuration names, as records of one of its systems of kind feed. Custodian
and origin come from the configuration, never from a record. --system is needed
only if several feeds use the adapter.

A record that is known is a duplicate, an older one is superseded, a newer one
updates what is stored; running a file again changes nothing. A run that was
interrupted goes on where it stopped. Rejected records are kept with their text
in the reject queue of the system.

A seal, a void or a revoked consent wins against a record of the same time, a
seal also against a newer one; only a later record lifts it. What is expunged
does not come back. An order to expunge what is not there is rejected: its key
may be misspelt.

Adapters:
` + adapterHelp() + `
Exit status: 0 all records were taken, 3 some were rejected, 1 the input, the
configuration or the store failed, 2 the command line is wrong.`,
		Example: `  handoff ingest --config handoff.yaml --adapter rms/csv export.csv
  handoff ingest --config handoff.yaml --adapter ehr/hl7v2 --system clinic-adt adt/*.hl7`,
		RunE: func(cmd *cobra.Command, args []string) error { return runIngest(cmd, args, &f) },
	}
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "configuration file")
	cmd.Flags().StringVarP(&f.adapter, "adapter", "a", "", "format of the records")
	cmd.Flags().StringVar(&f.system, "system", "", "key of the feed in the configuration")
	return cmd
}

type ingestFlags struct{ config, adapter, system string }

func runIngest(cmd *cobra.Command, args []string, f *ingestFlags) (err error) {
	if f.config == "" {
		return usageError("ingest needs --config FILE")
	}
	if f.adapter == "" {
		return usageError("the flag --adapter is missing; known are: %s", adapterNames())
	}
	paths, err := inputs(cmd, args)
	if err != nil {
		return err
	}
	c, err := loadConfig(f.config)
	if err != nil {
		return err
	}
	system, err := chooseFeed(c, f.adapter, f.system)
	if err != nil {
		return err
	}
	fd, err := configuredFeed(c, system)
	if err != nil {
		return err
	}
	db, err := storeFor(cmd, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	target, err := newIngestTarget(c, db, system)
	if err != nil {
		return fmt.Errorf("%s: %w", f.config, err)
	}
	bar := newProgress(cmd.ErrOrStderr())
	if bar != nil {
		target.Tick = bar.tick
	}
	reports, err := ingestInto(cmd.Context(), target, fd, paths)
	bar.done()
	if err != nil {
		for _, r := range reports {
			_, _ = r.WriteTo(cmd.ErrOrStderr())
		}
		return interrupted(cmd.Context(), err)
	}
	return summary(cmd.OutOrStdout(), reports)
}

// chooseFeed finds the feed that a command means.
func chooseFeed(c *config.Config, adapter, key string) (config.System, error) {
	var fits []config.System
	var keys []string
	for _, s := range c.Systems {
		if s.Kind != "feed" {
			continue
		}
		keys = append(keys, s.Key+" ("+s.Adapter+")")
		if s.Adapter == adapter && (key == "" || s.Key == key) {
			fits = append(fits, s)
		}
	}
	switch {
	case len(fits) == 1:
		return fits[0], nil
	case len(fits) > 1:
		return config.System{}, usageError("several feeds use %s; say which with --system: %s", adapter, strings.Join(keys, ", "))
	case key != "":
		return config.System{}, usageError("the configuration has no feed %q with the adapter %s; it has: %s", key, adapter, strings.Join(keys, ", "))
	}
	return config.System{}, usageError("the configuration has no feed with the adapter %s; it has: %s", adapter, strings.Join(keys, ", "))
}

// An ingestTarget is where records go and as whose.
type ingestTarget struct {
	Store   store.Store
	Facts   store.Facts
	Log     store.Log
	Origin  resource.Origin
	Units   *part2.Rules // of the system's Part 2 units
	SiteKey []byte
	Adapter string
	Profile string // file; "" for the mapping's own
	Linker  ingest.Linker
	Eraser  ingest.Eraser    // nil: the store has no files of its own
	Auditor ingest.Auditor   // beside the system's own event stream
	Clock   func() time.Time // the store's
	Tick    func(*flow.Report)
}

// newIngestTarget is a store as the place where a system's records go.
func newIngestTarget(c *config.Config, db backend.Backend, s config.System) (ingestTarget, error) {
	key := []byte(c.Site.Key.Reveal())
	directory, err := attribute.NewDirectory(c)
	if err != nil {
		return ingestTarget{}, err
	}
	origin, ok := directory.Origin(s.Key)
	if !ok {
		return ingestTarget{}, fmt.Errorf("the system %s has no custodian", s.Key)
	}
	ids, err := identity.NewIDMap(db, key, slugs(c))
	if err != nil {
		return ingestTarget{}, err
	}
	links := identity.NewLinks(db, ids, db.Now)
	t := ingestTarget{Store: db, Facts: db, Log: db, Origin: origin, Units: directory.Units(s.Key), SiteKey: key, Clock: db.Now,
		Adapter: s.Adapter, Profile: profileOf(c, s), Eraser: eraserOf(db), Linker: feedLinker{identity.NewLinker(links, storedPeople{db}), links, ids, db}}
	return t, nil
}

// eraserOf is a store as one that overwrites what was removed; nil if its files are
// somebody else's.
func eraserOf(db backend.Backend) ingest.Eraser {
	e, _ := db.(store.Eraser)
	return e
}

// pipeline makes a pipeline to the target.
func (t *ingestTarget) pipeline(fd *feed) *ingest.Pipeline {
	return &ingest.Pipeline{
		Format: fd.format, Mapper: fd.mapping, Options: fd.options,
		Origin: t.Origin, Units: t.Units, SiteKey: t.SiteKey, Store: t.Store, Facts: t.Facts, Log: t.Log,
		Validator: ingest.R4{}, Labeler: ingest.Labels{Labeller: label.New(label.Options{})}, Indexer: ingest.Entries{},
		Linker: t.Linker, Eraser: t.Eraser, Auditor: t.Auditor, Clock: t.Clock, Tick: t.Tick,
	}
}

// ingestInto brings inputs into a store. It returns a report for each input that
// was read, also with an error.
func ingestInto(ctx context.Context, t ingestTarget, fd *feed, paths []convert.Path) ([]*flow.Report, error) {
	p := t.pipeline(fd)
	var reports []*flow.Report
	for _, path := range paths {
		report, err := ingestOne(ctx, p, path)
		if report != nil {
			reports = append(reports, report)
		}
		if err != nil {
			return reports, err
		}
	}
	return reports, nil
}

func ingestOne(ctx context.Context, p *ingest.Pipeline, path convert.Path) (report *flow.Report, err error) {
	in, closer, err := path.Open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closer.Close()) }()
	return p.Run(ctx, in)
}
