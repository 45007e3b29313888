package jsonl

import (
	"bytes"
	"errors"
	"hash/crc64"
	"io"
)

const block = 64 << 10

var table = crc64.MakeTable(crc64.ECMA)

// A window is the part of the input that has been read and not yet taken.
type window struct {
	r     io.Reader
	buf   []byte
	start int
	eof   bool
	off   int64  // of the input before the window
	line  int    // of the window's first byte, from 1
	col   int    // of the window's first byte, from 1
	sum   uint64 // checksum of the input before the window
}

// bytes are those read so far.
func (w *window) bytes() []byte { return w.buf[w.start:] }

// more reads on; false at the end of the input.
func (w *window) more() (bool, error) {
	if w.eof {
		return false, nil
	}
	if w.start > 0 && (w.start == len(w.buf) || w.start >= block) {
		w.buf = append(w.buf[:0], w.buf[w.start:]...)
		w.start = 0
	}
	n := len(w.buf)
	if cap(w.buf)-n < block {
		grown := make([]byte, n, 2*cap(w.buf)+2*block)
		copy(grown, w.buf)
		w.buf = grown
	}
	m, err := w.r.Read(w.buf[n : n+block])
	w.buf = w.buf[:n+m]
	if errors.Is(err, io.EOF) {
		w.eof = true
		return m > 0, nil
	}
	return true, err
}

// at returns the byte at i, reading on if need be; false at the end.
func (w *window) at(i int) (byte, bool, error) {
	for i >= len(w.buf)-w.start {
		if more, err := w.more(); err != nil || !more && w.eof && i >= len(w.buf)-w.start {
			return 0, false, err
		}
	}
	return w.buf[w.start+i], true, nil
}

// take hands out the first n bytes.
func (w *window) take(n int) []byte {
	part := bytes.Clone(w.buf[w.start : w.start+n])
	w.pass(n)
	return part
}

// pass goes over n bytes.
func (w *window) pass(n int) {
	part := w.buf[w.start : w.start+n]
	w.sum = crc64.Update(w.sum, table, part)
	if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
		w.line += bytes.Count(part, []byte{'\n'})
		w.col = n - i
	} else {
		w.col += n
	}
	w.start += n
	w.off += int64(n)
}
