package mappings_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/handoff-health/handoff/mappings"
)

func TestTheReferenceIsCurrent(t *testing.T) {
	file := filepath.Join("..", "docs", "mapping-reference.md")
	if *update {
		if err := os.WriteFile(file, []byte(mappings.Reference()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(raw) != mappings.Reference() {
		t.Errorf("%s is stale: go test ./mappings -run Reference -update", file)
	}
}
