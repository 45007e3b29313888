package search

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// Limits on a query; what is above them is refused before it costs anything.
const (
	MaxParams = 64   // parameters
	MaxValues = 256  // alternatives of one parameter
	MaxInAll  = 1024 // alternatives of all parameters together: a plan of them is one that every store takes
	MaxLength = 4096 // bytes of one value
)

// Options say how a query is read.
type Options struct {
	Base         string // the server's own FHIR base, "https://host/fhir"; absolute references on it are relative ones
	DefaultCount int    // page size without _count; 0 is 20
	MaxCount     int    // largest page; 0 is 200
	CursorParam  string // name of the server's paging parameter, "" if it has none
	// Location is the time zone of dates without one, in queries and in resources
	// alike (R4: "the server's local zone"); nil is UTC. Entries of [Index] do not
	// depend on it, so it may change.
	Location *time.Location
	// Now is what the prefix ap of dates measures from; nil is time.Now.
	Now func() time.Time
}

// Parse reads the parameters of a search of type typ. Any error is an *Error.
func Parse(typ string, params []Param, o Options) (*Query, error) {
	if o.DefaultCount == 0 {
		o.DefaultCount = 20
	}
	if o.MaxCount == 0 {
		o.MaxCount = 200
	}
	if o.Location == nil {
		o.Location = time.UTC
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	q := &Query{typ: typ, base: strings.TrimSuffix(o.Base, "/"), count: min(o.DefaultCount, o.MaxCount), cursorKey: o.CursorParam, zone: o.Location, now: o.Now}
	if !KnownType(typ) {
		return nil, refuse("", Unknown, "%s cannot be searched", clip(typ))
	}
	if len(params) > MaxParams {
		return nil, refuse(params[MaxParams].Name, TooMany, "more than %d parameters", MaxParams)
	}
	seen, values := map[string]bool{}, 0
	for _, p := range params {
		if len(p.Value) > MaxLength {
			return nil, refuse(p.Name, TooMany, "the value is longer than %d bytes", MaxLength)
		}
		if !utf8.ValidString(p.Name) || !utf8.ValidString(p.Value) {
			return nil, refuse(strings.ToValidUTF8(p.Name, "\uFFFD"), Malformed, "not UTF-8")
		}
		if p.Name != "" && p.Name == o.CursorParam || slices.Contains(results, p.Name) {
			if seen[p.Name] {
				return nil, refuse(p.Name, Malformed, "given more than once")
			}
			seen[p.Name] = true
			if err := q.result(p, o); err != nil {
				return nil, err
			}
			continue
		}
		c, err := q.criterion(p)
		if err != nil {
			return nil, err
		}
		if values += len(c.values); values > MaxInAll {
			return nil, refuse(p.Name, TooMany, "more than %d values in all", MaxInAll)
		}
		q.criteria = append(q.criteria, *c)
	}
	q.settle()
	return q, nil
}

// settle puts criteria and alternatives into the order of the canonical form
// and drops repetitions, so that queries of one form give one plan: a link to
// the next page is written in this form, and the store's place holds for one
// plan alone.
func (q *Query) settle() {
	for i := range q.criteria {
		q.criteria[i].settle()
	}
	slices.SortFunc(q.criteria, func(a, b criterion) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.value, b.value))
	})
	q.criteria = slices.CompactFunc(q.criteria, func(a, b criterion) bool { return a.name == b.name && a.value == b.value })
}

func (c *criterion) settle() {
	if len(c.values) > 1 {
		slices.SortFunc(c.values, func(a, b matcher) int { return strings.Compare(a.text(), b.text()) })
		c.values = slices.CompactFunc(c.values, func(a, b matcher) bool { return a.text() == b.text() })
	}
	c.name, c.value = c.written()
}

// ParseConditional reads the criteria of a conditional create, update or
// delete ("identifier=system|value"). At least one criterion is required, and
// none that shapes a result.
func ParseConditional(typ, query string, o Options) (*Query, error) {
	params, err := ParseQuery(strings.TrimPrefix(query, "?"))
	if err != nil {
		return nil, err
	}
	for _, p := range params {
		if slices.Contains(results, p.Name) || (o.CursorParam != "" && p.Name == o.CursorParam) {
			return nil, refuse(p.Name, Malformed, "not allowed in a condition")
		}
	}
	q, err := Parse(typ, params, o)
	if err != nil {
		return nil, err
	}
	if q.Empty() {
		return nil, refuse("", Malformed, "a condition needs at least one search parameter")
	}
	return q, nil
}

