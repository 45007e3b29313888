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
	"github.com/handoff-health/handoff/adapters/rms/eido"
	"github.com/handoff-health/handoff/adapters/rms/jsonl"
	"github.com/handoff-health/handoff/adapters/rms/ndex"
	"github.com/handoff-health/handoff/adapters/rms/webhook"
)

// Formats returns every format, in the order of its name.
func Formats() []adapters.Format {
	return []adapters.Format{
		{
			Name:        "ehr/hl7v2",
			Description: "HL7 v2 messages in files, with or without batches; ADT is mapped, other types are kept",
			Mapping:     "ehr/hl7v2/adt.map.yaml",
			Open:        hl7v2.Open,
		},
		{
			Name:        "rms/csv",
			Description: "delimited exports of police records systems; the Riverton crisis-contact export is built in",
			Mapping:     "rms/riverton/contact.map.yaml",
			Open:        csv.Open,
		},
		{
			Name:        "rms/eido",
			Description: "incidents of dispatch systems in EIDO JSON (NENA-STA-021.1)",
			Mapping:     eido.Mapping,
			Open:        eido.Open,
		},
		{
			Name:        "rms/jsonl",
			Description: "JSON objects, one a line, in an array or one after the other; consents taken on scene are built in",
			Mapping:     "rms/onscene/consent.map.yaml",
			Open:        jsonl.Open,
		},
		{
			Name:        "rms/ndex",
			Description: "police reports in NIEM XML: N-DEx with or without a LEXS envelope, NIEM 2 to 6, NIBRS (kept, without identities)",
			Mapping:     ndex.Mapping,
			Open:        ndex.Open,
		},
		{
			Name:        "rms/webhook",
			Description: "events of a records system (schema rms.v3): reports created, updated, sealed, expunged; persons merged and unmerged",
			Mapping:     webhook.Mapping,
			Open:        webhook.Open,
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
