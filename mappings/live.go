package mappings

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"maps"
	"sync"
	"sync/atomic"
)

// A Live is what a running feed maps by: a value made of a mapping, its profile
// and all that they name, which is made anew when one of these files changes. A
// set that has a fault never takes effect: the old one stays, or none if there was
// none yet, and Look says what is wrong.
//
//	l := mappings.NewLive(files, func(files fs.FS) (*feed, error) { return loadFeed(files, …) })
//	changed, err := l.Look()     // at first, then now and then: on a timer, a signal, an order of the operator
//	…
//	l.Get()                      // for each record: the set with which it begins is the one with which it ends
//
// It has no clock: the caller says when to look. Look reads the files again and
// compares their content, so that a file that is only touched changes nothing,
// and a fault is told once, not at each look. Get is safe at any time, also while
// Look is at work.
type Live[T any] struct {
	files   fs.FS
	load    func(fs.FS) (T, error)
	current atomic.Pointer[T]
	mu      sync.Mutex // of Look
	looked  bool
	seen    map[string][sha256.Size]byte // files that the last load asked for; zero: cannot be read
}

// NewLive makes one without a set: Look loads the first. load must open every file
// through the file system that it is given: what it asks for is what Look looks at.
func NewLive[T any](files fs.FS, load func(fs.FS) (T, error)) *Live[T] {
	return &Live[T]{files: files, load: load}
}

// Get returns the set in force, the zero T if none is yet.
func (l *Live[T]) Get() (set T) {
	if p := l.current.Load(); p != nil {
		set = *p
	}
	return set
}

// Look loads the set if it was not loaded yet, and again if one of its files has
// changed, appeared or gone. changed says that a new set is in force from now on;
// err, that there are new files which are at fault, and what was in force stays.
func (l *Live[T]) Look() (changed bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.looked && !l.differs() {
		return false, nil
	}
	l.looked = true
	if err := l.reload(); err != nil {
		return false, err
	}
	return true, nil
}

// differs says whether a file is not what it was when it was asked for.
func (l *Live[T]) differs() bool {
	now := make(map[string][sha256.Size]byte, len(l.seen))
	for name := range l.seen {
		now[name] = sumOf(l.files, name)
	}
	return !maps.Equal(now, l.seen)
}

func (l *Live[T]) reload() error {
	asked := &askedFiles{files: l.files, seen: map[string][sha256.Size]byte{}}
	set, err := l.load(asked)
	l.seen = asked.seen
	if err != nil {
		return err
	}
	l.current.Store(&set)
	return nil
}

func sumOf(files fs.FS, name string) [sha256.Size]byte {
	raw, err := readFile(files, name)
	switch {
	case errors.Is(err, errTooLarge):
		return tooLarge
	case err != nil:
		return [sha256.Size]byte{}
	}
	return sha256.Sum256(raw)
}

var tooLarge = [sha256.Size]byte{1}

// askedFiles notes which files are asked for and what they hold. A file is read
// once: what was noted is what the loader gets.
type askedFiles struct {
	files fs.FS
	seen  map[string][sha256.Size]byte
}

// Open implements fs.FS.
func (a *askedFiles) Open(name string) (fs.File, error) {
	f, err := a.files.Open(name)
	if err != nil {
		a.seen[name] = [sha256.Size]byte{}
		return nil, err
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return f, err
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	a.seen[name] = sha256.Sum256(raw)
	if len(raw) > maxFile {
		a.seen[name] = tooLarge
	}
	return &readInFile{info, bytes.NewReader(raw)}, nil
}

// A readInFile is a file that was read already.
type readInFile struct {
	info fs.FileInfo
	*bytes.Reader
}

func (r *readInFile) Stat() (fs.FileInfo, error) { return r.info, nil }
func (r *readInFile) Close() error               { return nil }
