package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "github.com/handoff-health/handoff/"
	root   = "../.."
	// maxLines is where a file stops; suites, tables and tests are excepted.
	maxLines = 600
)

// A rule forbids packages below from to import what starts with one of to,
// except from the folders in unless.
type rule struct {
	from   string
	to     []string
	unless []string
	why    string
}

var rules = []rule{
	{"fhir/", []string{module + "gateway", module + "adapters", module + "mappings", module + "cmd", module + "conformance"}, nil, "fhir is the vocabulary: it knows no request, vendor or policy"},
	{"mappings/", []string{module + "gateway", module + "adapters", module + "cmd", module + "conformance", "net/http"}, nil, "mappings are pure: record tree to FHIR"},
	{"adapters/", []string{module + "gateway", module + "cmd", module + "conformance"}, nil, "adapters and gateway meet in cmd and in the store"},
	{"gateway/", []string{module + "adapters", module + "mappings", module + "cmd", module + "conformance"}, nil, "gateway and adapters meet in cmd and in the store"},
	{"gateway/policy/", []string{"net/http", "os", "database/sql", module + "fhir/store", module + "fhir/client"}, nil, "a decision depends on its arguments alone"},
	{"gateway/consent/", []string{"net/http", "os", "database/sql", module + "fhir/store", module + "fhir/client"}, nil, "a decision depends on its arguments alone"},
	{"gateway/replay/", []string{"net/http", "os", "database/sql", module + "fhir/store", module + "fhir/client"}, nil, "a replay is given what it needs and reads nothing"},
	{"gateway/legalbasis/", []string{"net/http", "os", "database/sql", module + "fhir/store", module + "fhir/client"}, nil, "the papers of a basis are pure"},
	{"gateway/emergency/", []string{"net/http", "os", "database/sql", module + "fhir/store", module + "fhir/client"}, nil, "the papers of an emergency are pure"},
	{"gateway/broker/", []string{module + "gateway/policy", module + "gateway/consent", module + "gateway/enforce"}, nil, "the broker fetches and never decides"},
	{"gateway/enforce/", []string{module + "gateway/consent", module + "gateway/broker", module + "fhir/store"}, nil, "enforce carries out a decision and makes none"},
	{"", []string{"github.com/gin-gonic/gin"}, []string{"gateway/rest/", "gateway/console/"}, "gin lives in the HTTP rooms"},
	{"", []string{"github.com/lestrrat-go/jwx"}, []string{"gateway/auth/", "gateway/smart/"}, "signatures are verified in one place"},
	{"", []string{"github.com/zitadel/oidc", "github.com/go-jose/go-jose"}, []string{"gateway/oauth/", "gateway/signin/"}, "the authorization server and the sign-in at providers are in one room each; access tokens and outside signatures are auth's"},
	{"", []string{"go.mongodb.org/mongo-driver"}, []string{"fhir/store/mongo/"}, "one store, one folder"},
	{"", []string{"modernc.org/sqlite"}, []string{"fhir/store/sqlite/"}, "one store, one folder"},
	{"", []string{module + "fhir/store/sqlite", module + "fhir/store/mongo"}, []string{"fhir/store/backend/", "fhir/store/sqlite/", "fhir/store/mongo/"}, "stores are opened through fhir/store/backend, so that everything runs on each"},
	{"", []string{"github.com/hashicorp/go-retryablehttp"}, []string{"fhir/client/", "gateway/upstream/", "adapters/"}, "outbound HTTP goes through the client"},
	{"", []string{"github.com/samply/golang-fhir-models"}, []string{"mappings/", "adapters/", "gateway/audit/"}, "typed models build resources; they never read somebody else's"},
	{"", []string{module + "conformance"}, []string{"conformance/", "cmd/"}, "conformance is imported by nobody but cmd (conformance/ig) and itself"},
}

