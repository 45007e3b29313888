package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/adapters/casefile"
	"github.com/handoff-health/handoff/mappings"
)

// newMapTestCommand runs the tests that stand beside mappings.
func newMapTestCommand() *cobra.Command {
	var f mapTestFlags
	cmd := &cobra.Command{
		Use:   "test [FILE|DIR…]",
		Short: "Run the tests beside a mapping",
		Long: `Run the tests of mappings: files *.test.yaml, each with inputs and what must come
of them (FHIRPath, counts, references, findings, rejects). What comes out must be
valid R4, too.

A FILE is a test file, or a mapping or profile: then the tests in its directory,
and in tests below it, that name it are run. A DIR is searched for test files.
Without FILE the built-in tests are run.

A case that does not hold is printed with its place, what came, what was wanted,
and the row that made it. --rows lists the rows of the mapping that no case
reached.

Exit status: 0 all hold, 1 some do not or a file cannot be read, 2 the command
line is wrong.`,
		Example: `  handoff map test
  handoff map test our/contact.map.yaml
  handoff map test --rows our/tests`,
		RunE: func(cmd *cobra.Command, args []string) error { return testMaps(cmd, args, f) },
	}
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "list the cases that hold, too")
	cmd.Flags().BoolVar(&f.rows, "rows", false, "list the rows that no case reached")
	return cmd
}

type mapTestFlags struct{ verbose, rows bool }

// A tester runs test files and sums up.
type tester struct {
	cmd           *cobra.Command
	flags         mapTestFlags
	files         fs.FS
	cases, failed int
	broken        int
	reached       map[string]bool // rows, by file:line
	maps          []*mappings.Map
}

func testMaps(cmd *cobra.Command, args []string, f mapTestFlags) error {
	t := &tester{cmd: cmd, flags: f, files: localFiles{mappings.Files()}, reached: map[string]bool{}}
	files, err := t.find(args)
	if err != nil {
		return err
	}
	for _, name := range files {
		if err := t.file(cmd.Context(), name); err != nil {
			if cmd.Context().Err() != nil {
				return err
			}
			t.broken++
			fmt.Fprintln(cmd.ErrOrStderr(), err)
		}
	}
	if f.rows {
		if err := t.unreached(); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%d cases in %d files: %d hold, %d do not\n", t.cases, len(files), t.cases-t.failed, t.failed); err != nil {
		return err
	}
	switch {
	case t.broken > 0:
		return fmt.Errorf("%d of %d test files could not be run", t.broken, len(files))
	case t.failed > 0:
		return fmt.Errorf("%d of %d cases do not hold", t.failed, t.cases)
	}
	return nil
}

const testSuffix = ".test.yaml"

// find lists the test files that arguments mean. It is an error if one means
// none: tests that are not there hold nothing.
func (t *tester) find(args []string) ([]string, error) {
	if len(args) == 0 {
		return mappings.CaseFiles(mappings.Files()), nil
	}
	var out []string
	for _, a := range args {
		a = filepath.ToSlash(a)
		found, err := t.findOne(a)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("%s: no tests of it were found: they stand beside it, in files named *%s", a, testSuffix)
		}
		for _, f := range found {
			if !slices.Contains(out, f) {
				out = append(out, f)
			}
		}
	}
	return out, nil
}

func (t *tester) findOne(a string) ([]string, error) {
	if info, err := os.Stat(a); err == nil && info.IsDir() {
		return testsBelow(a)
	}
	if strings.HasSuffix(a, testSuffix) {
		return []string{a}, nil
	}
	if _, err := fs.Stat(t.files, a); err != nil {
		return nil, fmt.Errorf("%s: there is no such file, and no built-in mapping of this name", a)
	}
	var near []string
	for _, dir := range []string{path.Dir(a), path.Join(path.Dir(a), "tests")} {
		list, err := fs.Glob(globbed{t.files}, path.Join(dir, "*"+testSuffix))
		if err != nil {
			return nil, err
		}
		near = append(near, list...)
	}
	for _, n := range mappings.CaseFiles(mappings.Files()) {
		if d := path.Dir(n); (d == path.Dir(a) || d == path.Join(path.Dir(a), "tests")) && !slices.Contains(near, n) {
			near = append(near, n)
		}
	}
	var out []string
	for _, n := range near {
		raw, err := fs.ReadFile(t.files, n)
		if err != nil {
			return nil, err
		}
		c, err := mappings.ParseCases(n, raw)
		if err != nil || beside(n, c.Mapping) == a || beside(n, c.Profile) == a {
			out = append(out, n) // one that cannot be read says so when it is run
		}
	}
	return out, nil
}

