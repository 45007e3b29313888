// Package guard names the places where an attack is stopped, so that a test can
// take one of them away and see whether any attack then succeeds. A guard that
// nothing would miss proves nothing.
//
// In a running gateway every guard stands: only [Disable] takes one away, it
// wants a test to do it, and the house rules keep it out of all other code. The
// place that guards asks
//
//	if !fits && !guard.Off(guard.Audience) { refuse }
//
// as near to the check itself as can be, so that nothing else is switched off
// with it. The attack suite in conformance/attack lists what each guard stops.
package guard

import (
	"slices"
	"strings"
	"sync/atomic"
)

// A Name is the name of a guard: area and what it checks.
type Name string

// off holds the guards that a test took away; nil in a running gateway.
var off atomic.Pointer[[]Name]

// Off says whether a test has taken the guard away.
func Off(n Name) bool {
	gone := off.Load()
	return gone != nil && slices.Contains(*gone, n)
}

// A Test is what a *testing.T offers to undo things in the end.
type Test interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Disable takes guards away for the length of a test. Tests that use it do not
// run beside others in one process.
func Disable(t Test, names ...Name) {
	t.Helper()
	for _, n := range names {
		if !slices.Contains(All(), n) {
			t.Fatalf("guard: there is no guard %q", n)
		}
	}
	before := off.Load()
	gone := slices.Clone(names)
	if before != nil {
		gone = append(gone, *before...)
	}
	off.Store(&gone)
	t.Cleanup(func() { off.Store(before) })
}

// All lists the guards in order of their names.
func All() []Name {
	out := make([]Name, 0, len(guards))
	for n := range guards {
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b Name) int { return strings.Compare(string(a), string(b)) })
	return out
}

// What says what the guard stops, in one line.
func (n Name) What() string { return guards[n] }

// Area is the part of the name before the slash: token, client, authorize,
// scope, access, parser.
func (n Name) Area() string {
	area, _, _ := strings.Cut(string(n), "/")
	return area
}
