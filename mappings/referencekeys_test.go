package mappings

import (
	"slices"
	"strings"
	"testing"
)

// What the compiler allows is explained, and nothing else.
func TestEveryKeyIsExplained(t *testing.T) {
	for _, table := range keyTables() {
		var explained []string
		for _, d := range table.docs {
			if strings.TrimSpace(d.means) == "" {
				t.Errorf("%s: %s is not explained", table.title, d.key)
			}
			explained = append(explained, d.key)
		}
		slices.Sort(explained)
		if allowed := slices.Sorted(slices.Values(table.keys)); !slices.Equal(explained, allowed) {
			t.Errorf("%s:\nallowed   %v\nexplained %v", table.title, allowed, explained)
		}
	}
}
