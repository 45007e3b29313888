package search

import (
	"strconv"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// A Comparator is the prefix of an ordered value.
type Comparator uint8

// The comparators of R4, without ap for dates, which would need a clock.
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
func readTime(s string) (interval, bool) {
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
		return readClock(from, clock)
	}
	switch len(parts) {
	case 1:
		return interval{from, from.AddDate(1, 0, 0)}, true
	case 2:
		return interval{from, from.AddDate(0, 1, 0)}, true
	}
	return interval{from, from.AddDate(0, 0, 1)}, true
}

// readClock reads hh:mm, hh:mm:ss or hh:mm:ss.fff with or without a zone.
func readClock(day time.Time, s string) (interval, bool) {
	zone := time.Duration(0)
	if i := strings.IndexAny(s, "Z+-"); i >= 0 {
		offset, ok := readZone(s[i:])
		if !ok {
			return interval{}, false
		}
		zone, s = offset, s[:i]
	}
	s, fraction, fractioned := strings.Cut(s, ".")
	parts := strings.Split(s, ":")
	if len(parts) < 2 || len(parts) > 3 || (fractioned && len(parts) < 3) {
		return interval{}, false
	}
	limits := [3]int{23, 59, 60} // 60: a leap second
	unit := time.Minute
	at := day.Add(-zone)
	for i, p := range parts {
		n, ok := digits(p, 2)
		if !ok || n > limits[i] {
			return interval{}, false
		}
		at = at.Add(time.Duration(n) * [3]time.Duration{time.Hour, time.Minute, time.Second}[i])
	}
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
func timeOf(n resource.Node) (interval, bool) {
	if n.Kind() == resource.String {
		return readTime(n.Text())
	}
	if events := n.Get("event"); events.Exists() {
		return hull(events)
	}
	if b := n.Path("repeat", "boundsPeriod"); b.Exists() {
		n = b
	}
	start, ok1 := readTime(n.Get("start").Text())
	end, ok2 := readTime(n.Get("end").Text())
	switch {
	case !ok1 && !ok2:
		return interval{}, false
	case ok1 && ok2 && end.to.Before(start.from): // the ends are swapped
		return interval{end.from, start.to}, true
	}
	return interval{start.from, end.to}, true
}

// hull is the outer limits of several dates.
func hull(dates resource.Node) (interval, bool) {
	var all interval
	some := false
	for d := range dates.Elements() {
		v, ok := readTime(d.Text())
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
}

func readDate(s string) (date, string) {
	op, rest, reason := readComparator(s)
	if reason != "" {
		return date{}, reason
	}
	if op == AP {
		return date{}, "the prefix ap is not supported for dates; ask for a range with ge and le"
	}
	v, ok := readTime(rest)
	if !ok {
		reason = "not a date: expected YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm[:ss[.fff]][Z|+hh:mm]"
		if strings.Contains(rest, " ") {
			reason += `; a "+" in a URL is written %2B`
		}
		return date{}, reason
	}
	return date{op, v, rest}, ""
}

func (d date) match(n resource.Node, _ *path, _ *Query) bool {
	r, ok := timeOf(n)
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
	}
	return false
}

// Entries of a date are its start, rounded down to a millisecond, and under a
// name of their own its end, rounded up. Open ends sort before and after all.
const (
	endSuffix = ":end"
	openStart = "0000-00-00T00:00:00.000Z"
	openEnd   = "9999-99-99T99:99:99.999Z"
)

func floorMS(t time.Time) string { return resource.FormatInstant(t.Truncate(time.Millisecond)) }

func ceilMS(t time.Time) string {
	if f := t.Truncate(time.Millisecond); !f.Equal(t) {
		t = f.Add(time.Millisecond)
	}
	return formatEnd(t)
}

// formatEnd keeps the year at four digits.
func formatEnd(t time.Time) string {
	if t.UTC().Year() > 9999 {
		return openEnd
	}
	if t.UTC().Year() < 0 {
		return openStart
	}
	return resource.FormatInstant(t)
}

func startEntry(r interval) string {
	if r.from.IsZero() || r.from.UTC().Year() < 0 {
		return openStart
	}
	return formatEnd(r.from.Truncate(time.Millisecond))
}

func endEntry(r interval) string {
	if r.to.IsZero() {
		return openEnd
	}
	return ceilMS(r.to)
}

func (d date) plan(p *Parameter, name string, _ *Query) store.Expr {
	if p.Name == store.ParamLastUpdated {
		return d.planLastUpdated()
	}
	from, to := startEntry(d.value), endEntry(d.value)
	end := name + endSuffix
	within := store.Expr{Op: store.And, Args: []store.Expr{span(name, from, to), span(end, from, to)}}
	switch d.op {
	case EQ:
		return within
	case NE:
		return store.Expr{Op: store.Exists, Param: name}
	case GT:
		return span(end, floorMS(d.value.to), "")
	case GE:
		return span(end, from, "")
	case LT:
		return span(name, "", ceilMS(d.value.from))
	case LE:
		return span(name, "", to)
	case SA:
		return span(name, floorMS(d.value.to), "")
	case EB:
		return span(end, "", ceilMS(d.value.from))
	}
	return store.Expr{}
}

// planLastUpdated uses the store's own column: one instant of a millisecond.
func (d date) planLastUpdated() store.Expr {
	ms := func(t time.Time) string {
		if t.Year() > 9999 {
			return ""
		}
		return floorMS(t)
	}
	e := store.Expr{Op: store.Range, Param: store.ParamLastUpdated}
	switch d.op {
	case EQ:
		e.Low, e.High = ms(d.value.from), ms(d.value.to.Add(time.Millisecond))
	case GT, SA:
		e.Low = ms(d.value.to.Add(-time.Millisecond))
	case GE:
		e.Low = ms(d.value.from.Add(-time.Millisecond))
	case LT, EB:
		e.High = ms(d.value.from.Add(time.Millisecond))
	case LE:
		e.High = ms(d.value.to.Add(time.Millisecond))
	case NE:
		return store.Expr{Op: store.All}
	}
	return e
}

func (d date) text() string {
	if d.op == EQ {
		return escape(d.raw)
	}
	return comparators[d.op] + escape(d.raw)
}

func dateEntries(n resource.Node, add, addEnd func(string)) {
	if r, ok := timeOf(n); ok {
		add(startEntry(r))
		addEnd(endEntry(r))
	}
}
