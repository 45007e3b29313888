package mappings

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"maps"
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

// read reads a file whole and keeps its digest.
func (c *compiler) read(fsys fs.FS, name string) ([]byte, error) {
	raw, err := readFile(fsys, name)
	if err == nil {
		c.note(name, raw)
	}
	return raw, err
}

func (c *compiler) note(name string, raw []byte) {
	sum := sha256.Sum256(raw)
	c.files[name] = hex.EncodeToString(sum[:])
}

// content is a digest of what was read, wherever it was read from.
func (c *compiler) content() string {
	sums := slices.Sorted(maps.Values(c.files))
	sum := sha256.Sum256([]byte(strings.Join(sums, "\n")))
	return hex.EncodeToString(sum[:8])
}

// unreadable says why a file cannot be read, without the words of the machine.
func unreadable(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "does not exist"
	case errors.Is(err, errTooLarge):
		return err.Error()
	}
	return "cannot be read"
}

var errTooLarge = errors.New("is larger than 4 MiB")

// readFile reads a file whole, refusing what is too large.
func readFile(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxFile {
		return nil, errTooLarge
	}
	return raw, nil
}
