package mappings

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// override changes what the mapping says: single expressions by their key, lists
// by operations on their named members.
func (c *compiler) override(root, ov *node) {
	for i, key := range ov.keys {
		v := ov.values[i]
		switch key {
		case "key", "record-version", "record-groups", "record-scope", "merges":
			root.set(ov, key, v)
		case "let", "outcomes", "checks", "resources":
			c.change(root, key, "the mapping", v)
		case "rowsets":
			noteChanges(v, key, &c.rowsetChanges)
		case "datatypes":
			noteChanges(v, key, &c.typeChanges)
		}
	}
}

// noteChanges keeps what is to be changed in things that other files hold, until
// those are read.
func noteChanges(ov *node, key string, to *[]lateChange) {
	if ov.kind != yamlMap {
		ov.errorf("%s must be a map of name: operations", key)
		return
	}
	for i, name := range ov.keys {
		*to = append(*to, lateChange{name: name, at: ov.keyNodes[i], ops: ov.values[i]})
	}
}

// A lateChange changes the rows of a datatype or rowset.
type lateChange struct {
	name    string
	at, ops *node
}

var (
	opKeys   = []string{"add", "replace", "remove", "change", "with", "before", "after", "set", "unset", "rows", "let", "resources", "note"}
	opVerbs  = []string{"add", "replace", "remove", "change"}
	opExtras = map[string][]string{"add": {"before", "after"}, "replace": {"with"}, "remove": {}, "change": {"set", "unset", "rows", "let", "resources"}}
)

// change runs operations on a list of holder: each adds, replaces, removes or
// changes a member, which is named by its name, code, id or target.
func (c *compiler) change(holder *node, key, where string, ops *node) {
	if ops.kind != yamlList {
		ops.errorf("%q is a list of operations: add, replace, remove, change", key)
		return
	}
	list := holder.get(key)
	if list == nil {
		list = &node{src: ops.src, kind: yamlList, line: ops.line, column: ops.column}
	} else if list.kind != yamlList {
		list = &node{src: list.src, kind: yamlList, line: list.line, column: list.column, values: []*node{list}}
	}
	holder.set(nil, key, list)
	for _, op := range ops.values {
		if c.changeCount++; c.changeCount > maxChanges {
			op.errorf("the overlays have more than %d operations", maxChanges)
			return
		}
		if verb := operation(op); verb != "" {
			c.operate(list, key, where, verb, op)
		}
	}
}

// operation checks the keys of an operation and returns its verb.
func operation(op *node) string {
	if !op.strict("an operation", opKeys...) {
		return ""
	}
	var verbs []string
	for _, v := range opVerbs {
		if op.get(v) != nil {
			verbs = append(verbs, v)
		}
	}
	if len(verbs) != 1 {
		op.errorf("an operation has one of add, replace, remove and change; this one has %d", len(verbs))
		return ""
	}
	ok := true
	for i, k := range op.keys {
		if k != verbs[0] && k != "note" && !slices.Contains(opExtras[verbs[0]], k) {
			op.keyNodes[i].errorf("%s does not go with %s", k, verbs[0])
			ok = false
		}
	}
	if !ok {
		return ""
	}
	return verbs[0]
}

func (c *compiler) operate(list *node, key, where, verb string, op *node) {
	if verb == "add" {
		c.addMembers(list, key, where, op)
		return
	}
	in, found := find(list, key, where, op.get(verb))
	if found == nil {
		return
	}
	switch verb {
	case "remove":
		in.values = slices.DeleteFunc(slices.Clone(in.values), func(n *node) bool { return slices.Contains(found, n) })
	case "replace":
		with := op.get("with")
		if with == nil {
			op.errorf("the key \"with\" is missing: what stands in its place")
			return
		}
		at := slices.Index(in.values, found[0])
		kept := slices.DeleteFunc(slices.Clone(in.values), func(n *node) bool { return slices.Contains(found, n) })
		in.values = slices.Insert(kept, at, members(with)...)
	case "change":
		for _, n := range found {
			c.changeMember(n, where+", "+op.get(verb).text, op)
		}
	}
}

