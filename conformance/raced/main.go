// Command raced prints the packages whose tests the race detector must run, one a
// line. It decides that from the source alone: the detector can find something only
// where two goroutines run, so a package is left out if neither its files, nor its
// tests, nor any package of this module below them starts one, or uses a library
// that calls back on one. In doubt a package is printed. It runs nothing; .ci/run
// calls it.
package main

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// starters are methods and functions that run a function on another goroutine, by
// name: a method of that name that does no such thing costs a run too many.
var starters = map[string]bool{
	"Go": true, "TryGo": true, "AfterFunc": true, "Parallel": true, "RunParallel": true,
	"Serve": true, "ServeTLS": true, "ListenAndServe": true, "ListenAndServeTLS": true,
}

// concurrent are packages of the standard library that run their caller's code on
// goroutines of their own.
var concurrent = map[string]bool{
	"net/http": true, "net/http/httptest": true, "net/rpc": true, "os/exec": true, "database/sql": true, "os/signal": true,
}

// passive says whether a name of net/http runs nothing: a status, a method, headers,
// the types of a handler. Who serves the handler, or sends a request, is not passive.
func passive(name string) bool {
	switch name {
	case "Header", "Request", "ResponseWriter", "Handler", "HandlerFunc", "Error":
		return true
	}
	return strings.HasPrefix(name, "Status") || strings.HasPrefix(name, "Method")
}

// quiet are the modules that are known to start no goroutine that runs or touches
// what is their caller's. Any other counts as one that does.
var quiet = []string{
	"github.com/go-json-experiment/json", "github.com/samply/golang-fhir-models", "github.com/expr-lang/expr",
	"github.com/goccy/go-yaml", "github.com/google/go-cmp", "golang.org/x/text",
	"github.com/santhosh-tekuri/jsonschema/v6",
}

// alone are packages whose tests do one thing after the other, although something below
// them could do more: they read files, or run commands and wait for them. What works on
// several goroutines there is watched where it is tested.
var alone = []string{"conformance/house", "conformance/ig"}

// A pkg is a folder with Go files.
type pkg struct {
	starts, testStarts   bool
	imports, testImports []string // folders of this module
	tested               bool
}

func main() {
	root := flag.String("root", ".", "folder of the module")
	flag.Parse()
	out, err := raced(os.DirFS(*root))
	if err != nil {
		fmt.Fprintln(os.Stderr, "raced:", err)
		os.Exit(1)
	}
	for _, dir := range out {
		fmt.Println("./" + dir)
	}
}

// raced gives the folders of the packages to run, sorted.
func raced(module fs.FS) ([]string, error) {
	pkgs, err := read(module)
	if err != nil {
		return nil, err
	}
	var out []string
	for dir, p := range pkgs {
		if p.tested && !slices.Contains(alone, dir) && (p.testStarts || reaches(pkgs, append([]string{dir}, p.testImports...))) {
			out = append(out, dir)
		}
	}
	sort.Strings(out)
	return out, nil
}

// reaches says whether one of the folders, or one below it, starts a goroutine.
func reaches(pkgs map[string]*pkg, from []string) bool {
	seen := map[string]bool{}
	for len(from) > 0 {
		dir := from[len(from)-1]
		from = from[:len(from)-1]
		p := pkgs[dir]
		if p == nil || seen[dir] {
			continue
		}
		seen[dir] = true
		if p.starts {
			return true
		}
		from = append(from, p.imports...)
	}
	return false
}

// read parses every Go file of the module, whatever its build tags.
func read(module fs.FS) (map[string]*pkg, error) {
	mod, err := fs.ReadFile(module, "go.mod")
	if err != nil {
		return nil, err
	}
	first, _, _ := strings.Cut(string(mod), "\n")
	name, ok := strings.CutPrefix(strings.TrimSpace(first), "module ")
	if !ok {
		return nil, fmt.Errorf("go.mod begins with %q, not with the module's name", first)
	}
	pkgs := map[string]*pkg{}
	err = fs.WalkDir(module, ".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == "node_modules" || (len(d.Name()) > 1 && d.Name()[0] == '.')):
			return filepath.SkipDir
		case d.IsDir() || path.Ext(file) != ".go":
			return nil
		}
		raw, err := fs.ReadFile(module, file)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, raw, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := path.Dir(file)
		if pkgs[dir] == nil {
			pkgs[dir] = &pkg{}
		}
		return pkgs[dir].add(f, strings.HasSuffix(file, "_test.go"), name+"/")
	})
	return pkgs, err
}

// add takes one file into account.
func (p *pkg) add(f *ast.File, test bool, module string) error {
	starts := startsGoroutine(f)
	var imports []string
	for _, spec := range f.Imports {
		to, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		if own, ok := strings.CutPrefix(to, module); ok {
			imports = append(imports, own)
		} else if to != "net/http" || spec.Name != nil || !onlyPassive(f) {
			starts = starts || callsBack(to)
		}
	}
	if test {
		p.tested, p.testStarts, p.testImports = true, p.testStarts || starts, append(p.testImports, imports...)
	} else {
		p.starts, p.imports = p.starts || starts, append(p.imports, imports...)
	}
	return nil
}

// callsBack says whether an imported package may run its caller's code on another
// goroutine.
func callsBack(imported string) bool {
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return concurrent[imported]
	}
	for _, m := range quiet {
		if imported == m || strings.HasPrefix(imported, m+"/") {
			return false
		}
	}
	return true
}

// onlyPassive says whether a file uses nothing of net/http that runs something.
func onlyPassive(f *ast.File) bool {
	only := true
	ast.Inspect(f, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "http" {
				only = only && passive(sel.Sel.Name)
			}
		}
		return only
	})
	return only
}

func startsGoroutine(f *ast.File) bool {
	found := false
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = true
		case *ast.SelectorExpr: // also where it is passed on as a value
			found = found || starters[n.Sel.Name]
		}
		return !found
	})
	return found
}
