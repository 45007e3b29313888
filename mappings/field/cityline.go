package field

import (
	"regexp"
	"strings"
)

// A CityLine is the last line of a postal address in its parts.
type CityLine struct {
	City, State, PostalCode string
	Findings                []Finding
}

// Report implements [Report].
func (c CityLine) Report() []Finding { return c.Findings }

var (
	zipTail   = regexp.MustCompile(`(?:^|[\s,])(\d{5}(?:-?\d{4})?)$`)
	stateTail = regexp.MustCompile(`(?:^|[\s,])([A-Za-z]{2})\.?$`)
)

// ReadCityLine reads "Maple Valley ZZ 00503", "Riverton, ZZ 00501-1234" or a part
// of it, as one column holds it. What stands before state and ZIP code is the
// city; a line of two letters alone is a state.
func ReadCityLine(s string) CityLine {
	t := Clean(s)
	c := CityLine{Findings: t.Findings}
	if Blank(t.Value) {
		return c
	}
	rest := t.Value
	cut := func(re *regexp.Regexp) string {
		m := re.FindStringSubmatchIndex(rest)
		if m == nil {
			return ""
		}
		part := rest[m[2]:m[3]]
		rest = strings.TrimRight(rest[:m[0]], " ,")
		return part
	}
	c.PostalCode = cut(zipTail)
	c.State = strings.ToUpper(cut(stateTail))
	if c.City = strings.Trim(rest, " ,"); Formula(c.City) { // a comma stood before it
		c.City = ""
		c.Findings = append(c.Findings, Finding{"spreadsheet-formula", "the text is a spreadsheet formula and was quarantined", Warning})
	}
	if strings.ContainsAny(c.City, "0123456789") {
		c.Findings = append(c.Findings, Finding{"city-line-unclear", "the line of city, state and ZIP code holds other digits: it was kept as the city", Note})
	}
	return c
}
