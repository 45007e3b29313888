package mappings

import (
	"fmt"
	"reflect"
	"strconv"

	"github.com/handoff-health/handoff/mappings/tree"
)

// A Merge says that the source holds two Patients for one person: the loser's
// record goes on under the survivor's. With Undo it says that they are two
// persons after all. Both are of one assigning authority, always.
type Merge struct {
	Survivor, Loser string // references: "Patient/…"
	Undo            bool
	Pos             tree.Position // of the pair
}

// A merging is an entry of the list merges.
type merging struct {
	at              string
	when, undo      *program
	foreach         *program
	over            *recordPath
	survivor, loser mergeEnd
}

// A mergeEnd names a Patient: by a resource of the mapping, or by the system and
// key that its id is made of.
type mergeEnd struct {
	local       string
	system, key *program
}

var mergeKeys = []string{"survivor", "loser", "when", "undo", "foreach", "over", "note"}

// loadMerges reads what is merged: {survivor: patient, loser: prior}. An end is
// the id of a Patient of the mapping, or {system: …, key: …}. It comes after the
// resources, whose names it uses.
func (c *compiler) loadMerges(root *node) {
	for _, n := range root.list("merges") {
		if !n.strict("a merge", mergeKeys...) {
			continue
		}
		m := &merging{at: n.at()}
		s := c.scope
		f, o := n.get("foreach"), n.get("over")
		switch {
		case f != nil && o != nil:
			n.errorf("a merge has foreach or over, not both")
		case f != nil:
			m.foreach, s = c.compileForeach(f, s)
		case o != nil:
			p, err := c.m.shape.parsePath(o.text, s.place)
			if err != nil {
				o.errorf("%v", err)
				continue
			}
			m.over = p
			s = s.with("item", "")
			s.place = p.below(s.place)
		}
		if w := n.get("when"); w != nil {
			m.when = c.compileExpr(w, s, reflect.Bool)
		}
		if u := n.get("undo"); u != nil {
			m.undo = c.compileExpr(u, s, reflect.Bool)
		}
		m.survivor, m.loser = c.mergeEnd(n, "survivor", s), c.mergeEnd(n, "loser", s)
		c.m.merges = append(c.m.merges, m)
	}
}

func (c *compiler) mergeEnd(n *node, key string, s scope) mergeEnd {
	end := n.get(key)
	switch {
	case end == nil:
		n.errorf("the key %q is missing", key)
	case end.kind == yamlMap:
		if end.strict("an end of a merge", "system", "key") {
			e := mergeEnd{}
			for k, p := range map[string]**program{"system": &e.system, "key": &e.key} {
				if end.get(k) == nil {
					end.errorf("the key %q is missing: an id needs a system and a key at the source", k)
					continue
				}
				*p = c.compileExpr(end.get(k), s, reflect.String)
			}
			return e
		}
	case c.locals[end.text] == nil:
		end.errorf("unknown resource %q%s", end.text, didYouMean(end.text, c.localNames()))
	case c.locals[end.text].Name != "Patient":
		end.errorf("%q is a %s: only Patients are merged", end.text, c.locals[end.text].Name)
	default:
		return mergeEnd{local: end.text}
	}
	return mergeEnd{}
}

// programs are the expressions of a merge, for coverage.
func (m *merging) programs() []*program {
	return []*program{m.when, m.undo, m.foreach, m.survivor.system, m.survivor.key, m.loser.system, m.loser.key}
}

// merges says what the record merges. A pair that cannot be made, or whose ends
// are of two assigning authorities, refuses the record: half a merge is none.
func (r *run) merges() error {
	defer func() { r.item = nil }()
	for _, m := range r.m.merges {
		items := []any{nil}
		switch {
		case m.over != nil:
			items = nil
			for _, n := range r.nodesAt(m.over) {
				items = append(items, n)
			}
		case m.foreach != nil:
			v, err := r.eval(m.foreach)
			if err != nil {
				return err
			}
			items = sliceOf(v)
		}
		for _, item := range items {
			r.item = nil
			r.take(item)
			if err := r.merge(m, item); err != nil || r.result.Action == Reject {
				return err
			}
		}
	}
	return nil
}

func (r *run) merge(m *merging, item any) error {
	if m.when != nil {
		if holds, err := r.evalBool(m.when); err != nil || !holds {
			return err
		}
	}
	x := Merge{Pos: r.rec.Pos}
	if n, ok := item.(*tree.Node); ok && n != nil && n.Pos != (tree.Position{}) {
		x.Pos = n.Pos
	}
	if m.undo != nil {
		var err error
		if x.Undo, err = r.evalBool(m.undo); err != nil {
			return err
		}
	}
	survivor, of, err := r.mergeEnd(&m.survivor, item)
	if err != nil {
		return err
	}
	loser, by, err := r.mergeEnd(&m.loser, item)
	if err != nil {
		return err
	}
	switch {
	case survivor == "" || loser == "":
		r.reject("merge-incomplete", "the record merges two persons and does not name both")
		return nil
	case of != by:
		r.reject("merge-authority", "the record merges persons of two assigning authorities")
		return nil
	case len(r.result.Merges) >= maxResources:
		return fmt.Errorf("%w: over %d merges", ErrLimit, maxResources)
	}
	x.Survivor, x.Loser = survivor, loser
	r.result.Merges = append(r.result.Merges, x)
	return nil
}

// mergeEnd finds one end: its reference, and the authority that assigned it.
func (r *run) mergeEnd(e *mergeEnd, item any) (ref, authority string, err error) {
	if e.local == "" {
		if authority, err = r.evalText(e.system); err != nil {
			return "", "", err
		}
		key, err := r.evalText(e.key)
		if err != nil || key == "" {
			return "", "", err
		}
		return "Patient/" + r.opts.IDs("Patient", authority, key), authority, nil
	}
	var found *plan
	several := false
	here, _ := item.(*tree.Node)
	for _, p := range r.plans {
		for _, n := range p.named {
			if n.local != e.local {
				continue
			}
			if there, ok := n.item.(*tree.Node); ok && here != nil {
				if there == here {
					return "Patient/" + p.id, p.system, nil
				}
				continue // made of another part
			}
			several = several || found != nil && found != p
			found = p
		}
	}
	if found == nil || several {
		return "", "", nil
	}
	return "Patient/" + found.id, found.system, nil
}

// sum takes a merge into the digest of its record: two orders about the same
// survivor are two contents.
func (m *Merge) sum() []byte {
	return []byte("merge " + m.Survivor + " " + m.Loser + " " + strconv.FormatBool(m.Undo) + "\n")
}
