package field

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	_ "time/tzdata" // zones must be found on a machine without a zone database
)

// A Moment is a local date and time read from a source.
type Moment struct {
	Value    string // FHIR dateTime: "2025-01-04T05:13:00-05:00", "2025-01-04", "2025-01"
	Time     time.Time
	Exact    bool // Time is an instant: the value has a time and an offset
	Blank    bool
	Findings []Finding
	wall     string    // the clock as written, of a time whose offset is not known
	late     time.Time // the later reading of a time that occurs twice
}

// OK says that there is a value.
func (m Moment) OK() bool { return m.Value != "" }

// Date is the value's date part.
func (m Moment) Date() string { return m.Value[:min(10, len(m.Value))] }

func (m *Moment) note(level Level, code, message string) {
	m.Findings = append(m.Findings, Finding{code, message, level})
}

const fhirTime = "2006-01-02T15:04:05Z07:00"

// ReadMoment reads a date and time as systems export them, in the zone loc. A
// time that daylight saving skips keeps its digits with the offset in force
// before; one that occurs twice takes the first. Both are findings.
func ReadMoment(s string, dayFirst bool, loc *time.Location) Moment {
	var m Moment
	s = strings.TrimSpace(s)
	if Blank(s) {
		m.Blank = true
		return m
	}
	datePart, timePart := splitTime(s)
	d, ok := readDate(datePart, dayFirst)
	if ok && d.short {
		if d.year += 2000; d.year > 2069 {
			d.year -= 100
		}
		m.note(Note, "time-two-digit-year", "the year had two digits")
	}
	if ok && d.valid() && d.epoch() {
		m.Blank = true
		m.note(Warning, "time-placeholder", "the date is one that systems put in for none")
		return m
	}
	if d.swapped {
		m.note(Warning, "time-day-month-swapped", "day and month stood in the other order")
	}
	if !ok || d.year == 0 || d.month == 0 || d.day == 0 || !d.valid() || d.year < 1900 || d.year > 2200 {
		m.note(Warning, "time-unreadable", "the date or time could not be read")
		return m
	}
	if timePart == "" {
		m.Value = d.String()
		m.Time = time.Date(d.year, time.Month(d.month), d.day, 0, 0, 0, 0, loc)
		return m
	}
	c, ok := readClock(timePart)
	if !ok {
		m.note(Warning, "time-unreadable", "the time of day could not be read")
		return m
	}
	m.Exact = true
	if c.zone != nil {
		m.Time = time.Date(d.year, time.Month(d.month), d.day, c.hour, c.minute, c.second, 0, c.zone)
		m.Value = m.Time.Format(fhirTime)
		return m
	}
	m.resolve(d, c, loc)
	return m
}

// resolve finds the offset of a wall-clock time.
func (m *Moment) resolve(d date, c clock, loc *time.Location) {
	wall := time.Date(d.year, time.Month(d.month), d.day, c.hour, c.minute, c.second, 0, time.UTC)
	at := func(ref time.Time) (time.Time, bool) {
		_, offset := ref.In(loc).Zone()
		offset -= offset % 60 // the local times of places had seconds, which FHIR cannot say
		t := wall.Add(-time.Duration(offset) * time.Second).In(time.FixedZone("", offset))
		_, real := t.In(loc).Zone()
		return t, real-real%60 == offset
	}
	first, firstOK := at(wall.Add(-26 * time.Hour)) // the offset before any change nearby
	last, lastOK := at(wall.Add(26 * time.Hour))
	m.Time = first
	switch {
	case firstOK && lastOK && !first.Equal(last):
		m.late = last
		m.note(Warning, "time-ambiguous", "daylight saving ends: the local time occurs twice, the first was taken")
	case firstOK:
	case lastOK:
		m.Time = last
	default:
		m.note(Warning, "time-nonexistent", "daylight saving begins: the local time does not exist, the offset before was taken")
	}
	m.Value = m.Time.Format(fhirTime)
}

// Ending reads m as the end of something that began at start: of two readings
// it takes the one that is not before start; an end before its start gives no
// value and a finding.
func (m Moment) Ending(start Moment) Moment {
	if !m.OK() || !start.OK() || !m.Exact || !start.Exact {
		if m.OK() && start.OK() && m.Date() < start.Date() {
			return m.beforeStart()
		}
		return m
	}
	if m.Time.Before(start.Time) && !m.late.IsZero() && !m.late.Before(start.Time) {
		m.Time = m.late
		m.Value = m.Time.Format(fhirTime)
		return m
	}
	if m.Time.Before(start.Time) {
		return m.beforeStart()
	}
	return m
}

