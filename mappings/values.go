package mappings

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-health/handoff/mappings/field"
	"github.com/handoff-health/handoff/mappings/schema"
)

// value sets one value; source says that it is still in the source's form.
func (r *run) value(row *row, o *schema.Object, v any, source bool) (int, error) {
	var s string
	switch v := v.(type) {
	case string:
		s = v
	case bool:
		s = strconv.FormatBool(v)
	case int:
		s = strconv.Itoa(v)
	case int64:
		s = strconv.FormatInt(v, 10)
	case float64:
		s = strconv.FormatFloat(v, 'f', -1, 64)
	case nil:
		return 0, nil
	default:
		return 0, fmt.Errorf("%s: a value of type %T cannot be written", row.at, v)
	}
	if row.vocab != nil {
		return r.coded(row, o, s)
	}
	if s = r.convert(row, s, source); s == "" {
		return 0, nil
	}
	if row.target.Kind == schema.Complex {
		child := schema.New(row.target.Type())
		name := "text" // CodeableConcept
		if row.target.Type().Name == "Reference" {
			name = "display"
		}
		if err := child.SetText(child.Type.Element(name), s); err != nil {
			return 0, nil
		}
		r.parent(row, o).SetObject(row.target, child)
		return 1, nil
	}
	if schema.Check(row.target, s) != nil {
		r.issue(Warning, "value-not-allowed", r.field, fmt.Sprintf("the value does not fit %s", row.to))
		return 0, nil
	}
	return 1, r.parent(row, o).SetText(row.target, s)
}

// coded sets what the vocabulary says; a code that it lacks stays as text
// where the target can hold text.
func (r *run) coded(row *row, o *schema.Object, code string) (int, error) {
	code = strings.TrimSpace(code)
	if code == "" {
		return 0, nil
	}
	targets, known := row.vocab.lookup(code)
	if !known {
		r.unmapped(row.vocab.name, code)
	}
	if row.target.Kind != schema.Complex {
		if len(targets) == 0 {
			return 0, nil
		}
		if err := r.parent(row, o).SetText(row.target, targets[0].Code); err != nil {
			return 0, fmt.Errorf("%s: %w", row.at, err)
		}
		return 1, nil
	}
	if known && len(targets) == 0 {
		return 0, nil // the vocabulary says: nothing
	}
	v := schema.New(row.target.Type())
	if row.target.Type().Name == "Coding" {
		if len(targets) == 0 {
			return 0, nil
		}
		fillCoding(v, targets[0])
	} else {
		r.fillConcept(v, targets, code)
	}
	if v.Empty() {
		return 0, nil
	}
	r.parent(row, o).SetObject(row.target, v)
	return 1, nil
}

func (r *run) fillConcept(v *schema.Object, targets []Target, original string) {
	for _, t := range targets {
		e := v.Type.Element("coding")
		c := schema.New(e.Type())
		fillCoding(c, t)
		v.SetObject(e, c)
	}
	clean := field.Clean(original)
	r.report(clean, r.field)
	if clean.Value != "" {
		_ = v.SetText(v.Type.Element("text"), clean.Value) // not empty and UTF-8: it fits
	}
}

func fillCoding(c *schema.Object, t Target) {
	for name, s := range map[string]string{"system": t.System, "code": t.Code, "display": t.Display} {
		if s != "" {
			_ = c.SetText(c.Type.Element(name), s) // not empty: it fits
		}
	}
}

var forms = map[string]*regexp.Regexp{
	"code":      regexp.MustCompile(`^[^\s]+( [^\s]+)*$`),
	"uri":       regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:[^\s<>"{}|\\^]+$`),
	"id":        regexp.MustCompile(`^[A-Za-z0-9\-.]{1,64}$`),
	"reference": regexp.MustCompile(`^[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}$`),
	"date":      regexp.MustCompile(`^\d{4}(-\d{2}(-\d{2})?)?$`),
	"dateTime":  regexp.MustCompile(`^\d{4}(-\d{2}(-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2}))?)?)?$`),
	"instant":   regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$`),
}

// convert brings text into the form that the row asks for; "" if it cannot.
func (r *run) convert(row *row, s string, source bool) string {
	s = strings.TrimSpace(s)
	if s == "" {
		return ""
	}
	if row.target.Kind != schema.String && row.target.Kind != schema.Complex && row.as == "" {
		return s // the schema checks codes and numbers
	}
	switch row.as {
	case "", "text":
		t := field.Clean(s)
		if source || t.Value != s { // else a function has told already
			r.report(t, r.field)
		}
		return t.Value
	case "boolean":
		switch {
		case yes(s):
			return "true"
		case fold(s) == "N" || fold(s) == "NO" || fold(s) == "FALSE" || fold(s) == "0":
			return "false"
		}
	case "integer", "decimal":
		return s
	case "date", "dateTime", "instant", "timestamp":
		return r.convertTime(row.as, s, source)
	default:
		if forms[row.as].MatchString(s) {
			return s
		}
	}
	r.issue(Warning, "value-unreadable", r.field, "the value is not of the form "+row.as)
	return ""
}

func (r *run) convertTime(as, s string, source bool) string {
	if source {
		var m field.Moment
		zone := r.m.profile.Zone()
		if as == "timestamp" || r.m.shape.segments != nil {
			m = field.ReadTimestamp(s, zone)
		} else {
			if zone == nil {
				zone = time.UTC
			}
			m = field.ReadMoment(s, r.m.profile.DayFirst, zone)
		}
		r.report(m, r.field)
		if s = m.Value; as == "date" && len(s) > 10 {
			s = s[:10]
		}
	}
	if as == "timestamp" {
		as = "dateTime"
	}
	if s != "" && forms[as].MatchString(s) {
		return s
	}
	if !source {
		r.issue(Warning, "value-unreadable", r.field, "the value is not of the form "+as)
	}
	return ""
}
