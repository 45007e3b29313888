package bundle

import (
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
)

// Types of Bundles that Handoff writes.
const (
	Searchset           = "searchset"
	History             = "history"
	Batch               = "batch"
	BatchResponse       = "batch-response"
	Transaction         = "transaction"
	TransactionResponse = "transaction-response"
	Collection          = "collection"
)

// Modes of a searchset's entries.
const (
	ModeMatch   = "match"
	ModeInclude = "include"
	ModeOutcome = "outcome"
)

// A Coding is one label of the Bundle's meta.security.
type Coding struct{ System, Code, Display string }

// An Entry is one entry of a Bundle. Empty fields are left out.
type Entry struct {
	FullURL  string
	Resource []byte // complete JSON, written as it stands
	Mode     string // of a searchset's entry
	Request  *Request
	Response *Response
}

// A Request is what an entry of a batch, transaction or history asks or asked.
type Request struct {
	Method, URL, IfNoneMatch, IfModifiedSince, IfMatch, IfNoneExist string
}

// A Response is the answer to an entry of a batch or transaction.
type Response struct {
	Status       string // "201 Created"
	Location     string
	ETag         string // W/"1"
	LastModified time.Time
	Outcome      []byte // an OperationOutcome
}

// A Bundle is a Bundle that is being put together. It keeps references to the
// resources given; they must not change before it is written. It is not safe
// for concurrent use.
type Bundle struct {
	typ      string
	id       string
	at       time.Time
	total    int
	links    []link
	security []Coding
	entries  []Entry
}

type link struct{ relation, url string }

// New starts a Bundle of the type.
func New(typ string) *Bundle { return &Bundle{typ: typ, total: -1} }

// ID sets Bundle.id.
func (b *Bundle) ID(id string) { b.id = id }

// Timestamp sets Bundle.timestamp.
func (b *Bundle) Timestamp(t time.Time) { b.at = t }

// Total sets Bundle.total. It must count only what the caller may see; without
// it the Bundle has no total.
func (b *Bundle) Total(n int) { b.total = n }

// Link adds a link: self, first, previous, next, last.
func (b *Bundle) Link(relation, url string) { b.links = append(b.links, link{relation, url}) }

// Security sets meta.security: the labels that are the high-water mark of the
// entries.
func (b *Bundle) Security(labels ...Coding) { b.security = labels }

// Add adds a resource to a searchset.
func (b *Bundle) Add(fullURL string, raw []byte, mode string) {
	b.entries = append(b.entries, Entry{FullURL: fullURL, Resource: raw, Mode: mode})
}

// AddEntry adds an entry of any kind.
func (b *Bundle) AddEntry(e Entry) { b.entries = append(b.entries, e) }

// Len returns the number of entries.
func (b *Bundle) Len() int { return len(b.entries) }

// Size returns about how many bytes will be written, for admission and caps.
func (b *Bundle) Size() int {
	n := 256
	for i := range b.entries {
		n += len(b.entries[i].Resource) + len(b.entries[i].FullURL) + 64
	}
	return n
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, flushAt+8<<10); return &b }}

// flushAt is the length at which the buffer goes out.
const flushAt = 32 << 10

// WriteTo writes the Bundle. Small pieces are gathered in a pooled buffer,
// large resources go to w directly.
func (b *Bundle) WriteTo(w io.Writer) (int64, error) {
	p, _ := buffers.Get().(*[]byte)
	out := &sink{w: w, buf: (*p)[:0]}
	b.head(out)
	for i := range b.entries {
		if i == 0 {
			out.string(`,"entry":[`)
		} else {
			out.byte(',')
		}
		b.entries[i].write(out)
		if out.err != nil {
			break
		}
	}
	if len(b.entries) > 0 {
		out.byte(']')
	}
	out.byte('}')
	out.flush()
	if cap(out.buf) <= 2*flushAt {
		*p = out.buf[:0]
		buffers.Put(p)
	}
	return out.n, out.err
}

// Bytes returns the Bundle as one slice.
func (b *Bundle) Bytes() []byte {
	var s sliceWriter = make([]byte, 0, b.Size())
	_, _ = b.WriteTo(&s) // a slice takes all
	return s
}

