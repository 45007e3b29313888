package folder

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
	"time"
)

const (
	reportSuffix = ".report.json"
	// emptyPatience is how many times longer an empty file is waited for: senders
	// make the name first.
	emptyPatience = 10
	maxBackoff    = 10 * time.Minute
	maxTold       = 10_000
)

// A Watcher watches one folder. It is used by one goroutine.
type Watcher struct {
	o      Options
	abs    string
	root   *os.Root
	seen   map[string]*sight
	states map[string]*fileState // of files that are in the folder, by name
	told   map[string]string     // what was said of a name already
}

// A sight is what is known of a file from looking at it.
type sight struct {
	mark  mark
	same  int // looks since it changed
	fails int
	next  time.Time // not tried before
	here  bool      // in this look
}

// A candidate is a file of one look.
type candidate struct {
	name string
	info fs.FileInfo
}

// New makes a watcher.
func New(o Options) (*Watcher, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	return &Watcher{o: o}, nil
}

// Run watches until ctx ends; then it returns nil. Its error is about the folder
// or the state, never about a file.
func (w *Watcher) Run(ctx context.Context) error {
	if err := w.open(ctx); err != nil {
		return err
	}
	defer func() { _ = w.root.Close() }()
	w.o.Logger.Info("a folder is watched", "path", w.abs)
	tick := time.NewTicker(w.o.Every)
	defer tick.Stop()
	for {
		if err := w.look(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (w *Watcher) open(ctx context.Context) (err error) {
	if w.abs, err = filepath.Abs(w.o.Path); err != nil {
		return fmt.Errorf("folder %s: %w", w.o.Path, err)
	}
	if w.root, err = os.OpenRoot(w.abs); err != nil {
		return fmt.Errorf("folder: %w", err)
	}
	w.seen, w.states, w.told = map[string]*sight{}, map[string]*fileState{}, map[string]string{}
	if err := w.recall(ctx); err != nil {
		return errors.Join(err, w.root.Close())
	}
	return nil
}

// look looks at the folder once and reads what is complete.
func (w *Watcher) look(ctx context.Context) error {
	files, markers, err := w.list()
	if err != nil {
		return fmt.Errorf("folder %s: %w", w.abs, err)
	}
	for _, s := range w.seen {
		s.here = false
	}
	var ready []candidate
	for _, c := range files {
		if w.ready(c, markers) {
			ready = append(ready, c)
		}
	}
	if err := w.forget(ctx); err != nil {
		return err
	}
	slices.SortFunc(ready, w.order)
	for _, c := range ready {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.file(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func (w *Watcher) order(a, b candidate) int {
	if w.o.ByTime {
		if c := a.info.ModTime().Compare(b.info.ModTime()); c != 0 {
			return c
		}
	}
	return strings.Compare(a.name, b.name)
}

// list finds the files that may be read, and the names of the markers.
func (w *Watcher) list() (files []candidate, markers map[string]bool, err error) {
	markers = map[string]bool{}
	err = fs.WalkDir(w.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case name == ".":
			return err
		case err != nil:
			w.tell(name, "unreadable", "cannot be looked at", err)
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			if !w.o.Subfolders || w.own(name) || !w.o.Hidden && hidden(name) {
				return fs.SkipDir
			}
			return nil
		case w.o.Complete == Marked && strings.HasSuffix(name, w.o.Marker):
			markers[name] = true
			return nil
		case !w.wanted(name):
			return nil
		case !d.Type().IsRegular():
			if w.tell(name, "refused", "is no file of its own ("+d.Type().String()+"); it is not read", nil) {
				w.o.Observe("file-refused")
			}
			return nil
		}
		info, err := d.Info()
		if err == nil { // else it has gone again
			files = append(files, candidate{name, info})
		}
		return nil
	})
	return files, markers, err
}

// own says that a folder is where read files go.
func (w *Watcher) own(name string) bool { return name == w.o.Archive || name == w.o.Rejected }

func hidden(name string) bool { return strings.HasPrefix(path.Base(name), ".") }

// wanted looks at a name alone.
func (w *Watcher) wanted(name string) bool {
	base := path.Base(name)
	if strings.HasSuffix(base, reportSuffix) || !w.o.Hidden && hidden(name) || matches(w.o.Temporary, base) {
		return false
	}
	return len(w.o.Patterns) == 0 || matches(w.o.Patterns, base)
}

// matches compares without case: what comes from Windows is EXPORT.CSV one day
// and export.csv the next.
func matches(patterns []string, base string) bool {
	base = strings.ToLower(base)
	return slices.ContainsFunc(patterns, func(p string) bool { ok, _ := path.Match(strings.ToLower(p), base); return ok })
}

// ready notes what a file looks like and says whether it is to be read now.
func (w *Watcher) ready(c candidate, markers map[string]bool) bool {
	s := w.seen[c.name]
	if s == nil {
		s = &sight{mark: markOf(c.info), same: -1}
		w.seen[c.name] = s
	}
	s.here = true
	if m := markOf(c.info); m != s.mark {
		*s = sight{mark: m, same: -1, here: true}
	}
	s.same++
	if st := w.states[c.name]; st != nil && st.Left && st.Mark == s.mark {
		return false // it was read, and stays where it is
	}
	if w.o.Now().Before(s.next) {
		return false
	}
	switch w.o.Complete {
	case Renamed:
		return true
	case Marked:
		return markers[c.name+w.o.Marker] || markers[strings.TrimSuffix(c.name, path.Ext(c.name))+w.o.Marker]
	}
	need := w.o.Polls
	if c.info.Size() == 0 {
		need *= emptyPatience
	}
	return s.same >= need
}

// forget drops what is kept of files that are no longer there. Those that were on
// their way elsewhere get their report.
func (w *Watcher) forget(ctx context.Context) error {
	for name, s := range w.seen {
		if !s.here {
			delete(w.seen, name)
			delete(w.told, name)
		}
	}
	for name, st := range w.states {
		if w.seen[name] != nil {
			continue
		}
		if st.Dest != "" {
			w.finish(st)
		}
		if err := w.drop(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (w *Watcher) drop(ctx context.Context, name string) error {
	delete(w.states, name)
	return w.o.Facts.Delete(ctx, w.fileKey(name))
}

// tell logs something about a file once, and again when it is something else. It
// says whether it did.
func (w *Watcher) tell(name, what, text string, err error) bool {
	if w.told[name] == what {
		return false
	}
	if len(w.told) >= maxTold {
		clear(w.told)
	}
	w.told[name] = what
	w.o.Logger.Warn("a file in the folder "+text, "file", path.Join(w.abs, name), "error", err)
	return true
}
