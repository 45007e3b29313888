package search

import (
	"strconv"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
)

// A Comparator is the prefix of an ordered value.
type Comparator uint8

// The comparators of R4.
const (
	EQ Comparator = iota
	NE
	GT
	LT
	GE
	LE
	SA
	EB
	AP
)

var comparators = []string{"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"}

// readComparator cuts a prefix off. Values of ordered parameters start with a
// digit, a sign or a point, so that letters before are a prefix or a mistake.
func readComparator(s string) (Comparator, string, string) {
	n := 0
	for n < len(s) && (s[n] >= 'a' && s[n] <= 'z' || s[n] >= 'A' && s[n] <= 'Z') {
		n++
	}
	if n == 0 {
		return EQ, s, ""
	}
	for i, c := range comparators {
		if s[:n] == c {
			return Comparator(i), s[n:], ""
		}
	}
	return 0, "", "unknown prefix " + strconv.Quote(clip(s[:n])) + "; known are " + strings.Join(comparators, ", ")
}

// An interval is a stretch of time, the end excluded. A zero time is open.
type interval struct{ from, to time.Time }

// readTime reads a FHIR date, dateTime or instant as the interval that its
// precision leaves open. Without a zone it is in UTC.
func readTime(s string) (interval, bool) { return readTimeIn(s, time.UTC) }

// readTimeIn is readTime where what has no zone is in this one.
func readTimeIn(s string, zone *time.Location) (interval, bool) {
	day, clock, timed := strings.Cut(s, "T")
	var v [3]int
	parts := strings.Split(day, "-")
	if len(parts) > 3 || (timed && len(parts) < 3) {
		return interval{}, false
	}
	v[1], v[2] = 1, 1
	for i, p := range parts {
		width := 2
		if i == 0 {
			width = 4
		}
		n, ok := digits(p, width)
		if !ok {
			return interval{}, false
		}
		v[i] = n
	}
	from := time.Date(v[0], time.Month(v[1]), v[2], 0, 0, 0, 0, time.UTC)
	if v[0] == 0 || from.Year() != v[0] || from.Month() != time.Month(v[1]) || from.Day() != v[2] {
		return interval{}, false
	}
	if timed {
		return readClock(v, clock, zone)
	}
	from = time.Date(v[0], time.Month(v[1]), v[2], 0, 0, 0, 0, zone)
	switch len(parts) {
	case 1:
		return interval{from, from.AddDate(1, 0, 0)}, true
	case 2:
		return interval{from, from.AddDate(0, 1, 0)}, true
	}
	return interval{from, from.AddDate(0, 0, 1)}, true
}

// readClock reads hh:mm, hh:mm:ss or hh:mm:ss.fff of a day, with a zone or in
// the one given.
func readClock(day [3]int, s string, zone *time.Location) (interval, bool) {
	offset := time.Duration(0)
	if i := strings.IndexAny(s, "Z+-"); i >= 0 {
		d, ok := readZone(s[i:])
		if !ok {
			return interval{}, false
		}
		offset, zone, s = d, time.UTC, s[:i]
	}
	s, fraction, fractioned := strings.Cut(s, ".")
	parts := strings.Split(s, ":")
	if len(parts) < 2 || len(parts) > 3 || (fractioned && len(parts) < 3) {
		return interval{}, false
	}
	limits := [3]int{23, 59, 60} // 60: a leap second
	unit := time.Minute
	var v [3]int
	for i, p := range parts {
		n, ok := digits(p, 2)
		if !ok || n > limits[i] {
			return interval{}, false
		}
		v[i] = n
	}
	at := time.Date(day[0], time.Month(day[1]), day[2], v[0], v[1], v[2], 0, zone).Add(-offset)
	if len(parts) == 3 {
		unit = time.Second
	}
	if fractioned {
		if fraction == "" || strings.Trim(fraction, "0123456789") != "" {
			return interval{}, false
		}
		if len(fraction) > 9 { // finer than a nanosecond
			fraction = fraction[:9]
		}
		for range fraction {
			unit /= 10
		}
		n, _ := digits(fraction, len(fraction))
		at = at.Add(time.Duration(n) * unit)
	}
	return interval{at, at.Add(unit)}, true
}

func readZone(s string) (time.Duration, bool) {
	if s == "Z" {
		return 0, true
	}
	if len(s) != 6 || s[3] != ':' {
		return 0, false
	}
	h, ok1 := digits(s[1:3], 2)
	m, ok2 := digits(s[4:], 2)
	d := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute
	if s[0] == '-' {
		d = -d
	}
	return d, ok1 && ok2 && h <= 14 && m <= 59
}

