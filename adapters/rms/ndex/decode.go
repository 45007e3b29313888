package ndex

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

// The kinds of records: what happened, and two that name nobody.
const (
	recordWithdrawn = "withdrawn" // a data item is to be deleted
	recordStatistic = "nibrs"     // a report without identities
)

var recordKinds = map[kind]string{kindIncident: "incident", kindCall: "service-call", kindContact: "field-contact", kindMissing: "missing-person", kindArrest: "arrest"}

// Kinds lists the record types that the format can give.
func Kinds() []string {
	return []string{"incident", "service-call", "field-contact", "missing-person", "arrest", recordWithdrawn, recordStatistic}
}

// decode turns a whole report into items: a record for each person and contact.
func (s *Source) decode(p piece) {
	doc := newDocument(s.open, p.text, s.position(p))
	root, fault := doc.parse()
	if fault != nil {
		s.reject(p, fault)
		return
	}
	g := newGraph(root)
	d := &decoder{g: g, doc: doc, source: s.name}
	d.report = d.reportNode()
	records, fault := d.records()
	if fault != nil {
		s.reject(p, fault)
		return
	}
	var items []adapters.Item
	for i, r := range records {
		it := adapters.Item{Kind: adapters.Data, Pos: s.position(p), Extract: true, Raw: r.text}
		if i == 0 {
			it.Covers = p.size
			it.Issues = append(it.Issues, g.issues...)
			if s.f.in.lossy {
				s.f.in.lossy = false
				it.Issues = append(it.Issues, mappings.Issue{Severity: mappings.Warning, Code: "characters-undefined",
					Message: "some bytes mean nothing in the encoding of the file", Pos: it.Pos})
			}
		}
		if !s.takes(r.kind) {
			it.Kind = adapters.Rejected
			it.Issues = append([]mappings.Issue{*problem(it.Pos, "unsupported", "reports of the kind %s are not mapped", r.kind)}, it.Issues...)
			items = append(items, it)
			continue
		}
		sum := sha256.Sum256(r.text)
		it.Record = &tree.Record{Kind: r.kind, Root: r.root, Raw: r.text, SHA256: hex.EncodeToString(sum[:]), Pos: it.Pos}
		items = append(items, it)
	}
	s.put(p, items...)
}

// A decoder makes the records of one report.
type decoder struct {
	g      *graph
	doc    *document
	source string
	report *tree.Node
	ori    string
}

type decoded struct {
	kind string
	root *tree.Node
	text []byte
}

func (d *decoder) records() ([]decoded, *mappings.Issue) {
	if !d.known() {
		return nil, problem(d.doc.origin, "not-a-report", "the report has no element of a NIEM, LEXS, N-DEx or NIBRS namespace that is read here")
	}
	if strings.EqualFold(d.report.First("Action").Value(), "Delete") || strings.EqualFold(d.report.First("Action").Value(), "D") {
		return []decoded{{recordWithdrawn, root(d.report), d.doc.text}}, nil
	}
	if d.statistic() {
		return []decoded{{recordStatistic, root(d.report), d.doc.text}}, nil
	}
	contacts := d.g.contacts()
	if len(contacts) == 0 {
		return nil, problem(d.doc.origin, "contact-missing", "the report has neither an incident, a call for service, a field contact, a missing person nor an arrest")
	}
	var out []decoded
	for _, c := range contacts {
		subjects := c.subjects
		if len(subjects) == 0 {
			subjects = []*node{nil}
		}
		for _, n := range subjects {
			out = append(out, decoded{recordKinds[c.node.kind], root(d.report, d.contact(c, n)...), d.doc.without(d.g, c, n)})
		}
	}
	if rest := d.unread(); rest != nil {
		out[0].root.Children = append(out[0].root.Children, rest)
	}
	return out, nil
}

// known says that the report is one of ours, by a namespace that is read.
func (d *decoder) known() bool {
	found := false
	d.g.root.walk(func(e *element) bool {
		found = found || e.family != foreign && e.at[0] >= d.doc.before
		return !found
	})
	return found
}

// statistic says that the report is one of NIBRS: nobody in it has a name.
func (d *decoder) statistic() bool {
	found := false
	d.g.root.walk(func(e *element) bool {
		found = found || e.family == nibrs && e.local == "Report"
		return !found
	})
	return found
}

func root(report *tree.Node, parts ...*tree.Node) *tree.Node {
	return &tree.Node{Children: append([]*tree.Node{report}, parts...)}
}

// without is the text of one person's record: the document without the elements
// that speak of other persons alone. Whoever destroys the text of one record
// then leaves nothing of that person in the others.
func (d *document) without(g *graph, c *contact, person *node) []byte {
	cut := make([]bool, len(d.text))
	drop := func(e *element) {
		for i := max(e.at[0], d.before); i < e.at[1]; i++ {
			cut[i] = true
		}
	}
	for _, n := range g.nodes {
		if n.kind != kindPerson || n == person || person == nil || !g.apart(n, c) {
			continue
		}
		for _, e := range n.parts {
			drop(entityOf(e))
		}
		for _, r := range n.roles {
			drop(r.el)
		}
		for _, l := range g.links {
			if l.has(n) && !l.has(person) {
				drop(l.el)
			}
		}
		if e := c.crisis[n]; e != nil {
			drop(e)
		}
	}
	out := make([]byte, 0, len(d.text))
	for i, b := range d.text {
		if !cut[i] {
			out = append(out, b)
		}
	}
	return out
}

// apart says that a person has a record of his own, of this contact or another:
// callers, officers and witnesses stay in the text of the person's record.
func (g *graph) apart(n *node, c *contact) bool {
	for _, k := range g.classes(n, nil) {
		if k == classSubject {
			return true
		}
	}
	for _, s := range c.subjects {
		if s == n {
			return true
		}
	}
	return false
}

func entityOf(e *element) *element {
	if e.parent != nil && e.parent.local == "EntityPerson" {
		return e.parent
	}
	return e
}

// unread is what no record was made from: one node for each place, so that what
// the mapping cannot know is counted.
func (d *decoder) unread() *tree.Node {
	rest := &tree.Node{Name: "Unread", Pos: d.doc.origin}
	d.g.root.walk(func(e *element) bool {
		if e.at[0] < d.doc.before || e.used || len(e.kids) > 0 || strings.TrimSpace(e.text) == "" {
			return true
		}
		at := rest
		for _, name := range d.steps(e) {
			next := at.First(name)
			if next == nil {
				next = &tree.Node{Name: name, Pos: e.pos}
				at.Children = append(at.Children, next)
			}
			at = next
		}
		at.Text = "…" // its place is what counts
		return true
	})
	if len(rest.Children) == 0 {
		return nil
	}
	return rest
}

// steps are the names from the report down to an element.
func (d *decoder) steps(e *element) []string {
	var names []string
	for ; e != nil && e.at[0] > d.doc.before; e = e.parent {
		if e.parent == nil {
			break
		}
		switch e.local {
		case "Digest", "StructuredPayload", "EntityPerson", "EntityActivity", "EntityLocation", "EntityOrganization", "EntityTelephoneNumber", "Associations":
		default:
			if !isReport(e.local) {
				names = append([]string{safeName(e)}, names...)
			}
		}
	}
	return names
}

// safeName is an element's name in the record; a foreign one is marked so.
func safeName(e *element) string {
	name := show(e.local)
	if name == "…" {
		name = "unnamed"
	}
	if e.family == foreign {
		return "foreign." + name
	}
	return name
}
