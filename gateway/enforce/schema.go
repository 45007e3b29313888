package enforce

import (
	_ "embed"
	"strings"
	"sync"
)

//go:embed r4.txt
var r4Data string

// A structure is what R4 requires of one resource type or backbone element.
type structure struct {
	fields   map[string]string // element → the name of its structure
	required []requirement
}

// A requirement is met while one of its elements is there. A name that ends in
// [x] stands for every element of that choice.
type requirement []string

// structures reads r4.txt, at the first redaction.
var structures = sync.OnceValue(func() map[string]*structure {
	all := map[string]*structure{
		// ext-1: an extension has a value or extensions, and always a URL.
		"Extension": {required: []requirement{{"url"}, {"value[x]", "extension"}}},
	}
	for line := range strings.SplitSeq(r4Data, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		s, words := &structure{fields: map[string]string{}}, strings.Fields(line)
		for _, w := range words[1:] {
			name, typ, _ := strings.Cut(w, ":")
			name, must := strings.CutSuffix(name, "!")
			if typ != "" {
				s.fields[name] = typ
			}
			if must {
				s.required = append(s.required, strings.Split(name, "|"))
			}
		}
		all[words[0]] = s
	}
	return all
})

// fieldType returns the structure of an element of typ, "" if nothing is
// required in it.
func fieldType(typ, name string) string {
	if name == "extension" || name == "modifierExtension" {
		return "Extension"
	}
	if s := structures()[typ]; s != nil {
		if t := s.fields[name]; t != "" {
			return t
		}
	}
	if t, ok := strings.CutPrefix(name, "value"); ok && typ == "Extension" && structures()[t] != nil {
		return t
	}
	return ""
}

// isResourceType says whether R4 defines the resource type. Backbone elements
// have names of the same form, so only types with a Narrative or one of the
// three without count.
func isResourceType(name string) bool {
	switch name {
	case "Bundle", "Binary", "Parameters":
		return true
	}
	s := structures()[name]
	return s != nil && s.fields["text"] == "Narrative"
}

// matches says whether an element of this name satisfies the pattern. A
// primitive's extension alone (`_status`) does too: data may be absent with a
// reason.
func matches(pattern, name string) bool {
	name = strings.TrimPrefix(name, "_")
	if stem, ok := strings.CutSuffix(pattern, "[x]"); ok {
		return len(name) > len(stem) && strings.HasPrefix(name, stem) && name[len(stem)] >= 'A' && name[len(stem)] <= 'Z'
	}
	return name == pattern
}
