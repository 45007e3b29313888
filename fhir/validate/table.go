package validate

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
)

//go:embed definitions.tsv
var definitionsTSV string

// A structure is what an object may hold: a resource, a complex type, or an
// element with children.
type structure struct {
	name     string
	base     *structure
	resource bool // stands alone: has a resourceType
	elements map[string]*element
	required []*element
}

// An element is one line of the table. A choice element is found under each of
// its names.
type element struct {
	name     string // without the type: "value" for value[x]
	choice   bool
	min      int
	list     bool
	types    []typeRef
	set      *valueSet
	summary  bool
	modifier bool
}

// A typeRef is one type an element may have.
type typeRef struct {
	name      string
	primitive bool
	inside    *structure // nil for a primitive and for Resource
	targets   []string   // of a Reference
}

// A valueSet is the codes of a required binding.
type valueSet struct {
	name  string
	codes map[string]bool // a code alone, and "system|code"
}

type tables struct{ structures map[string]*structure }

// load reads the table once, at the first validation.
var load = sync.OnceValue(readTables)

func readTables() *tables {
	t := &tables{map[string]*structure{}}
	sets := map[string]*valueSet{}
	bases := map[string]string{}
	pending := map[*element]string{}
	var at *structure
	for line := range strings.Lines(definitionsTSV) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		switch {
		case line[0] == '#':
		case f[0] == "$":
			addCodes(sets, f[1], f[2], strings.Fields(f[3]))
		case f[0] == "@":
			at = &structure{name: f[1], elements: map[string]*element{}}
			t.structures[f[1]], bases[f[1]] = at, f[2]
		default:
			e := readElement(f, sets)
			pending[e] = f[2]
			at.add(e, f[2])
		}
	}
	for name, s := range t.structures {
		s.base = t.structures[bases[name]]
		s.resource = !strings.Contains(name, ".") && descends(name, bases)
	}
	for e, types := range pending {
		e.resolve(types, t)
	}
	return t
}

func descends(name string, bases map[string]string) bool {
	for ; name != ""; name = bases[name] {
		if name == "Resource" {
			return true
		}
	}
	return false
}

func addCodes(sets map[string]*valueSet, name, system string, codes []string) {
	s := sets[name]
	if s == nil {
		s = &valueSet{name, map[string]bool{}}
		sets[name] = s
	}
	for _, c := range codes {
		s.codes[c], s.codes[system+"|"+c] = true, true
	}
}

func readElement(f []string, sets map[string]*valueSet) *element {
	for len(f) < 5 {
		f = append(f, "")
	}
	name, choice := strings.CutSuffix(f[0], "[x]")
	return &element{
		name: name, choice: choice, min: int(f[1][0] - '0'), list: strings.HasSuffix(f[1], "*"),
		set: sets[f[3]], summary: strings.Contains(f[4], "s"), modifier: strings.Contains(f[4], "m"),
	}
}

func (s *structure) add(e *element, types string) {
	if e.min > 0 {
		s.required = append(s.required, e)
	}
	if !e.choice {
		s.elements[e.name] = e
		return
	}
	for _, t := range splitTypes(types) {
		t, _, _ = strings.Cut(t, "(")
		s.elements[e.name+strings.ToUpper(t[:1])+t[1:]] = e
	}
}

func splitTypes(types string) []string { return strings.Split(types, ",") }

func (e *element) resolve(types string, t *tables) {
	for _, name := range splitTypes(types) {
		name, targets, some := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(name, "@"), ")"), "(")
		ref := typeRef{name: name, primitive: name[0] >= 'a' && name[0] <= 'z' && !strings.Contains(name, ".")}
		if some {
			ref.targets = strings.Split(targets, "|")
		}
		if !ref.primitive && name != "Resource" {
			ref.inside = t.structures[name]
		}
		e.types = append(e.types, ref)
	}
}

// find returns the element of this name, its own or inherited, and the type
// that the name means.
func (s *structure) find(name string) (*element, *typeRef) {
	for ; s != nil; s = s.base {
		if e := s.elements[name]; e != nil {
			return e, e.typeFor(name)
		}
	}
	return nil, nil
}

func (e *element) typeFor(name string) *typeRef {
	if !e.choice {
		return &e.types[0]
	}
	suffix := name[len(e.name):]
	for i := range e.types {
		if t := e.types[i].name; strings.EqualFold(t, suffix) {
			return &e.types[i]
		}
	}
	return nil
}

// Covers says whether R4 defines the resource type.
func Covers(typ string) bool {
	s := load().structures[typ]
	return s != nil && s.resource && typ != "Resource" && typ != "DomainResource"
}

// Elements lists the names of a resource type's top elements as they stand in
// JSON (each name of a choice), sorted; with summary, only those that R4 puts
// into _summary=true, id and meta included. It is nil for an unknown type.
func Elements(typ string, summary bool) []string {
	return names(typ, func(e *element) bool { return !summary || e.summary })
}

// Kept lists the names, as they stand in JSON, of the top elements that an
// answer must not leave out whatever subset was asked for: id, meta, mandatory
// elements, and those that change what the rest means.
func Kept(typ string) []string {
	return names(typ, func(e *element) bool {
		return e.min > 0 || e.modifier || e.name == "id" || e.name == "meta"
	})
}

// Names returns the names under which a top element stands in JSON: those of
// each type for a choice, which may be asked for as value or value[x]. It is
// nil if the type has no such element.
func Names(typ, name string) []string {
	base, choice := strings.CutSuffix(name, "[x]")
	return names(typ, func(e *element) bool { return e.name == base && (e.choice || !choice) })
}

func names(typ string, keep func(*element) bool) []string {
	if !Covers(typ) {
		return nil
	}
	var out []string
	for s := load().structures[typ]; s != nil; s = s.base {
		for name, e := range s.elements {
			if keep(e) {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