type sliceWriter []byte

func (s *sliceWriter) Write(p []byte) (int, error) { *s = append(*s, p...); return len(p), nil }

func (b *Bundle) head(out *sink) {
	out.string(`{"resourceType":"Bundle"`)
	out.member("id", b.id)
	if len(b.security) > 0 {
		out.string(`,"meta":{"security":[`)
		for i, c := range b.security {
			if i > 0 {
				out.byte(',')
			}
			out.object()
			out.member("system", c.System)
			out.member("code", c.Code)
			out.member("display", c.Display)
			out.byte('}')
		}
		out.string(`]}`)
	}
	out.member("type", b.typ)
	if !b.at.IsZero() {
		out.member("timestamp", resource.FormatInstant(b.at))
	}
	if b.total >= 0 {
		out.string(`,"total":`)
		out.buf = strconv.AppendInt(out.buf, int64(b.total), 10)
	}
	for i, l := range b.links {
		if i == 0 {
			out.string(`,"link":[`)
		} else {
			out.byte(',')
		}
		out.object()
		out.member("relation", l.relation)
		out.member("url", l.url)
		out.byte('}')
	}
	if len(b.links) > 0 {
		out.byte(']')
	}
}

func (e *Entry) write(out *sink) {
	out.object()
	out.member("fullUrl", e.FullURL)
	if len(e.Resource) > 0 {
		out.name("resource")
		out.raw(e.Resource)
	}
	if e.Mode != "" {
		out.name("search")
		out.object()
		out.member("mode", e.Mode)
		out.byte('}')
	}
	if r := e.Request; r != nil {
		out.name("request")
		out.object()
		out.member("method", r.Method)
		out.member("url", r.URL)
		out.member("ifNoneMatch", r.IfNoneMatch)
		out.member("ifModifiedSince", r.IfModifiedSince)
		out.member("ifMatch", r.IfMatch)
		out.member("ifNoneExist", r.IfNoneExist)
		out.byte('}')
	}
	if r := e.Response; r != nil {
		out.name("response")
		out.object()
		out.member("status", r.Status)
		out.member("location", r.Location)
		out.member("etag", r.ETag)
		if !r.LastModified.IsZero() {
			out.member("lastModified", resource.FormatInstant(r.LastModified))
		}
		if len(r.Outcome) > 0 {
			out.name("outcome")
			out.raw(r.Outcome)
		}
		out.byte('}')
	}
	out.byte('}')
}

// A sink gathers bytes and keeps the first error.
type sink struct {
	w    io.Writer
	buf  []byte
	n    int64
	err  error
	open bool // an object has just been opened: no comma before its first member
}

func (s *sink) string(v string) { s.buf = append(s.buf, v...); s.open = false }

func (s *sink) byte(c byte) {
	s.buf = append(s.buf, c)
	s.open = false
}

func (s *sink) object() {
	s.buf = append(s.buf, '{')
	s.open = true
}

func (s *sink) name(name string) {
	if !s.open {
		s.buf = append(s.buf, ',')
	}
	s.open = false
	s.buf = append(s.buf, '"')
	s.buf = append(s.buf, name...)
	s.buf = append(s.buf, '"', ':')
}

// member writes a string member, or nothing for "".
func (s *sink) member(name, value string) {
	if value == "" {
		return
	}
	s.name(name)
	s.buf = append(s.buf, resource.Quote(value)...)
	if len(s.buf) >= flushAt {
		s.flush()
	}
}

// raw writes JSON as it stands.
func (s *sink) raw(v []byte) {
	s.open = false
	if len(s.buf)+len(v) < flushAt {
		s.buf = append(s.buf, v...)
		return
	}
	s.flush()
	s.write(v)
}

func (s *sink) flush() {
	s.write(s.buf)
	s.buf = s.buf[:0]
}

func (s *sink) write(v []byte) {
	if s.err != nil || len(v) == 0 {
		return
	}
	n, err := s.w.Write(v)
	s.n += int64(n)
	s.err = err
}
