package validate

import (
	"encoding/base64"
	"regexp"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
)

// The forms of R4's primitives: https://hl7.org/fhir/R4/datatypes.html. Dates
// are checked as calendar days besides.
var forms = map[string]*regexp.Regexp{
	"date":        regexp.MustCompile(`^[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?)?$`),
	"dateTime":    regexp.MustCompile(`^[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01])(T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?(Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00)))?)?)?$`),
	"instant":     regexp.MustCompile(`^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?(Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00))$`),
	"time":        regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?$`),
	"code":        regexp.MustCompile(`^[^\s]+( [^\s]+)*$`),
	"id":          regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`),
	"oid":         regexp.MustCompile(`^urn:oid:[0-2](\.(0|[1-9][0-9]*))+$`),
	"uuid":        regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`),
	"uri":         regexp.MustCompile(`^\S+$`),
	"url":         regexp.MustCompile(`^\S+$`),
	"canonical":   regexp.MustCompile(`^\S+$`),
	"decimal":     regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`),
	"integer":     regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`),
	"unsignedInt": regexp.MustCompile(`^(0|[1-9][0-9]*)$`),
	"positiveInt": regexp.MustCompile(`^[1-9][0-9]*$`),
}

// wrongPrimitive says what is wrong with a value of a primitive type, "" if
// nothing is. The text does not repeat the value.
func wrongPrimitive(typ string, n resource.Node) string {
	switch typ {
	case "boolean":
		if _, ok := n.Bool(); !ok {
			return "must be true or false, not " + kindName(n)
		}
		return ""
	case "decimal", "integer", "unsignedInt", "positiveInt":
		return wrongNumber(typ, n)
	}
	if n.Kind() != resource.String {
		return "must be a string, not " + kindName(n)
	}
	s := n.Text()
	switch {
	case s == "":
		return "must not be empty"
	case len(s) > 1<<20 && typ != "base64Binary" && typ != "xhtml":
		return "is longer than 1 MB"
	case typ == "base64Binary":
		return wrongBase64(s)
	case typ == "xhtml":
		return wrongNarrative(s)
	}
	if f := forms[typ]; f != nil && !f.MatchString(s) {
		return "does not have the form of a " + typ
	}
	if (typ == "date" || typ == "dateTime" || typ == "instant") && !onCalendar(s) {
		return "is no day of the calendar"
	}
	return ""
}

func wrongNumber(typ string, n resource.Node) string {
	if n.Kind() != resource.Number {
		return "must be a number, not " + kindName(n)
	}
	raw := string(n.Raw())
	if !forms[typ].MatchString(raw) {
		return "does not have the form of a " + typ
	}
	if typ != "decimal" && !fits32(raw) {
		return "is not in the range of 32 bits"
	}
	return ""
}

func fits32(s string) bool {
	digits, limit := strings.TrimPrefix(s, "-"), "2147483647"
	if digits != s {
		limit = "2147483648"
	}
	return len(digits) < len(limit) || len(digits) == len(limit) && digits <= limit
}

// onCalendar checks the day of a date whose form is right.
func onCalendar(s string) bool {
	if s[:4] == "0000" {
		return false
	}
	if len(s) < 10 {
		return true
	}
	year := int(s[0]-'0')*1000 + int(s[1]-'0')*100 + int(s[2]-'0')*10 + int(s[3]-'0')
	day := int(s[8]-'0')*10 + int(s[9]-'0')
	switch s[5:7] {
	case "04", "06", "09", "11":
		return day <= 30
	case "02":
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return day <= 29
		}
		return day <= 28
	}
	return true
}

func wrongBase64(s string) string {
	s = strings.NewReplacer(" ", "", "\n", "", "\r", "", "\t", "").Replace(s)
	if _, err := base64.StdEncoding.DecodeString(s); err != nil {
		return "is not base64"
	}
	return ""
}

// active is what a narrative must not hold: R4 allows no script, form, frame,
// object or event attribute.
var active = regexp.MustCompile(`(?i)<\s*(script|form|iframe|frame|object|embed|link|base|input|meta|applet)\b|<[^>]*\son[a-z]+\s*=|<[^>]*=\s*["']?\s*javascript:`)

func wrongNarrative(s string) string {
	t := strings.TrimSpace(s)
	if i := strings.Index(t, "?>"); strings.HasPrefix(t, "<?xml") && i > 0 {
		t = strings.TrimSpace(t[i+2:])
	}
	switch {
	case !strings.HasPrefix(t, "<div") || !strings.HasSuffix(t, "</div>") && !strings.HasSuffix(t, "/>"):
		return "must be one XHTML div"
	case active.MatchString(t):
		return "holds active content, which a narrative must not"
	}
	return ""
}

func kindName(n resource.Node) string {
	switch n.Kind() {
	case resource.Object:
		return "an object"
	case resource.Array:
		return "an array"
	case resource.String:
		return "a string"
	case resource.Number:
		return "a number"
	case resource.True, resource.False:
		return "a boolean"
	case resource.Null:
		return "null"
	}
	return "nothing"
}
