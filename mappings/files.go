package mappings

import (
	"embed"
	"io/fs"
	"path"
	"slices"
	"strings"
)

//go:embed codes/*.csv codes/*/*.csv rms/*/*.yaml ehr/*/*.yaml
var embedded embed.FS

// Files holds the built-in mappings, profiles and vocabularies.
func Files() fs.FS { return embedded }

// Names lists the mapping files of fsys ("rms/riverton/contact.map.yaml"), sorted.
func Names(fsys fs.FS) []string { return named(fsys, ".map.yaml") }

// Profiles lists the profile files of fsys, sorted.
func Profiles(fsys fs.FS) []string { return named(fsys, ".profile.yaml") }

// CaseFiles lists the test files of fsys ("rms/riverton/contact.test.yaml"), sorted.
func CaseFiles(fsys fs.FS) []string { return named(fsys, ".test.yaml") }

func named(fsys fs.FS, suffix string) []string {
	var names []string
	_ = fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(p, suffix) && !strings.Contains(path.Dir(p), "testdata") {
			names = append(names, p)
		}
		return nil // what cannot be read is not listed
	})
	slices.Sort(names)
	return names
}
