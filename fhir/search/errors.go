package search

import (
	"fmt"

	"github.com/handoff-health/handoff/fhir/outcome"
)

// A Problem says what is wrong with a parameter.
type Problem uint8

// The problems. The zero value is not used.
const (
	Unknown     Problem = iota + 1 // no such parameter or modifier
	Unsupported                    // FHIR knows it, this server does not do it
	Malformed                      // the value, or its place, is wrong
	TooMany                        // more parameters or values than are read
)

// An Error says which parameter was refused and why. Its text is meant for the
// caller. errors.As finds an *outcome.Error in it: 400.
type Error struct {
	Param   string // as it was written, modifier included
	Problem Problem
	Reason  string
}

func (e *Error) Error() string { return fmt.Sprintf("search parameter %q: %s", e.Param, e.Reason) }

// As lets outcome.Render turn the error into a 400.
func (e *Error) As(target any) bool {
	t, ok := target.(**outcome.Error)
	if !ok {
		return false
	}
	code := outcome.CodeValue
	switch e.Problem {
	case Unknown, Unsupported:
		code = outcome.CodeNotSupported
	case TooMany:
		code = outcome.CodeTooCostly
	}
	*t = outcome.BadRequest(code, "%s", e.Error()).At("http." + e.Param)
	return true
}

func refuse(param string, p Problem, format string, args ...any) *Error {
	if len(args) > 0 {
		format = fmt.Sprintf(format, args...)
	}
	return &Error{Param: clip(param), Problem: p, Reason: format}
}

// clip keeps a caller's words short where they are repeated to it.
func clip(s string) string {
	if len(s) > 80 {
		return s[:cut(s, 80)] + "…"
	}
	return s
}