// globbed lists the directories of this machine.
type globbed struct{ fs.FS }

// ReadDir implements fs.ReadDirFS.
func (g globbed) ReadDir(name string) ([]fs.DirEntry, error) {
	return os.ReadDir(filepath.FromSlash(name))
}

func testsBelow(dir string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(p, testSuffix) {
			out = append(out, filepath.ToSlash(p))
		}
		return err
	})
	return out, err
}

// beside is the path of a file that another names: /x from the root of the
// built-in files, else from the directory of the one that names it.
func beside(file, name string) string {
	if name == "" || strings.HasPrefix(name, "/") {
		return strings.TrimPrefix(name, "/")
	}
	return path.Join(path.Dir(file), name)
}

// file runs the cases of one file.
func (t *tester) file(ctx context.Context, name string) error {
	raw, err := fs.ReadFile(t.files, name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, pathReason(err))
	}
	c, err := mappings.ParseCases(name, raw)
	if err != nil {
		return err
	}
	fd, err := t.feed(name, c)
	if err != nil {
		return err
	}
	t.maps = append(t.maps, fd.mapping)
	for i := range c.Cases {
		if err := t.run(ctx, name, &c.Cases[i], fd); err != nil {
			return err
		}
	}
	return nil
}

// feed loads what the cases of a file test.
func (t *tester) feed(name string, c *mappings.CaseFile) (*feed, error) {
	fd, err := openMapping(t.files, beside(name, c.Mapping), beside(name, c.Profile), c.Adapter)
	if err != nil {
		at := c.MappingAt
		if at == "" {
			at = c.ProfileAt
		}
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	return fd, nil
}

func (t *tester) run(ctx context.Context, name string, c *mappings.Case, fd *feed) error {
	input := []byte(c.Input)
	if c.File != "" {
		var err error
		if input, err = fs.ReadFile(t.files, beside(name, c.File)); err != nil {
			return fmt.Errorf("%s: the file %s: %w", c.At, beside(name, c.File), pathReason(err))
		}
	}
	t.cases++
	o, err := casefile.Run(ctx, casefile.Feed{Format: fd.format, Options: fd.options, Mapper: fd.mapping}, c, input)
	if err != nil {
		o = &casefile.Outcome{Failures: []casefile.Failure{{At: c.At, Message: "the input cannot be read: " + err.Error()}}}
	}
	for _, tr := range o.Trace {
		t.reached[tr.Row] = true
	}
	out := t.cmd.OutOrStdout()
	if len(o.Failures) == 0 {
		if t.flags.verbose {
			_, err = fmt.Fprintf(out, "ok    %s %s\n", c.At, c.Name)
			return err
		}
		return nil
	}
	t.failed++
	if _, err := fmt.Fprintf(out, "FAIL  %s %s\n", c.At, c.Name); err != nil {
		return err
	}
	for _, f := range o.Failures {
		if _, err := fmt.Fprintf(out, "      %s: %s\n", f.At, f.Message); err != nil {
			return err
		}
	}
	return nil
}

// unreached lists the rows that made nothing in any case.
func (t *tester) unreached() error {
	seen := map[string]bool{}
	for _, m := range t.maps {
		for _, r := range m.Rows() {
			if seen[r.At] {
				continue
			}
			seen[r.At] = true
			if !t.reached[r.At] {
				if _, err := fmt.Fprintf(t.cmd.OutOrStdout(), "not reached: %s %s\n", r.At, r.Element); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// pathReason is an error of a file system without the path.
func pathReason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
