// Package ig holds the project's conformance resources as files: the
// Questionnaires that the gateway publishes. It turns nothing into anything and
// decides nothing; cmd hands the files to the gateway. What the answers of a
// Questionnaire mean is read by their linkIds in package gateway/capture, so a
// linkId never changes; a changed text is a new version.
//
// Spec: https://hl7.org/fhir/R4/questionnaire.html
package ig

import (
	"embed"
	"fmt"
	"io/fs"
)

//go:embed questionnaire/*.json
var files embed.FS

// Questionnaires returns the Questionnaires, in the order of their ids.
func Questionnaires() ([][]byte, error) {
	names, err := fs.Glob(files, "questionnaire/*.json")
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for _, name := range names {
		raw, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("ig: %w", err)
		}
		out = append(out, raw)
	}
	return out, nil
}
