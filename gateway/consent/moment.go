package consent

import (
	"strings"
	"sync/atomic"
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

// parseMoment reads a date, dateTime or instant, as FHIR writes them and nothing
// else: times without an offset are refused. A time keeps its own offset and
// never becomes one of the machine's zone, or a decision would depend on that.
func parseMoment(s string) (moment, bool) {
	year, ok := digits(s, 0, 4)
	month, day := 1, 1
	unit := byte('y')
	if len(s) > 4 {
		month, ok = part(s, 4, '-', 12, ok)
		unit = 'm'
	}
	if len(s) > 7 {
		day, ok = part(s, 7, '-', 31, ok)
		unit = 'd'
	}
	if !ok || month < 1 || day < 1 || year < 1 {
		return moment{}, false
	}
	at := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if at.Day() != day {
		return moment{}, false
	}
	if len(s) <= 10 {
		return moment{at: at, unit: unit}, len(s) == 4 || len(s) == 7 || len(s) == 10
	}
	since, loc, ok := clock(s[10:])
	if !ok {
		return moment{}, false
	}
	_, offset := time.Unix(0, 0).In(loc).Zone()
	at = at.Add(since - time.Duration(offset)*time.Second).In(loc)
	return moment{at: at, exact: true, rest: precision(s) - time.Nanosecond}, true
}

// clock reads "T10:00:00.5+01:00": the time since midnight and the offset.
func clock(s string) (since time.Duration, loc *time.Location, ok bool) {
	hour, ok := part(s, 0, 'T', 23, true)
	minute, ok := part(s, 3, ':', 59, ok)
	second, ok := part(s, 6, ':', 60, ok) // FHIR has leap seconds
	if !ok {
		return 0, nil, false
	}
	since = time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second
	if s = s[9:]; s != "" && s[0] == '.' {
		i := 1
		for unit := 100 * time.Millisecond; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
			since += time.Duration(s[i]-'0') * unit
			unit /= 10
		}
		if i == 1 {
			return 0, nil, false
		}
		s = s[i:]
	}
	if s == "Z" {
		return since, time.UTC, true
	}
	if len(s) != 6 || s[0] != '+' && s[0] != '-' {
		return 0, nil, false
	}
	hours, ok := digits(s, 1, 2)
	minutes, ok := part(s, 3, ':', 59, ok)
	minutes += hours * 60
	if !ok || minutes > 14*60 {
		return 0, nil, false
	}
	if s[0] == '-' {
		minutes = -minutes
	}
	return since, zone(minutes), true
}

// part reads two digits that follow a separator.
func part(s string, i int, separator byte, most int, ok bool) (int, bool) {
	if !ok || i >= len(s) || s[i] != separator {
		return 0, false
	}
	n, ok := digits(s, i+1, 2)
	return n, ok && n <= most
}

func digits(s string, i, count int) (n int, ok bool) {
	if i+count > len(s) {
		return 0, false
	}
	for _, c := range []byte(s[i : i+count]) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// zones are the offsets, by minutes from -14:00, each made once.
var zones [2*14*60 + 1]atomic.Pointer[time.Location]

func zone(minutes int) *time.Location {
	at := &zones[minutes+14*60]
	if at.Load() == nil {
		at.Store(time.FixedZone("", minutes*60))
	}
	return at.Load()
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
	m, ok := parseMoment(n.View())
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
