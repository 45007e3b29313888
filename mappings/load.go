package mappings

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"sync"

	"github.com/expr-lang/expr"
	"github.com/handoff-health/handoff/mappings/schema"
)

// Load reads the mapping file name from fsys (Files() has the built-in ones),
// with everything that it refers to, for the sender that profile describes (nil:
// the profile that the mapping names as its default). It compiles all or fails;
// each error is a *LoadError with file:line:column, several are joined.
func Load(fsys fs.FS, name string, profile *Profile) (*Map, error) {
	if profile != nil || fsys != Files() {
		return compile(fsys, name, profile)
	}
	if m, ok := builtIn.Load(name); ok {
		return m.(*Map), nil
	}
	m, err := compile(fsys, name, nil)
	if err == nil {
		builtIn.Store(name, m)
	}
	return m, err
}

// builtIn holds the built-in mappings that were compiled with their own profiles, by
// name: nothing can change them, and a gateway asks for one several times.
var builtIn sync.Map

func compile(fsys fs.FS, name string, profile *Profile) (*Map, error) {
	raw, err := readFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("mapping %s: %w", name, err)
	}
	c := &compiler{datatypes: map[string]*datatype{}, files: map[string]string{}}
	c.note(name, raw)
	root := parseYAML(name, raw, &c.errs)
	if root != nil {
		root.src.fsys = fsys
		c.load(root, profile)
	}
	if len(c.errs) > 0 {
		return nil, errors.Join(distinct(c.errs)...)
	}
	c.m.content = c.content()
	return c.m, nil
}

// distinct leaves out what is said already: a key can be read twice.
func distinct(errs []error) []error {
	said := map[string]bool{}
	return slices.DeleteFunc(errs, func(err error) bool {
		text := err.Error()
		again := said[text]
		said[text] = true
		return again
	})
}

// A compiler turns one mapping file into a Map.
type compiler struct {
	files                           map[string]string // read, with the digest of their content
	errs                            []error
	m                               *Map
	options                         []expr.Option
	scope                           scope
	datatypes                       map[string]*datatype
	rowsets                         map[string]*node
	locals                          map[string]*schema.Type
	loops                           []*loop
	homes                           map[string]*entry // the group that a resource stands in, nil for none
	looped                          map[string]bool   // resources with a loop of their own
	contained                       []containment
	ruleNodes                       []*node      // of m.rules
	typeChanges, rowsetChanges      []lateChange // of overlays
	letCount, rowCount, changeCount int
	tooMany                         bool // rows: said once
}

var mapKeys = []string{"mapping", "version", "note", "profile", "kinds", "columns", "segments", "elements", "vocabularies", "datatypes", "rowsets", "rowset-files", "let", "key", "record-version", "record-groups", "record-scope", "update", "outcomes", "checks", "ignore", "resources", "merges"}

func (c *compiler) load(root *node, profile *Profile) {
	c.m = &Map{paths: map[string]*recordPath{}, vocabularies: map[string]*vocabulary{}, ignored: map[string]string{}, read: map[string]bool{}}
	if root.strict("a mapping", mapKeys...); root.kind != yamlMap {
		return
	}
	c.m.Name, c.m.Version = root.string("mapping", true), root.string("version", true)
	c.m.profile = c.chooseProfile(root, profile)
	for _, o := range c.m.profile.overlays {
		c.note(o.name, o.raw)
		c.overlay(root, o)
	}
	for _, k := range root.list("kinds") {
		c.m.kinds = append(c.m.kinds, k.text)
	}
	if len(c.m.kinds) == 0 {
		root.errorf("the key \"kinds\" is missing")
	}
	before := len(c.errs)
	c.loadShape(root)
	shapeless := len(c.errs) > before
	if c.m.shape.columns != nil && c.m.profile.Zone() == nil {
		root.errorf("the profile %q names no timezone: local times could not be read", c.m.profile.Name)
	}
	c.loadVocabularies(root.get("vocabularies"))
	if shapeless {
		return // what follows would only repeat it
	}
	c.options = options(functions(c.m.profile))
	c.scope = c.baseScope()
	c.loadLets(root)
	c.loadDatatypes(root)
	c.m.key = c.requiredExpr(root, "key")
	c.m.version = c.requiredExpr(root, "record-version")
	for _, g := range root.list("record-groups") {
		if p := c.compileExpr(g, c.scope, reflect.String); p != nil {
			c.m.groups = append(c.m.groups, p)
		}
	}
	if root.get("record-scope") != nil {
		c.m.reach = c.requiredExpr(root, "record-scope")
	}
	c.loadUpdate(root)
	c.loadRowsets(root)
	c.loadOutcomes(root)
	c.loadChecks(root)
	c.loadIgnored(root.get("ignore"))
	c.loadResources(root)
	c.loadMerges(root)
	if len(c.errs) == 0 { // else datatypes may be nested without end
		c.noteReads()
	}
}

func (c *compiler) chooseProfile(root *node, given *Profile) *Profile {
	if given != nil {
		return given
	}
	n := root.get("profile")
	if n == nil {
		return &Profile{RaceList: "nibrs", ConsentHours: 72}
	}
	file := n.path()
	p, err := LoadProfile(n.src.fsys, file)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			n.errorf("the profile %q does not exist", file)
		} else {
			c.errs = append(c.errs, err)
		}
		return &Profile{}
	}
	return p
}

func (c *compiler) loadVocabularies(n *node) {
	if n == nil {
		return
	}
	if n.kind != yamlMap {
		n.errorf("vocabularies must be a map of name: file")
		return
	}
	for i, name := range n.keys {
		v := c.loadVocabulary(name, n.values[i])
		if v == nil { // so that rows that name it are not at fault too
			v = &vocabulary{name: name}
		}
		c.m.vocabularies[name] = v
	}
}

func (c *compiler) vocabularyNames() []string {
	var names []string
	for n := range c.m.vocabularies {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func (c *compiler) requiredExpr(root *node, key string) *program {
	n := root.get(key)
	if n == nil {
		root.errorf("the key %q is missing", key)
		return nil
	}
	return c.compileExpr(n, c.scope, reflect.String)
}

// checkField checks a path that only names where an issue belongs.
func (c *compiler) checkField(n *node) {
	if n == nil {
		return
	}
	if _, err := c.m.shape.parsePath(n.text, place{}); err != nil {
		n.errorf("%v", err)
	}
}
