package folder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/handoff-health/handoff/adapters"
)

// errChanged: somebody writes to the file.
var errChanged = errors.New("it changes while it is read")

// file deals with one complete file. Its error is about the state or the end of
// the context; what is wrong with the file is told and tried again later.
func (w *Watcher) file(ctx context.Context, c candidate) error {
	f, sha, err := w.take(c)
	if err != nil {
		w.later(c, err)
		return nil
	}
	defer f.Close()
	st := w.states[c.name]
	if st != nil && st.Result.SHA256 == sha && st.Result.Status != Reading {
		if w.seen[c.name].mark == st.Mark {
			return w.settle(ctx, f, st) // a process ended before it moved it
		}
		if w.o.Leave { // touched, and the same
			st.Mark = markOf(c.info)
			return w.keep(ctx, w.fileKey(c.name), st, time.Time{})
		}
	}
	resumed := st != nil && st.Result.SHA256 == sha
	st = &fileState{Mark: markOf(c.info), Result: Result{File: c.name, SHA256: sha, Bytes: c.info.Size(), Status: Reading, At: w.o.Now().UTC(), Resumed: resumed}}
	w.states[c.name] = st
	var known content
	is, err := w.get(ctx, w.contentKey(sha), &known)
	if err != nil {
		return err
	}
	if is {
		st.Result.Status, st.Result.DuplicateOf = Duplicate, known.File
		return w.end(ctx, f, st)
	}
	if err := w.keep(ctx, w.fileKey(c.name), st, time.Time{}); err != nil {
		return err
	}
	return w.read(ctx, f, c, st)
}

// take opens a file and hashes it. Links are not followed, wherever they stand.
func (w *Watcher) take(c candidate) (*os.File, string, error) {
	f, err := w.root.OpenFile(c.name, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, "", err
	}
	sum := sha256.New()
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular() || markOf(info) != markOf(c.info):
		err = errChanged
	default:
		_, err = io.Copy(sum, f)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err == nil {
		err = unchanged(f, info)
	}
	if err != nil {
		return nil, "", errors.Join(err, f.Close())
	}
	return f, hex.EncodeToString(sum.Sum(nil)), nil
}

// unchanged says whether a file is as it was.
func unchanged(f *os.File, was fs.FileInfo) error {
	now, err := f.Stat()
	if err != nil {
		return err
	}
	if a, b := markOf(now), markOf(was); a.Size != b.Size || a.ModTime != b.ModTime {
		return errChanged
	}
	return nil
}

// later has a file tried again, ever less often.
func (w *Watcher) later(c candidate, err error) {
	s := w.seen[c.name]
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return // renamed or taken away
	case errors.Is(err, errChanged):
		s.same = -1
		return
	}
	w.o.Observe("file-unreadable")
	w.tell(c.name, err.Error(), "cannot be read; it is tried again, and the others are read", err)
	s.fails++
	s.next = w.o.Now().Add(min(w.o.Every<<min(s.fails, 16), maxBackoff))
}

// read has a file's records stored.
func (w *Watcher) read(ctx context.Context, f *os.File, c candidate, st *fileState) error {
	in := adapters.Input{Name: filepath.Join(w.abs, filepath.FromSlash(c.name)), Reader: f, SHA256: st.Result.SHA256}
	report, err := w.o.Ingest(ctx, in)
	st.Result.Records, st.Result.At = report, w.o.Now().UTC()
	var fe *adapters.FileError
	switch {
	case ctx.Err() != nil:
		return ctx.Err() // goes on at the pipeline's cursor
	case st.Result.Bytes == 0:
		st.Result.Status, st.Result.Code, st.Result.Reason = Rejected, "empty", "the file is empty"
	case errors.As(err, &fe):
		st.Result.Status, st.Result.Code, st.Result.Reason, st.Result.Line = Rejected, fe.Code, fe.Reason, fe.Line
	case err != nil:
		w.later(c, err)
		return nil
	default:
		st.Result.Status = Read
	}
	if err := unchanged(f, c.info); err != nil {
		// What was read of it is known; the rest is read when it is complete.
		w.o.Logger.Warn("a file was written to while it was read; it will be read again", "file", in.Name)
		w.later(c, errChanged)
		return nil
	}
	return w.end(ctx, f, st)
}

// end keeps what became of a file, and then puts the file where it belongs.
func (w *Watcher) end(ctx context.Context, f *os.File, st *fileState) error {
	r := &st.Result
	if r.Status == Read {
		if err := w.keep(ctx, w.contentKey(r.SHA256), content{r.File, r.At}, w.o.Now().Add(w.o.Remember)); err != nil {
			return err
		}
	}
	w.o.Observe("file-" + string(r.Status))
	w.o.Logger.Info("a file in the folder was dealt with", "file", filepath.Join(w.abs, r.File), "status", r.Status, "code", r.Code, "duplicateOf", r.DuplicateOf)
	if err := w.keep(ctx, w.fileKey(r.File), st, time.Time{}); err != nil {
		return err
	}
	return w.settle(ctx, f, st)
}
