package folder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"time"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/fhir/store"
)

// A Completion says when a file is complete.
type Completion uint8

// The ways to tell that a sender has finished a file.
const (
	Stable  Completion = iota // nothing of it has changed for Polls looks
	Marked                    // a file with its name, or its name without extension, and Marker behind is there
	Renamed                   // as soon as it has a name that is not temporary
)

// Options are the parts of a watcher. Path, System, SiteKey, Facts and Ingest
// are required.
type Options struct {
	Path    string
	System  string // under which state is kept
	SiteKey []byte // of the hashes that name files in state
	Facts   store.Facts
	// Ingest reads one input. A *adapters.FileError is about the file; another
	// error is not, and the file is tried again.
	Ingest func(ctx context.Context, in adapters.Input) (*flow.Report, error)

	Patterns   []string // names that are read; none: all
	Temporary  []string // names that are not complete
	Subfolders bool
	Hidden     bool // names that begin with a dot are read too
	Complete   Completion
	Marker     string        // ".done"
	Polls      int           // default 2
	Every      time.Duration // default 5s
	ByTime     bool          // in order of their modification time; else of their names
	Leave      bool          // files stay where they are
	Archive    string        // folder in Path; default archive
	Rejected   string        // folder in Path; default rejected
	Remember   time.Duration // how long a content is known; default 400 days

	// Observe counts: "file-read", "file-rejected", "file-duplicate",
	// "file-unreadable", "file-refused".
	Observe func(what string)
	Now     func() time.Time
	Logger  *slog.Logger
}

func (o *Options) fill() error {
	switch {
	case o.Path == "" || o.System == "" || o.Facts == nil || o.Ingest == nil:
		return errors.New("folder: a path, a system, its state and an ingest are needed")
	case len(o.SiteKey) < 16:
		return errors.New("folder: the site key needs at least 16 bytes")
	case o.Complete == Marked && o.Marker == "":
		return errors.New("folder: which marker?")
	}
	for _, p := range append(append([]string(nil), o.Patterns...), o.Temporary...) {
		if _, err := path.Match(p, ""); err != nil {
			return fmt.Errorf("folder: %q is no pattern of names", p)
		}
	}
	if o.Polls <= 0 {
		o.Polls = 2
	}
	if o.Every <= 0 {
		o.Every = 5 * time.Second
	}
	if o.Archive == "" {
		o.Archive = "archive"
	}
	if o.Rejected == "" {
		o.Rejected = "rejected"
	}
	if o.Remember <= 0 {
		o.Remember = 400 * 24 * time.Hour
	}
	if o.Observe == nil {
		o.Observe = func(string) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}