func (m Moment) beforeStart() Moment {
	out := Moment{Findings: m.Findings}
	out.note(Warning, "end-before-start", "the end lies before the start and was left out")
	return out
}

// Version is the moment as text that sorts by time: UTC, whole seconds; the clock
// as written where its offset is not known, without the Z.
func (m Moment) Version() string {
	if !m.OK() {
		return ""
	}
	if m.wall != "" {
		return m.wall
	}
	return m.Time.UTC().Format("2006-01-02T15:04:05Z")
}

// Timed says that a time of day is known, be it without its offset: two of one
// source can be put in order.
func (m Moment) Timed() bool { return m.Exact || m.wall != "" }

// splitTime cuts date from time of day.
func splitTime(s string) (datePart, timePart string) {
	s = strings.Join(strings.Fields(s), " ")
	if i := strings.IndexAny(s, "Tt"); i == 10 || i == 8 {
		return s[:i], s[i+1:]
	}
	if len(s) >= 12 && digits(s[:12]) { // 202501040513[05]
		return s[:8], s[8:]
	}
	if i := strings.IndexByte(s, ':'); i > 0 {
		if j := strings.LastIndexByte(s[:i], ' '); j > 0 {
			return s[:j], s[j+1:]
		}
	}
	if i := strings.LastIndexByte(s, ' '); i > 0 && len(s)-i-1 == 4 && digits(s[i+1:]) && strings.ContainsAny(s[:i], "/-") {
		return s[:i], s[i+1:] // "01/04/2025 0513"
	}
	return s, ""
}

type clock struct {
	hour, minute, second int
	zone                 *time.Location
}

func readClock(s string) (c clock, ok bool) {
	s = strings.ToUpper(strings.TrimSpace(s))
	afternoon := 0
	for suffix, h := range map[string]int{"AM": 1, "PM": 2, "A.M.": 1, "P.M.": 2} {
		if t, found := strings.CutSuffix(s, suffix); found {
			s, afternoon = strings.TrimSpace(t), h
		}
	}
	if t, found := strings.CutSuffix(s, "Z"); found {
		s, c.zone = t, time.UTC
	} else if i := strings.LastIndexAny(s, "+-"); i > 0 {
		o := strings.ReplaceAll(s[i+1:], ":", "")
		if len(o) == 2 {
			o += "00"
		}
		if len(o) != 4 || !digits(o) {
			return c, false
		}
		if c.zone = offset(s[i], o); c.zone == nil {
			return c, false
		}
		s = strings.TrimSpace(s[:i])
	}
	s, _, _ = strings.Cut(s, ".") // fractions of a second
	parts := strings.Split(s, ":")
	if len(parts) == 1 && digits(s) && (len(s) == 4 || len(s) == 6) {
		parts = []string{s[:2], s[2:4]}
		if len(s) == 6 {
			parts = append(parts, s[4:])
		}
	}
	if len(parts) < 2 || len(parts) > 3 {
		return c, false
	}
	var n [3]int
	for i, p := range parts {
		if len(p) > 2 || !digits(p) {
			return c, false
		}
		n[i], _ = strconv.Atoi(p)
	}
	c.hour, c.minute, c.second = n[0], n[1], n[2]
	if afternoon > 0 {
		if c.hour < 1 || c.hour > 12 {
			return c, false
		}
		c.hour = c.hour%12 + (afternoon-1)*12
	}
	return c, c.hour < 24 && c.minute < 60 && c.second < 60
}

// offset is the zone of a sign and four digits; nil of one that FHIR does not know: it
// ends at 14:00.
func offset(sign byte, hhmm string) *time.Location {
	h, _ := strconv.Atoi(hhmm[:2])
	m, _ := strconv.Atoi(hhmm[2:])
	if m > 59 || h*60+m > 14*60 {
		return nil
	}
	seconds := h*3600 + m*60
	if sign == '-' {
		seconds = -seconds
	}
	return time.FixedZone("", seconds)
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// LoadZone is time.LoadLocation that refuses "" and "Local", which would make
// the result depend on the machine.
func LoadZone(name string) (*time.Location, error) {
	if name == "" || strings.EqualFold(name, "local") {
		return nil, fmt.Errorf("time zone %q is not the name of a zone such as America/New_York", name)
	}
	return time.LoadLocation(name)
}
