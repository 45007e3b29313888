package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

const mod = "module example.org/m\n\ngo 1.26\n"

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

func TestWhatIsRaced(t *testing.T) {
	calm := "package a\n\nfunc F() {}\n"
	test := "package a\n\nimport \"testing\"\n\nfunc TestF(t *testing.T) { F() }\n"
	for name, tt := range map[string]struct {
		files map[string]string
		want  string
	}{
		"nothing starts one":             {map[string]string{"a/a.go": calm, "a/a_test.go": test}, ""},
		"a go statement":                 {map[string]string{"a/a.go": "package a\n\nfunc F() { go F() }\n", "a/a_test.go": test}, "a"},
		"no test, no run":                {map[string]string{"a/a.go": "package a\n\nfunc F() { go F() }\n"}, ""},
		"in its test":                    {map[string]string{"a/a.go": calm, "a/a_test.go": "package a\n\nfunc x() { go F() }\n"}, "a"},
		"a group":                        {map[string]string{"a/a.go": calm, "a/a_test.go": "package a\n\nfunc x(g group) { g.Go(F) }\n"}, "a"},
		"a starter as a value":           {map[string]string{"a/a.go": "package a\n\nvar later = time.AfterFunc\n", "a/a_test.go": test}, "a"},
		"t.Parallel":                     {map[string]string{"a/a.go": calm, "a/a_test.go": "package a\n\nimport \"testing\"\n\nfunc TestF(t *testing.T) { t.Parallel() }\n"}, "a"},
		"net/http":                       {map[string]string{"a/a.go": "package a\n\nimport _ \"net/http\"\n", "a/a_test.go": test}, "a"},
		"words of HTTP":                  {map[string]string{"a/a.go": "package a\n\nimport \"net/http\"\n\nconst OK = http.StatusOK\n", "a/a_test.go": test}, ""},
		"a server of HTTP":               {map[string]string{"a/a.go": "package a\n\nimport \"net/http\"\n\nvar S http.Server\n", "a/a_test.go": test}, "a"},
		"HTTP by another name":           {map[string]string{"a/a.go": "package a\n\nimport web \"net/http\"\n\nvar S web.Server\n", "a/a_test.go": test}, "a"},
		"an unknown library":             {map[string]string{"a/a.go": "package a\n\nimport _ \"example.com/lib\"\n", "a/a_test.go": test}, "a"},
		"a quiet library":                {map[string]string{"a/a.go": "package a\n\nimport _ \"github.com/google/go-cmp/cmp\"\n", "a/a_test.go": test}, ""},
		"two steps below it":             {map[string]string{"a/a.go": "package a\n\nimport _ \"example.org/m/b\"\n", "a/a_test.go": test, "b/b.go": "package b\n\nimport _ \"example.org/m/c\"\n", "c/c.go": "package c\n\nfunc F() { go F() }\n"}, "a"},
		"below its test alone":           {map[string]string{"a/a.go": calm, "a/a_test.go": "package a_test\n\nimport _ \"example.org/m/b\"\n", "b/b.go": "package b\n\nfunc F() { go F() }\n"}, "a"},
		"in another's test":              {map[string]string{"a/a.go": "package a\n\nimport _ \"example.org/m/b\"\n", "a/a_test.go": test, "b/b.go": "package b\n", "b/b_test.go": "package b\n\nfunc x() { go x() }\n"}, "b"},
		"behind a build tag":             {map[string]string{"a/a.go": calm, "a/a_other.go": "//go:build plan9\n\npackage a\n\nfunc G() { go F() }\n", "a/a_test.go": test}, "a"},
		"a comment or a string says so":  {map[string]string{"a/a.go": "package a\n\n// go F()\nvar s = \"go F()\"\n", "a/a_test.go": test}, ""},
		"a file that cannot be compiled": {map[string]string{"a/a.go": "package\n"}, "error"},
	} {
		t.Run(name, func(t *testing.T) {
			module := fstest.MapFS{"go.mod": file(mod)}
			for f, text := range tt.files {
				module[f] = file(text)
			}
			got, err := raced(module)
			if err != nil {
				got = []string{"error"}
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %q, %v, want %q", s, err, tt.want)
			}
		})
	}
}

// The packages of which everybody knows that they are concurrent are on the list, and
// the pure ones that the list is for are not.
func TestThisModule(t *testing.T) {
	got, err := raced(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"fhir/store/sqlite", "fhir/store/mongo", "fhir/store/epoch", "gateway", "gateway/broker", "gateway/audit", "adapters/ingest", "adapters/inbox", "adapters/ehr/mllp", "cmd/handoff"} {
		if !slices.Contains(got, dir) {
			t.Errorf("%s is not on the list", dir)
		}
	}
	for _, dir := range []string{"gateway/policy", "fhir/resource", "fhir/label"} {
		if slices.Contains(got, dir) {
			t.Errorf("%s is on the list: something pure has started a goroutine", dir)
		}
	}
}
