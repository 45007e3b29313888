package search

import (
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// Entries of a date are its start, rounded down to a millisecond, and under a
// name of their own its end, rounded up. Open ends sort before and after all.
// A date without a zone is entered as if it were in UTC, so that entries do not
// depend on a setting; plans for another zone are as much wider as zones can
// differ from UTC.
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
	v := interval{d.least(d.value.from), d.most(d.value.to)}
	from, to := startEntry(v), endEntry(v)
	end := name + endSuffix
	switch d.op {
	case EQ:
		return store.Expr{Op: store.And, Args: []store.Expr{span(name, from, to), span(end, from, to)}}
	case NE, AP:
		// What ap reaches moves with the clock, but the plan of a search must be
		// the same for all its pages.
		return store.Expr{Op: store.Exists, Param: name}
	case GT:
		return span(end, startEntry(interval{from: d.least(d.value.to)}), "")
	case GE:
		return span(end, from, "")
	case LT:
		return span(name, "", ceilMS(d.most(d.value.from)))
	case LE:
		return span(name, "", to)
	case SA:
		return span(name, startEntry(interval{from: d.least(d.value.to)}), "")
	case EB:
		return span(end, "", ceilMS(d.most(d.value.from)))
	}
	return store.Expr{}
}

// zoneSpread is more than local time is ahead of UTC or behind it, anywhere and
// at any time: Manila was 15:56 behind until 1844.
const zoneSpread = 16 * time.Hour

// least and most are the bounds of the entries of a time.
func (d date) least(t time.Time) time.Time {
	if !d.local {
		return t
	}
	if t = t.Add(-zoneSpread); t.UTC().Year() < 2 {
		return time.Time{} // the entry of the first instant is that of an open start
	}
	return t
}

func (d date) most(t time.Time) time.Time {
	if d.local {
		return t.Add(zoneSpread)
	}
	return t
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
	case NE, AP:
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
	if r, ok := timeOf(n, time.UTC); ok {
		add(startEntry(r))
		addEnd(endEntry(r))
	}
}
