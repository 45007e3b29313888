package mappings_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

// The guide's example is a mapping that loads and maps as the guide says.
func TestTheGuidesExampleWorks(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "docs", "mapping.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := func(heading string) string {
		_, after, ok := strings.Cut(string(raw), "\n## "+heading+"\n")
		_, after, fenced := strings.Cut(after, "\n```")
		_, after, _ = strings.Cut(after, "\n")
		text, _, ended := strings.Cut(after, "\n```")
		if !ok || !fenced || !ended {
			t.Fatalf("the guide has no block %s", heading)
		}
		return text + "\n"
	}
	files := fstest.MapFS{"north.profile.yaml": {Data: []byte(block("A sender that differs"))}, "north-sex.csv": {Data: []byte(block("sex.csv"))}}
	for _, name := range []string{"contact.map.yaml", "our.profile.yaml", "sex.csv"} {
		files[name] = &fstest.MapFile{Data: []byte(block(name))}
	}
	for profile, want := range map[string]string{
		"our.profile.yaml":   `"name":[{"family":"Ruiz","given":["Ana"]}],"gender":"female"}`,
		"north.profile.yaml": `"name":[{"family":"Ruiz","given":["Ana"]}],"telecom":[{"value":"5550100"}]}`,
	} {
		p, err := mappings.LoadProfile(files, profile)
		if err != nil {
			t.Fatal(err)
		}
		file, _ := p.MappingFile()
		m, err := mappings.Load(files, file, p)
		if err != nil {
			t.Fatal(err)
		}
		root := &tree.Node{}
		for _, c := range [][2]string{{"Number", "7"}, {"Last", "Ruiz"}, {"First", "Ana"}, {"Sex", "F"}, {"Phone", "5550100"}, {"Changed", "01/02/2026 10:00"}} {
			root.Children = append(root.Children, &tree.Node{Name: c[0], Text: c[1]})
		}
		res, err := m.Apply(&tree.Record{Kind: "contact", Root: root}, mappings.Options{})
		if err != nil || len(res.Resources) != 1 || !strings.HasSuffix(string(res.Resources[0].Raw), want) {
			t.Errorf("%s: %v, %+v", profile, err, res)
		}
	}
}
