package mappings

import (
	"slices"
	"strings"
)

// A Map is a compiled mapping for one source format and sender. It is immutable
// and safe for concurrent use.
type Map struct {
	Name    string // "rms/riverton/contact"
	Version string

	profile      *Profile
	content      string
	kinds        []string
	shape        shape
	paths        map[string]*recordPath
	vocabularies map[string]*vocabulary
	lets         []*let
	key          *program
	version      *program
	groups       []*program
	reach        *program        // nil: every record is named by its key
	updates      map[string]bool // kinds of records that say what changes; nil: every record is a snapshot
	outcomes     []*outcome
	checks       []*check
	entries      []*entry
	rules        []*rule // of all entries
	merges       []*merging
	ignored      map[string]string // field → why no row reads it
	read         map[string]bool
}

// Profile returns the profile that the map was loaded for.
func (m *Map) Profile() *Profile { return m.profile }

// Content is a short digest of all files that the map was made of: mapping,
// datatypes, rowsets, vocabularies, profile and those that it inherits. Two maps
// of one content do the same.
func (m *Map) Content() string { return m.content }

// Identity names the map in full, for Provenance: "rms/riverton/contact 1.0.0,
// profile riverton, content 3f2a91bc0d1e2f34".
func (m *Map) Identity() string {
	s := m.Name + " " + m.Version
	if m.profile.Name != "" {
		s += ", profile " + strings.TrimSpace(m.profile.Name+" "+m.profile.Version)
	}
	return s + ", content " + m.content
}

// Columns returns the columns that the mapping knows, in order; nil for formats
// that are no tables.
func (m *Map) Columns() []string { return slices.Clone(m.shape.columns) }

// AnyKind is the record kind of a mapping that takes records of every kind, and
// says by its outcomes which of them it only keeps.
const AnyKind = "*"

// Kinds returns the record kinds that the mapping takes: "contact", "ADT_A01",
// [AnyKind].
func (m *Map) Kinds() []string { return slices.Clone(m.kinds) }
