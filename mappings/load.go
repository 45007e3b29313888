package mappings

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/handoff-health/handoff/mappings/schema"
)

// A Map is a compiled mapping for one source format and sender. It is immutable
// and safe for concurrent use.
type Map struct {
	Name    string // "rms/riverton/contact"
	Version string

	profile      *Profile
	content      string
	kinds        []string
	shape        shape
	paths        map[string]*recordPath
	vocabularies map[string]*vocabulary
	lets         []*let
	key          *program
	version      *program
	groups       []*program
	reach        *program        // nil: every record is named by its key
	updates      map[string]bool // kinds of records that say what changes; nil: every record is a snapshot
	outcomes     []*outcome
	checks       []*check
	entries      []*entry
	rules        []*rule // of all entries
	merges       []*merging
	ignored      map[string]string // field → why no row reads it
	read         map[string]bool
}

// Profile returns the profile that the map was loaded for.
func (m *Map) Profile() *Profile { return m.profile }

// Content is a short digest of all files that the map was made of: mapping,
// datatypes, rowsets, vocabularies, profile and those that it inherits. Two maps
// of one content do the same.
func (m *Map) Content() string { return m.content }

// Identity names the map in full, for Provenance: "rms/riverton/contact 1.0.0,
// profile riverton, content 3f2a91bc0d1e2f34".
func (m *Map) Identity() string {
	s := m.Name + " " + m.Version
	if m.profile.Name != "" {
		s += ", profile " + strings.TrimSpace(m.profile.Name+" "+m.profile.Version)
	}
	return s + ", content " + m.content
}

// Columns returns the columns that the mapping knows, in order; nil for formats
// that are no tables.
func (m *Map) Columns() []string { return slices.Clone(m.shape.columns) }

// AnyKind is the record kind of a mapping that takes records of every kind, and
// says by its outcomes which of them it only keeps.
const AnyKind = "*"

// Kinds returns the record kinds that the mapping takes: "contact", "ADT_A01",
// [AnyKind].
func (m *Map) Kinds() []string { return slices.Clone(m.kinds) }

