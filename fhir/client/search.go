package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/handoff-health/handoff/fhir/resource"
)

// An Entry is one entry of a searchset.
type Entry struct {
	FullURL  string
	Mode     string // search.mode: "match", "include"; "" if the server says nothing
	Resource *resource.Resource
}

// errIncomplete is the cause of an Error of kind Incomplete.
var errIncomplete = errors.New("not everything that matches came")

// Search asks for resources of a type and yields the entries page by page, as
// they arrive; it stops without an error when yield returns false. Outcome
// entries are read for what they mean and not yielded.
//
// An error may follow entries that were yielded: they are good, but not all. A
// search of which the server itself says so, or one of whose entries could not
// be read, ends with an [*Error] of kind Incomplete; one that the server holds
// back by its own policy with kind Suppressed.
func (c *Client) Search(ctx context.Context, typ string, params url.Values, yield func(Entry) bool) error {
	op := "search " + typ
	if !resource.ValidType(typ) {
		return c.fail(op, BadRequest, errors.New("not a resource type"))
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	next := c.base.join(typ)
	next.RawQuery = params.Encode()
	s := &search{c: c, op: op, yield: yield, seen: map[string]bool{}}
	for n := 0; next != nil; n++ {
		switch at := next.String(); {
		case s.seen[at]:
			return c.fail(op, Protocol, errors.New("its next links run in a circle"))
		case n >= c.maxPages:
			return c.fail(op, Incomplete, errors.New("it has more pages than are read"))
		default:
			s.seen[at] = true
		}
		link, err := s.page(ctx, next)
		if err != nil {
			return err
		}
		if s.stopped {
			return nil
		}
		if next, err = s.follow(next, link); err != nil {
			return err
		}
	}
	return s.end()
}

// search is the state of one search over its pages.
type search struct {
	c       *Client
	op      string
	yield   func(Entry) bool
	seen    map[string]bool // addresses of pages that were read
	issues  []Issue         // of outcome entries
	bad     bool            // an entry could not be read
	stopped bool            // yield returned false
}

// page reads one page and returns its next link, "" at the end.
func (s *search) page(ctx context.Context, u *url.URL) (string, error) {
	resp, err := s.c.get(ctx, s.op, u) //nolint:bodyclose // drop reads a little and closes
	if err != nil {
		return "", err
	}
	defer drop(resp.Body)
	p := newPage(resp.Body, s.entry)
	if err := p.read(); err != nil && !s.stopped {
		return "", s.c.bodyError(ctx, s.op, err)
	}
	if s.stopped {
		return "", nil
	}
	switch p.typ {
	case "Bundle":
	case "OperationOutcome":
		r, err := resource.Parse(p.outcome())
		if err != nil {
			return "", s.c.bodyError(ctx, s.op, err)
		}
		return "", s.c.outcomeError(s.op, http.StatusOK, r)
	default:
		return "", s.c.fail(s.op, Protocol, errors.New("the answer is not a Bundle"))
	}
	if p.bundle != "searchset" {
		return "", s.c.fail(s.op, Protocol, errors.New("the answer is not a searchset"))
	}
	return p.next, nil
}

// entry takes one entry of a page and says whether to go on.
func (s *search) entry(fullURL, mode string, raw []byte) bool {
	if raw == nil {
		s.bad = true
		return true
	}
	r, err := resource.Parse(raw)
	switch {
	case err != nil:
		s.bad = true
		return true
	case r.Type() == "OperationOutcome":
		if len(s.issues) < 64 {
			s.issues = append(s.issues, issuesOf(r)...)
		}
		return true
	case mode == "outcome":
		return true
	}
	s.stopped = !s.yield(Entry{FullURL: fullURL, Mode: mode, Resource: r})
	return !s.stopped
}

// follow checks a next link, which is used as it stands: only the server knows
// what its paging state means.
func (s *search) follow(at *url.URL, link string) (*url.URL, error) {
	if link == "" {
		return nil, nil
	}
	u, err := at.Parse(link)
	if err != nil {
		return nil, s.c.fail(s.op, Protocol, errors.New("its next link is not a URL"))
	}
	u.Fragment = ""
	if !s.c.base.holds(u) {
		return nil, s.c.fail(s.op, Protocol, errors.New("its next link leaves its own base; it was not followed"))
	}
	return u, nil
}

// end says whether what came was everything.
func (s *search) end() error {
	if k, ok := kindOfIssues(s.issues); ok {
		return &Error{System: s.c.system, Op: s.op, Kind: k, Issues: s.issues, err: errIncomplete}
	}
	if s.bad {
		return s.c.fail(s.op, Incomplete, errors.New("an entry could not be read"))
	}
	return nil
}
