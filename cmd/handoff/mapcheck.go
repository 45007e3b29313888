package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/mappings"
)

// checkFlags are the flags of map check.
type checkFlags struct {
	profile, adapter string
	samples          []string
	failUnmapped     bool
}

func newMapCheckCommand() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check [--profile FILE] [--sample FILE]… [FILE…]",
		Short: "Load mapping files and report what they read and make",
		Long: `Load mapping files with their vocabularies, data types and profiles, and report
every fault with its place, or what the mapping reads and makes. Fields that no
row reads and nobody left out on purpose are listed, of HL7 v2 by segment.

A FILE is a path, or the name of a built-in mapping; a profile (*.profile.yaml)
is checked with the mapping that it names; a vocabulary (*.csv) by itself.
Without FILE the mapping of --profile is checked, or all built-in mappings. A
vocabulary /codes/x.csv is looked for in the directory codes of the working
directory, then among the built-in ones.

With --sample the records of a file are mapped, and the fields without a row and
the codes without an entry are listed with their number and first place. The
records' values are not printed, but for the codes.

Exit status: 0 no faults, 1 faults, 2 the command line is wrong. Unmapped fields
and codes are no fault, unless --fail-unmapped is given.`,
		Example: `  handoff map check
  handoff map check our/contact.map.yaml
  handoff map check --profile our/our.profile.yaml --sample export.csv`,
		RunE: func(cmd *cobra.Command, args []string) error { return checkMaps(cmd, args, f) },
	}
	cmd.Flags().StringVarP(&f.profile, "profile", "p", "", "profile of a sender (default: the one that the mapping names)")
	cmd.Flags().StringVarP(&f.adapter, "adapter", "a", "", "format of the samples (default: the one that the profile names)")
	cmd.Flags().StringArrayVar(&f.samples, "sample", nil, "file with records to map; can be given several times")
	cmd.Flags().BoolVar(&f.failUnmapped, "fail-unmapped", false, "unmapped fields and codes of the samples are a fault")
	return cmd
}

