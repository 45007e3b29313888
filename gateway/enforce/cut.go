package enforce

import (
	"fmt"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
)

// A cutter removes from one tree what a decision withholds and what hangs on it.
type cutter struct {
	*tree
	labels  *label.Labels
	visible sight
	vault            // of what no copy may stay
	lowered []string // texts in lower case, by element
}

// run cuts the withheld nodes, references to what is invisible, pointers at cut
// contained resources, contained resources that nothing points at any more,
// copies of withheld codes and texts, and every narrative, until nothing is
// left to cut.
func (c *cutter) run(remove []resource.Node) error {
	for _, n := range remove {
		i, ok := c.index[n]
		if !ok {
			return ErrForeignNode
		}
		at := c.element(i)
		if slices.ContainsFunc(c.labels.Elements, func(e label.Element) bool { return e.Node == n }) {
			at = c.labelled(i)
		}
		if err := c.cut(at); err != nil {
			return err
		}
		if err := c.cutBeside(at); err != nil {
			return err
		}
	}
	pointed := c.pointers()
	if err := c.cutInvisible(); err != nil {
		return err
	}
	if err := c.cutDisplays(); err != nil {
		return err
	}
	for {
		before := c.count()
		if err := c.cutContained(pointed); err != nil {
			return err
		}
		if err := c.cutPointersAtEntries(); err != nil {
			return err
		}
		c.gather()
		if err := c.cutCopies(); err != nil {
			return err
		}
		if c.count() == before {
			break
		}
	}
	if c.count() == 0 {
		return nil
	}
	if err := c.cutNarratives(); err != nil {
		return err
	}
	if !c.useful() {
		return errNothingLeft
	}
	return nil
}

// cutBeside cuts the texts that stand beside a withheld concept in a part of
// the resource: they say in words what it says in a code. Beside one at the
// resource's top stand texts about everything; there only copies go.
func (c *cutter) cutBeside(at int) error {
	concept := c.elems[at].node
	if !concept.Get("coding").Exists() && concept.Get("code").Kind() != resource.String {
		return nil
	}
	member, _ := c.named(at)
	owner := c.elems[member].parent
	if owner < 0 || c.elems[owner].resource || c.elems[owner].node.Kind() != resource.Object {
		return nil
	}
	for i := owner + 1; i < c.elems[owner].end; i = c.elems[i].end {
		switch strings.TrimPrefix(c.elems[i].name, "_") {
		case "description", "text", "note", "comment", "title", "display", "summary", "progress", "conclusion":
			if err := c.cut(i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *cutter) count() int {
	n := 0
	for i := range c.elems {
		if c.elems[i].gone {
			n++
		}
	}
	return n
}

// pointers notes, before contained resources are cut, which of them something
// else points at: only those become orphans.
func (c *cutter) pointers() map[int]bool {
	pointed := map[int]bool{}
	for i := range c.elems {
		if to := c.target(i); to >= 0 && !c.within(i, to) {
			pointed[to] = true
		}
	}
	return pointed
}

func (c *cutter) within(i, container int) bool { return i >= container && i < c.elems[container].end }

// target returns the contained resource that the string i points at by "#id";
// -1 if it is no such pointer.
func (c *cutter) target(i int) int {
	n := c.elems[i].node
	if n.Kind() != resource.String {
		return -1
	}
	raw := n.Raw()
	if len(raw) < 4 || raw[1] != '#' {
		return -1
	}
	id := n.Text()[1:]
	for p := c.elems[i].parent; p >= 0; p = c.elems[p].parent {
		if !c.elems[p].resource {
			continue
		}
		list := c.child(p, "contained")
		if list < 0 {
			continue
		}
		for k := list; k < c.elems[list].end; k++ {
			if at := c.child(k, "id"); c.elems[k].resource && at >= 0 && c.elems[at].node.Is(id) {
				return k
			}
		}
	}
	return -1
}

// cutContained cuts what points at a cut contained resource and contained
// resources that lost all that pointed at them.
func (c *cutter) cutContained(pointed map[int]bool) error {
	still := map[int]bool{}
	for i := range c.elems {
		if c.elems[i].gone {
			continue
		}
		to := c.target(i)
		if to < 0 {
			continue
		}
		if c.elems[to].gone {
			if err := c.cut(c.element(i)); err != nil {
				return err
			}
		} else if !c.within(i, to) {
			still[to] = true
		}
	}
	for to := range pointed {
		if !still[to] && !c.elems[to].gone {
			if err := c.cut(to); err != nil {
				return err
			}
		}
	}
	return nil
}

// cutPointersAtEntries cuts references to the entries of a Bundle that are cut.
func (c *cutter) cutPointersAtEntries() error {
	names := map[string]bool{}
	for i := range c.elems {
		e := c.elems[i]
		if !e.gone || !e.resource || e.name != "resource" {
			continue
		}
		names[e.typ+"/"+e.node.Get("id").Text()] = true
		names[c.elems[e.parent].node.Get("fullUrl").Text()] = true
	}
	if len(names) == 0 {
		return nil
	}
	for i := range c.elems {
		e := c.elems[i]
		if !e.gone && e.name == "reference" && e.node.Kind() == resource.String && names[e.node.Text()] {
			if err := c.cut(c.element(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// cutNarratives cuts every narrative, those of contained resources and of
// sections as well: a narrative cannot be trusted to leave out what was cut.
func (c *cutter) cutNarratives() error {
	for i := range c.elems {
		e := c.elems[i]
		narrative := e.typ == "Narrative" || e.name == "text" && e.node.Get("div").Exists()
		if narrative && !e.gone {
			if err := c.cut(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// useful says whether the redacted resource still tells something beyond being
// a resource of its type about its subject, and has not lost its code, which
// says what it is: otherwise it is a stub.
func (c *cutter) useful() bool {
	if code := c.child(0, "code"); code >= 0 && c.elems[code].gone {
		return false
	}
	for i := range c.children(0) {
		switch c.elems[i].name {
		case "resourceType", "id", "meta", "implicitRules", "_implicitRules", "language", "_language",
			"text", "contained", "subject", "patient", "status", "_status":
		default:
			return true
		}
	}
	return false
}

// check reads the redacted resource as a stranger would.
func (c *cutter) check(was, is *resource.Resource) error {
	if is.Type() != was.Type() || is.ID() != was.ID() {
		return fmt.Errorf("enforce: %s became %s", was.Reference(), is.Reference())
	}
	t, ok := grow(is)
	if !ok {
		return fmt.Errorf("%w: %s", ErrStructure, is.Type())
	}
	after := &cutter{tree: t, labels: c.labels, visible: c.visible}
	for i := range t.elems {
		if i > 0 && after.invisible(i) {
			return ErrResidue
		}
		for s := range after.suspects(i, &c.vault) {
			if s.hard {
				return ErrResidue
			}
		}
	}
	root := structures()[is.Type()]
	if root == nil {
		return nil
	}
	for _, r := range root.required {
		if c.met(0, r, true) && !t.met(0, r, false) {
			return fmt.Errorf("enforce: the redacted resource lacks %v", r)
		}
	}
	return nil
}
