package oauth_test

import (
	"log/slog"
	"os"
	"testing"
)

// TestMain keeps zitadel/oidc from telling of every refusal.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}
