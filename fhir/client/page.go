package client

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/handoff-health/handoff/fhir/resource"
)

var errShape = errors.New("the answer has not the shape of a Bundle")

// page reads a Bundle from a stream and hands each entry on as soon as it is
// there, so that no more than one entry is held. Anything else than a Bundle is
// read to its end too; typ says what it was.
type page struct {
	dec   *jsontext.Decoder
	entry func(fullURL, mode string, raw []byte) bool

	typ    string // resourceType
	bundle string // Bundle.type
	next   string // the next link
	issue  []byte // OperationOutcome.issue, if it is one
	stop   bool
}

func newPage(r io.Reader, entry func(fullURL, mode string, raw []byte) bool) *page {
	return &page{dec: jsontext.NewDecoder(r), entry: entry}
}

// outcome gives an OperationOutcome with the issues that were read.
func (p *page) outcome() []byte {
	if p.issue == nil {
		return []byte(`{"resourceType":"OperationOutcome"}`)
	}
	return append(append([]byte(`{"resourceType":"OperationOutcome","issue":`), p.issue...), '}')
}

func (p *page) read() error {
	err := p.object(func(name string) error {
		switch name {
		case "resourceType":
			return p.text(&p.typ)
		case "type":
			if p.dec.PeekKind() == '"' {
				return p.text(&p.bundle)
			}
		case "issue":
			v, err := p.dec.ReadValue()
			p.issue = bytes.Clone(v)
			return err
		case "link":
			return p.links()
		case "entry":
			return p.entries()
		}
		return p.dec.SkipValue()
	})
	if err != nil || p.stop {
		return plain(err)
	}
	switch _, err := p.dec.ReadToken(); {
	case err == nil:
		return errShape
	case !errors.Is(err, io.EOF):
		return plain(err)
	}
	return nil
}

// object reads an object and calls member with the decoder before each value.
func (p *page) object(member func(name string) error) error {
	if p.dec.PeekKind() != '{' {
		if _, err := p.dec.ReadToken(); err != nil {
			return err
		}
		return errShape
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return err
	}
	for p.dec.PeekKind() == '"' {
		t, err := p.dec.ReadToken()
		if err != nil {
			return err
		}
		if err := member(t.String()); err != nil || p.stop {
			return err
		}
	}
	_, err := p.dec.ReadToken() // '}', or what is wrong
	return err
}

// array reads an array and calls element before each value.
func (p *page) array(element func() error) error {
	if p.dec.PeekKind() != '[' {
		if _, err := p.dec.ReadToken(); err != nil {
			return err
		}
		return errShape
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return err
	}
	for {
		switch p.dec.PeekKind() {
		case ']', 0:
			_, err := p.dec.ReadToken()
			return err
		}
		if err := element(); err != nil || p.stop {
			return err
		}
	}
}

func (p *page) text(to *string) error {
	t, err := p.dec.ReadToken()
	if err != nil {
		return err
	}
	if t.Kind() != '"' {
		return errShape
	}
	*to = t.String()
	return nil
}

func (p *page) links() error {
	return p.array(func() error {
		var relation, target string
		err := p.object(func(name string) error {
			switch name {
			case "relation":
				return p.text(&relation)
			case "url":
				return p.text(&target)
			}
			return p.dec.SkipValue()
		})
		if relation == "next" {
			p.next = target
		}
		return err
	})
}

func (p *page) entries() error {
	return p.array(func() error {
		var fullURL, mode string
		var raw []byte
		err := p.object(func(name string) error {
			switch name {
			case "fullUrl":
				return p.text(&fullURL)
			case "resource":
				v, err := p.dec.ReadValue()
				raw = bytes.Clone(v)
				return err
			case "search":
				return p.object(func(name string) error {
					if name == "mode" {
						return p.text(&mode)
					}
					return p.dec.SkipValue()
				})
			}
			return p.dec.SkipValue()
		})
		if err == nil {
			p.stop = !p.entry(fullURL, mode, raw)
		}
		return err
	})
}

// plain turns a decoder's error into one that quotes nothing of the answer.
func plain(err error) error {
	var se *jsontext.SyntacticError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errTooLarge): // also as the reason why a value ended too early
		return errTooLarge
	case errors.As(err, &se) && errors.Is(se.Err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errCut
	case errors.As(err, &se):
		return &resource.SyntaxError{Offset: se.ByteOffset, Line: 1, Column: int(se.ByteOffset) + 1, Reason: "not JSON"}
	}
	return err
}
