package search

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
)

// A Kind is the type of a search parameter.
type Kind uint8

// The kinds. The zero value is one that R4 defines and this package refuses.
const (
	NotSupported Kind = iota
	Token
	String
	Date
	Reference
	URI
	Number
	Quantity
)

var kindNames = []string{"unsupported", "token", "string", "date", "reference", "uri", "number", "quantity"}

// String returns FHIR's name of the kind.
func (k Kind) String() string { return kindNames[k] }

// A Parameter is a search parameter of a resource type and the positions it
// looks at.
type Parameter struct {
	Name    string
	Kind    Kind
	Targets []string // types a reference may have; none: any
	paths   []path
}

// Results are the parameters that shape an answer rather than choose what is
// in it.
var results = []string{"_count", "_sort", "_summary", "_elements", "_total", "_format", "_pretty"}

var (
	//go:embed parameters.tsv
	parametersTSV string
	//go:embed elements.tsv
	elementsTSV string

	// table is read once, at the first search.
	table = sync.OnceValue(readTable)
)

// types maps a resource type to its parameters, "Resource" to those of all.
type types map[string]map[string]*Parameter

func readTable() types {
	systems := map[string]string{}
	for line := range strings.Lines(elementsTSV) {
		if path, system, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t"); ok {
			systems[path] = system
		}
	}
	t := types{}
	for line := range strings.Lines(parametersTSV) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 5 {
			continue
		}
		p := &Parameter{Name: f[1], Kind: Kind(max(0, slices.Index(kindNames, f[2])))}
		if f[3] != "" {
			for _, s := range strings.Split(f[3], "|") {
				at := readPath(s)
				at.system = systems[f[0]+"."+s]
				if at.choice = at.system == "[x]"; at.choice {
					at.system = ""
				}
				p.paths = append(p.paths, at)
			}
		}
		if f[4] != "" {
			p.Targets = strings.Split(f[4], ",")
		}
		if t[f[0]] == nil {
			t[f[0]] = map[string]*Parameter{}
		}
		t[f[0]][p.Name] = p
	}
	return t
}

// KnownType says whether R4 defines search parameters for the type.
func KnownType(typ string) bool {
	return typ != "Resource" && typ != "DomainResource" && table()[typ] != nil
}

// unsearchable are the types of R4 without parameters of their own.
var unsearchable = []string{
	"Binary", "BiologicallyDerivedProduct", "CatalogEntry", "MedicinalProductIngredient", "MedicinalProductManufactured",
	"ObservationDefinition", "OperationOutcome", "Parameters", "SubstanceNucleicAcid", "SubstancePolymer", "SubstanceProtein",
	"SubstanceReferenceInformation", "SubstanceSourceMaterial",
}

// isType says whether R4 has the resource type.
func isType(typ string) bool { return KnownType(typ) || slices.Contains(unsearchable, typ) }

// Lookup finds a parameter of the type, those of all types included. It
// returns nil if R4 has none of this name; Kind NotSupported if this package
// refuses it.
func Lookup(typ, name string) *Parameter {
	t := table()
	if p := t[typ][name]; p != nil {
		return p
	}
	if p := t["Resource"][name]; p != nil {
		return p
	}
	return t["DomainResource"][name]
}

// Parameters lists what can be searched on a type, sorted by name, those of
// all types first: for a CapabilityStatement and for generated tests.
func Parameters(typ string) []*Parameter {
	var out []*Parameter
	for _, t := range []string{"Resource", typ} {
		if t == "Resource" && typ == "Resource" {
			continue
		}
		for _, p := range table()[t] {
			if p.Kind != NotSupported {
				out = append(out, p)
			}
		}
	}
	slices.SortFunc(out, func(a, b *Parameter) int { return strings.Compare(a.Name, b.Name) })
	return out
}
