package house

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var link = regexp.MustCompile(`\]\(([^)#\s]+)`)

// What a document points to in the tree is there.
func TestLinksOfDocuments(t *testing.T) {
	links := 0
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return filepath.SkipDir // others' documents
		}
		if err != nil || d.IsDir() || filepath.Ext(file) != ".md" {
			return err
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, m := range link.FindAllSubmatch(raw, -1) {
			to := string(m[1])
			if strings.Contains(to, ":") { // an address
				continue
			}
			links++
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), to)); err != nil {
				t.Errorf("%s points to %s, which is not there", file, to)
			}
		}
		return nil
	})
	if err != nil || links == 0 {
		t.Fatalf("%d links: %v", links, err)
	}
}
