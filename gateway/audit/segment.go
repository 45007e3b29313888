package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const segmentSuffix = ".audit"

// A segment is one file of the log.
type segment struct {
	name  string
	first uint64 // sequence number of its first record, from its name
}

func segmentName(first uint64) string { return fmt.Sprintf("%020d%s", first, segmentSuffix) }

// segments lists the log's files in order. Other files of the folder are left
// alone.
func segments(dir string) ([]segment, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the audit trail: %w", err)
	}
	var out []segment
	for _, f := range files { // sorted by name, which is by number
		digits, ok := strings.CutSuffix(f.Name(), segmentSuffix)
		if !ok || f.IsDir() {
			continue
		}
		first, err := strconv.ParseUint(digits, 10, 64)
		if err != nil || segmentName(first) != f.Name() {
			return nil, fmt.Errorf("read the audit trail: %s: not the name of a segment", filepath.Join(dir, f.Name()))
		}
		out = append(out, segment{f.Name(), first})
	}
	return out, nil
}

// A line is one record's bytes with their place.
type line struct {
	offset int64  // of its first byte in the segment
	bytes  []byte // without the newline
	whole  bool   // it ends in a newline
}

// eachLine calls f for the lines of r from its start. The bytes are valid until
// f returns.
func eachLine(r io.Reader, f func(line) error) error {
	br := bufio.NewReaderSize(r, 1<<16)
	var (
		offset int64
		buf    []byte
	)
	for {
		buf = buf[:0]
		for {
			part, err := br.ReadSlice('\n')
			buf = append(buf, part...)
			if err == nil {
				break
			}
			if len(buf) > maxLine {
				return fmt.Errorf("at byte %d: a line of more than %d bytes", offset, maxLine)
			}
			if errors.Is(err, io.EOF) {
				if len(buf) == 0 {
					return nil
				}
				return f(line{offset, buf, false})
			}
			if !errors.Is(err, bufio.ErrBufferFull) {
				return err
			}
		}
		if err := f(line{offset, bytes.TrimSuffix(buf, []byte{'\n'}), true}); err != nil {
			return err
		}
		offset += int64(len(buf))
	}
}

func readSegment(dir, name string, f func(line) error) error {
	file, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return fmt.Errorf("read the audit trail: %w", err)
	}
	defer file.Close() // only read
	return eachLine(file, f)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// A file is what the writer needs of an open segment; tests make it fail.
type file interface {
	io.Writer
	Sync() error
	Truncate(size int64) error
	Close() error
}

func openSegment(path string, flag int) (file, error) {
	f, err := os.OpenFile(path, flag|os.O_WRONLY|os.O_APPEND, fs.FileMode(0o600))
	if err != nil {
		return nil, err
	}
	return dataSyncer{f}, nil
}
