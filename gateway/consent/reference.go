package consent

import (
	"bytes"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
)

// A reference is a FHIR reference taken apart, so that "Patient/1",
// "Patient/1/_history/2" and an absolute URL can be compared.
type reference struct {
	base, local string // local is "Type/id", "" if the reference has another form
	raw         string
}

func parseReference(s string) reference {
	r := reference{raw: s}
	if base, typ, id, ok := resource.SplitReference(s); ok {
		// "Type/id" ends s, its version apart: nothing is allocated.
		s, _, _ = strings.Cut(s, "/_history/")
		r.base, r.local = base, s[len(s)-len(typ)-1-len(id):]
	}
	return r
}

func (r reference) empty() bool { return r.raw == "" }

// same says whether two references denote one thing. Whether a relative and an
// absolute reference with the same end do is not known here.
func (r reference) same(o reference) truth {
	switch {
	case r.raw == "" || o.raw == "":
		return no
	case r.raw == o.raw:
		return yes
	case r.local == "" || r.local != o.local:
		return no
	case r.base == o.base:
		return yes
	case r.base == "" || o.base == "":
		return unknown
	}
	return no
}

// denotes is same for the reference of a resource, without making one.
func (r reference) denotes(res *resource.Resource) truth {
	switch {
	case r.raw == "":
		return no
	case res.Is(r.raw):
		return yes
	case r.local == "" || !res.Is(r.local):
		return no
	case r.base == "":
		return yes
	}
	return unknown
}

// sameNode is same for a reference that stands in a resource; it allocates only
// for the rare forms.
func (r reference) sameNode(n resource.Node) truth {
	if n.Kind() != resource.String {
		return no
	}
	if n.Is(r.raw) {
		return yes
	}
	if r.local == "" || !bytes.Contains(n.Raw(), []byte(r.local[strings.IndexByte(r.local, '/'):])) {
		return no
	}
	return r.same(parseReference(n.Text()))
}

// refersTo says whether any reference in the resource, the contained ones
// included, is to target.
func refersTo(r *resource.Resource, target reference) truth {
	out := no
	for ref := range r.Root().Named("reference", resource.Node{}) {
		if out = max(out, target.sameNode(ref)); out == yes {
			break
		}
	}
	return out
}

// A Graph knows what other resources refer to. The data meaning "related"
// needs it: whether a resource is referred to cannot be seen in itself.
type Graph interface {
	// Refers says whether the resource at from ("Type/id") has a reference to
	// the one at to; known is false if the graph cannot tell.
	Refers(from, to string) (refers, known bool)
}

// Resources is the Graph of a closed world: what is not in it refers to nothing.
type Resources map[string]*resource.Resource

// NewResources makes the Graph of these resources.
func NewResources(rs ...*resource.Resource) Resources {
	g := make(Resources, len(rs))
	for _, r := range rs {
		g[r.Reference()] = r
	}
	return g
}

// Refers implements Graph.
func (g Resources) Refers(from, to string) (refers, known bool) {
	r := g[from]
	if r == nil {
		return false, true
	}
	switch refersTo(r, parseReference(to)) {
	case yes:
		return true, true
	case unknown:
		return false, false
	}
	return false, true
}
