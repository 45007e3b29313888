package schema

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// A Kind is the kind of JSON value that an element holds.
type Kind uint8

// The kinds.
const (
	Complex  Kind = iota // an object with elements of its own
	String               // string, code, uri, date … : JSON string
	Code                 // a code of a required binding: JSON string out of Element.Codes
	Bool                 // JSON boolean
	Integer              // JSON number without fraction
	Decimal              // JSON number
	Resource             // a contained resource
)

func (k Kind) String() string {
	return [...]string{"object", "string", "code", "boolean", "integer", "decimal", "resource"}[k]
}

// An Element is one element of a type.
type Element struct {
	Name     string
	Kind     Kind
	Repeats  bool
	Required bool // minimum cardinality 1
	Index    int  // place in Type.Elements, which is the order of the specification
	Codes    []string
	typ      reflect.Type // of a Complex element
}

// Type returns the type of a Complex element.
func (e *Element) Type() *Type { return typeOf(e.typ) }

// A Type is a resource type, a data type or a backbone element.
type Type struct {
	Name     string // "Patient", "HumanName", "EncounterLocation"
	Resource bool
	Elements []*Element
	byName   map[string]*Element
}

// Element returns the element called name, nil if the type has none.
func (t *Type) Element(name string) *Element { return t.byName[name] }

// resources lists the resource types that mappings may build. A type that is
// not here cannot be a target. A Condition is made from a clinical system's
// messages alone: package mappings refuses it for other formats.
func resources() []any {
	return []any{
		fhir.Condition{}, fhir.Patient{}, fhir.Encounter{}, fhir.Consent{}, fhir.Organization{},
		fhir.Practitioner{}, fhir.PractitionerRole{}, fhir.Location{},
		fhir.Observation{}, fhir.Provenance{}, fhir.RelatedPerson{},
		fhir.DocumentReference{}, fhir.Flag{}, fhir.Task{},
	}
}

// Resources returns the names of the resource types that can be built, sorted.
func Resources() []string {
	var names []string
	for _, r := range resources() {
		names = append(names, reflect.TypeOf(r).Name())
	}
	slices.Sort(names)
	return names
}

// Lookup returns the resource type called name, or nil.
func Lookup(name string) *Type {
	for _, r := range resources() {
		if t := reflect.TypeOf(r); t.Name() == name {
			return typeOf(t)
		}
	}
	return nil
}

// types caches what was read by reflection; it only ever grows by the same facts.
var types sync.Map // reflect.Type → *Type

func typeOf(t reflect.Type) *Type {
	if known, ok := types.Load(t); ok {
		return known.(*Type)
	}
	out := &Type{Name: t.Name(), byName: map[string]*Element{}}
	for _, r := range resources() {
		out.Resource = out.Resource || reflect.TypeOf(r) == t
	}
	for i := range t.NumField() {
		if e := elementOf(t.Field(i)); e != nil {
			out.add(e)
			if e.primitive() && !e.Repeats {
				out.add(&Element{Name: Twin(e.Name), Kind: Complex, typ: reflect.TypeFor[twin]()})
			}
			// contained follows text in the order of DomainResource.
			if out.Resource && e.Name == "text" {
				out.add(&Element{Name: "contained", Kind: Resource, Repeats: true})
			}
		}
	}
	known, _ := types.LoadOrStore(t, out)
	return known.(*Type)
}

func (t *Type) add(e *Element) {
	e.Index = len(t.Elements)
	t.Elements = append(t.Elements, e)
	t.byName[e.Name] = e
}

// twin is what stands beside a primitive element that does not repeat: its
// extensions, "_birthDate" of "birthDate".
type twin struct {
	Extension []fhir.Extension `json:"extension,omitempty"`
}

// Twin is the name of the element that holds the extensions of a primitive one.
func Twin(name string) string { return "_" + name }

func (e *Element) primitive() bool { return e.Kind != Complex && e.Kind != Resource }

type coded interface{ Code() string }

func elementOf(f reflect.StructField) *Element {
	name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "" || name == "-" {
		return nil
	}
	e := &Element{Name: name, Required: !strings.Contains(options, "omitempty")}
	t := f.Type
	if t.Kind() == reflect.Slice {
		e.Repeats, t = true, t.Elem()
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Struct:
		e.Kind, e.typ = Complex, t
	case reflect.Bool:
		e.Kind = Bool
	case reflect.Int:
		e.Kind = Integer
		if t.Implements(reflect.TypeFor[coded]()) {
			e.Kind, e.Codes = Code, codesOf(t)
		}
	case reflect.String:
		e.Kind = String
		if t.Name() == "Number" {
			e.Kind = Decimal
		}
	default: // json.RawMessage stands for a resource
		if t.Kind() == reflect.Uint8 {
			e.Kind, e.Repeats = Resource, false
			break
		}
		panic(fmt.Sprintf("schema: no kind for %s of type %s", f.Name, t))
	}
	return e
}

// codesOf walks the enumeration from 0: its codes are dense.
func codesOf(t reflect.Type) []string {
	var codes []string
	for i := int64(0); i < 1000; i++ {
		v := reflect.New(t).Elem()
		v.SetInt(i)
		c, ok := v.Interface().(coded)
		if !ok || c.Code() == "<unknown>" {
			break
		}
		codes = append(codes, c.Code())
	}
	return codes
}

// Allows says whether the element's binding allows the code.
func (e *Element) Allows(code string) bool {
	return e.Kind != Code || slices.Contains(e.Codes, code)
}
