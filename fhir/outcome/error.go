package outcome

import (
	"errors"
	"fmt"
	"net/http"
)

// A Severity is an issue's severity.
type Severity string

// The severities of R4.
const (
	Fatal       Severity = "fatal"
	Failure     Severity = "error"
	Warning     Severity = "warning"
	Information Severity = "information"
)

// A Code is an issue's type: http://hl7.org/fhir/issue-type.
type Code string

// The issue types that Handoff uses.
const (
	CodeInvalid      Code = "invalid"       // content that breaks the rules
	CodeStructure    Code = "structure"     // not JSON, wrong kind, unknown element
	CodeRequired     Code = "required"      // a required element is missing
	CodeValue        Code = "value"         // a value of wrong form
	CodeInvariant    Code = "invariant"     // a rule between elements is broken
	CodeCodeInvalid  Code = "code-invalid"  // a code outside its value set
	CodeSecurity     Code = "security"      // an authorization problem in general
	CodeLogin        Code = "login"         // no token, or not a good one
	CodeExpired      Code = "expired"       // session or token ran out
	CodeForbidden    Code = "forbidden"     // the rights do not suffice
	CodeSuppressed   Code = "suppressed"    // something may have been left out
	CodeProcessing   Code = "processing"    // could not be done
	CodeNotSupported Code = "not-supported" // the interaction, parameter or format is not supported
	CodeDuplicate    Code = "duplicate"     // an attempt to create a duplicate
	CodeNotFound     Code = "not-found"     // nothing under this id
	CodeDeleted      Code = "deleted"       // was there, is deleted
	CodeTooLong      Code = "too-long"      // the content is too large
	CodeTooCostly    Code = "too-costly"    // would take too much
	CodeMultiple     Code = "multiple-matches"
	CodeConflict     Code = "conflict" // edit version conflict
	CodeTransient    Code = "transient"
	CodeLockError    Code = "lock-error"
	CodeTimeout      Code = "timeout"
	CodeIncomplete   Code = "incomplete" // not all data sources could be asked
	CodeThrottled    Code = "throttled"
	CodeException    Code = "exception" // an unexpected internal error
	CodeInformation  Code = "informational"
)

// An Issue is one entry of an OperationOutcome.
type Issue struct {
	Severity    Severity // "" is error
	Code        Code     // "" is processing
	Details     string   // code of the project's finding system, "" for none
	Diagnostics string   // for the caller; never an internal message
	Expression  string   // where, as FHIRPath ("Patient.name[0].use") or "http.<header or parameter>"
}

// An Error is a failed request: what the caller is told and, apart, why.
type Error struct {
	Status      int    // HTTP status
	Code        Code   // type of the first issue
	Diagnostics string // of the first issue: words for the caller
	Expression  string // of the first issue
	More        []Issue
	Err         error // the cause; stays inside, for logs and errors.Is
}

// Error gives the operator's view, the cause included. It is not for callers.
func (e *Error) Error() string {
	s := fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Diagnostics)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Because returns a copy of e with its cause.
func (e *Error) Because(err error) *Error {
	c := *e
	c.Err = err
	return &c
}

// At returns a copy of e that names the place in the request.
func (e *Error) At(expression string) *Error {
	c := *e
	c.Expression = expression
	return &c
}

// Issues lists what the caller is told.
func (e *Error) Issues() []Issue {
	return append([]Issue{{Code: e.Code, Diagnostics: e.Diagnostics, Expression: e.Expression}}, e.More...)
}

// New makes an error with a formatted text for the caller.
func New(status int, code Code, format string, args ...any) *Error {
	if len(args) > 0 {
		format = fmt.Sprintf(format, args...)
	}
	return &Error{Status: status, Code: code, Diagnostics: format}
}

// BadRequest is a request that cannot be understood: 400.
func BadRequest(code Code, format string, args ...any) *Error {
	return New(http.StatusBadRequest, code, format, args...)
}

// NotSupported is a known thing that this server does not do: 400.
func NotSupported(format string, args ...any) *Error {
	return New(http.StatusBadRequest, CodeNotSupported, format, args...)
}

// Unauthorized is a missing or bad token: 401. One text for all causes.
func Unauthorized(cause error) *Error {
	return New(http.StatusUnauthorized, CodeLogin, "a valid access token is required").Because(cause)
}

// Forbidden is a token whose rights do not cover the interaction: 403. Use it
// only where the answer depends on the token alone, never on the data.
func Forbidden(format string, args ...any) *Error {
	return New(http.StatusForbidden, CodeForbidden, format, args...)
}

// NotFound is the one answer for absent, hidden and withheld: 404, rendered as
// [NotFoundBody] whatever the cause.
func NotFound(cause error) *Error {
	return New(http.StatusNotFound, CodeNotFound, notFoundText).Because(cause)
}

// Gone is a deleted resource that the caller was allowed to see: 410.
func Gone() *Error { return New(http.StatusGone, CodeDeleted, "the resource has been deleted") }

// MethodNotAllowed is an interaction that a route does not offer: 405.
func MethodNotAllowed(format string, args ...any) *Error {
	return New(http.StatusMethodNotAllowed, CodeNotSupported, format, args...)
}

// NotAcceptable is a format in which the answer cannot be given: 406.
func NotAcceptable(format string, args ...any) *Error {
	return New(http.StatusNotAcceptable, CodeNotSupported, format, args...)
}

// Conflict is a version or uniqueness conflict: 409.
func Conflict(format string, args ...any) *Error {
	return New(http.StatusConflict, CodeConflict, format, args...)
}

// PreconditionFailed is an If-Match or condition that does not hold: 412.
func PreconditionFailed(code Code, format string, args ...any) *Error {
	return New(http.StatusPreconditionFailed, code, format, args...)
}

// TooLarge is a body above the limit: 413.
func TooLarge(format string, args ...any) *Error {
	return New(http.StatusRequestEntityTooLarge, CodeTooLong, format, args...)
}

// UnsupportedMediaType is a body in a format that is not read: 415.
func UnsupportedMediaType(format string, args ...any) *Error {
	return New(http.StatusUnsupportedMediaType, CodeNotSupported, format, args...)
}

// Unprocessable is a resource that breaks FHIR's or the server's rules: 422.
// issues are added after the first; without a text the first of them leads.
func Unprocessable(diagnostics string, issues ...Issue) *Error {
	e := &Error{Status: http.StatusUnprocessableEntity, Code: CodeInvalid, Diagnostics: diagnostics, More: issues}
	if diagnostics == "" && len(issues) > 0 {
		e.Code, e.Diagnostics, e.Expression, e.More = issues[0].Code, issues[0].Diagnostics, issues[0].Expression, issues[1:]
	}
	return e
}

// TooCostly is a request that would take more than the server gives: 403 with
// too-costly, so that clients do not repeat it.
func TooCostly(format string, args ...any) *Error {
	return New(http.StatusForbidden, CodeTooCostly, format, args...)
}

// Throttled is a caller above its rate: 429.
func Throttled() *Error {
	return New(http.StatusTooManyRequests, CodeThrottled, "too many requests; try again later")
}

// Unavailable is a server that cannot answer now: 503.
func Unavailable(cause error) *Error {
	return New(http.StatusServiceUnavailable, CodeTransient, "the server cannot answer at the moment").Because(cause)
}

// Internal is everything else: 500 with the constant text.
func Internal(cause error) *Error {
	return New(http.StatusInternalServerError, CodeException, internalText).Because(cause)
}

// As finds the *Error in err's chain; an error without one is Internal.
// It returns nil for nil.
func As(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) && e != nil {
		return e
	}
	return Internal(err)
}
