package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/all"
	"github.com/handoff-health/handoff/adapters/charset"
	"github.com/handoff-health/handoff/adapters/convert"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/mappings"
)

// A feed is a format with the mapping that fits a sender.
type feed struct {
	format  adapters.Format
	mapping *mappings.Map
	options adapters.Options
}

// loadFeed finds an adapter and loads its mapping. profile is a file, "" for the
// mapping's own default.
func loadFeed(adapter, profile string) (*feed, error) {
	return loadFeedFrom(localFiles{mappings.Files()}, adapter, profile)
}

// loadFeedFrom is loadFeed with the files that profile and mapping are read from.
func loadFeedFrom(files fs.FS, adapter, profile string) (*feed, error) {
	if adapter == "" {
		return nil, usageError("the flag --adapter is missing; known are: %s", adapterNames())
	}
	format, err := all.Find(adapter)
	if err != nil {
		return nil, usageError("%w", err)
	}
	name := format.Mapping
	var p *mappings.Profile
	if profile != "" {
		if p, err = readProfile(files, profile); err != nil {
			return nil, err
		}
		if p.Adapter != "" && p.Adapter != format.Name {
			return nil, usageError("the profile %s is for the adapter %s, not %s", profile, p.Adapter, format.Name)
		}
	}
	if files, name, err = findMapping(files, p, profile, name); err != nil {
		return nil, err
	}
	m, err := mappings.Load(files, name, p)
	if err != nil {
		return nil, err
	}
	return newFeed(format, m), nil
}

// configuredFeed loads the feed of a system. What is wrong is told without a line of
// the files: they may be others than were meant.
func configuredFeed(c *config.Config, s config.System) (*feed, error) {
	fd, err := loadFeed(s.Adapter, profileOf(c, s))
	if err != nil {
		return nil, cannotMap(s.Key, err)
	}
	return fd, nil
}

func cannotMap(system string, err error) error {
	return fmt.Errorf("system %s: the feed cannot be mapped: %w", system, config.Unquoted(err))
}

// profileOf is the file of a system's profile, "" for the mapping's own.
func profileOf(c *config.Config, s config.System) string { return c.Path(s.Profile) }

// newFeed is a format whose decoder knows what the mapping reads.
func newFeed(format adapters.Format, m *mappings.Map) *feed {
	return &feed{format: format, mapping: m, options: adapters.Options{
		Profile: m.Profile(), Fields: m.Fields(), Kinds: m.Kinds()}}
}

// readProfile loads a profile from a file, or a built-in one by its name, and
// looks whether its charset can be read.
func readProfile(files fs.FS, name string) (*mappings.Profile, error) {
	p, err := mappings.LoadProfile(files, filepath.ToSlash(name))
	if err != nil {
		var fault *mappings.LoadError
		if !errors.As(err, &fault) {
			if errors.Is(err, fs.ErrNotExist) {
				err = fmt.Errorf("%w; built in are: %s", err, strings.Join(mappings.Profiles(mappings.Files()), ", "))
			}
			err = fmt.Errorf("--profile %s: %w", name, err)
		}
		return nil, err
	}
	if p.Charset != "" {
		if _, err := charset.Lookup(p.Charset); err != nil {
			return nil, p.Fault("charset", "%v", err)
		}
	}
	return p, nil
}

// findMapping finds the mapping that a profile names: a file beside the profile
// (its path from the profile's folder, or from the root), else a built-in one.
// Without a profile, or one that names none, it is the built-in mapping given.
func findMapping(files fs.FS, p *mappings.Profile, profile, name string) (fs.FS, string, error) {
	if p == nil || p.Mapping == "" {
		return mappings.Files(), name, nil
	}
	if file, beside := p.MappingFile(); beside {
		return files, file, nil
	}
	built := mappings.Names(mappings.Files())
	if !slices.Contains(built, p.Mapping) {
		return nil, "", p.Fault("mapping", "unknown mapping %q: there is no file %s, and built in are: %s", p.Mapping,
			filepath.Join(filepath.Dir(profile), filepath.FromSlash(p.Mapping)), strings.Join(built, ", "))
	}
	return mappings.Files(), p.Mapping, nil
}

func adapterNames() string {
	var names []string
	for _, f := range all.Formats() {
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}

// adapterHelp lists the adapters for a command's long help.
func adapterHelp() string {
	var b strings.Builder
	for _, f := range all.Formats() {
		fmt.Fprintf(&b, "  %-10s %s\n", f.Name, f.Description)
	}
	return b.String()
}

// inputs turns arguments into inputs; "-" is stdin, once.
func inputs(cmd *cobra.Command, args []string) ([]convert.Path, error) {
	if len(args) == 0 {
		return nil, usageError("no input: name files, or - for standard input")
	}
	var out []convert.Path
	stdin := false
	for _, a := range args {
		if a != "-" {
			info, err := os.Stat(a)
			stream := err == nil && !info.Mode().IsRegular() && !info.IsDir()
			out = append(out, convert.Path{Name: a, Stream: stream, Open: func() (adapters.Input, io.Closer, error) { return adapters.OpenFile(a) }})
			continue
		}
		if stdin {
			return nil, usageError("standard input can be read once only")
		}
		stdin = true
		out = append(out, convert.Path{Name: "stdin", Stream: true, Open: func() (adapters.Input, io.Closer, error) {
			return adapters.Input{Name: "stdin", Reader: struct{ io.Reader }{cmd.InOrStdin()}}, io.NopCloser(nil), nil
		}})
	}
	return out, nil
}

// A progress line on a terminal; on anything else it writes nothing.
type progress struct {
	w    io.Writer
	now  func() time.Time
	next time.Time
	from time.Time
	wide int
}

func newProgress(w io.Writer) *progress {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return &progress{w: w, now: time.Now, from: time.Now()}
}

// tick shows how far a run has come.
func (p *progress) tick(r *flow.Report) {
	p.draw(func(took float64) string {
		return fmt.Sprintf("%s: %d records, %d rejects, %.0f/s", r.Source, r.Records, r.Rejects, float64(r.Records)/took)
	})
}

// draw draws the line at most five times a second. The text is of so many seconds.
func (p *progress) draw(text func(took float64) string) {
	if p == nil {
		return
	}
	now := p.now()
	if now.Before(p.next) {
		return
	}
	p.next = now.Add(200 * time.Millisecond)
	line := text(max(now.Sub(p.from).Seconds(), 0.001))
	fmt.Fprintf(p.w, "\r%-*s", p.wide, line)
	p.wide = len(line)
}

// done takes the line away.
func (p *progress) done() {
	if p != nil && p.wide > 0 {
		fmt.Fprintf(p.w, "\r%*s\r", p.wide, "")
		p.wide = 0
	}
}

// summary prints the reports, and their sum if there are several. The error says
// that some records were rejected.
func summary(w io.Writer, reports []*flow.Report) error {
	sum := &flow.Report{Source: "total"}
	for _, r := range reports {
		if _, err := r.WriteTo(w); err != nil {
			return err
		}
		if !r.AddsUp() {
			return fmt.Errorf("%s: the counts do not add up; this is a fault of handoff", r.Source)
		}
		sum.Add(r)
	}
	if len(reports) > 1 {
		sum.Findings, sum.Unmapped, sum.RejectedBy = nil, nil, nil
		if _, err := sum.WriteTo(w); err != nil {
			return err
		}
	}
	if sum.Refused() > 0 {
		return &exitError{code: exitRejected}
	}
	return nil
}

// interrupted says it in words if err is the end of the context.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return errors.New("interrupted")
	}
	return err
}
