package resource

import (
	"fmt"
	"strings"
	"time"
)

// A Resource is a FHIR resource as bytes with a view of its elements.
type Resource struct {
	Document
	typ   string
	id    string   // "" after Reset: then it is read where it stands
	types []string // that this memory has held, so that they are not made anew
}

// Parse reads one resource strictly. It checks resourceType before anything
// else is believed, and that an id, where present, is a FHIR id.
func Parse(raw []byte) (*Resource, error) {
	r := new(Resource)
	if err := r.Reset(raw); err != nil {
		return nil, err
	}
	r.id = r.Root().Get("id").Text()
	return r, nil
}

// Reset is [Parse] into r's memory; nodes of the former content become invalid.
// r keeps raw, which must not change while r holds it. Whoever judges many
// resources one after another resets one Resource: once it has held one of the
// size and type, nothing is allocated. Do not reset a Resource that another
// goroutine reads or that an answer keeps.
func (r *Resource) Reset(raw []byte) error {
	r.typ, r.id = "", ""
	if err := r.Document.Reset(raw); err != nil {
		return err
	}
	root := r.Root()
	if root.Kind() != Object {
		return r.errorAt(0, "", "a resource is a JSON object")
	}
	t := root.Get("resourceType")
	if t.Kind() != String {
		return r.errorAt(0, "/resourceType", "resourceType is missing or not a string")
	}
	typ := r.typeOf(t)
	if !ValidType(typ) {
		start, _ := t.Span()
		return r.errorAt(int64(start), "/resourceType", fmt.Sprintf("%q is not the name of a resource type", typ))
	}
	if id := root.Get("id"); id.Exists() && !validID(id) {
		start, _ := id.Span()
		return r.errorAt(int64(start), "/id", "id is not a FHIR id (1-64 of A-Z a-z 0-9 - .)")
	}
	r.typ = typ
	return nil
}

// maxTypes is how many type names a Resource remembers.
const maxTypes = 16

func (r *Resource) typeOf(n Node) string {
	for _, t := range r.types {
		if n.Is(t) {
			return t
		}
	}
	t := n.Text()
	if len(r.types) == maxTypes {
		r.types = r.types[:0]
	}
	r.types = append(r.types, t)
	return t
}

func validID(n Node) bool {
	if raw := n.Raw(); n.Kind() == String && !n.at().escaped {
		return isID(raw[1 : len(raw)-1])
	}
	return ValidID(n.Text())
}

// Type returns resourceType.
func (r *Resource) Type() string { return r.typ }

// ID returns the logical id, "" if the resource has none yet.
func (r *Resource) ID() string {
	if r.id != "" {
		return r.id
	}
	return r.Root().Get("id").Text()
}

// Reference returns "Type/id".
func (r *Resource) Reference() string { return r.typ + "/" + r.ID() }

// Is says whether ref is [Resource.Reference], without allocating.
func (r *Resource) Is(ref string) bool {
	n := len(r.typ)
	if n == 0 || len(ref) <= n || ref[n] != '/' || ref[:n] != r.typ {
		return false
	}
	if r.id != "" {
		return ref[n+1:] == r.id
	}
	id := r.Root().Get("id")
	return id.Is(ref[n+1:]) || ref == r.typ+"/" && !id.Exists()
}

// ValidID says whether s is a FHIR id: https://hl7.org/fhir/R4/datatypes.html#id
func ValidID(s string) bool { return isID(s) }

func isID[T string | []byte](s T) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// ValidType says whether s has the form of a resource type's name: a capital,
// then letters. Whether R4 defines it is the caller's question.
func ValidType(s string) bool {
	if len(s) < 2 || len(s) > 64 || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// SplitReference takes a literal reference apart: "Patient/1",
// "Patient/1/_history/2" or an absolute URL that ends so. Anything else (a
// fragment, a URN, free text) gives ok false.
func SplitReference(ref string) (base, typ, id string, ok bool) {
	ref, _, _ = strings.Cut(ref, "/_history/")
	i := strings.LastIndexByte(ref, '/')
	if i < 0 {
		return "", "", "", false
	}
	id = ref[i+1:]
	j := strings.LastIndexByte(ref[:i], '/')
	typ = ref[j+1 : i]
	if j >= 0 {
		base = ref[:j]
	}
	if !ValidType(typ) || !ValidID(id) || (base != "" && !strings.Contains(base, "://")) {
		return "", "", "", false
	}
	return base, typ, id, true
}

// FormatInstant writes t as a FHIR instant in UTC with milliseconds.
func FormatInstant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// An Origin says through which connection a resource came: facts about the
// source, taken from configuration, never from the resource itself. It stands
// beside the resource from ingest to decision.
type Origin struct {
	System    string `json:"system,omitempty"`    // the system's key in the configuration
	Custodian string `json:"custodian,omitempty"` // reference of the responsible organisation, "Organization/riverton-pd"
	Police    bool   `json:"police,omitempty"`    // a law-enforcement agency's record
	Part2     bool   `json:"part2,omitempty"`     // a 42 CFR Part 2 program's record
	// Capture is of a Consent that was captured on the scene.
	Capture Capture `json:"capture,omitzero"`
}

// A Capture says how a Consent was captured on the scene, and until when what
// it permits may be relied on at most. The zero value: it was not. It comes
// from the gateway that captured it, never from the Consent.
type Capture struct {
	How   string `json:"how,omitempty"`   // CapturedVerbal or CapturedWritten
	Until int64  `json:"until,omitempty"` // Unix seconds; permits end with it
}

// How a Consent was captured.
const (
	CapturedVerbal  = "verbal"  // said, and noted down by somebody else
	CapturedWritten = "written" // signed by the person, on paper or on a screen
)
