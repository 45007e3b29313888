package label

import (
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// Options are a Labeller's settings. The zero value is the usual one.
type Options struct {
	// Table is the value sets to label by; nil loads the embedded ones.
	Table *terminology.Table
}

// A Labeller computes labels. It is safe for concurrent use.
type Labeller struct {
	table   *terminology.Table
	version string
}

// New makes a Labeller. It panics if the embedded value sets are damaged, which
// a test of the build excludes.
func New(o Options) *Labeller {
	if o.Table == nil {
		t, err := terminology.Load()
		if err != nil {
			panic("label: " + err.Error())
		}
		o.Table = t
	}
	return &Labeller{table: o.Table, version: rules + o.Table.Version()}
}

// Version names the label set: the rules and value sets in use. Labels kept
// with another version are stale.
func (l *Labeller) Version() string { return l.version }

// Label writes the labels of r into into, whose memory it reuses: those r
// states, those its content implies, and those its origin brings. What r states
// is never lowered. For a resource without anything sensitive it does not
// allocate. Element nodes belong to r and live as long as its content.
func (l *Labeller) Label(r *resource.Resource, o resource.Origin, into *Labels) {
	into.Reset()
	into.Version = l.version
	if into.mentions = 0; spelledOut(&r.Document) {
		into.mentions = skimmedAll
		into.attached = true // the name "data" may be spelled out as well
	}
	root := r.Root()
	l.resource(root, kindOf(r.Type()), root, into, into)
	if o.Part2 {
		into.computeLaw(Part2, Reason{Basis: "origin"})
	}
	if o.Police {
		into.addOther(Code{RecordOrigin, "police"})
		into.Computed = true
	}
	if into.attached {
		l.attachments(root, into)
	}
	if r.Type() != "Consent" && into.mentions&terminology.MentionNotice != 0 && notice(r.Raw()) {
		into.computeLaw(Part2, Reason{Basis: "notice", at: root})
	}
}

// resource labels the resource at n: what is the resource's own goes to own,
// what is an element's to top.Elements. root is the resource whose
// contained resources n may point at.
func (l *Labeller) resource(n resource.Node, k kind, root resource.Node, own, top *Labels) {
	meta := n.Get("meta")
	own.state(meta.Get("security"), Reason{Basis: "stated"})
	security := meta.Get("security")
	for c := range security.Elements() {
		l.coding(c, own)
	}
	l.skim(security, top)
	own.stateTags(meta.Get("tag"))
	inline := own.Inline || top.Inline
	if inline {
		for x := range n.All("extension") {
			own.stateInline(x)
		}
	}
	contained := n.Get("contained")
	principal, count := k.principal(n)
	for m := range n.Members() {
		switch {
		case m.Kind() == resource.String:
			l.skimString(m, top)
		case m.Kind() != resource.Object && m.Kind() != resource.Array:
		case m == meta:
			l.secondary(meta.Get("tag"), false, inline, top)
			l.secondary(meta.Get("extension"), false, inline, top)
		case isPrincipal(principal[:count], m):
			l.own(m, own, top)
			if inline {
				l.inline(m, top)
			}
		default:
			l.secondary(m, k.holdsResources || m == contained, inline, top)
		}
	}
	if k.medication() {
		l.medicationReference(n, root, own, top)
	}
	if k.name == "Consent" {
		own.consent(n)
	}
	if top.mentions&terminology.MentionText != 0 {
		l.texts(n, k, principal[:count], own, top)
	}
}

func isPrincipal(set []resource.Node, m resource.Node) bool {
	for _, p := range set {
		if p == m {
			return true
		}
	}
	return false
}

// own adds what the codes below a principal element imply.
func (l *Labeller) own(m resource.Node, into, top *Labels) {
	m.Descend(func(n resource.Node) bool {
		switch n.Kind() {
		case resource.Object:
			l.coding(n, into)
		case resource.String:
			l.skimString(n, top)
		}
		return true
	})
}

// secondary looks through an element that is not the resource's subject matter.
// Resources inside it (holds: contained, an entry of a Bundle) are labelled as
// one element each, and what is secondary inside them as elements too.
func (l *Labeller) secondary(m resource.Node, holds, inline bool, top *Labels) {
	m.Descend(func(n resource.Node) bool {
		if n.Kind() != resource.Object {
			if n.Kind() == resource.String {
				l.skimString(n, top)
			}
			return true
		}
		if holds {
			if t := n.Get("resourceType"); t.Kind() == resource.String {
				l.nested(n, kindOfNode(t), top)
				return false
			}
		}
		l.element(n, top)
		if inline {
			l.inlineAt(n, top)
		}
		return true
	})
}

// element labels n as an element if n is a Coding that implies anything.
func (l *Labeller) element(n resource.Node, top *Labels) {
	var buf [8]terminology.Hit
	system, code, hits := l.hits(n, buf[:0])
	if len(hits) == 0 {
		return
	}
	sub := top.part()
	sub.implied(n, system, code, hits)
	if sub.Sensitive() {
		top.Elements = append(top.Elements, Element{n, sub})
	}
}

// nested labels a resource within a resource as one element.
func (l *Labeller) nested(n resource.Node, k kind, top *Labels) {
	sub := top.part()
	l.resource(n, k, n, &sub, top)
	if notice(n.Get("text").Raw()) {
		sub.computeLaw(Part2, Reason{Basis: "notice", at: n.Get("text")})
	}
	if sub.Sensitive() {
		top.Elements = append(top.Elements, Element{n, sub})
	}
}

// coding adds what n implies if n is a Coding.
func (l *Labeller) coding(n resource.Node, into *Labels) {
	var buf [8]terminology.Hit
	system, code, hits := l.hits(n, buf[:0])
	into.implied(n, system, code, hits)
}

// hits looks n up in the value sets if it is a Coding.
func (l *Labeller) hits(n resource.Node, buf []terminology.Hit) (system terminology.System, code []byte, hits []terminology.Hit) {
	c := n.Get("code")
	if c.Kind() != resource.String {
		return
	}
	code = stringBytes(c)
	if s := n.Get("system"); s.Kind() == resource.String {
		system = terminology.SystemOf(stringBytes(s))
	} else {
		system = terminology.Guess(code)
	}
	if system == terminology.Unknown {
		return
	}
	return system, code, l.table.Lookup(buf, system, code)
}

// implied adds what the Coding n implies.
func (l *Labels) implied(n resource.Node, system terminology.System, code []byte, hits []terminology.Hit) {
	for _, h := range hits {
		l.compute(h.Set.Sensitivity, Reason{Basis: "code", Code: Code{system.URI(), string(code)}, Set: h.Set.ID, at: n})
	}
}

// stringBytes returns a string node's value; it allocates only if it is escaped.
func stringBytes(n resource.Node) []byte {
	if text, ok := n.Bytes(); ok {
		return text
	}
	return []byte(n.Text())
}
