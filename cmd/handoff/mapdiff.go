package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/convert"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/mappings"
)

// newMapDiffCommand compares two mappings over records.
func newMapDiffCommand() *cobra.Command {
	var d differ
	cmd := &cobra.Command{
		Use:   "diff OLD NEW CORPUS…",
		Short: "Tell what a changed mapping changes over records",
		Long: `Map the records of files, or of all files in directories, by two mappings and
tell what differs: elements that are added, removed or changed, with the number
of records, the first place, and the rows of both; records that are rejected now
or no longer; fields and codes that are unmapped now or no longer.

OLD and NEW are mapping files, or profiles, which name their mapping. Values of
records are not printed unless --values is given. Provenance is left out: it
names the mapping's version. Nothing is stored.

Exit status: 0 nothing differs, 1 something does or a file cannot be read, 2 the
command line is wrong.`,
		Example: `  handoff map diff old/contact.map.yaml new/contact.map.yaml exports/
  handoff map diff --records old.profile.yaml new.profile.yaml export.csv`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 3 {
				return usageError("map diff takes two mappings or profiles and files or directories of records")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return d.run(cmd, args[0], args[1], args[2:]) },
	}
	cmd.Flags().StringVarP(&d.adapter, "adapter", "a", "", "format of the records, if the profiles do not say: "+adapterNames())
	cmd.Flags().StringVarP(&d.profile, "profile", "p", "", "profile of the sender for both mappings")
	cmd.Flags().BoolVar(&d.records, "records", false, "list the changes of each record")
	cmd.Flags().BoolVar(&d.values, "values", false, "with --records: print old and new values")
	return cmd
}

// A differ maps each record twice and tallies what differs.
type differ struct {
	adapter, profile string
	records, values  bool

	old, new  *feed
	out       *bufio.Writer
	tally     map[string]*change
	order     []string
	total     int // records
	different int
	unread    int // files that could not be read
}

// A change is one way in which records differ.
type change struct {
	what     string // "changed Encounter.class"
	count    int    // records
	first    string // file:line
	old, new string // rows
	last     int    // number of the record that was counted last
}

func (d *differ) run(cmd *cobra.Command, from, to string, corpus []string) error {
	var err error
	if d.old, err = d.load(from); err != nil {
		return fmt.Errorf("OLD: %w", err)
	}
	if d.new, err = d.load(to); err != nil {
		return fmt.Errorf("NEW: %w", err)
	}
	files, err := corpusFiles(corpus)
	if err != nil {
		return err
	}
	paths, err := inputs(cmd, files)
	if err != nil {
		return err
	}
	d.out, d.tally = bufio.NewWriter(cmd.OutOrStdout()), map[string]*change{}
	for _, p := range paths {
		if err := d.file(cmd.Context(), p); err != nil {
			if cmd.Context().Err() != nil {
				return err
			}
			d.unread++
			fmt.Fprintln(cmd.ErrOrStderr(), err)
		}
	}
	if err := d.summary(len(paths)); err != nil {
		return err
	}
	switch {
	case d.unread > 0:
		return fmt.Errorf("%d of %d files could not be compared", d.unread, len(paths))
	case d.total == 0:
		return errors.New("the corpus holds no record")
	case d.different > 0:
		return fmt.Errorf("%d of %d records differ", d.different, d.total)
	}
	return nil
}

// load reads a mapping, or a profile with the mapping that it names.
func (d *differ) load(name string) (*feed, error) {
	files := localFiles{mappings.Files()}
	if strings.HasSuffix(name, ".profile.yaml") {
		return openMapping(files, "", name, d.adapter)
	}
	return openMapping(files, name, d.profile, d.adapter)
}

