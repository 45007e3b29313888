package consent

import (
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
)

// A moment is a FHIR date or dateTime: an instant, or a whole day, month or
// year that becomes one only in an offset.
type moment struct {
	at    time.Time     // the instant, or midnight UTC of the first day
	exact bool          // at is an instant with an offset
	rest  time.Duration // of an instant: what its last digit leaves open
	unit  byte          // 'd', 'm', 'y' for a partial date
}

// parseMoment reads a date, dateTime or instant. Times without an offset are
// not FHIR and are refused.
func parseMoment(s string) (moment, bool) {
	switch len(s) {
	case 4:
		t, err := time.Parse("2006", s)
		return moment{at: t, unit: 'y'}, err == nil
	case 7:
		t, err := time.Parse("2006-01", s)
		return moment{at: t, unit: 'm'}, err == nil
	case 10:
		t, err := time.Parse("2006-01-02", s)
		return moment{at: t, unit: 'd'}, err == nil
	}
	t, err := time.Parse(time.RFC3339, s)
	return moment{at: t, exact: true, rest: precision(s) - time.Nanosecond}, err == nil
}

// precision is the worth of the last digit of an instant's time: an end to the
// second includes that second (R4 Period.end).
func precision(s string) time.Duration {
	d := time.Second
	if i := strings.IndexByte(s, '.'); i > 0 {
		for i++; i < len(s) && s[i] >= '0' && s[i] <= '9' && d > time.Nanosecond; i++ {
			d /= 10
		}
	}
	return d
}

// first and last are the bounds of what the moment covers: an instant covers
// what its precision leaves open, a partial date is read in loc.
func (m moment) first(loc *time.Location) time.Time {
	if m.exact {
		return m.at
	}
	y, mo, d := m.at.Date()
	return time.Date(y, mo, d, 0, 0, 0, 0, loc)
}

func (m moment) last(loc *time.Location) time.Time {
	if m.exact {
		return m.at.Add(m.rest)
	}
	y, mo, d := m.at.Date()
	switch m.unit {
	case 'y':
		y++
	case 'm':
		mo++
	default:
		d++
	}
	return time.Date(y, mo, d, 0, 0, 0, 0, loc).Add(-time.Nanosecond)
}

// A span is a Period as it is written. A bound that is absent is open.
type span struct {
	start, end       moment
	hasStart, hasEnd bool
	broken           bool // a bound that cannot be read, or a Period of nothing
}

// parseSpan reads a Period.
func parseSpan(n resource.Node) span {
	var s span
	if n.Kind() != resource.Object {
		return span{broken: true}
	}
	s.start, s.hasStart, s.broken = readBound(n.Get("start"), s.broken)
	s.end, s.hasEnd, s.broken = readBound(n.Get("end"), s.broken)
	if !s.hasStart && !s.hasEnd || n.Get("modifierExtension").Exists() {
		s.broken = true
	}
	// A start after the end covers nothing: a mistake, not a rule.
	if s.hasStart && s.hasEnd && s.start.first(time.UTC).After(s.end.last(time.UTC).Add(26*time.Hour)) {
		s.broken = true
	}
	return s
}

func readBound(n resource.Node, broken bool) (m moment, has, isBroken bool) {
	if !n.Exists() {
		return moment{}, false, broken
	}
	m, ok := parseMoment(n.Text())
	return m, ok, broken || !ok
}

// holds says whether the instant lies in the span, both ends included and read
// in the instant's own offset.
func (s *span) holds(at time.Time) truth {
	loc := at.Location()
	if s.hasStart && at.Before(s.start.first(loc)) || s.hasEnd && at.After(s.end.last(loc)) {
		return no
	}
	if s.broken {
		return unknown
	}
	return yes
}

// A dating is when a resource's content happened: an interval whose bounds may
// be open.
type dating struct {
	start, end         time.Time
	openStart, openEnd bool
	known              bool
}

// inside says whether the whole dating lies in the span.
func (s *span) inside(d *dating) truth {
	switch {
	case !d.known || s.broken:
		return unknown
	case s.hasStart && (d.openStart || d.start.Before(s.start.first(d.start.Location()))),
		s.hasEnd && (d.openEnd || d.end.After(s.end.last(d.end.Location()))):
		return no
	}
	return yes
}

// overlaps says whether any of the dating lies in the span.
func (s *span) overlaps(d *dating) truth {
	switch {
	case !d.known || s.broken:
		return unknown
	case s.hasStart && !d.openEnd && d.end.Before(s.start.first(d.end.Location())),
		s.hasEnd && !d.openStart && d.start.After(s.end.last(d.start.Location())):
		return no
	}
	return yes
}
