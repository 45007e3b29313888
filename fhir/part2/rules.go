// Package part2 tells which records of a system are those of its 42 CFR Part 2
// units, where a system serves more than such a program.
//
// It turns what a record says of its unit (the sending facility, the location,
// the hospital service of an HL7 v2 message; serviceProvider, location, author,
// performer of a FHIR resource) into one fact: Part 2 or not. A record whose
// unit is not known is Part 2. It reads no clinical code and no label, and it
// takes Part 2 away from nothing. Ingest and the upstreams call it; the rules
// come from the configuration of a system.
//
// Spec: 42 CFR 2.11 (program: an identified unit), 2.12(e)(1).
package part2

import (
	"slices"
	"strings"
)

// A Rule names one place that tells a record's unit, and the values there.
type Rule struct {
	// Place is a field of a source record ("PV1-10", "MSH-4.1", a column) or a
	// path of elements of a resource ("serviceProvider",
	// "Encounter.location.location").
	Place string
	// Values are those of the Part 2 units.
	Values []string
	// Others are those of the units that are none. Where it is empty every value
	// that is not among Values is one; else a value in neither list is unknown.
	Others []string
}

// Rules are the rules of one system. Their zero value stands for a system that
// has no units: nothing is Part 2 by it.
type Rules struct{ rules []rule }

type rule struct {
	place          string
	typ            string // of the resources it is for; "" for all
	path           []string
	values, others map[string]bool // folded
}

// New makes rules; they are checked where the configuration is (config.Check).
func New(rs []Rule) *Rules {
	out := new(Rules)
	for _, r := range rs {
		c := rule{place: r.Place, path: strings.Split(r.Place, "."), values: fold(r.Values), others: fold(r.Others)}
		if first := c.path[0]; len(c.path) > 1 && first != "" && first[0] >= 'A' && first[0] <= 'Z' {
			c.typ, c.path = first, c.path[1:]
		}
		out.rules = append(out.rules, c)
	}
	return out
}

func fold(values []string) map[string]bool {
	m := make(map[string]bool, len(values))
	for _, v := range values {
		m[foldOne(v)] = true
	}
	return m
}

func foldOne(v string) string { return strings.ToLower(strings.Join(strings.Fields(v), " ")) }

// Empty says whether there are no rules.
func (rs *Rules) Empty() bool { return rs == nil || len(rs.rules) == 0 }

// A Value is one value at a place, in all ways to write it: the components of
// a field, the reference, identifier and display of a Reference.
type Value []string

// Of says whether a record is Part 2, given what stands at a place of it. It
// is, if one value is a Part 2 unit's; it is not, if at least one place has a
// value and all values are of other units; else its unit is not known, and it
// is.
func (rs *Rules) Of(at func(place string) []Value) bool {
	if rs.Empty() {
		return false
	}
	f := finding{}
	for i := range rs.rules {
		f.take(&rs.rules[i], at(rs.rules[i].place))
	}
	return f.part2()
}

// A finding is what the places of a record have told so far.
type finding struct{ unit, other, unknown bool }

func (f *finding) take(r *rule, values []Value) {
	for _, v := range values {
		v = slices.DeleteFunc(slices.Clone(v), func(s string) bool { return strings.TrimSpace(s) == "" })
		in := func(set map[string]bool) bool {
			return slices.ContainsFunc(v, func(s string) bool { return set[foldOne(s)] })
		}
		switch {
		case len(v) == 0:
		case in(r.values):
			f.unit = true
		case len(r.others) == 0 || in(r.others):
			f.other = true
		default:
			f.unknown = true
		}
	}
}

func (f *finding) part2() bool { return f.unit || f.unknown || !f.other }
