package packs

import (
	"bytes"
	"flag"
	"os"
	"regexp"
	"testing"
)

var update = flag.Bool("update", false, "write goldens anew")

func TestTheSchemaIsMadeOfTheTags(t *testing.T) {
	want, err := MakeSchema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("schema.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(want, Schema()) {
		t.Error("schema.json is not what the tags say; run with -update")
	}
}

func TestBuiltinPacksCanBeRead(t *testing.T) {
	ids, err := BuiltinIDs()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if _, err := Builtin(id); err != nil {
			t.Error(err)
		}
	}
}

// partial are titles of sources that are not the paragraph as it is in force.
var partial = regexp.MustCompile(`(?i)as of|appendix|summary|amendment|through [0-9]`)

// TestPartialComparisonsSayWhatWasCompared: a rule that rests on an older
// version, a summary or a commentary does not count as compared with the law.
func TestPartialComparisonsSayWhatWasCompared(t *testing.T) {
	ids, err := BuiltinIDs()
	if err != nil {
		t.Fatal(err)
	}
	noted := 0
	for _, id := range ids {
		p, err := Builtin(id)
		if err != nil {
			t.Fatal(err)
		}
		for i := range p.Rules {
			r := &p.Rules[i]
			if r.Verified == nil || !partial.MatchString(p.Source(r.Verified.Where)) {
				continue
			}
			if noted++; r.Verified.Note == "" {
				t.Errorf("%s/%s was compared with %q and does not say so in verified.note", id, r.ID, p.Source(r.Verified.Where))
			}
		}
	}
	if noted < 10 {
		t.Errorf("only %d rules rest on such a source", noted)
	}
}
