package label

import (
	"bytes"
	"html"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// Codes in free text: a narrative or a note that says "ICD-10: F11.20" tells as
// much as a Coding. Only the dotted form of ICD-10-CM is looked for, as a word:
// it hardly stands in a text by chance.

// mentions says whether the bytes of a resource may name a sensitive code in
// a text. It is one pass from dot to dot over the raw JSON and allocates
// nothing; only if it says yes are the texts looked at one by one.
func (l *Labeller) mentions(raw []byte) bool {
	for i := 0; ; i++ {
		k := bytes.IndexByte(raw[i:], '.')
		if k < 0 {
			break
		}
		i += k
		if start, end, ok := dotted(raw, i); ok && (wordStart(raw, start) || escapeBefore(raw, start)) && l.sensitive(raw[start:end]) {
			return true
		}
	}
	return spelledOut(raw)
}

// spelledOut says whether the bytes hold an escape or an entity of a letter, a
// digit or a dot, which could be one of a code.
func spelledOut(raw []byte) bool {
	for i := 0; ; {
		k := bytes.Index(raw[i:], []byte(`\u00`))
		if k < 0 {
			break
		}
		i += k + 4
		if i+2 <= len(raw) {
			if c := hexDigit(raw[i])<<4 | hexDigit(raw[i+1]); isWordByte(c) && c < 0x80 || c == '.' {
				return true
			}
		}
	}
	return bytes.Contains(raw, []byte("&#")) || bytes.Contains(raw, []byte("&period;"))
}

func hexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case isLetter(c) && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 0
}

// dotted returns the bounds of the dotted ICD-10 code around the dot at i.
func dotted(b []byte, i int) (start, end int, ok bool) {
	if i < 3 || i+1 >= len(b) || !isDigit(b[i+1]) || !isDigit(b[i-2]) || !isLetter(b[i-3]) || !isDigit(b[i-1]) && !isLetter(b[i-1]) {
		return 0, 0, false
	}
	end = i + 1
	for end < len(b) && (isDigit(b[end]) || isLetter(b[end])) {
		end++
	}
	return i - 3, end, end-i <= 5
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWordByte(c byte) bool { return isDigit(c) || isLetter(c) }

func wordStart(b []byte, i int) bool { return i == 0 || !isWordByte(b[i-1]) }

// escapeBefore says whether what stands before i in raw JSON is an escape such
// as \n or \u2022 rather than a letter.
func escapeBefore(raw []byte, i int) bool {
	return i >= 2 && raw[i-2] == '\\' || i >= 6 && raw[i-6] == '\\' && raw[i-5] == 'u'
}

func (l *Labeller) sensitive(code []byte) bool {
	var buf [8]terminology.Hit
	return len(l.table.Lookup(buf[:0], terminology.ICD10CM, code)) > 0
}

// textCodes adds what the codes named in a text imply.
func (l *Labeller) textCodes(text string, at resource.Node, into *Labels) {
	b := []byte(text)
	for i := 0; ; i++ {
		k := bytes.IndexByte(b[i:], '.')
		if k < 0 {
			return
		}
		i += k
		start, end, ok := dotted(b, i)
		if !ok || !wordStart(b, start) {
			continue
		}
		var buf [8]terminology.Hit
		for _, h := range l.table.Lookup(buf[:0], terminology.ICD10CM, b[start:end]) {
			into.compute(h.Set.Sensitivity, Reason{Basis: "text", Code: Code{terminology.ICD10CM.URI(), string(b[start:end])}, Set: h.Set.ID, at: at})
		}
	}
}

// texts looks through the texts of the resource at n. A code in a text of a
// principal element labels the resource, one in another text the element that
// holds the text. One in the narrative or in a tag labels that, and the
// resource too if its principal element says nothing that is understood.
func (l *Labeller) texts(n resource.Node, k kind, principal []resource.Node, own, top *Labels) {
	meta, narrative := n.Get("meta"), n.Get("text")
	opaque := k.coded() && !l.understood(principal)
	for m := range n.Members() {
		before := len(top.Elements)
		switch {
		case isPrincipal(principal, m):
			l.textsBelow(m, n, m.Name(), k.holdsResources, func(text string, holder resource.Node) { l.textCodes(text, holder, own) })
			continue
		case m == meta:
			for _, part := range [...]string{"tag", "extension"} {
				l.textsBelow(meta.Get(part), meta, part, false, l.toElements(top))
			}
		default:
			l.textsBelow(m, n, m.Name(), k.holdsResources || m == n.Get("contained"), l.toElements(top))
		}
		if opaque && (m == meta || m == narrative) {
			for i := before; i < len(top.Elements); i++ {
				for _, s := range top.Elements[i].Labels.Sensitivity {
					own.compute(s, Reason{Basis: "text", at: top.Elements[i].Node})
				}
			}
		}
	}
}

// toElements labels the element that holds a text.
func (l *Labeller) toElements(top *Labels) func(string, resource.Node) {
	return func(text string, holder resource.Node) {
		sub := top.part()
		if l.textCodes(text, holder, &sub); sub.Sensitive() {
			top.Elements = append(top.Elements, Element{holder, sub})
		}
	}
}

// textsBelow visits every text below m, a member of parent of this name or an
// element of that, with the element that would have to go
// with it: a Narrative for its div, a Coding for its display, a concept for its
// text. Resources within are left to their own turn.
func (l *Labeller) textsBelow(m, parent resource.Node, name string, holds bool, visit func(text string, holder resource.Node)) {
	switch m.Kind() {
	case resource.Array:
		for e := range m.Elements() {
			l.textsBelow(e, parent, name, holds, visit)
		}
	case resource.Object:
		if holds && m.Get("resourceType").Kind() == resource.String {
			return
		}
		for c := range m.Members() {
			l.textsBelow(c, m, c.Name(), holds, visit)
		}
	case resource.String:
		if !isFreeText(name) || name == "code" && terminology.SystemOf(parent.Get("system").Text()) != terminology.Unknown {
			return
		}
		text := m.Text()
		if !strings.ContainsAny(text, ".&") {
			return
		}
		holder := m
		switch {
		case name == "div", name == "text" && parent.Get("coding").Exists(), (name == "display" || name == "code") && parent.Get("code").Exists():
			holder = parent
		}
		visit(html.UnescapeString(text), holder)
	}
}

// isFreeText says whether strings of this name may hold words. Names, links and
// numbers of things do not; a code does if its system is not known.
func isFreeText(name string) bool {
	switch name {
	case "system", "url", "uri", "reference", "id", "resourceType", "value", "unit", "fullUrl", "profile", "source", "version", "versionId",
		"contentType", "data", "hash", "lotNumber", "serialNumber", "implicitRules", "language", "start", "end", "lastUpdated":
		return false
	}
	return true
}

// understood says whether a principal element has a code of a system that the
// value sets speak of.
func (l *Labeller) understood(principal []resource.Node) bool {
	found := false
	for _, p := range principal {
		p.Descend(func(n resource.Node) bool {
			if s := n.Get("system"); n.Kind() == resource.Object && s.Kind() == resource.String && n.Get("code").Kind() == resource.String {
				switch terminology.SystemOf(stringBytes(s)) {
				case terminology.ICD10CM, terminology.ICD10, terminology.ICD9CM, terminology.SNOMEDCT, terminology.LOINC, terminology.RxNorm, terminology.HCPCS:
					found = true
				}
			}
			return !found
		})
	}
	return found
}
