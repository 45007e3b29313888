package enforce

import (
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// A secret is a code or a text of something withheld, of which no copy may stay
// anywhere else in the resource.
type secret struct {
	system string // canonical URI of a code's system; "" for a text
	code   string
	text   string
	// hard: a copy in a required element costs the whole resource. A soft
	// secret's copies go from optional elements only.
	hard bool
	// whole: only a string that is the text counts, not one that contains it.
	whole bool
}

// Shortest texts that are looked for: whole, and inside a longer text.
const (
	minWhole  = 2
	minInside = 4
)

// lower returns the string i in lower case, trimmed; each is made once.
func (c *cutter) lower(i int) string {
	if c.lowered == nil {
		c.lowered = make([]string, len(c.elems))
	}
	if c.lowered[i] == "" {
		c.lowered[i] = strings.ToLower(strings.TrimSpace(c.elems[i].node.Text()))
	}
	return c.lowered[i]
}

// gather notes the secrets of every labelled element that is cut: codes and
// texts of its concept, and all its texts where the label is the element's own.
// What is cut without a label (a profile's limits) is not secret elsewhere.
func (c *cutter) gather() {
	for k := range c.labels.Elements {
		e := &c.labels.Elements[k]
		i, ok := c.index[e.Node]
		if !ok || !c.elems[i].gone {
			continue
		}
		inline := isInline(&e.Labels)
		if d := e.Node.Get("display"); e.Node.Get("reference").Exists() && d.Kind() == resource.String {
			c.hide(secret{text: d.Text(), hard: isClinical(e.Node.Get("reference").Text())})
		}
		from := c.labelled(i)
		for at := from; at < c.elems[from].end; at++ {
			c.noteCode(at)
			c.noteText(at, inline)
		}
	}
}

func isInline(l *label.Labels) bool {
	return slices.ContainsFunc(l.Because, func(r label.Reason) bool { return r.Basis == "inline" })
}

// noteCode hides the code of a clinical Coding.
func (c *cutter) noteCode(i int) {
	n := c.elems[i].node
	code := n.Get("code")
	if code.Kind() != resource.String || !isClinicalCoding(n) {
		return
	}
	system := terminology.Canonical(n.Get("system").Text())
	c.hide(secret{system: system, code: code.Text(), hard: true})
	if bare := strings.ReplaceAll(code.Text(), ".", ""); bare != code.Text() { // ICD codes stand undotted too
		c.hide(secret{system: system, code: bare, hard: true})
	} else if strings.HasPrefix(system, "http://hl7.org/fhir/sid/icd-") && len(bare) > 3 {
		c.hide(secret{system: system, code: bare[:3] + "." + bare[3:], hard: true})
	}
}

// isClinicalCoding says whether n is a Coding that says something about a
// person, rather than how FHIR or a label uses it (status, category, label).
func isClinicalCoding(n resource.Node) bool {
	system := n.Get("system")
	if system.Kind() != resource.String {
		return !n.Get("value").Exists() && n.Get("code").Kind() == resource.String
	}
	uri := system.Text()
	return !strings.HasPrefix(uri, "http://terminology.hl7.org/") && !strings.HasPrefix(terminology.Canonical(uri), "http://terminology.hl7.org/") &&
		!strings.HasPrefix(uri, "http://hl7.org/fhir/") || strings.HasPrefix(terminology.Canonical(uri), "http://hl7.org/fhir/sid/")
}

// noteText hides a text: displays and texts of clinical concepts, and with all
// set (an inline label) any string that is not mere structure.
func (c *cutter) noteText(i int, all bool) {
	e := c.elems[i]
	if e.node.Kind() != resource.String {
		return
	}
	member, _ := c.named(i)
	name, owner := c.elems[member].name, resource.Node{}
	if e.parent >= 0 {
		owner = c.elems[e.parent].node
	}
	switch {
	case name == "display" && isClinicalCoding(owner), name == "text" && isClinicalConcept(owner):
		c.hide(secret{text: e.node.Text(), hard: true})
	case all && !isStructural(name) && !owner.Get("code").Exists():
		if text := e.node.Text(); len(text) >= minInside {
			c.hide(secret{text: text, hard: true, whole: len(text) < 8 || !strings.ContainsAny(text, " 0123456789")})
		}
	}
}

// isClinicalConcept says whether n is a CodeableConcept with a clinical code or
// with a text alone, or another element with a text (an Annotation, a name).
func isClinicalConcept(n resource.Node) bool {
	if !n.Get("coding").Exists() {
		return true
	}
	for coding := range n.All("coding") {
		if isClinicalCoding(coding) {
			return true
		}
	}
	return false
}

// isStructural says whether strings of this name say how and not what, or are
// shared by people who have nothing to do with one another.
func isStructural(name string) bool {
	switch name {
	case "system", "url", "use", "resourceType", "id", "reference", "contentType", "language", "unit", "status",
		"type", "mode", "country", "state", "district", "city", "postalCode", "start", "end", "lastUpdated", "versionId",
		"profile", "source", "gender", "comparator", "intent", "priority", "code", "family", "given", "prefix", "suffix":
		return true
	}
	return false
}

// cutCopies cuts what repeats a secret.
func (c *cutter) cutCopies() error {
	for i := 1; i < len(c.elems); i++ {
		if c.elems[i].gone {
			continue
		}
		for s := range c.suspects(i, &c.vault) {
			at := c.carrier(i)
			if !s.hard {
				c.try(at)
			} else if err := c.cut(at); err != nil {
				return err
			}
			if c.elems[i].gone {
				break
			}
		}
	}
	return nil
}

// carrier returns what to cut for a string that repeats a secret: the concept
// for a Coding or a part of one, the string itself elsewhere.
func (c *cutter) carrier(i int) int {
	e := c.elems[i]
	if e.node.Kind() == resource.Object { // a Coding
		return c.element(i)
	}
	p := e.parent
	if p < 0 || e.name != "display" && e.name != "code" && e.name != "text" {
		return c.element(i)
	}
	parent := c.elems[p].node
	switch {
	case e.name == "text" && parent.Get("coding").Exists():
		return p
	case e.name != "text" && parent.Get("code").Exists():
		return c.element(p)
	}
	return i
}

// reveals says whether element i repeats the secret.
func (c *cutter) reveals(i int, s *secret) bool {
	e := c.elems[i]
	if c.inMeta(i) {
		return false
	}
	if s.code != "" && e.node.Kind() == resource.Object {
		code, system := e.node.Get("code"), e.node.Get("system")
		return code.Is(s.code) && (!system.Exists() || terminology.Canonical(system.Text()) == s.system)
	}
	if e.node.Kind() != resource.String {
		return false
	}
	member, _ := c.named(i)
	switch c.elems[member].name {
	case "system", "url", "resourceType", "id", "reference":
		return false
	}
	text := c.lower(i)
	if s.code != "" {
		return isDistinctive(s.code) && c.elems[member].name != "code" && containsWord(text, strings.ToLower(s.code))
	}
	if text == s.text {
		return true
	}
	return !s.whole && len(s.text) >= minInside && containsWord(text, s.text)
}

// isDistinctive says whether a code is unlikely to stand in a text by chance.
func isDistinctive(code string) bool {
	return len(code) >= minInside && strings.ContainsAny(code, "0123456789")
}

// containsWord finds word in text, not as part of a longer word; both are in
// lower case.
func containsWord(text, word string) bool {
	if len(word) > len(text) {
		return false
	}
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return false
		}
		i += from
		if !wordByte(text, i-1) && !wordByte(text, i+len(word)) {
			return true
		}
		from = i + 1
	}
}

func wordByte(s string, i int) bool {
	if i < 0 || i >= len(s) {
		return false
	}
	c := s[i]
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= 0x80
}
