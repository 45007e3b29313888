package enforce

import (
	"bytes"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
)

// pointsAtInvisible says whether anything in r, its narrative included, points
// at what the caller may not see, or calls by name what the caller sees in part.
// It builds nothing: the usual resource costs one pass over its values.
func pointsAtInvisible(r *resource.Resource, v sight) bool {
	source := r.Root().Path("meta", "source") // the gateway's own
	for i := range r.Len() {
		n := r.At(i)
		if n.Kind() != resource.String || n == source {
			continue
		}
		length, exact := n.NameLen()
		switch {
		case (length == len("reference") || !exact) && n.Called("reference"):
			ref := n.View()
			if !isVisible(ref, v) || n.Parent().Get("display").Exists() && partial(ref, v) {
				return true
			}
		case (length == len("div") || !exact) && n.Called("div"):
			if narrativeReveals(n, v) {
				return true
			}
		default:
			if ref := relative(n); ref != "" && !v.Visible(ref) {
				return true
			}
		}
	}
	return false
}

// isVisible judges the string of a Reference. Fragments stay within the
// resource; what has no form of a literal reference is asked for all the same.
func isVisible[V Visibility](ref string, v V) bool {
	return strings.HasPrefix(ref, "#") || ref == "" || v.Visible(ref)
}

// relative returns a string that is a relative literal reference
// ("Binary/17" in an attachment's url, say), "" for any other.
func relative(n resource.Node) string {
	if raw := n.Raw(); len(raw) < 5 || raw[1] < 'A' || raw[1] > 'Z' {
		return ""
	}
	return literal(n)
}

// literal is relative for a string that starts with a capital.
func literal(n resource.Node) string {
	for _, c := range n.Raw()[2:] { // a type's name and a slash, which may be escaped
		if c == '/' || c == '\\' {
			break
		}
		if c|0x20 < 'a' || c|0x20 > 'z' {
			return ""
		}
	}
	ref := n.View()
	base, typ, _, ok := resource.SplitReference(ref)
	if !ok || base != "" || !isResourceType(typ) {
		return ""
	}
	return ref
}

// narrativeReveals looks at the links and images of a narrative.
func narrativeReveals(div resource.Node, v sight) bool {
	raw := div.Raw()
	if !bytes.Contains(raw, []byte("href")) && !bytes.Contains(raw, []byte("src")) {
		return false
	}
	text := div.Text()
	for _, attribute := range [...]string{"href=", "src="} {
		for rest := text; ; {
			i := strings.Index(rest, attribute)
			if i < 0 {
				break
			}
			rest = rest[i+len(attribute):]
			if rest == "" || rest[0] != '"' && rest[0] != '\'' {
				continue
			}
			end := strings.IndexByte(rest[1:], rest[0])
			if end < 0 {
				break
			}
			if _, _, _, ok := resource.SplitReference(rest[1 : 1+end]); ok && !v.Visible(rest[1:1+end]) {
				return true
			}
			rest = rest[1+end:]
		}
	}
	return false
}

// invisible says whether the element i points at what the caller may not see.
func (c *cutter) invisible(i int) bool {
	e := c.elems[i]
	if e.node.Kind() != resource.String || e.name == "source" && c.inMeta(i) {
		return false
	}
	switch {
	case e.name == "reference":
		return !isVisible(e.node.Text(), c.visible)
	case e.name == "div":
		return narrativeReveals(e.node, c.visible)
	}
	ref := relative(e.node)
	return ref != "" && !c.visible.Visible(ref)
}

func (c *cutter) inMeta(i int) bool {
	for ; i > 0; i = c.elems[i].parent {
		if c.elems[i].name == "meta" && c.elems[c.elems[i].parent].resource {
			return true
		}
	}
	return false
}

// cutInvisible cuts every reference to what the caller may not see and notes
// its display, which often says what the target is.
func (c *cutter) cutInvisible() error {
	for i := range c.elems {
		if !c.invisible(i) {
			continue
		}
		e := c.elems[i]
		if e.name == "reference" && e.parent >= 0 {
			if d := c.elems[e.parent].node.Get("display"); d.Kind() == resource.String {
				c.hide(secret{text: d.Text(), hard: isClinical(e.node.Text())})
			}
		}
		if e.gone {
			continue
		}
		at := c.element(i)
		if e.name == "url" && c.elems[e.parent].typ != "Extension" { // an Attachment
			at = e.parent
		}
		if err := c.cut(at); err != nil {
			return err
		}
	}
	return nil
}

// partial says whether the caller sees only a part of the clinical resource that
// ref points at. What of a person or a place is left out is not in its name.
func partial(ref string, v sight) bool { return isClinical(ref) && v.Partial(ref) }

// cutDisplays cuts the names of what the caller sees in part.
func (c *cutter) cutDisplays() error {
	for i := range c.elems {
		e := c.elems[i]
		if e.gone || e.name != "reference" || e.node.Kind() != resource.String || e.parent < 0 || !partial(e.node.Text(), c.visible) {
			continue
		}
		d := c.child(e.parent, "display")
		if d < 0 || c.elems[d].gone {
			continue
		}
		c.hide(secret{text: c.elems[d].node.Text()})
		if err := c.cut(d); err != nil {
			return err
		}
	}
	return nil
}

// isClinical says whether a reference's target is clinical: then its display is
// withheld even where it costs the resource. The names of people and places
// may stand in other elements of their own right.
func isClinical(ref string) bool {
	_, typ, _, ok := resource.SplitReference(ref)
	if !ok {
		return true
	}
	switch typ {
	case "Patient", "RelatedPerson", "Person", "Practitioner", "PractitionerRole", "Organization", "Location",
		"HealthcareService", "Endpoint", "Device", "Group", "CareTeam":
		return false
	}
	return true
}
