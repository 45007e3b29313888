package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/handoff-health/handoff/fhir/resource"
)

// What a Bundle can be refused for. Match them with errors.Is.
var (
	ErrTooLarge  = errors.New("the Bundle is larger than allowed")
	ErrNotBundle = errors.New("not a Bundle of the kind expected")
	ErrMalformed = errors.New("the Bundle is malformed")
)

// Limits bound what is read. Zero fields take the defaults.
type Limits struct {
	Bytes   int64    // of the whole document; default 16 MiB
	Entries int      // default 5,000
	Types   []string // Bundle types accepted; none: any of R4's
}

// An Item is one entry as it was read.
type Item struct {
	FullURL  string
	Mode     string             // search.mode, "" if none
	Resource *resource.Resource // nil if the entry has none
	Request  *Request           // of a batch, transaction or history
	Status   string             // response.status
	Pointer  string             // "Bundle.entry[3]", for messages
}

// A Reader takes a Bundle apart while it comes in. Whether the document is a
// whole Bundle of an accepted type is known when Next returns io.EOF; before,
// only the entries are.
type Reader struct {
	in      *capped
	dec     *jsontext.Decoder
	lim     Limits
	typ     string
	kind    string // resourceType
	total   int
	links   map[string]string
	state   state
	entries int
	err     error
}

type state uint8

const (
	atStart state = iota
	inBundle
	inEntries
	atEnd
)

// NewReader reads a Bundle from r.
func NewReader(r io.Reader, lim Limits) *Reader {
	if lim.Bytes == 0 {
		lim.Bytes = 16 << 20
	}
	if lim.Entries == 0 {
		lim.Entries = 5000
	}
	in := &capped{r: r, left: lim.Bytes}
	return &Reader{in: in, dec: jsontext.NewDecoder(in), lim: lim, total: -1, links: map[string]string{}}
}

// capped is an io.LimitedReader that fails rather than ends at its limit.
type capped struct {
	r    io.Reader
	left int64
}

func (c *capped) Read(p []byte) (int, error) {
	if c.left < 0 {
		return 0, ErrTooLarge
	}
	if int64(len(p)) > c.left+1 {
		p = p[:c.left+1]
	}
	n, err := c.r.Read(p)
	if c.left -= int64(n); c.left < 0 {
		return 0, ErrTooLarge
	}
	return n, err
}

// ReadAll reads a whole Bundle: nothing of it counts unless all of it is well.
func ReadAll(r io.Reader, lim Limits) (*Reader, []Item, error) {
	rd := NewReader(r, lim)
	var out []Item
	for {
		it, err := rd.Next()
		if errors.Is(err, io.EOF) {
			return rd, out, nil
		}
		if err != nil {
			return nil, nil, err
		}
		out = append(out, *it)
	}
}

// Type returns Bundle.type; complete after io.EOF.
func (r *Reader) Type() string { return r.typ }

// Total returns Bundle.total and whether there is one; complete after io.EOF.
func (r *Reader) Total() (int, bool) { return max(r.total, 0), r.total >= 0 }

// Link returns the URL of a link, "" if there is none; complete after io.EOF.
func (r *Reader) Link(relation string) string { return r.links[relation] }

// Next returns the next entry, io.EOF after the last. Any other error is final.
func (r *Reader) Next() (*Item, error) {
	if r.err != nil {
		return nil, r.err
	}
	it, err := r.next()
	if err != nil {
		if !errors.Is(err, io.EOF) || r.state != atEnd {
			err = r.explain(err)
		}
		r.err = err
		return nil, err
	}
	return it, nil
}

// explain gives an error its place and one of the sentinels.
func (r *Reader) explain(err error) error {
	switch {
	case errors.Is(err, ErrTooLarge):
		return fmt.Errorf("%w (%d bytes, %d entries)", ErrTooLarge, r.lim.Bytes, r.lim.Entries)
	case errors.Is(err, ErrNotBundle), errors.Is(err, ErrMalformed):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("%w: it ends in the middle, after %d entries", ErrMalformed, r.entries)
	}
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) { // its text may repeat content: keep the place
		return fmt.Errorf("%w: byte %d, after %d entries: not valid JSON", ErrMalformed, syntax.ByteOffset, r.entries)
	}
	return fmt.Errorf("reading a Bundle, after %d entries: %w", r.entries, err)
}

func (r *Reader) next() (*Item, error) {
	for {
		switch r.state {
		case atStart:
			tok, err := r.dec.ReadToken()
			if err != nil {
				return nil, err
			}
			if tok.Kind() != '{' {
				return nil, fmt.Errorf("%w: the document is no JSON object", ErrNotBundle)
			}
			r.state = inBundle
		case inBundle:
			if err := r.member(); err != nil {
				return nil, err
			}
		case inEntries:
			if r.dec.PeekKind() != ']' {
				return r.entry()
			}
			if _, err := r.dec.ReadToken(); err != nil {
				return nil, err
			}
			r.state = inBundle
		case atEnd:
			return nil, io.EOF
		}
	}
}

