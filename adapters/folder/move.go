package folder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"
)

// settle moves a file that was dealt with into archive or rejected, and lays its
// report beside it. Where nothing may be moved it stays, and is known.
func (w *Watcher) settle(ctx context.Context, f *os.File, st *fileState) error {
	if w.o.Leave {
		st.Left = true
		return w.keep(ctx, w.fileKey(st.Result.File), st, time.Time{})
	}
	name := st.Result.File
	dest, err := w.place(st)
	if err != nil {
		return w.left(ctx, st, err)
	}
	st.Dest = dest
	if err := w.keep(ctx, w.fileKey(name), st, time.Time{}); err != nil {
		return err
	}
	switch err := w.move(f, name, dest); {
	case errors.Is(err, errChanged), errors.Is(err, fs.ErrNotExist):
		// Another file has this name by now, or none: nothing of it was moved.
		delete(w.seen, name)
		return w.drop(ctx, name)
	case err != nil:
		return w.left(ctx, st, err)
	}
	w.finish(st)
	w.unmark(name)
	delete(w.seen, name)
	return w.drop(ctx, name)
}

// left is for a file that cannot be moved.
func (w *Watcher) left(ctx context.Context, st *fileState, err error) error {
	st.Dest, st.Left = "", true
	w.tell(st.Result.File, "left", "cannot be moved and is left where it is; it is not read again", err)
	return w.keep(ctx, w.fileKey(st.Result.File), st, time.Time{})
}

// place finds a name that nothing has, below archive or rejected.
func (w *Watcher) place(st *fileState) (string, error) {
	dir := w.o.Archive
	if st.Result.Status == Rejected {
		dir = w.o.Rejected
	}
	want := path.Join(dir, st.Result.File)
	if err := w.root.MkdirAll(path.Dir(want), 0o750); err != nil {
		return "", err
	}
	dest := want
	for n := 1; n < 1000; n++ {
		_, err := w.root.Lstat(dest)
		_, err2 := w.root.Lstat(dest + reportSuffix)
		if errors.Is(err, fs.ErrNotExist) && errors.Is(err2, fs.ErrNotExist) {
			return dest, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		ext := path.Ext(want)
		dest = fmt.Sprintf("%s.%s-%d%s", strings.TrimSuffix(want, ext), st.Result.At.Format("20060102T150405Z"), n, ext)
	}
	return "", fmt.Errorf("%s: there are a thousand of this name", want)
}

// move renames the file that f is. If its sender has put another one in its place,
// that one is left, or put back.
func (w *Watcher) move(f *os.File, name, dest string) error {
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	there, err := w.root.Lstat(name)
	if err != nil {
		return err
	}
	if !os.SameFile(mine, there) || there.Size() != mine.Size() || !there.ModTime().Equal(mine.ModTime()) {
		return errChanged
	}
	if err := w.root.Rename(name, dest); err != nil {
		return err
	}
	moved, err := w.root.Lstat(dest)
	if err == nil && !os.SameFile(mine, moved) {
		if _, err := w.root.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			if err := w.root.Rename(dest, name); err != nil {
				return err
			}
		}
		return errChanged
	}
	return nil
}

// finish lays the report beside a moved file, once.
func (w *Watcher) finish(st *fileState) {
	if _, err := w.root.Lstat(st.Dest); err != nil {
		return // it never came there
	}
	raw, err := json.MarshalIndent(st.Result, "", "  ")
	if err != nil {
		w.o.Logger.Error("a report cannot be written", "file", st.Result.File, "error", err)
		return
	}
	f, err := w.root.OpenFile(st.Dest+reportSuffix, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if errors.Is(err, fs.ErrExist) {
		return
	}
	if err == nil {
		_, err = f.Write(append(raw, '\n'))
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err != nil {
		w.o.Logger.Error("a report cannot be written", "file", st.Dest+reportSuffix, "error", err)
	}
}

// unmark takes the marker of a moved file away.
func (w *Watcher) unmark(name string) {
	if w.o.Complete != Marked {
		return
	}
	for _, m := range []string{name + w.o.Marker, strings.TrimSuffix(name, path.Ext(name)) + w.o.Marker} {
		if err := w.root.Remove(m); err == nil || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			if err != nil {
				w.tell(m, "marker", "is a marker that cannot be removed", err)
			}
			return
		}
	}
}
