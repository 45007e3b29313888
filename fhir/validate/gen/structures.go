package main

import (
	"encoding/json"
	"slices"
	"strings"
)

type elementDefinition struct {
	Path string
	Min  int
	Max  string
	Base struct{ Path string }
	Type []struct {
		Code          string
		TargetProfile []string
	}
	ContentReference string
	Binding          struct{ Strength, ValueSet string }
	IsSummary        bool
	IsModifier       bool
}

type structure struct {
	ResourceType, ID, Kind, Derivation, BaseDefinition string
	Abstract                                           bool
	Snapshot                                           struct{ Element []elementDefinition }
}

// inherited are the paths whose elements the reader adds by itself.
var inherited = []string{"Element.", "BackboneElement.", "Resource.", "DomainResource."}

// notR4 are in the package's files, but no resource types of R4 4.0.1.
var notR4 = []string{"MetadataResource", "SubscriptionStatus"}

// Structures writes one block for each complex type and resource, and for each
// element with children:
//
//	@ name, base
//	element, min..max, types, value set, s if in the summary, m if a modifier
//
// A block's name is its path. The types of an element with children are the
// block, "@Patient.contact".
func Structures(bundle []byte, use func(string) string) ([]string, error) {
	var in struct {
		Entry []struct{ Resource json.RawMessage }
	}
	if err := json.Unmarshal(bundle, &in); err != nil {
		return nil, err
	}
	var all []structure
	for _, e := range in.Entry {
		var head struct{ ResourceType string }
		if err := json.Unmarshal(e.Resource, &head); err != nil || head.ResourceType != "StructureDefinition" {
			continue
		}
		var s structure
		if err := json.Unmarshal(e.Resource, &s); err != nil {
			return nil, err
		}
		if s.Kind == "primitive-type" || s.Derivation == "constraint" || slices.Contains(notR4, s.ID) {
			continue
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b structure) int { return strings.Compare(a.ID, b.ID) })
	var lines []string
	for _, s := range all {
		lines = append(lines, blocks(s, use)...)
	}
	return lines, nil
}

func blocks(s structure, use func(string) string) []string {
	elements := s.Snapshot.Element
	parents := map[string]bool{}
	for _, e := range elements {
		if i := strings.LastIndexByte(e.Path, '.'); i >= 0 {
			parents[e.Path[:i]] = true
		}
	}
	base := s.BaseDefinition[strings.LastIndexByte(s.BaseDefinition, '/')+1:]
	byBlock := map[string][]string{}
	order := []string{s.ID}
	heads := map[string]string{s.ID: "@\t" + s.ID + "\t" + base}
	for _, e := range elements[1:] {
		i := strings.LastIndexByte(e.Path, '.')
		parent, name := e.Path[:i], e.Path[i+1:]
		if parents[e.Path] {
			order = append(order, e.Path)
			heads[e.Path] = "@\t" + e.Path + "\t" + e.Type[0].Code
		}
		if e.Max == "0" || inheritedFrom(s.ID, e.Base.Path) {
			continue
		}
		byBlock[parent] = append(byBlock[parent], line(e, name, parents[e.Path], use))
	}
	var out []string
	for _, b := range order {
		out = append(out, heads[b])
		out = append(out, byBlock[b]...)
	}
	return out
}

func inheritedFrom(id, base string) bool {
	for _, p := range inherited {
		if strings.HasPrefix(base, p) && p != id+"." {
			return true
		}
	}
	return false
}

func line(e elementDefinition, name string, parent bool, use func(string) string) string {
	card := "0.."
	if e.Min > 0 {
		card = "1.."
	}
	if e.Max == "1" {
		card += "1"
	} else {
		card += "*"
	}
	var types []string
	switch {
	case e.ContentReference != "":
		types = []string{"@" + strings.TrimPrefix(e.ContentReference, "#")}
	case parent:
		types = []string{"@" + e.Path}
	}
	for _, t := range e.Type {
		if len(types) > 0 && types[0][0] == '@' {
			break
		}
		code := t.Code[strings.LastIndexByte(t.Code, '.')+1:]
		if strings.HasPrefix(t.Code, "http://hl7.org/fhirpath/") { // id, url: strings of the type system
			code = "string"
			if name == "url" {
				code = "uri"
			} else if name == "id" && e.Base.Path == "Resource.id" {
				code = "id"
			}
		}
		if code == "Reference" {
			code += targets(t.TargetProfile)
		}
		types = append(types, code)
	}
	set, flags := "", ""
	if e.Binding.Strength == "required" {
		set = use(e.Binding.ValueSet)
	}
	if e.IsSummary {
		flags = "s"
	}
	if e.IsModifier {
		flags += "m"
	}
	return strings.TrimRight(strings.Join([]string{name, card, strings.Join(types, ","), set, flags}, "\t"), "\t")
}

func targets(profiles []string) string {
	var names []string
	for _, p := range profiles {
		names = append(names, p[strings.LastIndexByte(p, '/')+1:])
	}
	if len(names) == 0 || slices.Contains(names, "Resource") {
		return ""
	}
	return "(" + strings.Join(names, "|") + ")"
}
