package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/all"
	"github.com/handoff-health/handoff/adapters/charset"
	"github.com/handoff-health/handoff/adapters/convert"
	"github.com/handoff-health/handoff/adapters/flow"
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
		raw, err := readProfile(profile)
		if err != nil {
			return nil, fmt.Errorf("--profile %s: %w", profile, err)
		}
		if p, err = mappings.ParseProfile(profile, raw); err != nil {
			return nil, err
		}
		if p.Charset != "" {
			if _, err := charset.Lookup(p.Charset); err != nil {
				return nil, fmt.Errorf("%s: %w", lineOf(profile, raw, "charset"), err)
			}
		}
		if p.Adapter != "" && p.Adapter != format.Name {
			return nil, usageError("the profile %s is for the adapter %s, not %s", profile, p.Adapter, format.Name)
		}
		if p.Mapping != "" {
			name = p.Mapping
		}
	}
	files, name, err := findMapping(profile, name)
	if err != nil {
		return nil, err
	}
	m, err := mappings.Load(files, name, p)
	if err != nil {
		return nil, err
	}
	return &feed{format: format, mapping: m, options: adapters.Options{
		Profile: m.Profile(), Fields: m.Fields(), Kinds: m.Kinds()}}, nil
}

// readProfile reads a profile from a file, or a built-in one by its name.
func readProfile(name string) ([]byte, error) {
	raw, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		if built, e := fs.ReadFile(mappings.Files(), filepath.ToSlash(name)); e == nil {
			return built, nil
		}
		err = fmt.Errorf("%w; built in are: %s", err, strings.Join(mappings.Profiles(mappings.Files()), ", "))
	}
	return raw, err
}

// findMapping finds the mapping that a profile names: a file beside the profile
// (its path from the profile's folder, or from the root), else a built-in one.
// profile is "" where the adapter's own mapping is meant.
func findMapping(profile, name string) (files fs.FS, file string, err error) {
	if profile == "" {
		return mappings.Files(), name, nil
	}
	beside := name
	if !filepath.IsAbs(name) {
		beside = filepath.Join(filepath.Dir(profile), filepath.FromSlash(name))
	}
	info, err := os.Stat(beside)
	switch {
	case err == nil && info.Mode().IsRegular():
		return localFiles{mappings.Files()}, filepath.ToSlash(beside), nil
	case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR):
		return nil, "", fmt.Errorf("%s: the mapping %s: %w", profile, name, err)
	}
	if built := mappings.Names(mappings.Files()); !slices.Contains(built, name) {
		return nil, "", fmt.Errorf("%s: unknown mapping %q: there is no file %s, and built in are: %s", profile, name, beside, strings.Join(built, ", "))
	}
	return mappings.Files(), name, nil
}

// lineOf is file:line of a key of a profile; the file alone if it does not stand
// at the beginning of a line.
func lineOf(file string, raw []byte, key string) string {
	for i, l := range bytes.Split(raw, []byte("\n")) {
		if name, _, ok := bytes.Cut(l, []byte(":")); ok && strings.Trim(string(bytes.TrimSpace(name)), `"'`) == key {
			return fmt.Sprintf("%s:%d", file, i+1)
		}
	}
	return file
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

// tick draws the line at most five times a second.
func (p *progress) tick(r *flow.Report) {
	if p == nil {
		return
	}
	now := p.now()
	if now.Before(p.next) {
		return
	}
	p.next = now.Add(200 * time.Millisecond)
	line := fmt.Sprintf("%s: %d records, %d rejects, %.0f/s", r.Source, r.Records, r.Rejects, float64(r.Records)/max(now.Sub(p.from).Seconds(), 0.001))
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
	if sum.Rejects > 0 {
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
