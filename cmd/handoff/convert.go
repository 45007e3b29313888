package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
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
	boundMemory(convertLimit)
	paths, err := inputs(cmd, args)
	if err != nil {
		return err
	}
	fd, err := loadFeed(f.adapter, f.profile)
	if err != nil {
		return err
	}
	out, stderr := cmd.OutOrStdout(), cmd.ErrOrStderr()
	if err := apart(cmd, args, f); err != nil {
		return err
	}
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

// apart refuses a conversion that would write over what it reads or write two
// outputs into one file, before anything is opened: opening an output empties it.
func apart(cmd *cobra.Command, args []string, f *convertFlags) error {
	type file struct {
		name string
		info os.FileInfo // nil: not there yet
	}
	var inputs, outputs []file
	for _, a := range args {
		if a == "-" {
			if in, ok := cmd.InOrStdin().(*os.File); ok {
				if info, err := in.Stat(); err == nil {
					inputs = append(inputs, file{"standard input", info})
				}
			}
			continue
		}
		if info, err := os.Stat(a); err == nil {
			inputs = append(inputs, file{a, info})
		}
	}
	if f.profile != "" {
		if info, err := os.Stat(f.profile); err == nil {
			inputs = append(inputs, file{f.profile, info})
		}
	}
	if out, ok := cmd.OutOrStdout().(*os.File); ok {
		if info, err := out.Stat(); err == nil {
			outputs = append(outputs, file{"standard output", info})
		}
	}
	for _, name := range []string{f.rejects, f.issues} {
		if name == "" {
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			info = nil
		}
		outputs = append(outputs, file{name, info})
	}
	for i, out := range outputs {
		for _, in := range inputs {
			if overwrites(out.info, in.info) {
				return usageError("%s is the same file as %s, which is read: it was left as it is", out.name, in.name)
			}
		}
		for _, other := range outputs[:i] {
			if overwrites(out.info, other.info) || out.info == nil && other.info == nil && samePath(out.name, other.name) {
				return usageError("%s and %s are the same file; name one for each", other.name, out.name)
			}
		}
	}
	return nil
}

// overwrites says that both are one regular file. A terminal or /dev/null may
// well be both.
func overwrites(a, b os.FileInfo) bool {
	return a != nil && b != nil && a.Mode().IsRegular() && os.SameFile(a, b)
}

// samePath compares the paths of files that are not there yet.
func samePath(a, b string) bool {
	resolve := func(p string) string {
		abs, err := filepath.Abs(p)
		if err != nil {
			return p
		}
		if dir, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil {
			return filepath.Join(dir, filepath.Base(abs))
		}
		return abs
	}
	return resolve(a) == resolve(b)
}
