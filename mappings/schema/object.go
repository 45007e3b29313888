package schema

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/handoff-health/handoff/fhir/resource"
)

// An Object is a value of a Type under construction. Only elements of its type
// can be set, each with a value of its kind.
type Object struct {
	Type   *Type
	values []slot
}

// slot holds what was set of one element: one value, or several if it repeats.
type slot struct {
	element *Element
	values  []value
}

type value struct {
	text   string  // String, Code; the digits of Integer and Decimal; "true", "false"
	object *Object // Complex, Resource
	absent string  // a data-absent-reason code instead of a value
}

// New makes an empty object of type t.
func New(t *Type) *Object { return &Object{Type: t} }

// Empty says that nothing was set.
func (o *Object) Empty() bool { return len(o.values) == 0 }

// Has says whether the element was set.
func (o *Object) Has(name string) bool {
	return slices.ContainsFunc(o.values, func(s slot) bool { return s.element.Name == name })
}

// Len is how many values the element has.
func (o *Object) Len(name string) int {
	for _, s := range o.values {
		if s.element.Name == name {
			return len(s.values)
		}
	}
	return 0
}

// A ValueError says that a value does not fit its element.
type ValueError struct {
	Element, Reason string
}

func (e *ValueError) Error() string { return e.Element + ": " + e.Reason }

// SetText sets a String, Code, Bool, Integer or Decimal from text. A repeating
// element gains a value, another one is replaced.
func (o *Object) SetText(e *Element, text string) error {
	if reason := check(e, text); reason != "" {
		return &ValueError{o.Type.Name + "." + e.Name, reason}
	}
	o.set(e, value{text: text})
	return nil
}

// SetAbsent sets a primitive element's data-absent-reason in place of a value.
func (o *Object) SetAbsent(e *Element, code string) { o.set(e, value{absent: code}) }

// SetObject sets a Complex element or a contained resource. A repeating Coding
// (a label, a tag, a coding) that is there already is not added again.
func (o *Object) SetObject(e *Element, v *Object) {
	if e.Repeats && v.Type.Name == "Coding" {
		for _, s := range o.values {
			if s.element == e && slices.ContainsFunc(s.values, func(old value) bool { return same(old.object, v) }) {
				return
			}
		}
	}
	o.set(e, value{object: v})
}

func same(a, b *Object) bool { return bytes.Equal(a.Append(nil), b.Append(nil)) }

// Child returns the object of a Complex element that does not repeat, and makes
// it if it is not there.
func (o *Object) Child(e *Element) *Object {
	for i := range o.values {
		if o.values[i].element == e {
			return o.values[i].values[0].object
		}
	}
	child := New(e.Type())
	o.SetObject(e, child)
	return child
}

func (o *Object) set(e *Element, v value) {
	i, found := slices.BinarySearchFunc(o.values, e.Index, func(s slot, index int) int { return s.element.Index - index })
	switch {
	case !found:
		o.values = slices.Insert(o.values, i, slot{e, []value{v}})
	case e.Repeats:
		o.values[i].values = append(o.values[i].values, v)
	default:
		o.values[i].values[0] = v
	}
}

// Check says whether text can be the element's value.
func Check(e *Element, text string) error {
	if reason := check(e, text); reason != "" {
		return &ValueError{e.Name, reason}
	}
	return nil
}

// check says why text cannot be the element's value, "" if it can.
func check(e *Element, text string) string {
	switch e.Kind {
	case Bool:
		if text != "true" && text != "false" {
			return fmt.Sprintf("%q is not a boolean", text)
		}
	case Integer:
		if _, err := strconv.ParseInt(text, 10, 32); err != nil {
			return fmt.Sprintf("%q is not an integer", text)
		}
	case Decimal:
		if !decimal(text) {
			return fmt.Sprintf("%q is not a decimal", text)
		}
	case Code:
		if !e.Allows(text) {
			return fmt.Sprintf("%q is not one of %s", text, strings.Join(e.Codes, ", "))
		}
	case String:
		if strings.TrimSpace(text) == "" {
			return "a string has at least one character that is not white space"
		}
		if !utf8.ValidString(text) {
			return "the text is not UTF-8"
		}
	default:
		return "an " + e.Kind.String() + " cannot be set from text"
	}
	return ""
}