// sources yields every Go file of the module with its folder, "fhir/store/".
func sources(t *testing.T, visit func(dir, name string, file *ast.File, fset *token.FileSet, lines int)) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == ".git" || name == "testdata" || name == "node_modules" {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		raw, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, p, raw, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		n++
		rel = filepath.ToSlash(rel)
		visit(path.Dir(rel)+"/", path.Base(rel), file, fset, strings.Count(string(raw), "\n"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n < 20 {
		t.Fatalf("only %d Go files were found below %s: the check looks in the wrong place", n, root)
	}
}

func TestImportsFollowTheRules(t *testing.T) {
	sources(t, func(dir, name string, file *ast.File, fset *token.FileSet, _ int) {
		for _, spec := range file.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rules {
				if broken(r, dir, name, p) {
					t.Errorf("%s imports %s: %s", fset.Position(spec.Pos()), p, r.why)
				}
			}
		}
	})
}

func broken(r rule, dir, name, imported string) bool {
	if !strings.HasPrefix(dir, r.from) {
		return false
	}
	for _, u := range r.unless {
		if strings.HasPrefix(dir, u) {
			return false
		}
	}
	// A test may use a library to play the other side; the house's own layers
	// and the purity of decisions hold for tests too, except for reading files.
	if strings.HasSuffix(name, "_test.go") && !strings.HasPrefix(imported, module) {
		return false
	}
	for _, forbidden := range r.to {
		if imported == forbidden || strings.HasPrefix(imported, forbidden+"/") {
			return true
		}
	}
	return false
}

// A guard is taken away by tests alone, and by those that look whether it is
// missed: those of sign-in by the tests that play its provider, those of the
// authorization server that hang on time by the tests that hold its clock.
func TestGuardsAreTakenAwayByTestsAlone(t *testing.T) {
	sources(t, func(dir, name string, file *ast.File, fset *token.FileSet, _ int) {
		fits := strings.HasSuffix(name, "_test.go") &&
			(strings.HasPrefix(dir, "conformance/") || strings.HasPrefix(dir, "cmd/") || dir == "gateway/guard/" || dir == "gateway/signin/" || dir == "gateway/oauth/")
		ast.Inspect(file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "guard" && sel.Sel.Name == "Disable" && !fits {
				t.Errorf("%s takes a guard away", fset.Position(sel.Pos()))
			}
			return true
		})
	})
}

func TestRulesCanFail(t *testing.T) {
	for _, c := range []struct {
		dir, name, imported string
		want                bool
	}{
		{"fhir/search/", "parse.go", module + "gateway/policy", true},
		{"gateway/policy/", "engine.go", "net/http", true},
		{"gateway/policy/", "engine.go", module + "fhir/label", false},
		{"gateway/rest/", "routes.go", "github.com/gin-gonic/gin", false},
		{"gateway/auth/", "token.go", "github.com/gin-gonic/gin", true},
		{"adapters/rms/csv/", "csv.go", module + "gateway/identity", true},
		{"gateway/auth/", "token.go", "github.com/zitadel/oidc/v3/pkg/oidc", true},
		{"gateway/launch/", "page.go", "github.com/go-jose/go-jose/v4", true},
		{"gateway/oauth/", "code.go", "github.com/zitadel/oidc/v3/pkg/op", false},
		{"fhir/store/sqlite/", "db.go", "modernc.org/sqlite", false},
		{"cmd/handoff/", "wiring_test.go", module + "fhir/store/sqlite", true},
		{"fhir/store/storetest/", "crash.go", module + "fhir/store/mongo", true},
		{"fhir/store/backend/", "backend.go", module + "fhir/store/mongo", false},
	} {
		got := false
		for _, r := range rules {
			got = got || broken(r, c.dir, c.name, c.imported)
		}
		if got != c.want {
			t.Errorf("%s%s importing %s: forbidden %v, want %v", c.dir, c.name, c.imported, got, c.want)
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	documented := map[string]bool{}
	sources(t, func(dir, name string, file *ast.File, _ *token.FileSet, _ int) {
		if strings.HasSuffix(name, "_test.go") {
			return
		}
		documented[dir] = documented[dir] || (file.Doc != nil && len(file.Doc.Text()) > 80)
	})
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment that says what it does", dir)
		}
	}
}

func TestFilesStayReadable(t *testing.T) {
	sources(t, func(dir, name string, file *ast.File, _ *token.FileSet, lines int) {
		if strings.HasSuffix(name, "_test.go") || strings.Contains(dir, "test/") || ast.IsGenerated(file) {
			return
		}
		if lines > maxLines {
			t.Errorf("%s%s has %d lines; split it where two concepts share it", dir, name, lines)
		}
	})
}

// Forbidden package names say nothing about their content.
func TestPackagesHaveTellingNames(t *testing.T) {
	sources(t, func(dir, _ string, file *ast.File, _ *token.FileSet, _ int) {
		switch strings.TrimSuffix(file.Name.Name, "_test") {
		case "util", "utils", "common", "manager", "helper", "helpers", "misc":
			t.Errorf("%s: package name %q says nothing", dir, file.Name.Name)
		}
	})
}
