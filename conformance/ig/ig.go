// Package ig holds the project's conformance resources as files, one a
// resource: Questionnaires, OperationDefinitions, CodeSystems, ValueSets and
// StructureDefinitions that the gateway publishes. It turns nothing into anything
// and decides nothing; cmd hands the files to the gateway. Its tests compare them
// with the code, which is what counts: an operation with what it reads, a code
// system with the lists that it is used by, an extension with where it is written.
//
// What the answers of a Questionnaire mean is read by their linkIds in package
// gateway/capture, so a linkId never changes; a changed text is a new version.
//
// Spec: https://hl7.org/fhir/R4/conformance-module.html
package ig

import (
	"embed"
	"fmt"
	"io/fs"
)

//go:embed questionnaire/*.json operation/*.json codesystem/*.json valueset/*.json structure/*.json
var files embed.FS

// Resources returns all of them, in the order of their file names.
func Resources() ([][]byte, error) {
	names, err := fs.Glob(files, "*/*.json")
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