// Load reads the mapping file name from fsys (Files() has the built-in ones),
// with everything that it refers to, for the sender that profile describes (nil:
// the profile that the mapping names as its default). It compiles all or fails;
// each error is a *LoadError with file:line:column, several are joined.
func Load(fsys fs.FS, name string, profile *Profile) (*Map, error) {
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

var segmentName = regexp.MustCompile(`^[A-Z][A-Z0-9]{2}$`)

func (c *compiler) loadShape(root *node) {
	columns, segments, elements := root.get("columns"), root.get("segments"), root.get("elements")
	given := 0
	for _, n := range []*node{columns, segments, elements} {
		if n != nil {
			given++
		}
	}
	if given != 1 {
		root.errorf("a mapping has one of columns, segments or elements")
		return
	}
	if elements != nil {
		c.loadElements(root)
		return
	}
	if columns != nil {
		c.loadColumns(root)
		return
	}
	c.m.shape.segments = map[string]int{}
	for i, k := range segments.keys {
		last, err := strconv.Atoi(segments.values[i].text)
		if !segmentName.MatchString(k) || err != nil || last < 1 || last > 200 {
			segments.keyNodes[i].errorf("a segment is three capitals or digits with the number of its last field")
			continue
		}
		c.m.shape.segments[k] = last
	}
}

var elementForm = regexp.MustCompile(`^@?[A-Za-z_][\w.:-]*(/@?[A-Za-z_][\w.:-]*)*$`)

// loadElements reads the paths of a tree, from its root: "Incident/Person/Name".
func (c *compiler) loadElements(root *node) {
	c.m.shape.elements = []string{}
	list := root.list("elements")
	if len(list) > maxElements {
		root.get("elements").errorf("the mapping has more than %d elements", maxElements)
		return
	}
	for _, n := range list {
		switch {
		case !elementForm.MatchString(n.text):
			n.errorf("an element is a path of names: Incident/Person/Name, Incident/@id")
		case slices.Contains(c.m.shape.elements, n.text):
			n.errorf("the element %q is there twice", n.text)
		default:
			c.m.shape.elements = append(c.m.shape.elements, n.text)
		}
	}
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

// baseScope holds the columns, the profile and the functions that need the
// record at hand.
func (c *compiler) baseScope() scope {
	env := map[string]any{
		"profile":  c.m.profile,
		"text":     func(string) string { return "" },
		"has":      func(string) bool { return false },
		"count":    func(string) int { return 0 },
		"segments": func(string) int { return 0 },
		"code":     func(string, string) string { return "" },
		"mapped":   func(string, string) bool { return false },
		"targets":  func(string, any) []Target { return nil },
		"known":    func(string, any) []string { return nil },
		"token":    func(string, string) string { return "" },
		"texts":    func(string) []string { return nil },
		"pick":     func(string, string) Picked { return Picked{} },

		"places":       func(...string) []Place { return nil },
		"innermost":    func(string) []Place { return nil },
		"clinicians":   func(...string) []Clinician { return nil },
		"restrictions": func(string) []Access { return nil },

		"kind":   "",
		"source": facts{},

		"reference": func(string, string, string) string { return "" },
	}
	boundedSamples(env)
	for _, col := range c.m.shape.columns {
		if _, taken := env[col]; !taken && identifier.MatchString(col) {
			env[col] = ""
		}
	}
	return scope{env: env, letFields: map[string][]string{}, letAbout: map[string][]string{}}
}

var identifier = regexp.MustCompile(`^[A-Za-z_]\w*$`)

func (c *compiler) requiredExpr(root *node, key string) *program {
	n := root.get(key)
	if n == nil {
		root.errorf("the key %q is missing", key)
		return nil
	}
	return c.compileExpr(n, c.scope, reflect.String)
}

func (c *compiler) loadLets(root *node) {
	c.m.lets, c.scope = c.compileLets(root, c.scope)
}

// compileLets compiles named values, each of which can use those before it.
func (c *compiler) compileLets(root *node, s scope) ([]*let, scope) {
	var out []*let
	s = s.copy()
	for _, n := range root.list("let") {
		if c.letCount++; c.letCount > maxLets {
			n.errorf("the mapping has more than %d named values", maxLets)
			break
		}
		if !n.strict("a let", "name", "expr", "field", "when", "note") {
			continue
		}
		l := &let{name: n.string("name", true), field: n.string("field", false)}
		if l.field != "" {
			c.checkField(n.get("field"))
		}
		if _, taken := s.env[l.name]; taken || !identifier.MatchString(l.name) {
			n.errorf("the name %q is taken or is not a name", l.name)
			continue
		}
		if c.compileLet(n, l, s) {
			out = append(out, l)
		}
	}
	return out, s
}

// compileLet compiles one named value and adds it to the scope.
func (c *compiler) compileLet(n *node, l *let, s scope) bool {
	e := n.get("expr")
	if e == nil {
		n.errorf("the key \"expr\" is missing")
		return false
	}
	if l.expr = c.compileExpr(e, s, reflect.Invalid); l.expr == nil {
		s.env[l.name] = "" // so that its users do not fail too
		return false
	}
	if l.expr.typ == nil || l.expr.typ.Kind() == reflect.Interface {
		e.errorf("the type of the expression is not known")
		return false
	}
	l.zero = reflect.Zero(l.expr.typ).Interface()
	s.letFields[l.name] = l.expr.fields
	if l.field != "" && slices.Contains(l.expr.fields, l.field) { // what it is about comes first
		s.letFields[l.name] = append([]string{l.field}, l.expr.fields...)
	}
	s.letAbout[l.name] = l.expr.about
	if l.field != "" {
		s.letAbout[l.name] = []string{l.field}
	}
	if w := n.get("when"); w != nil {
		l.when = c.compileExpr(w, s, reflect.Bool)
	}
	s.env[l.name] = l.zero
	return true
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

var codeForm = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
