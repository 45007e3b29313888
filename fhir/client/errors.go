package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
)

// A Kind is what sort of failure an [Error] is, as far as callers act on it.
type Kind uint8

// The kinds. The zero value is the most general.
const (
	Unreachable  Kind = iota // no answer: refused, reset, name unknown, TLS
	Timeout                  // the deadline passed
	Canceled                 // the caller gave up
	NotFound                 // 404 or 410
	Unauthorized             // no token, or 401
	Forbidden                // 403
	Suppressed               // the server withholds by its own policy (break-the-glass)
	BadRequest               // another 4xx
	Throttled                // 429
	Server                   // 5xx
	Protocol                 // an answer that is no FHIR, too large, cut short, or of another thing
	Incomplete               // part of a search came, not all
)

var kindNames = [...]string{
	"unreachable", "timeout", "canceled", "not found", "unauthorized", "forbidden", "suppressed",
	"bad request", "throttled", "server error", "protocol error", "incomplete",
}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// ErrNotFound is what an [Error] of kind NotFound matches.
var ErrNotFound = errors.New("not found")

// An Issue is what an OperationOutcome says, without its texts.
type Issue struct {
	Severity string
	Code     string   // from issue-type
	Details  []string // the codes of details.coding
}

// An Error says which system failed at what. Its text carries no id, query or
// body, so that it may be logged.
type Error struct {
	System string
	Op     string // "read Patient", "search Observation"
	Kind   Kind
	Status int // 0 if there was no answer
	Issues []Issue
	err    error
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "system %s: %s: %s", e.System, e.Op, e.Kind)
	if e.Status != 0 {
		fmt.Fprintf(&b, " (HTTP %d)", e.Status)
	}
	for _, i := range e.Issues {
		fmt.Fprintf(&b, "; %s %s", i.Severity, i.Code)
		for _, d := range i.Details {
			b.WriteString(" " + d)
		}
	}
	if e.err != nil {
		b.WriteString(": " + e.err.Error())
	}
	return b.String()
}

// Unwrap gives the cause, if there is one.
func (e *Error) Unwrap() error { return e.err }

// Is makes errors.Is(err, ErrNotFound) true for kind NotFound.
func (e *Error) Is(target error) bool { return target == ErrNotFound && e.Kind == NotFound }

// KindOf returns the kind of an error from this package; ok is false for others.
func KindOf(err error) (k Kind, ok bool) {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind, true
	}
	return 0, false
}

func (c *Client) fail(op string, k Kind, err error) *Error {
	return &Error{System: c.system, Op: op, Kind: k, err: err}
}

// transportError tells why no answer came. A url.Error's text has the URL with
// the patient's id in it: only what it wraps is kept.
func (c *Client) transportError(ctx context.Context, op string, err error) *Error {
	var ue *url.Error
	for errors.As(err, &ue) {
		err = ue.Err
	}
	switch {
	case errors.Is(err, errRedirectAway), errors.Is(err, errRedirectLoop):
		return c.fail(op, Protocol, err)
	case errors.Is(ctx.Err(), context.Canceled), errors.Is(err, context.Canceled):
		return c.fail(op, Canceled, context.Canceled)
	case timedOut(ctx, err):
		return c.fail(op, Timeout, context.DeadlineExceeded)
	}
	return c.fail(op, Unreachable, err)
}

func timedOut(ctx context.Context, err error) bool {
	var ne net.Error
	return errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		(errors.As(err, &ne) && ne.Timeout())
}

// bodyError tells why an answer could not be read. What a parser says quotes
// the answer: only the place is kept.
func (c *Client) bodyError(ctx context.Context, op string, err error) *Error {
	var e *Error
	var se *resource.SyntaxError
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, errTooLarge):
		return c.fail(op, Protocol, fmt.Errorf("the answer is larger than %d bytes", c.maxBytes))
	case errors.As(err, &se):
		return c.fail(op, Protocol, fmt.Errorf("the answer is not readable JSON (line %d, column %d)", se.Line, se.Column))
	case errors.Is(err, errCut), errors.Is(err, errNoJSON), errors.Is(err, errPacked):
		return c.fail(op, Protocol, err)
	}
	return c.transportError(ctx, op, err)
}

// Issues reads an OperationOutcome's codes and leaves its texts.
func issuesOf(r *resource.Resource) []Issue {
	var out []Issue
	for n := range r.Root().All("issue") {
		i := Issue{Severity: codeText(n.Get("severity")), Code: codeText(n.Get("code"))}
		for c := range n.Get("details").All("coding") {
			if code := codeText(c.Get("code")); code != "" && len(i.Details) < 8 {
				i.Details = append(i.Details, code)
			}
		}
		if out = append(out, i); len(out) == 16 {
			break
		}
	}
	return out
}

// codeText returns a code that is safe to log, "" for anything longer or odder:
// a server may put what it likes there, an id or a name among it.
func codeText(n resource.Node) string {
	s := n.Text()
	if len(s) > 32 {
		return ""
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' {
			return ""
		}
	}
	return s
}

// outcomeError makes an error of an OperationOutcome that came with a status.
func (c *Client) outcomeError(op string, status int, r *resource.Resource) *Error {
	e := &Error{System: c.system, Op: op, Status: status, Issues: issuesOf(r), Kind: kindOfStatus(status)}
	if k, ok := kindOfIssues(e.Issues); ok && (status == http.StatusOK || k == Suppressed) {
		e.Kind = k
	}
	return e
}

func kindOfStatus(status int) Kind {
	switch {
	case status == http.StatusNotFound, status == http.StatusGone:
		return NotFound
	case status == http.StatusUnauthorized:
		return Unauthorized
	case status == http.StatusForbidden:
		return Forbidden
	case status == http.StatusTooManyRequests:
		return Throttled
	case status >= 500:
		return Server
	case status >= 400:
		return BadRequest
	}
	return Protocol
}
