package config

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Folder is a watched drop folder.
type Folder struct {
	Path string `yaml:"path"`
	// Patterns are names of files that are read, as "*.csv"; default all.
	Patterns   []string `yaml:"patterns"`
	Subfolders bool     `yaml:"subfolders"` // files in them are read too
	Hidden     bool     `yaml:"hidden"`     // so are names that begin with a dot
	// Complete says when a file is: "stable" (default), when its size and time have
	// been the same for Polls looks; "marker", when a file beside it has its name and
	// Marker behind; "rename", as soon as it has a name that is not one of Temporary.
	Complete  string   `yaml:"complete"`
	Marker    string   `yaml:"marker"`    // default .done
	Temporary []string `yaml:"temporary"` // names of files that are not complete; default *.tmp, *.part, *.partial, *.filepart, *.crdownload, *.swp, *~
	Polls     int      `yaml:"polls"`     // default 2
	// Every is how often the folder is looked at; default 5s.
	Every time.Duration `yaml:"every"`
	Order string        `yaml:"order"` // name (default) or mtime
	// After says what becomes of a file that was read: "move" (default) into Archive
	// or Rejected, or "leave".
	After    string        `yaml:"after"`
	Archive  string        `yaml:"archive"`  // folder in Path; default archive
	Rejected string        `yaml:"rejected"` // folder in Path; default rejected
	Remember time.Duration `yaml:"remember"` // how long a content is known by its hash; default 9600h (400 days)
}

func (f *Folder) defaults() {
	set(&f.Complete, "stable")
	set(&f.Marker, ".done")
	set(&f.Order, "name")
	set(&f.After, "move")
	set(&f.Archive, "archive")
	set(&f.Rejected, "rejected")
	if f.Polls == 0 {
		f.Polls = 2
	}
	if f.Every == 0 {
		f.Every = 5 * time.Second
	}
	if f.Remember == 0 {
		f.Remember = 400 * 24 * time.Hour
	}
	if len(f.Temporary) == 0 {
		f.Temporary = []string{"*.tmp", "*.part", "*.partial", "*.filepart", "*.crdownload", "*.swp", "*~"}
	}
}

func (k *checker) folder(at string, s System) {
	f := s.Receive.Folder
	if f.Path == "" {
		k.fault(at+".path", "is missing: the folder to watch")
	} else {
		k.apart(at+".path", s)
	}
	for name, list := range map[string][]string{".patterns": f.Patterns, ".temporary": f.Temporary} {
		for i, p := range list {
			if _, err := path.Match(p, "x"); err != nil || p == "" || strings.ContainsRune(p, '/') {
				k.value(fmt.Sprintf("%s%s[%d]", at, name, i), p, "is no pattern of a file name such as *.csv")
			}
		}
	}
	for name, c := range map[string]struct {
		have string
		of   []string
	}{".complete": {f.Complete, []string{"stable", "marker", "rename"}}, ".order": {f.Order, []string{"name", "mtime"}}, ".after": {f.After, []string{"move", "leave"}}} {
		if !slices.Contains(c.of, c.have) {
			k.value(at+name, c.have, "is none of "+strings.Join(c.of, ", "))
		}
	}
	for name, dir := range map[string]string{".archive": f.Archive, ".rejected": f.Rejected} {
		if !filepath.IsLocal(dir) || dir == "." || strings.ContainsAny(dir, `/\`) {
			k.value(at+name, dir, "is not the name of a folder in path")
		}
	}
	if f.Archive == f.Rejected {
		k.fault(at+".rejected", "is the same as archive")
	}
	if f.Complete == "marker" && (len(f.Marker) < 2 || strings.ContainsAny(f.Marker, `/\*?[`)) {
		k.value(at+".marker", f.Marker, "is no ending of a name such as .done")
	}
	if f.Polls < 1 || f.Polls > 1000 {
		k.fault(at+".polls", "must be from 1 to 1000")
	}
	if f.Every < 100*time.Millisecond || f.Every > time.Hour {
		k.fault(at+".every", "must be from 100ms to 1h")
	}
	if f.Remember < 24*time.Hour {
		k.fault(at+".remember", "must be at least 24h")
	}
}

// apart wants a folder that is no other feed's, nor inside of one, nor around it:
// a file belongs to one system.
func (k *checker) apart(at string, s System) {
	mine := k.Path(s.Receive.Folder.Path)
	for i, other := range k.Systems {
		if other.Receive == nil || other.Receive.Folder == nil || other.Receive.Folder == s.Receive.Folder || i > k.index(s.Key) {
			continue
		}
		theirs := k.Path(other.Receive.Folder.Path)
		for _, pair := range [][2]string{{mine, theirs}, {theirs, mine}} {
			if rel, err := filepath.Rel(pair[0], pair[1]); err == nil && filepath.IsLocal(rel) {
				k.value(at, s.Receive.Folder.Path, "is the folder of the system "+other.Key+", or in it, or around it")
				return
			}
		}
	}
}
