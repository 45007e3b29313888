package mappings

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A SegmentCoverage says what a mapping of HL7 v2 does with one segment.
type SegmentCoverage struct {
	Name    string
	Fields  int   // that the mapping lists
	Read    []int // that rows, keys and conditions read
	Ignored []int // left out on purpose
	Unread  []int // the others: what comes in them is counted as unmapped
}

// segmentCoverage looks at every field of the segments that the mapping lists, sorted
// by name.
func (m *Map) segmentCoverage() []SegmentCoverage {
	var out []SegmentCoverage
	for name, last := range m.shape.segments {
		s := SegmentCoverage{Name: name, Fields: last}
		_, whole := m.ignored[name]
		for i := 1; i <= last; i++ {
			field := name + "-" + strconv.Itoa(i)
			_, left := m.ignored[field]
			switch {
			case m.read[field]:
				s.Read = append(s.Read, i)
			case left || whole:
				s.Ignored = append(s.Ignored, i)
			default:
				s.Unread = append(s.Unread, i)
			}
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b SegmentCoverage) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// String is one line for people: "PID: 20 of 40 fields read, 1 left out on
// purpose, unread 12, 15-17".
func (s SegmentCoverage) String() string {
	text := fmt.Sprintf("%s: %d of %d fields read, %d left out on purpose", s.Name, len(s.Read), s.Fields, len(s.Ignored))
	if len(s.Unread) > 0 {
		text += ", unread " + spans(s.Unread)
	}
	return text
}

// spans writes ascending numbers: "1, 3-5".
func spans(numbers []int) string {
	var parts []string
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		part := strconv.Itoa(numbers[i])
		if j > i {
			part += "-" + strconv.Itoa(numbers[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ", ")
}
