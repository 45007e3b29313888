package packs

import (
	"errors"
	"fmt"
	"strings"
)

// A Pos is a place in a file, from 1.
type Pos struct{ Line, Column int }

// A Fault is one thing that is wrong in a pack.
type Fault struct {
	File string
	Pos
	At     string // path of the key, "rules[3].when[0].role"; "" if the file could not be read that far
	Reason string
}

func (f *Fault) Error() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", f.Line, f.Column)
	}
	b.WriteString(": ")
	if f.At != "" {
		b.WriteString(f.At + ": ")
	}
	b.WriteString(f.Reason)
	return b.String()
}

// maxFaults bounds how many faults of one file are told.
const maxFaults = 50

// faults collects what is wrong; none is no error.
type faults []error

func (fs *faults) add(f *Fault) {
	if len(*fs) < maxFaults {
		*fs = append(*fs, f)
	}
}

// join returns the faults as one error whose text has one a line.
func (fs faults) join() error { return errors.Join(fs...) }

// Faults lists the faults of an error that Read or Link returned.
func Faults(err error) []*Fault {
	var out []*Fault
	var one *Fault
	switch e := err.(type) { //nolint:errorlint // a joined error is taken apart here
	case nil:
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			out = append(out, Faults(err)...)
		}
	default:
		if errors.As(err, &one) {
			out = append(out, one)
		}
	}
	return out
}