func digits(s string, width int) (int, bool) {
	if len(s) != width {
		return 0, false
	}
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}

// timeOf reads a date, Period or Timing of a resource. What cannot be read has
// no extent and is found by nothing.
func timeOf(n resource.Node, zone *time.Location) (interval, bool) {
	if n.Kind() == resource.String {
		return readTimeIn(n.Text(), zone)
	}
	if events := n.Get("event"); events.Exists() {
		return hull(events, zone)
	}
	if b := n.Path("repeat", "boundsPeriod"); b.Exists() {
		n = b
	}
	start, ok1 := readTimeIn(n.Get("start").Text(), zone)
	end, ok2 := readTimeIn(n.Get("end").Text(), zone)
	switch {
	case !ok1 && !ok2:
		return interval{}, false
	case !ok1 || !ok2:
		return interval{start.from, end.to}, true
	}
	v := interval{start.from, end.to}
	if swapped(n, start, end, zone) {
		v = interval{end.from, start.to}
	}
	if v.to.Before(v.from) { // as the zone has it
		v.from, v.to = v.to, v.from
	}
	return v, true
}

// swapped says whether the ends of a Period stand in each other's place. In every
// zone the answer is that of UTC, so that entries hold for all zones.
func swapped(period resource.Node, start, end interval, zone *time.Location) bool {
	if zone != time.UTC {
		start, _ = readTime(period.Get("start").Text())
		end, _ = readTime(period.Get("end").Text())
	}
	return end.to.Before(start.from)
}

// hull is the outer limits of several dates.
func hull(dates resource.Node, zone *time.Location) (interval, bool) {
	var all interval
	some := false
	for d := range dates.Elements() {
		v, ok := readTimeIn(d.Text(), zone)
		if !ok {
			continue
		}
		if !some || v.from.Before(all.from) {
			all.from = v.from
		}
		if !some || v.to.After(all.to) {
			all.to = v.to
		}
		some = true
	}
	return all, some
}

// A date is a value of a date parameter.
type date struct {
	op    Comparator
	value interval // both ends set
	raw   string   // without the prefix
	near  interval // for ap: value, widened
	local bool     // dates without a zone are not in UTC
}

func readDate(s string, zone *time.Location, now func() time.Time) (date, string) {
	op, rest, reason := readComparator(s)
	if reason != "" {
		return date{}, reason
	}
	v, ok := readTimeIn(rest, zone)
	if !ok {
		reason = "not a date: expected YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm[:ss[.fff]][Z|+hh:mm]"
		if strings.Contains(rest, " ") {
			reason += `; a "+" in a URL is written %2B`
		}
		return date{}, reason
	}
	d := date{op: op, value: v, raw: rest, local: zone != time.UTC}
	if op == AP {
		d.near = near(v, now())
	}
	return d, ""
}

// near widens an interval on both sides by a tenth of the gap between it and
// now, as R4 recommends for ap. Today's date is itself.
func near(v interval, now time.Time) interval {
	var tenth int64 // in seconds: a Duration holds 292 years only
	switch {
	case now.Before(v.from):
		tenth = (v.from.Unix() - now.Unix()) / 10
	case now.After(v.to):
		tenth = (now.Unix() - v.to.Unix()) / 10
	}
	return interval{time.Unix(v.from.Unix()-tenth, int64(v.from.Nanosecond())), time.Unix(v.to.Unix()+tenth, int64(v.to.Nanosecond()))}
}

func (d date) match(n resource.Node, _ *path, q *Query) bool {
	r, ok := timeOf(n, q.zone)
	return ok && d.covers(r)
}

// covers applies R4's rules for prefixes to the interval of a resource.
func (d date) covers(r interval) bool {
	within := !r.from.IsZero() && !r.to.IsZero() && !r.from.Before(d.value.from) && !r.to.After(d.value.to)
	above := r.to.IsZero() || r.to.After(d.value.to)
	below := r.from.IsZero() || r.from.Before(d.value.from)
	switch d.op {
	case EQ:
		return within
	case NE:
		return !within
	case GT:
		return above
	case GE:
		return above || within
	case LT:
		return below
	case LE:
		return below || within
	case SA:
		return !r.from.IsZero() && !r.from.Before(d.value.to)
	case EB:
		return !r.to.IsZero() && !r.to.After(d.value.from)
	case AP:
		return (r.from.IsZero() || r.from.Before(d.near.to)) && (r.to.IsZero() || r.to.After(d.near.from))
	}
	return false
}