func decimal(s string) bool {
	s = strings.TrimPrefix(s, "-")
	whole, fraction, dot := strings.Cut(s, ".")
	digits := func(s string) bool {
		return s != "" && strings.Trim(s, "0123456789") == ""
	}
	if len(whole) > 1 && whole[0] == '0' {
		return false
	}
	return digits(whole) && (!dot || digits(fraction))
}

// Missing returns the path of a required element that is not set, anywhere in
// the object; "" if there is none. An element with a data-absent-reason is set.
func (o *Object) Missing() string {
	for _, e := range o.Type.Elements {
		if e.Required && !o.Has(e.Name) {
			return e.Name
		}
	}
	for _, s := range o.values {
		for _, v := range s.values {
			if v.object == nil {
				continue
			}
			if v.object.Empty() {
				return s.element.Name
			}
			if m := v.object.Missing(); m != "" {
				return s.element.Name + "." + m
			}
		}
	}
	return ""
}

// Absent is what stands beside a primitive element that has a
// data-absent-reason in place of a value. twin is the JSON of the element's other
// extensions, nil if it has none.
func Absent(code string, twin []byte) []byte {
	out := append([]byte(twinStart+`{"url":"`+absentURL+`","valueCode":`), resource.Quote(code)...)
	if others, ok := bytes.CutPrefix(twin, []byte(twinStart)); ok {
		return append(append(out, `},`...), others...)
	}
	return append(out, `}]}`...)
}

// Values returns the element's values from the nth on, each as JSON, or the
// data-absent-reason that stands in place of the last.
func (o *Object) Values(name string, n int) (values [][]byte, absent string) {
	for _, s := range o.values {
		if s.element.Name != name {
			continue
		}
		if last := s.values[len(s.values)-1]; last.absent != "" {
			return nil, last.absent
		}
		for _, v := range s.values[min(n, len(s.values)):] {
			values = append(values, v.append(nil, s.element.Kind))
		}
	}
	return values, ""
}

// twinStart is how a twin begins: it has no other element.
const twinStart = `{"extension":[`

const absentURL = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"

// Append writes the object as JSON, elements in the specification's order.
func (o *Object) Append(out []byte) []byte {
	out = append(out, '{')
	first := true
	name := func(n string) {
		if !first {
			out = append(out, ',')
		}
		first = false
		out = append(out, '"')
		out = append(append(out, n...), '"', ':')
	}
	if o.Type.Resource {
		name("resourceType")
		out = append(out, resource.Quote(o.Type.Name)...)
	}
	var twin []byte // already written
	for i, s := range o.values {
		if twin != nil && s.element.Name[0] == '_' {
			twin = nil
			continue
		}
		if s.hasValue() {
			name(s.element.Name)
			out = s.append(out, func(out []byte, v value) []byte { return v.append(out, s.element.Kind) })
		}
		if s.hasAbsent() {
			name(Twin(s.element.Name))
			twin = o.twin(i)
			out = s.append(out, func(out []byte, v value) []byte {
				if v.absent == "" {
					return append(out, "null"...)
				}
				return append(out, Absent(v.absent, twin)...)
			})
		}
	}
	return append(out, '}')
}

// twin is the JSON of the extensions of the ith value, nil if it has none.
func (o *Object) twin(i int) []byte {
	if i+1 < len(o.values) && o.values[i+1].element.Name == Twin(o.values[i].element.Name) {
		return o.values[i+1].values[0].object.Append(nil)
	}
	return nil
}

func (s *slot) hasValue() bool {
	return slices.ContainsFunc(s.values, func(v value) bool { return v.absent == "" })
}

func (s *slot) hasAbsent() bool {
	return slices.ContainsFunc(s.values, func(v value) bool { return v.absent != "" })
}

func (s *slot) append(out []byte, one func([]byte, value) []byte) []byte {
	if !s.element.Repeats {
		return one(out, s.values[0])
	}
	out = append(out, '[')
	for i, v := range s.values {
		if i > 0 {
			out = append(out, ',')
		}
		out = one(out, v)
	}
	return append(out, ']')
}

func (v value) append(out []byte, k Kind) []byte {
	switch {
	case v.absent != "":
		return append(out, "null"...)
	case v.object != nil:
		return v.object.Append(out)
	case k == String || k == Code:
		return append(out, resource.Quote(v.text)...)
	}
	return append(out, v.text...)
}
