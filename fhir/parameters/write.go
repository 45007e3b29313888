package parameters

import (
	"bytes"
	"encoding/json"

	"github.com/handoff-health/handoff/fhir/resource"
)

// A Writer makes a Parameters resource. The zero value is empty and ready.
type Writer struct{ params []json.RawMessage }

// Text adds a valueString, or another string-like value: value is its member.
func (w *Writer) Text(name, value, text string) { w.Raw(name, value, resource.Quote(text)) }

// Flag adds a valueBoolean.
func (w *Writer) Flag(name string, b bool) {
	raw := []byte("false")
	if b {
		raw = []byte("true")
	}
	w.Raw(name, "valueBoolean", raw)
}

// Resource adds a resource as it stands.
func (w *Writer) Resource(name string, raw []byte) { w.Raw(name, "resource", raw) }

// Raw adds a parameter whose member value holds raw, valid JSON.
func (w *Writer) Raw(name, value string, raw []byte) {
	var b bytes.Buffer
	b.WriteString(`{"name":`)
	b.Write(resource.Quote(name))
	b.WriteByte(',')
	b.Write(resource.Quote(value))
	b.WriteByte(':')
	b.Write(raw)
	b.WriteByte('}')
	w.params = append(w.params, b.Bytes())
}

// Part adds a parameter made of parts.
func (w *Writer) Part(name string, parts *Writer) { w.Raw(name, "part", parts.list()) }

func (w *Writer) list() []byte {
	return append(append([]byte{'['}, bytes.Join(rawList(w.params), []byte{','})...), ']')
}

func rawList(in []json.RawMessage) [][]byte {
	out := make([][]byte, len(in))
	for i := range in {
		out[i] = in[i]
	}
	return out
}

// Bytes returns the resource.
func (w *Writer) Bytes() []byte {
	if len(w.params) == 0 {
		return []byte(`{"resourceType":"Parameters"}`)
	}
	out := append([]byte(`{"resourceType":"Parameters","parameter":`), w.list()...)
	return append(out, '}')
}
