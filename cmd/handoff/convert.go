package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/adapters/convert"
	"github.com/handoff-health/handoff/mappings"
)

// newConvertCommand prints source records as FHIR.
func newConvertCommand() *cobra.Command {
	var f convertFlags
	cmd := &cobra.Command{
		Use:   "convert --adapter NAME [--profile FILE] [--bundle] [--rejects FILE] PATH…",
		Short: "Turn source records into FHIR",
		Long: `Turn the records of files, or of standard input (-), into FHIR R4 resources:
NDJSON on standard output, or one transaction Bundle of PUTs with --bundle.

Each rejected record is one JSON object {source, line, field, severity, code,
message}, on standard error or in the file of --rejects. Without --rejects they
are the only JSON on standard error. The counts come last, as text:
records = created + updated + duplicates + rejects + non-records.

Files are read twice, so that each resource comes out once, in its final state,
and nothing of a record that is expunged further down. Standard input is read
once: a resource comes out each time it changes, the last one counts.

Ids are made with a public test key: the same records give the same ids
everywhere, and nothing is hidden by them. Do not load them into a store that
others use; 'handoff ingest' makes ids with the site's own key.

Adapters:
` + adapterHelp() + `
Exit status: 0 all records were taken, 3 some were rejected, 1 the input, the
mapping or the output failed, 2 the command line is wrong.`,
		Example: `  handoff convert --adapter rms/csv export.csv > resources.ndjson
  handoff convert --adapter rms/csv --bundle --rejects rejects.ndjson export.csv > bundle.json
  handoff convert --adapter ehr/hl7v2 - < messages.hl7`,
		RunE: func(cmd *cobra.Command, args []string) error { return runConvert(cmd, args, &f) },
	}
	cmd.Flags().StringVarP(&f.adapter, "adapter", "a", "", "format of the records")
	cmd.Flags().StringVarP(&f.profile, "profile", "p", "", "profile of the sender (default: the one of the mapping)")
	cmd.Flags().BoolVar(&f.bundle, "bundle", false, "print one transaction Bundle")
	cmd.Flags().StringVar(&f.rejects, "rejects", "", "file for the rejects (default: standard error)")
	cmd.Flags().StringVar(&f.issues, "issues", "", "file for every finding, warnings and hints too")
	return cmd
}

type convertFlags struct {
	adapter, profile, rejects, issues string
	bundle                            bool
}

func runConvert(cmd *cobra.Command, args []string, f *convertFlags) (err error) {
	paths, err := inputs(cmd, args)
	if err != nil {
		return err
	}
	fd, err := loadFeed(f.adapter, f.profile)
	if err != nil {
		return err
	}
	out, stderr := cmd.OutOrStdout(), cmd.ErrOrStderr()
	if out == os.Stdout {
		// A reader that goes away shall be an error that can be told, not the
		// end of the process.
		signal.Ignore(syscall.SIGPIPE)
	}
	bar := newProgress(stderr)
	job := convert.Job{Format: fd.format, Options: fd.options, Mapper: fd.mapping, Mapping: mappings.Options{IDs: mappings.TestIDs},
		Bundle: f.bundle, Out: out, Rejects: stderr}
	if bar != nil {
		job.Tick = bar.tick
	}
	for _, x := range []struct {
		name string
		to   *io.Writer
	}{{f.rejects, &job.Rejects}, {f.issues, &job.Issues}} {
		if x.name == "" {
			continue
		}
		file, err := os.OpenFile(x.name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		*x.to = file
	}
	reports, err := job.Run(cmd.Context(), paths)
	bar.done()
	if err != nil {
		for _, r := range reports {
			_, _ = r.WriteTo(stderr)
		}
		if errors.Is(err, syscall.EPIPE) {
			return fmt.Errorf("the reader of the output went away: %w", err)
		}
		return interrupted(cmd.Context(), err)
	}
	return summary(stderr, reports)
}
