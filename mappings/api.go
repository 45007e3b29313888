package mappings

import (
	"errors"
	"io/fs"

	"github.com/handoff-health/handoff/mappings/tree"
)

// A Map is a compiled mapping for one source format. It is immutable and safe
// for concurrent use.
type Map struct {
	name string
}

// Load reads the mapping file name from fsys (Files() has the built-in ones),
// with everything that it refers to, for the sender that profile describes (nil:
// the mapping's defaults). It compiles all or fails; each error names
// file:line:column.
func Load(fsys fs.FS, name string, profile *Profile) (*Map, error) {
	return nil, errors.New("mappings: not yet")
}

// Apply turns one record into resources. A record that cannot be mapped is a
// Result with Action Reject, not an error; an error means the engine broke off
// (a limit, an id that is no FHIR id) and nothing of the record may be used.
func (m *Map) Apply(rec *tree.Record, opts Options) (*Result, error) {
	return nil, errors.New("mappings: not yet")
}
