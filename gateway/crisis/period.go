package crisis

import (
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
)

// during says whether the instant asked for is within a Period. An end that
// cannot be read leaves the plan in: an old plan is better than none, and it
// says when it was made.
func (s *summary) during(p resource.Node) bool {
	if start, _, ok := span(p.Get("start").Text(), s.at.Location()); ok && s.at.Before(start) {
		return false
	}
	_, end, ok := span(p.Get("end").Text(), s.at.Location())
	return !ok || s.at.Before(end)
}

// span is the interval that a FHIR dateTime names; end is exclusive. A date
// without an offset is read in zone.
func span(text string, zone *time.Location) (start, end time.Time, ok bool) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, t.Add(time.Nanosecond), true
	}
	for _, f := range [...]struct {
		layout              string
		years, months, days int
	}{{time.DateOnly, 0, 0, 1}, {"2006-01", 0, 1, 0}, {"2006", 1, 0, 0}} {
		if t, err := time.ParseInLocation(f.layout, text, zone); err == nil {
			return t, t.AddDate(f.years, f.months, f.days), true
		}
	}
	return start, end, false
}
