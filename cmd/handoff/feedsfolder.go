package main

import (
	"github.com/handoff-health/handoff/adapters/folder"
)

// newFolder is the way in for files that are put into a folder. They do not go
// through the inbox: a file is durable already.
func newFolder(in *intake) (receiver, error) {
	c := in.system.Receive.Folder
	o := folder.Options{
		Path: in.config.Path(c.Path), System: in.system.Key, SiteKey: []byte(in.config.Site.Key.Reveal()), Facts: in.facts, Ingest: in.ingest,
		Patterns: c.Patterns, Temporary: c.Temporary, Subfolders: c.Subfolders, Hidden: c.Hidden, Marker: c.Marker, Polls: c.Polls, Every: c.Every,
		ByTime: c.Order == "mtime", Leave: c.After == "leave", Archive: c.Archive, Rejected: c.Rejected, Remember: c.Remember,
		Now: in.now, Observe: in.count, Logger: in.log,
	}
	switch c.Complete {
	case "marker":
		o.Complete = folder.Marked
	case "rename":
		o.Complete = folder.Renamed
	}
	return folder.New(o)
}
