package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// noKeys are texts of the form of a fact's prefix that are none: media types, scopes,
// codes of refusals, names within other keys.
var noKeys = []string{"application/", "text/", "patient/", "token/", "enforce/", "gateway/", "log/", "v/", "client/",
	"callback/", "demodata/", "keys/"}

var (
	keyForm = regexp.MustCompile(`^/?[a-z][a-z-]*(/[a-z-]+)*/$`)
	verb    = regexp.MustCompile(`%[0-9]*[a-z]`)
	keyRow  = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")
)

// Every prefix of facts in the source stands in docs/expunge.md, which says what it
// holds of a person and what an expunge does with it; and nothing stands there that
// no source knows.
func TestEveryKindOfFactIsInTheTableOfExpunges(t *testing.T) {
	doc, err := os.ReadFile(root + "/docs/expunge.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{} // the parts of a row's key, and whether a source has it
	var rows [][]string
	for _, m := range keyRow.FindAllStringSubmatch(string(doc), -1) {
		var parts []string
		for _, part := range strings.Split(m[1], "*") {
			if part = strings.TrimPrefix(part, "/"); part != "" {
				parts = append(parts, part)
				known[part] = false
			}
		}
		rows = append(rows, parts)
	}
	if len(rows) < 40 {
		t.Fatalf("%d rows", len(rows))
	}
	literals(t, func(file, text string) {
		for _, piece := range verb.Split(text, -1) { // of a format
			if piece = strings.TrimPrefix(piece, "/"); piece != "" && strings.HasSuffix(piece, "/") {
				if _, is := known[piece]; is {
					known[piece] = true
				}
			}
		}
		part := strings.TrimPrefix(text, "/")
		if _, is := known[part]; is {
			known[part] = true
			return
		}
		if keyForm.MatchString(text) && !slices.Contains(noKeys, part) && !(strings.HasPrefix(text, "/") && strings.HasSuffix(text, "/") && isPath(part)) {
			t.Errorf("%s: %q looks like the prefix of a fact that docs/expunge.md does not have; if it is none, it belongs into noKeys", file, text)
		}
	})
	for _, parts := range rows {
		for _, part := range parts {
			// "rec/" is put together of "rec" and a slash.
			if !known[part] && !kinds[strings.TrimSuffix(part, "/")] {
				t.Errorf("docs/expunge.md has %q, which no source has", strings.Join(parts, "*"))
			}
		}
	}
}

// kinds are first arguments of factKey, the last part but one of an ingest's keys.
var kinds = map[string]bool{}

// isPath says that a text is an address of HTTP.
func isPath(part string) bool { return slices.Contains([]string{"oauth/", "adapters/"}, part) }

// literals gives each text in the sources that may write facts, tests and the stores
// themselves left out.
func literals(t *testing.T, each func(file, text string)) {
	t.Helper()
	for _, dir := range []string{"gateway", "adapters", "cmd", "fhir/store"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(file string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && (slices.Contains([]string{"sqlite", "mongo", "testdata"}, d.Name()) || strings.HasSuffix(d.Name(), "test")) {
				return filepath.SkipDir
			}
			if d.IsDir() || filepath.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go") {
				return nil
			}
			tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(tree, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.ImportSpec:
					return false
				case *ast.CallExpr:
					noteKind(n)
				case *ast.BasicLit:
					if text, err := strconv.Unquote(n.Value); n.Kind == token.STRING && err == nil {
						each(file, text)
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func noteKind(call *ast.CallExpr) {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != "factKey" || len(call.Args) == 0 {
		return
	}
	if lit, ok := call.Args[0].(*ast.BasicLit); ok {
		if text, err := strconv.Unquote(lit.Value); err == nil {
			kinds[text] = true
		}
	}
}
