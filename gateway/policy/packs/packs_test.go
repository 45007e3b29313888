package packs

import (
	"bytes"
	"flag"
	"os"
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
