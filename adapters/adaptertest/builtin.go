package adaptertest

import (
	"bytes"
	"os"
	"testing"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/all"
	"github.com/handoff-health/handoff/mappings"
)

// BuiltIn is the suite of a format with its built-in mapping; the caller adds
// Good and Bad. goldens is the folder of its goldens.
func BuiltIn(t testing.TB, format, goldens string) Suite {
	t.Helper()
	f, err := all.Find(format)
	if err != nil {
		t.Fatal(err)
	}
	m, err := mappings.Load(mappings.Files(), f.Mapping, nil)
	if err != nil {
		t.Fatal(err)
	}
	return Suite{Format: f, Mapper: m, Goldens: goldens,
		Options: adapters.Options{Profile: m.Profile(), Fields: m.Fields(), Kinds: m.Kinds()}}
}

// Input is the input part of a golden, as it stands in the file.
func Input(t testing.TB, golden string) []byte {
	t.Helper()
	raw, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	in, _, _ := bytes.Cut(raw, []byte(Separator))
	return in
}
