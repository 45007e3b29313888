package search

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// A Summary is the value of _summary; "" if none was asked for.
type Summary string

// The summaries of R4.
const (
	SummaryTrue  Summary = "true"
	SummaryText  Summary = "text"
	SummaryData  Summary = "data"
	SummaryCount Summary = "count"
	SummaryFalse Summary = "false"
)

// A Total is the value of _total; "" if none was asked for.
type Total string

// The totals of R4.
const (
	TotalNone     Total = "none"
	TotalEstimate Total = "estimate"
	TotalAccurate Total = "accurate"
)

// A Query is one parsed search of one resource type. It is immutable and safe
// for concurrent use. Make it with [Parse].
type Query struct {
	typ       string
	base      string
	criteria  []criterion
	count     int
	counted   bool
	sort      []sortKey
	summary   Summary
	elements  []string
	total     Total
	pretty    *bool
	format    string
	cursor    string
	cursorKey string
	zone      *time.Location
	now       func() time.Time
}

// A criterion is one parameter: its values are alternatives.
type criterion struct {
	param    *Parameter
	modifier string // without the colon; a type for :[type]
	values   []matcher
	missing  bool // the value of :missing
	// name and value are the canonical form: with the modifier, and with the
	// alternatives in order.
	name, value string
}

// A matcher is one value of a criterion.
type matcher interface {
	match(n resource.Node, at *path, q *Query) bool
	plan(p *Parameter, name string, q *Query) store.Expr
	text() string // as it stands in a URL, escaped for FHIR but not for the URL
}

type sortKey struct {
	param      *Parameter
	descending bool
}

// Type returns the resource type that is searched.
func (q *Query) Type() string { return q.typ }

// Count returns the page size: _count within the limits, or the default. Zero
// asks for the number of matches alone.
func (q *Query) Count() int { return q.count }

// CountOnly says whether only the number of matches was asked for
// (_summary=count or _count=0).
func (q *Query) CountOnly() bool { return q.summary == SummaryCount || q.count == 0 }

// Summary returns _summary.
func (q *Query) Summary() Summary { return q.summary }

// Elements returns the names in _elements; nil if none was asked for.
func (q *Query) Elements() []string { return slices.Clone(q.elements) }

// Total returns _total.
func (q *Query) Total() Total { return q.total }

// Pretty returns _pretty.
func (q *Query) Pretty() bool { return q.pretty != nil && *q.pretty }

// Format returns _format as it was asked for, "" if not.
func (q *Query) Format() string { return q.format }

// Cursor returns the value of the paging parameter that Options name.
func (q *Query) Cursor() string { return q.cursor }

// Empty says whether there is no criterion at all: all resources of the type.
func (q *Query) Empty() bool { return len(q.criteria) == 0 }

// Params returns the criteria, canonical and in the order of the self link, as
// they can be sent to another server; what shapes the result is left out.
func (q *Query) Params() []Param {
	var out []Param
	for i := range q.criteria {
		out = append(out, Param{q.criteria[i].name, q.criteria[i].value})
	}
	return out
}

// Names lists the parameters used as criteria and sort keys, without
// modifiers, sorted, each once.
func (q *Query) Names() []string {
	var out []string
	for _, c := range q.criteria {
		out = append(out, c.param.Name)
	}
	for _, s := range q.sort {
		out = append(out, s.param.Name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// References returns the resources that the positive criteria on a reference
// parameter name, one list of alternatives for each criterion: "Patient/1".
// An id without a type takes the parameter's type if it has only one, and
// stays an id otherwise; a URL stays as it is. Logical references are left out.
func (q *Query) References(name string) [][]string {
	var out [][]string
	for _, c := range q.criteria {
		if c.param.Name != name || c.param.Kind != Reference || c.modifier == "identifier" || c.modifier == "missing" {
			continue
		}
		var any []string
		for _, v := range c.values {
			f, ok := v.(reference)
			switch {
			case !ok:
			case f.url != "":
				any = append(any, f.url)
			case f.typ == "" && len(c.param.Targets) == 1:
				any = append(any, c.param.Targets[0]+"/"+f.id)
			case f.typ == "":
				any = append(any, f.id)
			default:
				any = append(any, f.typ+"/"+f.id)
			}
		}
		out = append(out, any)
	}
	return out
}

// IDs returns the ids that _id asks for, one list of alternatives for each
// time the parameter stands in the query.
func (q *Query) IDs() [][]string {
	var out [][]string
	for _, c := range q.criteria {
		if c.param.Name != store.ParamID || c.modifier != "" {
			continue
		}
		var any []string
		for _, v := range c.values {
			if t, ok := v.(token); ok {
				any = append(any, t.code)
			}
		}
		out = append(out, any)
	}
	return out
}

// Match says whether r, in the form given, satisfies every criterion.
func (q *Query) Match(r *resource.Resource) bool {
	if r == nil || r.Type() != q.typ {
		return false
	}
	for i := range q.criteria {
		if !q.criteria[i].match(r, q) {
			return false
		}
	}
	return true
}

func (c *criterion) match(r *resource.Resource, q *Query) bool {
	switch {
	case c.modifier == "missing":
		return c.param.present(r) != c.missing
	case c.param.isDeceased():
		return c.any(func(v matcher) bool { return v.(token).code == strconv.FormatBool(deceased(r.Root())) }) != (c.modifier == "not")
	}
	found := c.param.values(r.Root(), func(n resource.Node, at *path) bool {
		return c.any(func(v matcher) bool { return v.match(n, at, q) })
	})
	return found != (c.modifier == "not")
}

func (c *criterion) any(f func(matcher) bool) bool {
	for _, v := range c.values {
		if f(v) {
			return true
		}
	}
	return false
}

// Self returns the query in a canonical form, without "?": criteria sorted,
// values normalised, result parameters last. Two queries of one form ask the
// same and have the same [Query.Plan]. The paging parameter is left out.
func (q *Query) Self() string {
	var parts []string
	for _, p := range q.Params() {
		parts = append(parts, escapeURL(p.Name)+"="+escapeURL(p.Value))
	}
	if len(q.sort) > 0 {
		var keys []string
		for _, s := range q.sort {
			name := s.param.Name
			if s.descending {
				name = "-" + name
			}
			keys = append(keys, name)
		}
		parts = append(parts, "_sort="+strings.Join(keys, ","))
	}
	if q.counted {
		parts = append(parts, "_count="+strconv.Itoa(q.count))
	}
	for _, p := range []struct{ name, value string }{
		{"_summary", string(q.summary)}, {"_elements", strings.Join(q.elements, ",")},
		{"_total", string(q.total)}, {"_format", q.format},
	} {
		if p.value != "" {
			parts = append(parts, p.name+"="+escapeURL(p.value))
		}
	}
	if q.pretty != nil {
		parts = append(parts, "_pretty="+strconv.FormatBool(*q.pretty))
	}
	return strings.Join(parts, "&")
}

// written returns the criterion's name with its modifier, and its value in
// canonical form.
func (c *criterion) written() (name, value string) {
	name = c.param.Name
	if c.modifier != "" {
		name += ":" + c.modifier
	}
	if c.modifier == "missing" {
		return name, strconv.FormatBool(c.missing)
	}
	var values []string
	for _, v := range c.values {
		values = append(values, v.text())
	}
	return name, strings.Join(values, ",")
}
