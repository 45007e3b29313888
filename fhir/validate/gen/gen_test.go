package main

import (
	"os"
	"strings"
	"testing"
)

// The definitions beside the checkout are a part of those that the table was
// made from; what they say must stand in it word for word.
func TestTheCommittedTableSaysWhatTheDefinitionsSay(t *testing.T) {
	table, err := os.ReadFile("../definitions.tsv")
	if err != nil {
		t.Fatal(err)
	}
	sets := map[string]bool{}
	for line := range strings.Lines(string(table)) {
		if f := strings.Split(line, "\t"); f[0] == "$" {
			sets[f[1]] = true
		}
	}
	use := func(url string) string {
		url, _, _ = strings.Cut(url, "|")
		if !sets[short(url)] {
			return ""
		}
		return short(url)
	}
	for _, name := range []string{"profiles-types.json", "profiles-resources.json"} {
		raw, err := os.ReadFile("../../../../shared/data/fhir/r4-definitions/" + name)
		if err != nil {
			t.Skip("../shared is absent: the table was not compared with the official definitions")
		}
		lines, err := Structures(raw, use)
		if err != nil {
			t.Fatal(err)
		}
		var block []string
		check := func() {
			if len(block) > 0 && !strings.Contains(string(table), "\n"+strings.Join(block, "\n")+"\n@") &&
				!strings.HasSuffix(string(table), "\n"+strings.Join(block, "\n")+"\n") {
				t.Errorf("%s: the table differs from\n%s", name, strings.Join(block, "\n"))
			}
		}
		for _, l := range lines {
			if l[0] == '@' {
				check()
				block = nil
			}
			block = append(block, l)
		}
		check()
	}
}
