package guard_test

import (
	"testing"

	"github.com/handoff-health/handoff/gateway/guard"
)

func TestGuardsStandUntilATestTakesThemAway(t *testing.T) {
	for _, n := range guard.All() {
		if guard.Off(n) {
			t.Errorf("%s is off", n)
		}
		if n.What() == "" || n.Area() == string(n) {
			t.Errorf("%s says nothing of itself or of its area", n)
		}
	}
	t.Run("one", func(t *testing.T) {
		guard.Disable(t, guard.TokenExpiry)
		t.Run("two", func(t *testing.T) {
			guard.Disable(t, guard.TokenIssuer)
			if !guard.Off(guard.TokenExpiry) || !guard.Off(guard.TokenIssuer) || guard.Off(guard.TokenAudience) {
				t.Error("two should be off, and no other")
			}
		})
		if !guard.Off(guard.TokenExpiry) || guard.Off(guard.TokenIssuer) {
			t.Error("one should be off, and no other")
		}
	})
	if guard.Off(guard.TokenExpiry) {
		t.Error("it stayed off")
	}
}