func checkMaps(cmd *cobra.Command, args []string, f checkFlags) error {
	if len(args) == 0 && f.profile != "" {
		args = []string{""} // the profile's own
	}
	if len(args) == 0 {
		args = mappings.Names(mappings.Files())
	}
	if len(f.samples) > 0 && len(args) != 1 {
		return usageError("--sample goes with one mapping")
	}
	failed := 0
	for _, name := range args {
		if err := checkMap(cmd, name, f); err != nil {
			var usage *exitError
			if errors.As(err, &usage) {
				return err
			}
			failed++
			fmt.Fprintln(cmd.ErrOrStderr(), err)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d files have faults", failed, len(args))
	}
	return nil
}

func checkMap(cmd *cobra.Command, name string, f checkFlags) error {
	out := cmd.OutOrStdout()
	files := localFiles{mappings.Files()}
	switch {
	case strings.HasSuffix(name, ".csv"):
		return checkVocabulary(out, files, name)
	case strings.HasSuffix(name, ".profile.yaml"):
		name, f.profile = "", name
	}
	var m *mappings.Map
	var fd *feed
	var err error
	if len(f.samples) > 0 || name == "" {
		if fd, err = openMapping(files, name, f.profile, f.adapter); err != nil {
			return err
		}
		m = fd.mapping
	} else {
		var p *mappings.Profile
		if f.profile != "" {
			if p, err = readProfile(files, f.profile); err != nil {
				return err
			}
		}
		if m, err = mappings.Load(files, filepath.ToSlash(name), p); err != nil {
			return err
		}
	}
	if err := showCoverage(out, name, m); err != nil || fd == nil {
		return err
	}
	return checkSamples(cmd.Context(), out, fd, f)
}

func showCoverage(out io.Writer, name string, m *mappings.Map) error {
	if name == "" {
		name = m.Name
	}
	c := m.Coverage()
	var b strings.Builder
	fmt.Fprintf(&b, "ok  %s (%s): %s\n", name, m.Identity(), c)
	for _, typ := range slices.Sorted(maps.Keys(c.Resources)) {
		fmt.Fprintf(&b, "    makes %s by %d\n", typ, c.Resources[typ])
	}
	for _, s := range c.Segments {
		fmt.Fprintf(&b, "    %s\n", s)
	}
	if len(c.Unread) > 0 && c.Segments == nil {
		fmt.Fprintf(&b, "    unread: %s\n", strings.Join(c.Unread, ", "))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func checkVocabulary(out io.Writer, files localFiles, name string) error {
	file, err := files.Open(filepath.ToSlash(name))
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	raw, err := io.ReadAll(io.LimitReader(file, 8<<20))
	if err != nil {
		return err
	}
	codes, unused, err := mappings.CheckVocabulary(filepath.ToSlash(name), raw)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "ok  %s: %d codes, %d rows not used\n", name, codes, len(unused))
	for _, r := range unused {
		if _, err := fmt.Fprintf(out, "    %s:%d: %s\n", r.File, r.Line, r.Message); err != nil {
			return err
		}
	}
	return nil
}

// A gap is a field or code of the samples without a mapping.
type gap struct {
	what, first string
	n           int
}

// mappingFailed is the code of a record with which the mapping broke off.
const mappingFailed = "mapping-failed"

// checkSamples maps the records of files and lists what has no mapping.
func checkSamples(ctx context.Context, out io.Writer, fd *feed, f checkFlags) error {
	gaps := map[string]*gap{}
	records, rejects := 0, map[string]*gap{}
	var broken []error // records with which the mapping itself broke off
	note := func(in map[string]*gap, what, at string) {
		g := in[what]
		if g == nil {
			g = &gap{what: what, first: at}
			in[what] = g
		}
		g.n++
	}
	for _, name := range f.samples {
		in, closer, err := adapters.OpenFile(name)
		if err != nil {
			return err
		}
		err = eachRecord(ctx, fd, in, func(item adapters.Item, res *mappings.Result, code string) {
			records++
			if code == mappingFailed && len(broken) < 10 {
				broken = append(broken, errors.New(res.Issues[0].Message))
			}
			if code != "" {
				note(rejects, "rejected: "+code, place(item.Pos))
			}
			if res == nil {
				return
			}
			for _, u := range res.Unmapped {
				what := "no row for the field " + u.Field
				if u.Vocabulary != "" {
					what = fmt.Sprintf("no entry in %s for the code %q of %s", u.Vocabulary, u.Code, u.Field)
				}
				note(gaps, what, place(u.Pos))
			}
		})
		_ = closer.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	fmt.Fprintf(out, "    samples: %d records\n", records)
	for _, in := range []map[string]*gap{rejects, gaps} {
		for _, k := range slices.Sorted(maps.Keys(in)) {
			if _, err := fmt.Fprintf(out, "    %6d  %s, first at %s\n", in[k].n, k, in[k].first); err != nil {
				return err
			}
		}
	}
	if len(broken) > 0 {
		return errors.Join(broken...)
	}
	if f.failUnmapped && len(gaps) > 0 {
		return fmt.Errorf("%d fields and codes of the samples have no mapping", len(gaps))
	}
	return nil
}

// eachRecord maps the records of one input. code says why one was rejected.
func eachRecord(ctx context.Context, fd *feed, in adapters.Input, do func(item adapters.Item, res *mappings.Result, code string)) error {
	src, err := fd.format.Open(ctx, in, fd.options)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	for {
		item, err := src.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch item.Kind {
		case adapters.Rejected:
			do(item, nil, rejectCode(item, nil))
		case adapters.Data:
			res := flow.Apply(fd.mapping, item.Record, mappings.Options{})
			code := ""
			if res.Action == mappings.Reject {
				code = rejectCode(item, res)
			}
			do(item, res, code)
		}
	}
}

// rejectCode says why a record was rejected.
func rejectCode(item adapters.Item, res *mappings.Result) string {
	return flow.RejectOf(&flow.Mapped{Item: item, Result: res}).Code
}
