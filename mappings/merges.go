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
	loop            *loop
	undo            *program
	survivor, loser mergeEnd
}

// A mergeEnd names a Patient: by a resource of the mapping, or by the system and
// key that its id is made of.
type mergeEnd struct {
	local       string
	system, key *program
}

var mergeKeys = []string{"survivor", "loser", "when", "undo", "foreach", "over", "let", "note"}

// loadMerges reads what is merged: {survivor: patient, loser: prior}. An end is
// the id of a Patient of the mapping, or {system: …, key: …}. It comes after the
// resources, whose names it uses.
func (c *compiler) loadMerges(root *node) {
	for _, n := range root.list("merges") {
		if !n.strict("a merge", mergeKeys...) {
			continue
		}
		m := &merging{at: n.at()}
		var s scope
		m.loop, s = c.compileLoop(n, c.scope)
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

// Merges says whether records may merge persons.
func (m *Map) Merges() bool { return len(m.merges) > 0 }

// programs are the expressions of a merge beside those of its loop, for coverage.
func (m *merging) programs() []*program {
	return []*program{m.undo, m.survivor.system, m.survivor.key, m.loser.system, m.loser.key}
}

// merges says what the record merges. A pair that cannot be made, or whose ends
// are of two assigning authorities, refuses the record: half a merge is none.
func (r *run) merges() error {
	for _, m := range r.m.merges {
		err := r.each(m.loop, func() error {
			if r.result.Action == Reject {
				return nil
			}
			return r.merge(m)
		})
		if err != nil || r.result.Action == Reject {
			return err
		}
	}
	return nil
}

func (r *run) merge(m *merging) error {
	x := Merge{Pos: r.rec.Pos}
	if f := r.looped(); f != nil && r.place(f.node) != (tree.Position{}) {
		x.Pos = r.place(f.node)
	}
	if m.undo != nil {
		var err error
		if x.Undo, err = r.evalBool(m.undo); err != nil {
			return err
		}
	}
	survivor, of, err := r.mergeEnd(&m.survivor)
	if err != nil {
		return err
	}
	loser, by, err := r.mergeEnd(&m.loser)
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
func (r *run) mergeEnd(e *mergeEnd) (ref, authority string, err error) {
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
	found := r.referents(e.local)
	if len(found) != 1 {
		return "", "", nil
	}
	return "Patient/" + found[0].id, found[0].system, nil
}

// sum takes a merge into the digest of its record: two orders about the same
// survivor are two contents.
func (m *Merge) sum() []byte {
	return []byte("merge " + m.Survivor + " " + m.Loser + " " + strconv.FormatBool(m.Undo) + "\n")
}
