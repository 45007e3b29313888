package store

import (
	"fmt"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
)

// CheckUnit refuses writes that no state of a store could make right, with a
// *WriteError around ErrInvalid. Every implementation calls it first.
func CheckUnit(ws []Write) error {
	seen := make(map[Key]bool, len(ws))
	for i := range ws {
		err := ws[i].Check()
		if err == nil && seen[ws[i].Key] {
			err = invalid("it stands twice in the unit")
		}
		if err != nil {
			return &WriteError{Index: i, Key: ws[i].Key, Err: err}
		}
		seen[ws[i].Key] = true
	}
	return nil
}

// Check refuses, with ErrInvalid, a write that no state of a store could make right.
func (w *Write) Check() error {
	switch {
	case !resource.ValidType(w.Type):
		return invalid("%q is not the name of a resource type", w.Type)
	case !resource.ValidID(w.ID):
		return invalid("%q is not a FHIR id", w.ID)
	case w.Expect < AnyVersion:
		return invalid("expected version %d", w.Expect)
	case w.Deleted && len(w.Raw) > 0:
		return invalid("a deletion has no content")
	case !w.Deleted && len(w.Raw) == 0:
		return invalid("no content")
	}
	for _, entry := range w.Index {
		if _, _, ok := SplitEntry(entry); !ok {
			return invalid("index entry %q is not of the form param|value", entry)
		}
	}
	for _, claim := range w.Claims {
		if claim == "" {
			return invalid("an empty claim")
		}
	}
	return nil
}

// ExpectHead compares what a write expects with the head: its version, 0 if there is
// none, and whether it is deleted.
func (w *Write) ExpectHead(version int64, deleted bool) error {
	if version == 0 && w.Deleted && w.Expect <= Absent {
		return fmt.Errorf("%s: %w", w.Key, ErrNotFound)
	}
	if w.Expect == AnyVersion || w.Expect == Absent && (version == 0 || deleted) || w.Expect > 0 && w.Expect == version {
		return nil
	}
	return &VersionError{Key: w.Key, Expect: w.Expect, Have: version}
}

// SplitEntry divides an index entry, "param|value".
func SplitEntry(entry string) (param, value string, ok bool) {
	param, value, ok = strings.Cut(entry, "|")
	return param, value, ok && param != ""
}

// Reserved says whether a parameter stands in no index entry.
func Reserved(param string) bool { return param == ParamID || param == ParamLastUpdated }

// Entries returns the index entries that a write leaves its head with: sorted as
// bytes, each once, none of a reserved parameter; none for a deletion.
func (w *Write) Entries() []string {
	if w.Deleted {
		return nil
	}
	return slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(w.Index))), func(e string) bool {
		param, _, _ := SplitEntry(e)
		return Reserved(param)
	})
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}
