package adapters

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// OpenFile opens a path for a Source and hashes it. Its error names the path
// and says what is wrong with it: missing, unreadable, a directory, a device,
// empty. A pipe (/dev/stdin) is a stream: it is not hashed.
func OpenFile(path string) (Input, io.Closer, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Input{}, nil, &FileError{Source: path, Code: "missing", Reason: "no such file"}
	case err != nil:
		return Input{}, nil, &FileError{Source: path, Code: "unreadable", Reason: reason(err)}
	case info.IsDir():
		return Input{}, nil, &FileError{Source: path, Code: "directory", Reason: "this is a directory; name the files in it"}
	}
	f, err := os.Open(path)
	if err != nil {
		return Input{}, nil, &FileError{Source: path, Code: "unreadable", Reason: reason(err)}
	}
	in := Input{Name: path, Reader: f}
	if !info.Mode().IsRegular() {
		in.Reader = struct{ io.Reader }{f}
		return in, f, nil
	}
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	switch {
	case err != nil:
		err = &FileError{Source: path, Code: "unreadable", Reason: reason(err)}
	case n == 0:
		err = &FileError{Source: path, Code: "empty", Reason: "the file is empty"}
	}
	if err != nil {
		return Input{}, nil, errors.Join(err, f.Close())
	}
	in.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return in, f, nil
}

// reason is an error of the file system without the path, which stands before it.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return fmt.Sprintf("cannot %s it: %v", pe.Op, pe.Err)
	}
	return err.Error()
}
