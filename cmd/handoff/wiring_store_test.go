package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/gateway/config"
)

// onTestStore puts a store of the test's own into a configuration: of the kind that
// the environment names, and the file beside the configuration if it names none.
func onTestStore(t testing.TB, text string) string {
	t.Helper()
	if !backendtest.OnMongo(t) {
		return text
	}
	// At the end, so that the lines of what stands before stay what they are.
	return strings.TrimRight(text, "\n") + fmt.Sprintf("\nstore: {mongo: {uri: %q}}\n", backendtest.Address(t))
}

// demoOnTestStore is the same for the demo.
func demoOnTestStore(t testing.TB, o demoOptions) demoOptions {
	t.Helper()
	if backendtest.OnMongo(t) {
		o.store = backendtest.Address(t)
	}
	return o
}

// storeAddressOf is where the store of a configuration is.
func storeAddressOf(t testing.TB, file string) string {
	t.Helper()
	c, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	address, _ := c.StoreAddress()
	return address
}

// storeOf opens the store of the configuration in a folder, or makes it.
func storeOf(t testing.TB, dir string) backend.Backend {
	t.Helper()
	return backendtest.At(t, storeAddressOf(t, filepath.Join(dir, "handoff.yaml")), backend.Options{})
}

// writeConfig writes a configuration on a store of the test's own.
func writeConfig(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(onTestStore(t, text)), 0o600); err != nil {
		t.Fatal(err)
	}
}