// member reads one member of the Bundle, or its end.
func (r *Reader) member() error {
	tok, err := r.dec.ReadToken()
	if err != nil {
		return err
	}
	if tok.Kind() == '}' {
		return r.end()
	}
	name := tok.String()
	switch name {
	case "resourceType":
		if r.kind, err = r.text(name); err == nil && r.kind != "Bundle" {
			err = fmt.Errorf("%w: resourceType is not Bundle", ErrNotBundle)
		}
	case "type":
		if r.typ, err = r.text(name); err == nil {
			err = r.accepts()
		}
	case "total":
		err = r.readTotal()
	case "link":
		err = r.readLinks()
	case "implicitRules": // content is to be understood by rules that we do not know
		err = fmt.Errorf("%w: implicitRules is not supported", ErrNotBundle)
	case "entry":
		tok, err = r.dec.ReadToken()
		if err == nil && tok.Kind() != '[' {
			err = fmt.Errorf("%w: Bundle.entry is no array", ErrMalformed)
		}
		r.state = inEntries
	default:
		err = r.dec.SkipValue()
	}
	return err
}

var bundleTypes = []string{
	"document", "message", Transaction, TransactionResponse, Batch, BatchResponse, History, Searchset, Collection,
}

func (r *Reader) accepts() error {
	types := r.lim.Types
	if len(types) == 0 {
		types = bundleTypes
	}
	for _, t := range types {
		if r.typ == t {
			return nil
		}
	}
	return fmt.Errorf("%w: its type is not one of %v", ErrNotBundle, types)
}

// end checks what can only be known at the end.
func (r *Reader) end() error {
	switch {
	case r.kind == "":
		return fmt.Errorf("%w: resourceType is missing", ErrNotBundle)
	case r.typ == "":
		return fmt.Errorf("%w: Bundle.type is missing", ErrNotBundle)
	}
	if _, err := r.dec.ReadToken(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = fmt.Errorf("%w: something follows the Bundle", ErrMalformed)
		}
		return err
	}
	r.state = atEnd
	return nil
}

func (r *Reader) text(name string) (string, error) {
	tok, err := r.dec.ReadToken()
	if err != nil {
		return "", err
	}
	if tok.Kind() != '"' {
		return "", fmt.Errorf("%w: %s is no string", ErrMalformed, name)
	}
	return tok.String(), nil
}

func (r *Reader) readTotal() error {
	v, err := r.dec.ReadValue()
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(string(v), 10, 31)
	if err != nil {
		return fmt.Errorf("%w: Bundle.total is no unsignedInt", ErrMalformed)
	}
	r.total = int(n)
	return nil
}

func (r *Reader) readLinks() error {
	v, err := r.dec.ReadValue()
	if err != nil {
		return err
	}
	d, err := resource.ParseDocument(bytes.Clone(v))
	if err != nil {
		return fmt.Errorf("%w: Bundle.link: %w", ErrMalformed, err)
	}
	if d.Root().Kind() != resource.Array {
		return fmt.Errorf("%w: Bundle.link is no array", ErrMalformed)
	}
	for l := range d.Root().Elements() {
		relation, url := l.Get("relation").Text(), l.Get("url").Text()
		if relation == "" || url == "" {
			return fmt.Errorf("%w: a link without relation or url", ErrMalformed)
		}
		if _, twice := r.links[relation]; twice {
			return fmt.Errorf("%w: two links with one relation", ErrMalformed)
		}
		r.links[relation] = url
	}
	return nil
}

// entry reads one entry of the array.
func (r *Reader) entry() (*Item, error) {
	if r.entries >= r.lim.Entries {
		return nil, ErrTooLarge
	}
	it := &Item{Pointer: fmt.Sprintf("Bundle.entry[%d]", r.entries)}
	tok, err := r.dec.ReadToken()
	if err != nil {
		return nil, err
	}
	if tok.Kind() != '{' {
		return nil, fmt.Errorf("%w: %s is no object", ErrMalformed, it.Pointer)
	}
	for {
		tok, err := r.dec.ReadToken()
		if err != nil {
			return nil, err
		}
		if tok.Kind() == '}' {
			r.entries++
			return it, nil
		}
		if err := r.entryMember(it, tok.String()); err != nil {
			return nil, err
		}
	}
}

func (r *Reader) entryMember(it *Item, name string) (err error) {
	switch name {
	case "fullUrl":
		it.FullURL, err = r.text(it.Pointer + ".fullUrl")
		return err
	case "resource", "search", "request", "response":
	default:
		return r.dec.SkipValue()
	}
	v, err := r.dec.ReadValue()
	if err != nil {
		return err
	}
	raw := bytes.Clone(v) // the decoder reuses its buffer
	if name == "resource" {
		if it.Resource, err = resource.Parse(raw); err != nil {
			return fmt.Errorf("%w: %s.resource: %w", ErrMalformed, it.Pointer, err)
		}
		return nil
	}
	d, err := resource.ParseDocument(raw)
	if err != nil || d.Root().Kind() != resource.Object {
		return fmt.Errorf("%w: %s.%s is no object", ErrMalformed, it.Pointer, name)
	}
	n := d.Root()
	switch name {
	case "search":
		it.Mode = n.Get("mode").Text()
		if m := it.Mode; m != ModeMatch && m != ModeInclude && m != ModeOutcome && (m != "" || n.Get("mode").Exists()) {
			return fmt.Errorf("%w: %s.search.mode is not one of R4's", ErrMalformed, it.Pointer)
		}
	case "request":
		it.Request = &Request{
			Method: n.Get("method").Text(), URL: n.Get("url").Text(),
			IfNoneMatch: n.Get("ifNoneMatch").Text(), IfModifiedSince: n.Get("ifModifiedSince").Text(),
			IfMatch: n.Get("ifMatch").Text(), IfNoneExist: n.Get("ifNoneExist").Text(),
		}
	case "response":
		it.Status = n.Get("status").Text()
	}
	return nil
}
