package search

import (
	"slices"
	"strconv"
	"strings"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/validate"
)

// formats are the values of _format that ask for what is served.
var formats = []string{"json", "application/json", "application/fhir+json", "text/json"}

// result reads one parameter that shapes the answer.
func (q *Query) result(p Param, o Options) error {
	bad := func(problem Problem, format string, args ...any) error {
		return refuse(p.Name, problem, format, args...)
	}
	switch p.Name {
	case o.CursorParam:
		q.cursor = p.Value
		if p.Value == "" {
			return bad(Malformed, "the value is empty")
		}
	case "_count":
		n, err := strconv.Atoi(p.Value)
		if err != nil || n < 0 || strings.HasPrefix(p.Value, "+") {
			return bad(Malformed, "expected a whole number from 0")
		}
		q.count, q.counted = min(n, o.MaxCount), true
	case "_sort":
		return q.readSort(p)
	case "_summary":
		q.summary = Summary(p.Value)
		if !slices.Contains([]Summary{SummaryTrue, SummaryText, SummaryData, SummaryCount, SummaryFalse}, q.summary) {
			return bad(Malformed, "expected true, text, data, count or false")
		}
	case "_elements":
		return q.readElements(p)
	case "_total":
		q.total = Total(p.Value)
		if !slices.Contains([]Total{TotalNone, TotalEstimate, TotalAccurate}, q.total) {
			return bad(Malformed, "expected none, estimate or accurate")
		}
	case "_format":
		if q.format = format(p.Value); q.format == "" {
			return bad(Unsupported, "only JSON of FHIR R4 is served")
		}
	case "_pretty":
		v := p.Value == "true"
		if !v && p.Value != "false" {
			return bad(Malformed, "expected true or false")
		}
		q.pretty = &v
	}
	return nil
}

// format reads a media type; "" if it is not served. A plus sign that was not
// encoded arrives as a space.
func format(s string) string {
	media, rest, _ := strings.Cut(strings.ToLower(s), ";")
	for p := range strings.SplitSeq(rest, ";") {
		switch strings.TrimSpace(p) {
		case "", "charset=utf-8", "fhirversion=4.0":
		default:
			return ""
		}
	}
	media = strings.ReplaceAll(strings.TrimSpace(media), " ", "+")
	if !slices.Contains(formats, media) {
		return ""
	}
	return media
}

// readElements reads names of top elements, "value" or "value[x]" for a choice.
func (q *Query) readElements(p Param) error {
	q.elements = strings.Split(p.Value, ",")
	for i, e := range q.elements {
		e = strings.TrimSuffix(strings.TrimPrefix(e, q.typ+"."), "[x]")
		if len(validate.Names(q.typ, e)) == 0 {
			return refuse(p.Name, Unknown, "%q is not an element of %s", clip(e), q.typ)
		}
		q.elements[i] = e
	}
	slices.Sort(q.elements)
	q.elements = slices.Compact(q.elements)
	return nil
}

func (q *Query) readSort(p Param) error {
	keys := strings.Split(p.Value, ",")
	if len(keys) > store.MaxSort {
		return refuse(p.Name, TooMany, "more than %d sort keys", store.MaxSort)
	}
	for _, key := range keys {
		name, descending := strings.CutPrefix(key, "-")
		if name == "" {
			return refuse(p.Name, Malformed, "one of the keys is empty")
		}
		param := Lookup(q.typ, name)
		switch {
		case param == nil:
			return refuse(p.Name, Unknown, "%q is not a search parameter of %s", clip(name), q.typ)
		case param.Kind == NotSupported || param.isDeceased() || slices.Contains(rendered, name):
			return refuse(p.Name, Unsupported, "sorting by %s is not supported", name)
		case slices.ContainsFunc(q.sort, func(k sortKey) bool { return k.param == param }):
			return refuse(p.Name, Malformed, "%s stands twice", name)
		}
		q.sort = append(q.sort, sortKey{param, descending})
	}
	return nil
}
