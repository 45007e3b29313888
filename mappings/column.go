package mappings

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// A Column is one that the mapping of a table knows.
type Column struct {
	Name     string   // as rows and expressions say
	Aliases  []string // other names in headers
	Required bool     // a file without it cannot be mapped at all
}

// Fields returns the columns that the mapping knows, with the names by which
// headers call them; nil for formats that are no tables.
func (m *Map) Fields() []Column { return slices.Clone(m.shape.fields) }

// FoldHeader is a header's name without case, blanks and punctuation, so that
// "Incident No.", "INCIDENT_NO" and "IncidentNo" are one.
func FoldHeader(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}

// loadColumns reads the columns of a table: a name, or {name: …, aliases: […],
// required: true}. A name that two columns claim could be either.
func (c *compiler) loadColumns(root *node) {
	names := map[string]string{} // folded name or alias → column
	claim := func(n *node, name, column string) {
		f := FoldHeader(name)
		switch other := names[f]; {
		case f == "":
			n.errorf("the name %q has neither letters nor digits", name)
		case other != "" && other != column:
			n.errorf("the name %q is the column %q already", name, other)
		default:
			names[f] = column
		}
	}
	if list := root.list("columns"); len(list) > maxElements {
		root.get("columns").errorf("the mapping has more than %d columns", maxElements)
		return
	}
	for _, n := range root.list("columns") {
		col := Column{Name: n.text}
		if n.kind == yamlMap {
			if !n.strict("a column", "name", "aliases", "required", "note") {
				continue
			}
			col.Name, col.Required = n.string("name", true), n.bool("required")
		}
		if slices.Contains(c.m.shape.columns, col.Name) {
			n.errorf("the column %q is there twice", col.Name)
			continue
		}
		claim(n, col.Name, col.Name)
		if n.kind == yamlMap {
			for _, a := range n.list("aliases") {
				claim(a, a.text, col.Name)
				col.Aliases = append(col.Aliases, a.text)
			}
		}
		c.m.shape.columns = append(c.m.shape.columns, col.Name)
		c.m.shape.fields = append(c.m.shape.fields, col)
	}
	c.checkAliases()
}

// checkAliases refuses aliases of the profile for columns that there are not.
func (c *compiler) checkAliases() {
	p := c.m.profile
	for _, header := range slices.Sorted(maps.Keys(p.Aliases)) {
		to := p.Aliases[header]
		if !slices.ContainsFunc(c.m.shape.columns, func(name string) bool { return FoldHeader(name) == FoldHeader(to) }) {
			message := fmt.Sprintf("alias %q: the mapping has no column %q%s", header, to, didYouMean(to, c.m.shape.columns))
			if n := p.aliasPlaces[header]; n != nil {
				c.errs = append(c.errs, n.src.fault(n.line, n.column, "%s", message))
				continue
			}
			c.errs = append(c.errs, fmt.Errorf("profile %s: %s", p.Name, message))
		}
	}
}