func (q *Query) criterion(in Param) (*criterion, error) {
	name, modifier, modified := strings.Cut(in.Name, ":")
	p := Lookup(q.typ, name)
	if err := q.known(in.Name, name, p); err != nil {
		return nil, err
	}
	if modified && modifier == "" {
		return nil, refuse(in.Name, Malformed, "the modifier is empty")
	}
	c := &criterion{param: p, modifier: modifier}
	if reason, problem := c.allows(modifier); reason != "" {
		return nil, refuse(in.Name, problem, "%s", reason)
	}
	if in.Value == "" {
		return nil, refuse(in.Name, Malformed, "the value is empty")
	}
	if modifier == "missing" {
		if in.Value != "true" && in.Value != "false" {
			return nil, refuse(in.Name, Malformed, "expected true or false")
		}
		c.missing = in.Value == "true"
		return c, nil
	}
	values := alternatives(in.Value)
	if len(values) > MaxValues {
		return nil, refuse(in.Name, TooMany, "more than %d values", MaxValues)
	}
	for _, v := range values {
		if v == "" {
			return nil, refuse(in.Name, Malformed, "one of the values is empty")
		}
		m, reason := q.value(c, v)
		if reason != "" {
			return nil, refuse(in.Name, Malformed, "%q: %s", clip(v), reason)
		}
		c.values = append(c.values, m)
	}
	return c, nil
}

// known refuses what is no parameter of the type, and says what it is instead.
func (q *Query) known(written, name string, p *Parameter) error {
	switch {
	case p != nil && p.Kind != NotSupported:
		return nil
	case p != nil:
		return refuse(written, Unsupported, "not supported by this server")
	case strings.Contains(written, "."):
		return refuse(written, Unsupported, "chained parameters are not supported")
	case slices.Contains([]string{"_has", "_include", "_revinclude", "_filter", "_list", "_contained", "_containedType", "_type", "_score"}, name):
		return refuse(written, Unsupported, "not supported by this server")
	case slices.Contains(results, name):
		return refuse(written, Malformed, "takes no modifier")
	}
	return refuse(written, Unknown, "not a search parameter of %s", q.typ)
}

// allows says why a modifier cannot stand with the parameter.
func (c *criterion) allows(modifier string) (string, Problem) {
	switch modifier {
	case "", "missing":
		return "", 0
	case "not", "text":
		if c.param.Kind == Token {
			if modifier == "text" && c.param.isDeceased() {
				return "the modifier text does not apply", Malformed
			}
			return "", 0
		}
	case "exact", "contains":
		if c.param.Kind == String {
			return "", 0
		}
	case "identifier":
		if c.param.Kind == Reference {
			return "", 0
		}
	case "above", "below", "in", "not-in", "of-type", "iterate":
		return "the modifier " + modifier + " is not supported", Unsupported
	}
	if strings.Contains(modifier, ".") {
		return "chained parameters are not supported", Unsupported
	}
	if c.param.Kind == Reference && resource.ValidType(modifier) {
		switch {
		case !isType(modifier):
			return "R4 has no resource type " + modifier, Unknown
		case !c.param.allows(modifier):
			return "the parameter does not refer to " + modifier, Malformed
		}
		return "", 0
	}
	if slices.Contains([]string{"not", "text", "exact", "contains", "identifier"}, modifier) {
		return "the modifier " + modifier + " does not apply to a " + c.param.Kind.String() + " parameter", Malformed
	}
	return "unknown modifier " + strconv.Quote(clip(modifier)), Unknown
}

// value reads one alternative.
func (q *Query) value(c *criterion, v string) (matcher, string) {
	switch c.param.Kind {
	case Token:
		return q.tokenValue(c, v)
	case Reference:
		if c.modifier == "identifier" {
			t, reason := readToken(v)
			return logical{t}, reason
		}
		s, reason := plainValue(v)
		if reason != "" {
			return nil, reason
		}
		only := c.modifier
		if only == "" && len(c.param.Targets) == 1 {
			only = c.param.Targets[0]
		}
		return readReferenceOr(s, only, c, q)
	case String:
		s, reason := plainValue(v)
		t := text{raw: s, folded: fold(s), exact: c.modifier == "exact", part: c.modifier == "contains"}
		if reason == "" && t.folded == "" && !t.exact {
			reason = "no letter or digit to search for"
		}
		return t, reason
	case URI:
		s, reason := plainValue(v)
		return uri{s}, reason
	case Date:
		s, reason := plainValue(v)
		if reason != "" {
			return nil, reason
		}
		return readDate(s, q.zone, q.now)
	case Number:
		return readNumber(v, false)
	case Quantity:
		return readNumber(v, true)
	}
	return nil, "not supported by this server"
}

func readReferenceOr(s, only string, c *criterion, q *Query) (matcher, string) {
	return readReference(s, only, c.param, q.base)
}

func (q *Query) tokenValue(c *criterion, v string) (matcher, string) {
	if c.modifier == "text" {
		s, reason := plainValue(v)
		l := label{fold(s), s}
		if reason == "" && l.folded == "" {
			reason = "no letter or digit to search for"
		}
		return l, reason
	}
	t, reason := readToken(v)
	if reason != "" {
		return nil, reason
	}
	switch {
	case c.param.Name == store.ParamID && (!t.anySystem || !resource.ValidID(t.code)):
		return nil, "not a resource id"
	case c.param.isDeceased() && (!t.anySystem || t.code != "true" && t.code != "false"):
		return nil, "expected true or false"
	}
	return t, ""
}

// plainValue undoes the escapes of a value without parts.
func plainValue(v string) (string, string) {
	parts, reason := split(v, 0)
	if reason != "" {
		return "", reason
	}
	return strings.Join(parts, "\x00"), ""
}
