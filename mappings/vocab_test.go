package mappings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The guide's own tables, and those of IZ Gateway that fill its gaps, load as
// they are. The files are beside the repository, not in it.
func TestTheGuidesVocabulariesLoadUnchanged(t *testing.T) {
	root := filepath.Join("..", "..", "shared", "data", "ehr", "maps")
	if _, err := os.Stat(root); err != nil {
		t.Skip("../shared is absent: the guide's vocabularies were not loaded")
	}
	files, codes, unused := 0, 0, 0
	for _, dir := range []string{"v2-to-fhir-ig/codesystems", "izgateway-coding"} {
		names, err := filepath.Glob(filepath.Join(root, dir, "*.csv"))
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %v", dir, err)
		}
		for _, name := range names {
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			n, remarks, err := CheckVocabulary(filepath.Base(name), raw)
			if err != nil {
				t.Errorf("%v", err)
			}
			for _, r := range remarks {
				if r.Line < 3 || r.Line > strings.Count(string(raw), "\n")+1 || r.Message == "" {
					t.Errorf("%+v", r)
				}
			}
			files, codes, unused = files+1, codes+n, unused+len(remarks)
		}
	}
	t.Logf("%d files, %d codes, %d rows not used", files, codes, unused)
	if files < 103 || codes < 2000 || unused < 2000 {
		t.Errorf("%d files, %d codes, %d rows not used", files, codes, unused)
	}
}

const guideHeader = "HL7 v2,,,Condition (IF True),,,HL7 FHIR,,,,,Comments\nCode,Text,Code System,Computable ANTLR,Computable FHIRPath,Narrative,Code,,Display,Code System,,\n"

func TestVocabularyRowsThatCannotBeUsedAreTold(t *testing.T) {
	var errs []error
	v := parseVocabulary("v", "v.csv", []byte("# from the guide\n"+guideHeader+
		"U,Update,HL70206,local assessment,,,PUT,,PUT,http://x.org/a,,\nX,No code,HL70206,,,IF NOT MAPPED ERROR,,,,,,\n,,,,,,very restricted,,,http://x.org,,\nA,Add,HL70206,,,,POST,,Post,http://x.org/a,,\nN,Nothing,HL70206,,,,,,,,,\n"), &errs)
	if len(errs) > 0 || v == nil {
		t.Fatal(errs)
	}
	for code, want := range map[string]bool{"A": true, "N": true, "U": false, "X": false} {
		if _, known := v.lookup(code); known != want {
			t.Errorf("%s: known %v", code, known)
		}
	}
	want := []Remark{{"v.csv", 4, `the code "U" has the condition "local assessment", which is not judged`},
		{"v.csv", 5, `the code "X" has the condition "IF NOT MAPPED ERROR", which is not judged`}, {"v.csv", 6, `the target "very restricted" has no source code`}}
	if len(v.unused) != len(want) {
		t.Fatalf("%+v", v.unused)
	}
	for i, w := range want {
		if v.unused[i] != w {
			t.Errorf("got %+v, want %+v", v.unused[i], w)
		}
	}
}

func TestFaultsOfAVocabularyHaveAPlace(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "v.csv:1:1: the vocabulary has no header row",
		"a\"b\n":                   "v.csv:1:2: the vocabulary is not CSV",
		"# note\nCode,Text\nA,B\n": "v.csv:2:1: the vocabulary has no header row",
		guideHeader + "A,,,,,,x  y,,,http://x,,\n": `v.csv:3:8: the code "x  y" has stray white space`,
		guideHeader + "A,,,,,,x,,,HL7 table,,\n":   `v.csv:3:12: the code system "HL7 table" is not a URI`,
		guideHeader + "A,,,,,,x,,\"\n\n":           "the vocabulary is not CSV",
		guideHeader + "A,,,,,,caf\xe9,,,http:x\n":  "v.csv:3:11: the file is not UTF-8",
	} {
		if _, _, err := CheckVocabulary("v.csv", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}
