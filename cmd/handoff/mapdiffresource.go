package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/mappings"
)

// resourceDifferences compares the resources of one record. Those of one id are
// the same; if ids changed, those of one type in their order.
func resourceDifferences(old, now *mappings.Result) []difference {
	var out []difference
	left := pick(now.Resources)
	for _, a := range pick(old.Resources) {
		i := slices.IndexFunc(left, func(b mappings.Resource) bool { return b.Type == a.Type && b.ID == a.ID })
		renamed := i < 0
		if renamed {
			i = slices.IndexFunc(left, func(b mappings.Resource) bool {
				return b.Type == a.Type && !slices.ContainsFunc(old.Resources, func(c mappings.Resource) bool { return c.Type == b.Type && c.ID == b.ID })
			})
		}
		if i < 0 {
			out = append(out, difference{what: "removed " + a.Type, oldRow: rowOf(old, &a, "id")})
			continue
		}
		b := left[i]
		left = slices.Delete(left, i, i+1)
		if renamed {
			out = append(out, difference{what: "changed " + a.Type + ".id", oldRow: rowOf(old, &a, "id"), newRow: rowOf(now, &b, "id")})
		}
		if !bytes.Equal(a.Raw, b.Raw) {
			out = append(out, elementDifferences(old, now, &a, &b)...)
		}
	}
	for _, b := range left {
		out = append(out, difference{what: "added " + b.Type, newRow: rowOf(now, &b, "id")})
	}
	return out
}

// pick leaves out Provenance, which tells of the mapping.
func pick(all []mappings.Resource) []mappings.Resource {
	var out []mappings.Resource
	for _, r := range all {
		if r.Type != "Provenance" {
			out = append(out, r)
		}
	}
	return out
}

func elementDifferences(old, now *mappings.Result, a, b *mappings.Resource) []difference {
	was, is := flat(a.Raw), flat(b.Raw)
	delete(was, "id")
	delete(is, "id")
	all := maps.Clone(was)
	maps.Copy(all, is)
	var out []difference
	for _, element := range slices.Sorted(maps.Keys(all)) {
		v, had := was[element]
		w, has := is[element]
		kind := "changed "
		switch {
		case had && has && v == w:
			continue
		case !had:
			kind = "added "
		case !has:
			kind = "removed "
		}
		d := difference{what: kind + a.Type + "." + withoutIndexes(element), old: v, new: w, oldRow: rowOf(old, a, element), newRow: rowOf(now, b, element)}
		if strings.Contains(element, "[") {
			d.index = " (" + element + ")"
		}
		out = append(out, d)
	}
	return out
}

func flat(raw []byte) map[string]string {
	out := map[string]string{}
	var doc any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if d.Decode(&doc) == nil {
		flatten("", doc, out)
	}
	return out
}

func withoutIndexes(element string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(element, "[") {
		_, rest, found := strings.Cut(part, "]")
		if !found {
			rest = part
		}
		b.WriteString(rest)
	}
	return b.String()
}

// rowOf is the row that set an element, or a whole of which it is part.
func rowOf(res *mappings.Result, x *mappings.Resource, element string) string {
	for _, t := range res.Trace {
		if t.Resource == x.Type+"/"+x.ID && (t.Element == element || strings.HasPrefix(element, t.Element+".") || strings.HasPrefix(element, t.Element+"[")) {
			return t.Row
		}
	}
	return ""
}