// addMembers adds members at the end of the list, or beside one that is there.
func (c *compiler) addMembers(list *node, key, where string, op *node) {
	in, at := list, len(list.values)
	before, after := op.get("before"), op.get("after")
	switch {
	case before != nil && after != nil:
		op.errorf("an operation has before or after, not both")
		return
	case before != nil:
		holder, found := find(list, key, where, before)
		if found == nil {
			return
		}
		in, at = holder, slices.Index(holder.values, found[0])
	case after != nil:
		holder, found := find(list, key, where, after)
		if found == nil {
			return
		}
		in, at = holder, slices.Index(holder.values, found[len(found)-1])+1
	}
	in.values = slices.Insert(slices.Clone(in.values), at, members(op.get("add"))...)
}

// changeMember sets and takes away keys of a member, and changes the lists in it.
func (c *compiler) changeMember(n *node, where string, op *node) {
	if set := op.get("set"); set != nil {
		if set.kind != yamlMap {
			set.errorf("set must be a map of keys")
			return
		}
		for i, k := range set.keys {
			n.set(set, k, set.values[i])
		}
	}
	for _, k := range op.list("unset") {
		if !n.unset(k.text) {
			k.errorf("%s has no key %q%s", where, k.text, didYouMean(k.text, n.keys))
		}
	}
	for _, key := range []string{"rows", "let", "resources"} {
		if ops := op.get(key); ops != nil {
			c.change(n, key, where, ops)
		}
	}
}

func members(n *node) []*node {
	if n.kind == yamlList {
		return n.values
	}
	return []*node{n}
}

var memberForm = regexp.MustCompile(`^(.*?)(?:\[(\d{1,3}|\*)\])?$`)

// find finds the members that a reference means: "photo", the second of several
// of one name "telecom[2]", all of them "telecom[*]". It returns the list that
// holds them: resources can stand in groups.
func find(list *node, key, where string, ref *node) (holder *node, found []*node) {
	if ref.kind != yamlScalar {
		ref.errorf("a member is named by text")
		return nil, nil
	}
	m := memberForm.FindStringSubmatch(ref.text)
	kind := map[string]string{"rows": "row", "let": "let", "outcomes": "outcome", "checks": "check", "resources": "resource"}[key]
	if kind == "" {
		kind = "row"
	}
	holder, all, known := search(list, key, m[1])
	switch n, _ := strconv.Atoi(m[2]); {
	case len(all) == 0:
		ref.errorf("%s has no %s %q%s", where, kind, m[1], didYouMean(m[1], known))
	case m[2] == "*":
		return holder, all
	case m[2] != "" && (n < 1 || n > len(all)):
		ref.errorf("%s has %d of the %s %q", where, len(all), kind, m[1])
	case m[2] != "":
		return holder, all[n-1 : n]
	case len(all) > 1:
		ref.errorf("%s has %d of the %s %q (%s): say which, as %s[2], or %s[*] for all", where, len(all), kind, m[1], places(all), m[1], m[1])
	default:
		return holder, all
	}
	return nil, nil
}

// search looks for members of a name, and lists the names that there are.
func search(list *node, key, name string) (holder *node, found []*node, known []string) {
	for _, n := range list.values {
		names := n.names()
		if slices.Contains(names, name) {
			holder, found = list, append(found, n)
		}
		known = append(known, names...)
		if inner := n.get("resources"); key == "resources" && inner != nil && inner.kind == yamlList && len(found) == 0 {
			in, f, k := search(inner, key, name)
			if known = append(known, k...); f != nil {
				return in, f, known
			}
		}
	}
	return holder, found, known
}

// names are what a member of a list is called by.
func (n *node) names() []string {
	var out []string
	for _, k := range []string{"name", "id", "code", "to"} {
		if v := n.get(k); v != nil && v.kind == yamlScalar {
			out = append(out, v.text)
		}
	}
	return out
}

func places(nodes []*node) string {
	var out []string
	for _, n := range nodes {
		out = append(out, fmt.Sprintf("%s:%d", n.src.name, n.line))
	}
	return strings.Join(out, ", ")
}
