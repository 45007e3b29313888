package consent

import (
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// isClass answers the class element: a resource type, a profile or, for
// documents, a LOINC type.
func (r *codingRule) isClass(res *resource.Resource) truth {
	t := no
	for _, c := range r.any {
		t = max(t, isClass(c, res))
	}
	if r.broken {
		t = max(t, unknown)
	}
	return t
}

const resourceTypes = "http://hl7.org/fhir/resource-types"

func isClass(c coding, res *resource.Resource) truth {
	switch {
	case c.uri == resourceTypes:
		return truthOf(c.code == res.Type())
	case c.uri == "urn:ietf:rfc:3986":
		for p := range res.Root().Path("meta", "profile").Elements() {
			if p.Is(c.code) || !strings.Contains(c.code, "|") && hasPrefix(p, c.code+"|") {
				return yes
			}
		}
		return no
	case c.system == terminology.LOINC:
		return isDocumentType(c, res)
	case !c.hasSystem():
		if c.code == res.Type() {
			return unknown
		}
		return no
	}
	return unknown // a class system that is not known here
}

func hasPrefix(n resource.Node, prefix string) bool { return strings.HasPrefix(n.Text(), prefix) }

// isDocumentType compares with the type of a document; a document without a
// coded type may be anything.
func isDocumentType(c coding, res *resource.Resource) truth {
	if t := res.Type(); t != "DocumentReference" && t != "Composition" {
		return no
	}
	codings := res.Root().Path("type", "coding")
	if codings.Len() == 0 {
		return unknown
	}
	out := no
	for n := range codings.Elements() {
		out = max(out, c.sameNode(n.Get("system"), n.Get("code")))
	}
	return out
}

// isData answers the data element; its entries are alternatives.
func (e *evaluation) isData(p *provision) truth {
	if len(p.data) == 0 {
		return unknown
	}
	t := no
	for i := range p.data {
		if t = max(t, e.isEntry(&p.data[i], p.stance)); t == yes {
			return yes
		}
	}
	return t
}

func (e *evaluation) isEntry(d *dataRule, s stance) truth {
	if d.ref.empty() {
		return e.isLogical(d)
	}
	if strings.HasPrefix(d.ref.local, "Patient/") && about(d.ref, e.set.person) {
		// One person's Patients: an entry that names one of them means all.
		t := no
		for i := range e.set.person {
			alias := *d
			alias.ref = e.set.person[i]
			t = max(t, e.isLiteral(&alias, s))
		}
		return t
	}
	return e.isLiteral(d, s)
}

// isLiteral answers an entry by its literal reference.
func (e *evaluation) isLiteral(d *dataRule, s stance) truth {
	t := e.isReferred(d, s)
	if t == no && e.b.c.foreign && e.b.c.entitled && !e.otherType(d) {
		return unknown // what it names has another id here, if it is here
	}
	return t
}

// otherType says whether the entry names an instance of another type.
func (e *evaluation) otherType(d *dataRule) bool {
	typ, _, ok := strings.Cut(d.ref.local, "/")
	return ok && d.meaning == "instance" && typ != e.d.Resource.Type()
}

func (e *evaluation) isReferred(d *dataRule, s stance) truth {
	if d.meaning == "authoredby" {
		return authoredBy(e.d.Resource, d.ref)
	}
	t := d.ref.denotes(e.d.Resource)
	if t == yes || d.meaning == "instance" {
		return t
	}
	// A Consent of the IHE PCF profile, and a deny, mean both directions.
	both := d.meaning == "related" && (e.b.c.pcf || s == denies)
	if d.meaning == "related" {
		t = max(t, e.referredTo(d))
	}
	if d.meaning == "dependents" || both {
		t = max(t, refersTo(e.d.Resource, d.ref))
	}
	if d.meaning == "" {
		t = max(t, unknown)
	}
	return t
}

// referredTo says whether the instance that the entry names refers to the resource.
func (e *evaluation) referredTo(d *dataRule) truth {
	if e.d.Graph == nil || d.ref.local == "" || d.ref.base != "" {
		return unknown
	}
	refers, known := e.d.Graph.Refers(d.ref.local, e.d.reference().raw)
	if !known {
		return unknown
	}
	return truthOf(refers)
}

// isLogical answers an entry that names its instance by identifier.
func (e *evaluation) isLogical(d *dataRule) truth {
	if d.meaning != "instance" || d.id.System == "" || d.id.Value == "" {
		return unknown
	}
	for n := range e.d.Resource.Root().All("identifier") {
		if n.Get("system").Is(d.id.System) && n.Get("value").Is(d.id.Value) {
			return yes
		}
	}
	return no
}
