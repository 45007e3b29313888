package client

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
)

var (
	errTooLarge = errors.New("the answer is too large")
	errCut      = errors.New("the answer ends before its end")
	errNoJSON   = errors.New("the answer is not FHIR JSON")
	errPacked   = errors.New("the answer is packed in a way that was not asked for")
)

const maxErrorBytes = 256 << 10 // of an error's body

// open checks status, size and type of an answer and wraps its body so that
// reading it unpacks and counts.
func (c *Client) open(resp *http.Response, op string) error {
	if resp.StatusCode != http.StatusOK {
		return c.statusError(resp, op)
	}
	if resp.ContentLength > c.maxBytes {
		return c.bodyError(resp.Request.Context(), op, errTooLarge)
	}
	if t := resp.Header.Get("Content-Type"); !jsonType(t) {
		name, _, _ := mime.ParseMediaType(t)
		e := c.fail(op, Protocol, fmt.Errorf("%w: it is %.64q", errNoJSON, name))
		e.Status = resp.StatusCode
		return e
	}
	if err := unpack(resp, c.maxBytes); err != nil {
		return c.bodyError(resp.Request.Context(), op, err)
	}
	return nil
}

// statusError reads an error's OperationOutcome, if it has one. Text, HTML and
// what cannot be read leave the status alone to speak.
func (c *Client) statusError(resp *http.Response, op string) *Error {
	e := &Error{System: c.system, Op: op, Status: resp.StatusCode, Kind: kindOfStatus(resp.StatusCode)}
	if !jsonType(resp.Header.Get("Content-Type")) || unpack(resp, maxErrorBytes) != nil {
		return e
	}
	raw, err := readAll(resp.Body, resp.ContentLength)
	if err != nil {
		return e
	}
	if r, err := resource.Parse(raw); err == nil && r.Type() == "OperationOutcome" {
		return c.outcomeError(op, resp.StatusCode, r)
	}
	return e
}

// jsonType says whether a media type is one that FHIR servers use for JSON. A
// missing type passes: the body is read strictly anyway.
func jsonType(t string) bool {
	if strings.TrimSpace(t) == "" {
		return true
	}
	name, params, err := mime.ParseMediaType(t)
	if err != nil {
		return false
	}
	if cs, ok := params["charset"]; ok && !strings.EqualFold(cs, "utf-8") && !strings.EqualFold(cs, "utf8") {
		return false
	}
	switch name {
	case "application/fhir+json", "application/json", "application/json+fhir", "text/json":
		return true
	}
	return false
}

// unpack puts a reader in front of the body that undoes gzip and refuses to
// give more than limit bytes, packed or unpacked.
func unpack(resp *http.Response, limit int64) error {
	raw := &capped{r: resp.Body, left: limit}
	switch enc := strings.ToLower(strings.TrimSpace(resp.Header.Get("Content-Encoding"))); enc {
	case "", "identity":
		resp.Body = body{raw, resp.Body}
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(raw)
		if err != nil {
			return errCut
		}
		resp.Body = body{&capped{r: z, left: limit}, resp.Body}
		resp.ContentLength = -1
	default:
		return errPacked
	}
	return nil
}

type body struct {
	io.Reader
	io.Closer
}

// capped gives errTooLarge once more than left bytes were read, and errCut for
// an end that comes too early.
type capped struct {
	r    io.Reader
	left int64
}

func (c *capped) Read(p []byte) (int, error) {
	if c.left < 0 {
		return 0, errTooLarge
	}
	if int64(len(p)) > c.left+1 {
		p = p[:c.left+1]
	}
	n, err := c.r.Read(p)
	if c.left -= int64(n); c.left < 0 {
		return n - 1, errTooLarge
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) {
		err = errCut
	}
	return n, err
}

// readAll reads a capped body. A length that is announced sizes the buffer, up
// to a point: it is a claim like any other.
func readAll(r io.Reader, length int64) ([]byte, error) {
	var b bytes.Buffer
	if length > 0 {
		b.Grow(int(min(length, 1<<20)) + bytes.MinRead)
	}
	_, err := b.ReadFrom(r)
	return b.Bytes(), err
}

// drop closes a body. What is left of it is not read: an upstream that sends
// slowly would decide how long that takes.
func drop(r io.ReadCloser) { _ = r.Close() }
