package mllp

import (
	"bytes"
	"errors"
)

// The bytes around a message.
const (
	startBlock = 0x0B
	endBlock   = 0x1C
	carriage   = '\r'
)

// What can be wrong with a frame. Match them with errors.Is.
var (
	// ErrTooLong: the frame has more bytes than are taken. Its beginning is there.
	ErrTooLong = errors.New("the message is longer than is taken")
	// ErrUnended: the next frame began, or the connection ended, before the end block.
	ErrUnended = errors.New("the message has no end block: it may have been cut")
	// ErrNoise: bytes that are no frame. There is nobody to tell.
	ErrNoise = errors.New("bytes between two frames are no message")
	// ErrInner: an end block stands inside of the message, which must not be (MLLP 1.2).
	ErrInner = errors.New("an end block byte stands inside of the message")
)

// headBytes are kept of a frame that is too long: enough to read its MSH.
const headBytes = 8 << 10

// A Frame is one message as it stood between the block bytes.
type Frame struct {
	Body []byte // without block bytes; only the beginning if Err is ErrTooLong
	Bare bool   // it had no start block
	Err  error  // nil, or one of the errors above
}

// A Splitter cuts a stream into frames. It takes what senders do beside the
// standard: no start block before MSH, FHS or BHS; no CR, a LF or CR LF after
// the end block; several frames at once; single bytes; blanks, line ends, NULs
// and lone end blocks between frames, by which connections are kept alive.
//
// It looks at no clock: after an end block without its CR it says [Splitter.Ended],
// and whoever reads the stream decides how long to wait for it.
type Splitter struct {
	Max   int // bytes of a body; 0: 8 MiB
	state state
	buf   []byte
	bare  bool
	inner bool // an end block stood inside
	size  int  // of the body so far, also beyond Max
}

type state uint8

const (
	between state = iota
	inside
	ended // after an end block, before what follows it
)

// DefaultMax is the largest body unless configuration says otherwise.
const DefaultMax = 8 << 20

func (s *Splitter) max() int {
	if s.Max > 0 {
		return s.Max
	}
	return DefaultMax
}

// Next consumes n bytes of in and returns a frame if one ended there. Call it
// until n == len(in) and no frame comes.
func (s *Splitter) Next(in []byte) (n int, f Frame, ok bool) {
	for n < len(in) {
		c := in[n]
		switch s.state {
		case between:
			n++
			s.begin(c)
		case inside:
			if c == startBlock && s.size > 0 {
				return n, s.take(ErrUnended), true // the byte begins the next one
			}
			n += s.add(in[n:])
		case ended:
			switch c {
			case carriage, '\n':
				return n + 1, s.take(nil), true
			case startBlock:
				return n, s.take(nil), true
			}
			// The block byte was part of the text: nobody ends a message like that.
			s.inner, s.state = true, inside
			s.append([]byte{endBlock})
		}
	}
	return n, Frame{}, false
}

// begin looks at a byte between frames.
func (s *Splitter) begin(c byte) {
	switch c {
	case startBlock:
		s.state, s.bare = inside, false
	case carriage, '\n', 0, ' ', '\t', endBlock:
		// keeps the connection alive, or is left of a line end
	default:
		s.state, s.bare = inside, true
		s.append([]byte{c})
	}
}

// add takes the bytes of a body up to the next block byte.
func (s *Splitter) add(in []byte) int {
	i := bytes.IndexByte(in, endBlock)
	if j := bytes.IndexByte(in, startBlock); j >= 0 && (i < 0 || j < i) {
		i = j
	}
	if i < 0 {
		s.append(in)
		return len(in)
	}
	s.append(in[:i])
	switch {
	case in[i] == endBlock:
		s.state = ended
		return i + 1
	case s.size == 0:
		return i + 1 // a start block twice
	}
	return i
}

func (s *Splitter) append(b []byte) {
	s.size += len(b)
	if room := s.max() - len(s.buf); len(b) > room {
		b = b[:max(room, 0)]
	}
	s.buf = append(s.buf, b...)
}

// take ends the frame.
func (s *Splitter) take(err error) Frame {
	f := Frame{Body: s.buf, Bare: s.bare, Err: err}
	switch {
	case s.bare && !begins(f.Body):
		f.Err = ErrNoise
	case s.size > s.max():
		f.Err = ErrTooLong
	case err == nil && s.inner:
		f.Err = ErrInner
	}
	if f.Err != nil && len(f.Body) > headBytes {
		f.Body = f.Body[:headBytes:headBytes]
	}
	s.buf, s.size, s.bare, s.inner, s.state = nil, 0, false, false, between
	return f
}

// begins says whether a body without a start block is a message.
func begins(b []byte) bool {
	return bytes.HasPrefix(b, []byte("MSH")) || bytes.HasPrefix(b, []byte("FHS")) || bytes.HasPrefix(b, []byte("BHS"))
}

// Open says that a frame has begun and not ended.
func (s *Splitter) Open() bool { return s.state == inside }

// Ended says that the end block was there and what follows it was not.
func (s *Splitter) Ended() bool { return s.state == ended }

// Over says by how many bytes the frame under way is longer than is taken.
func (s *Splitter) Over() int { return max(s.size-s.max(), 0) }

// Flush gives what there is when nothing follows: the message, if its end block
// was there, else one that is not ended. ok is false if there is nothing.
func (s *Splitter) Flush() (f Frame, ok bool) {
	switch {
	case s.state == ended:
		return s.take(nil), true
	case s.state == inside && s.size > 0:
		return s.take(ErrUnended), true
	}
	s.state = between
	return Frame{}, false
}

// Wrap puts the block bytes around a message.
func Wrap(body []byte) []byte {
	out := make([]byte, 0, len(body)+3)
	out = append(out, startBlock)
	out = append(out, body...)
	return append(out, endBlock, carriage)
}
