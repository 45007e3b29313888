package main

import (
	"context"
	"errors"
	"io/fs"

	"github.com/handoff-health/handoff/adapters/inbox"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/mappings"
)

// A gateway starts although the mapping of a feed cannot be used, and serves without
// that feed. Nothing of it is processed, and this gateway does not compete for the
// feed's lease, until the files are mended; a mapping that breaks later leaves the one
// before in force. Both are found, and ended, by one look at the files.
//
// Meanwhile a receiver takes what it can keep: messages go into the inbox as they came,
// and wait there as in a pause. One that needs the profile to read them does not
// listen, and files stay in their folder.

// files are what the mapping of a feed is read from.
func (f *liveFeed) files() localFiles { return localFiles{mappings.Files()} }

// watchMapping loads the feed's mapping, and says what is wrong if it cannot be used.
func (f *liveFeed) watchMapping() {
	f.mapped = make(chan struct{})
	f.live = mappings.NewLive(f.files(), func(files fs.FS) (*feed, error) {
		return loadFeedFrom(files, f.target.Adapter, f.target.Profile)
	})
	f.lookMapping()
}

// lookMapping takes a new or changed mapping into use. One with a fault is told, and
// what was in force stays.
func (f *liveFeed) lookMapping() {
	had := f.live.Get() != nil
	changed, err := f.live.Look()
	switch {
	case err != nil && had:
		f.report.mapped(nil, err)
		f.log.Error("a mapping has changed and cannot be used; the one before stays in force", "error", err)
	case err != nil: // files that never were a mapping may be something else, such as keys
		err = config.Unquoted(err)
		f.report.mapped(nil, err)
		f.log.Error("THIS FEED DOES NOT RUN, because its mapping cannot be used; it is started when the file is mended", "error", err)
	case changed:
		fd := f.live.Get()
		f.use(fd)
		f.log.Info("a mapping is in force", "mapping", fd.mapping.Name, "version", fd.mapping.Version)
		if !had {
			close(f.mapped)
		}
	}
}

// use makes a mapping the one that counts.
func (f *liveFeed) use(fd *feed) {
	f.report.mapped(fd, nil)
	f.feed.Use(&inbox.Setup{Format: fd.format, Options: fd.options, Mapper: fd.mapping})
}

// awaitMapping waits until the feed has a mapping; false: the context ended first.
func (f *liveFeed) awaitMapping(ctx context.Context) bool {
	select {
	case <-f.mapped:
		return true
	case <-ctx.Done():
		return false
	}
}

// errNoProfile says that a receiver cannot be made yet.
var errNoProfile = errors.New("the profile cannot be read yet")

// charset is what the sender's messages are in, as the profile says; "" if it says
// nothing. A profile may be whole though the mapping is not.
func (f *liveFeed) charset() (string, error) {
	if fd := f.live.Get(); fd != nil {
		if p := fd.options.Profile; p != nil {
			return p.Charset, nil
		}
		return "", nil
	}
	if f.target.Profile == "" {
		return "", errNoProfile
	}
	p, err := readProfile(f.files(), f.target.Profile)
	if err != nil {
		return "", errNoProfile
	}
	return p.Charset, nil
}

// warnOfFeeds says which feeds 'handoff ingest' cannot read. They have no receiver, so
// nothing else would.
func (g *running) warnOfFeeds() {
	for _, s := range g.config.Systems {
		if s.Kind != "feed" || s.Receive != nil {
			continue
		}
		if _, err := configuredFeed(g.config, s); err != nil {
			g.log.Error("'handoff ingest' refuses the records of a feed", "error", err)
		}
	}
}
