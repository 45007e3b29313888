package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Kinds of findings.
const (
	FoundOrphan       = "orphan"         // a version, or what belongs to one, that no head reaches
	FoundLostHead     = "lost-head"      // versions that were acknowledged, without their head
	FoundLostVersion  = "lost-version"   // a head, or a later version, without the version it needs
	FoundHeadDrift    = "head-drift"     // a head says otherwise than its newest version
	FoundIndexDrift   = "index-drift"    // entries of a resource are not those of its content
	FoundStaleEntry   = "stale-entry"    // an entry of no live resource
	FoundStaleClaim   = "stale-claim"    // a claim of no live resource that makes it
	FoundLostClaim    = "lost-claim"     // a resource makes a claim that it does not hold
	FoundMissingIndex = "missing-index"  // an index of the database lacks, or is another
	FoundForeignIndex = "foreign-index"  // an index of somebody else refuses what the store writes
	FoundDamaged      = "damaged"        // what is there is not what was written
	FoundGap          = "gap"            // a stream lacks entries
	FoundCounter      = "counter-behind" // a counter is behind what was given out
	FoundOpenUnit     = "open-unit"      // a unit of work that nobody ends
	FoundStaleIntent  = "stale-intent"   // an intent whose unit is decided, or gone
	FoundStaleChunk   = "stale-chunk"    // a part of nothing
)

// A Finding is something wrong in a store.
type Finding struct {
	Kind   string `json:"kind"`
	What   string `json:"what"` // the resource, claim, stream or index it is about; never content
	Detail string `json:"detail,omitempty"`
	Mended bool   `json:"mended"` // Repair put it right
	// Young says that nothing need be wrong: whoever writes it may still be at work.
	Young bool `json:"young,omitempty"`
}

// CheckOptions of a Checker.
type CheckOptions struct {
	Repair bool
	// Young is how old what a writer may leave behind must be to be judged: 10 min if
	// 0; negative: nothing is young.
	Young time.Duration
	// Unfinished says that the store is a copy which is not finished. What it holds without
	// a head its next run takes away, or gives one: until then nothing of it is judged.
	Unfinished bool
	// Entries computes what a live record's index should be; nil: entries are not
	// compared with content. The record has the index that is kept.
	Entries func(*Record) ([]string, error)
	// Claims gives claims that a live record must hold, as far as it tells of itself,
	// with the index that is kept; nil: nobody can tell. It needs Entries.
	Claims func(*Record) []string
	// Name tells which resource some content is of, to find where what is lost belongs;
	// nil: nobody can tell.
	Name func(raw []byte) (Key, error)
	// Progress, if set, is told what has been looked at so far, and of how many.
	Progress func(done, total int64)
}

// YoungAge is Young with its default.
func (o *CheckOptions) YoungAge() time.Duration {
	switch {
	case o.Young < 0:
		return 0
	case o.Young == 0:
		return 10 * time.Minute
	}
	return o.Young
}

// A Checker can compare what it holds with itself, also while others use the store.
// Without Repair it writes nothing. With it, whatever can be put right without
// losing anything that was acknowledged is; the rest is found only.
type Checker interface {
	CheckStore(ctx context.Context, o CheckOptions, found func(Finding)) error
}

// IndexDrift compares entries as sets and says how they differ by their parameters,
// never by their values; "" if they do not. Entries of reserved parameters are wanted by
// nobody: no writer keeps them. foreign is how many more there are that are of no
// parameter of the resource's type.
func IndexDrift(have, want []string, foreign int) string {
	count := map[string]int{}
	for _, e := range have {
		count[e] |= 1
	}
	for _, e := range want {
		if param, _, _ := SplitEntry(e); !Reserved(param) {
			count[e] |= 2
		}
	}
	var more, less int
	params := map[string]bool{}
	for e, sides := range count {
		param, _, _ := strings.Cut(e, "|")
		if sides == 3 {
			continue
		}
		params[param] = true
		if sides == 1 {
			more++
		} else {
			less++
		}
	}
	var parts []string
	if foreign > 0 {
		parts = append(parts, fmt.Sprintf("%d entries that are of no parameter of its type", foreign))
	}
	if len(params) > 0 {
		parts = append(parts, fmt.Sprintf("%d entries too many, %d too few, of %s", more, less, strings.Join(slices.Sorted(maps.Keys(params)), ", ")))
	}
	return strings.Join(parts, "; ")
}
