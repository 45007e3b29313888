package casefile

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSharedCasesComeOutAsExpected(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "..", "shared", "cases", "consent")
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		t.Skip("the shared decision cases are not beside the repository: their expectations were not tried")
	}
	runner := NewRunner()
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		cases, errs := Read(raw)
		for _, err := range errs {
			t.Errorf("%s: %v", f, err)
		}
		for _, c := range cases {
			t.Run(c.ID, func(t *testing.T) {
				for _, d := range runner.Run(c).Check(c) {
					t.Error(d)
				}
			})
		}
	}
}
