// Package all lists the source formats that Handoff reads. It is the only list:
// a format that is not here cannot be named on a command line or in a
// configuration.
package all

import (
	"fmt"
	"strings"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/ehr/hl7v2"
	"github.com/handoff-health/handoff/adapters/rms/csv"
)

// Formats returns every format, in the order of its name.
func Formats() []adapters.Format {
	return []adapters.Format{
		{
			Name:        "ehr/hl7v2",
			Description: "HL7 v2 messages in files, with or without batches; ADT A01 and A04 are mapped",
			Mapping:     "ehr/hl7v2/adt.map.yaml",
			Open:        hl7v2.Open,
		},
		{
			Name:        "rms/csv",
			Description: "delimited exports of police records systems; the Riverton crisis-contact export is built in",
			Mapping:     csv.RivertonMapping,
			Open:        csv.Open,
		},
	}
}

// Find returns the format of this name. The error lists the known ones.
func Find(name string) (adapters.Format, error) {
	var known []string
	for _, f := range Formats() {
		if f.Name == name {
			return f, nil
		}
		known = append(known, f.Name)
	}
	return adapters.Format{}, fmt.Errorf("unknown adapter %q; known are: %s", name, strings.Join(known, ", "))
}

// Fields are the columns that a mapping reads, as the format's decoder wants
// them: with the spellings and the required ones that are known for this
// mapping. A mapping that lists no columns (HL7 v2) has none.
func Fields(mapping string, columns []string) []adapters.Field {
	known := map[string]adapters.Field{}
	if mapping == csv.RivertonMapping {
		for _, f := range csv.Riverton() {
			known[f.Name] = f
		}
	}
	var out []adapters.Field
	for _, c := range columns {
		f, ok := known[c]
		if !ok {
			f = adapters.Field{Name: c}
		}
		out = append(out, f)
	}
	return out
}