// corpusFiles lists files, and those below directories that are not hidden.
func corpusFiles(args []string) ([]string, error) {
	var out []string
	for _, a := range args {
		if info, err := os.Stat(a); a == "-" || err != nil || !info.IsDir() {
			out = append(out, a) // opening it says what is wrong with it
			continue
		}
		before := len(out)
		err := filepath.WalkDir(a, func(p string, e os.DirEntry, err error) error {
			hidden := strings.HasPrefix(filepath.Base(p), ".") && p != a
			switch {
			case err != nil:
				return err
			case e.IsDir() && hidden:
				return filepath.SkipDir
			case e.Type().IsRegular() && !hidden:
				out = append(out, p)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if len(out) == before {
			return nil, fmt.Errorf("%s: the directory holds no files", a)
		}
	}
	return out, nil
}

// file reads one input side by side with both feeds.
func (d *differ) file(ctx context.Context, p convert.Path) error {
	if p.Stream {
		return fmt.Errorf("%s: a stream can be read once only; map diff reads each file twice", p.Name)
	}
	a, closeA, err := openSource(ctx, p, d.old)
	if err != nil {
		return err
	}
	defer closeA()
	b, closeB, err := openSource(ctx, p, d.new)
	if err != nil {
		return err
	}
	defer closeB()
	for {
		x, errA := a.Next(ctx)
		y, errB := b.Next(ctx)
		switch {
		case errors.Is(errA, io.EOF) && errors.Is(errB, io.EOF):
			return nil
		case errA != nil && !errors.Is(errA, io.EOF):
			return errA
		case errB != nil && !errors.Is(errB, io.EOF):
			return errB
		case errA != nil || errB != nil || x.Pos.Line != y.Pos.Line:
			return fmt.Errorf("%s: the two feeds part the input into records differently, from line %d on", p.Name, max(x.Pos.Line, y.Pos.Line))
		}
		if x.Kind == adapters.Data || x.Kind == adapters.Rejected || y.Kind == adapters.Data || y.Kind == adapters.Rejected {
			if err := d.compare(x, y); err != nil {
				return err
			}
		}
	}
}

func openSource(ctx context.Context, p convert.Path, fd *feed) (adapters.Source, func(), error) {
	in, closer, err := p.Open()
	if err != nil {
		return nil, nil, err
	}
	src, err := fd.format.Open(ctx, in, fd.options)
	if err != nil {
		return nil, nil, errors.Join(err, closer.Close())
	}
	return src, func() { _, _ = src.Close(), closer.Close() }, nil
}

// outcomeOf maps an item and says what becomes of it.
func outcomeOf(fd *feed, item adapters.Item) (*mappings.Result, string) {
	res := &mappings.Result{}
	if item.Kind == adapters.Data {
		res = flow.Apply(fd.mapping, item.Record, mappings.Options{Trace: true})
	}
	if res.Action == mappings.Reject {
		return res, "reject " + flow.RejectOf(&flow.Mapped{Item: item, Result: res}).Code
	}
	return res, strings.TrimSpace(res.Action.String() + " " + res.Reason)
}

// compare counts what differs in one record.
func (d *differ) compare(x, y adapters.Item) error {
	d.total++
	at := fmt.Sprintf("%s:%d", x.Pos.Source, x.Pos.Line)
	old, was := outcomeOf(d.old, x)
	now, is := outcomeOf(d.new, y)
	var found []difference
	if was != is {
		found = append(found, difference{what: "outcome " + was + " → " + is})
	}
	found = append(found, unmappedDifferences(old, now)...)
	found = append(found, resourceDifferences(old, now)...)
	if len(found) == 0 {
		return nil
	}
	d.different++
	if d.records {
		if _, err := fmt.Fprintln(d.out, at); err != nil {
			return err
		}
	}
	for _, f := range found {
		d.count(f, at)
		if d.records {
			if err := d.show(f); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *differ) count(f difference, at string) {
	c := d.tally[f.what]
	if c == nil {
		c = &change{what: f.what, first: at, old: f.oldRow, new: f.newRow}
		d.tally[f.what] = c
		d.order = append(d.order, f.what)
	}
	if c.last != d.total {
		c.last = d.total
		c.count++
	}
}

func (d *differ) show(f difference) error {
	_, err := fmt.Fprintf(d.out, "  %s%s", f.what, f.index)
	if err == nil && d.values && (f.old != "" || f.new != "") {
		_, err = fmt.Fprintf(d.out, ": %s → %s", orNothing(f.old), orNothing(f.new))
	}
	if err == nil {
		_, err = fmt.Fprintln(d.out)
	}
	return err
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// summary prints the tally, what concerns most records first.
func (d *differ) summary(files int) error {
	slices.SortStableFunc(d.order, func(a, b string) int { return d.tally[b].count - d.tally[a].count })
	w := tabwriter.NewWriter(d.out, 0, 4, 2, ' ', 0)
	for _, what := range d.order {
		c := d.tally[what]
		rows := ""
		if c.old != "" || c.new != "" {
			rows = orNothing(c.old) + " → " + orNothing(c.new)
		}
		fmt.Fprintf(w, "%s\t%d records\tfirst %s\t%s\n", c.what, c.count, c.first, rows)
	}
	fmt.Fprintf(w, "%d records in %d files: %d differ\n", d.total, files, d.different)
	return errors.Join(w.Flush(), d.out.Flush())
}

// A difference is one of a record's.
type difference struct {
	what           string // without indexes: "changed Patient.name.given"
	index          string // where, of a record: " (name[0].given[1])"
	old, new       string // JSON
	oldRow, newRow string
}

func unmappedDifferences(old, now *mappings.Result) []difference {
	var out []difference
	keys := func(r *mappings.Result) []string {
		var s []string
		for _, u := range r.Unmapped {
			k := u.Field
			if u.Vocabulary != "" {
				k += " (a code, vocabulary " + u.Vocabulary + ")"
			}
			if !slices.Contains(s, k) {
				s = append(s, k)
			}
		}
		return s
	}
	a, b := keys(old), keys(now)
	for _, k := range a {
		if !slices.Contains(b, k) {
			out = append(out, difference{what: "no longer unmapped " + k})
		}
	}
	for _, k := range b {
		if !slices.Contains(a, k) {
			out = append(out, difference{what: "now unmapped " + k})
		}
	}
	return out
}

// flatten lists the values of JSON by element.
func flatten(at string, v any, into map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			flatten(strings.TrimPrefix(at+"."+k, "."), e, into)
		}
	case []any:
		for i, e := range v {
			flatten(fmt.Sprintf("%s[%d]", at, i), e, into)
		}
	default:
		raw, err := json.Marshal(v)
		if err == nil {
			into[at] = string(raw)
		}
	}
}
