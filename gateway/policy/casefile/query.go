package casefile

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/compartment"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
)

// search finds what the interaction asks for, over the resources in the form in
// which they are returned. What would match only in its full form, or through
// something withheld, is withheld itself.
func (o *Outcome) search(c *Case) {
	visible := world{}
	for i := range o.Resources {
		visible = append(visible, o.Resources[i].Resource)
	}
	if c.Interaction.Query == "" {
		o.all()
		return
	}
	q, err := parseQuery(c.Interaction.Query)
	if err != nil {
		o.Problem = fmt.Sprintf("query %q: %v", c.Interaction.Query, err)
		return
	}
	full, err := q.find(world(c.Resources))
	if err == nil {
		o.matched, err = q.find(visible)
		o.page = page{count: q.plain.Count(), countOnly: q.plain.CountOnly()}
	}
	if err != nil {
		o.matched, o.Problem = nil, fmt.Sprintf("query %q: %v", c.Interaction.Query, err)
		return
	}
	for _, i := range full {
		if o.Resources[i].Resource != nil && !slices.Contains(o.matched, i) {
			o.withhold(i, "it matches only through something withheld")
		}
	}
}

// A page is what of the matches the answer shows.
type page struct {
	count     int
	countOnly bool
}

func (o *Outcome) all() {
	o.page.count = len(o.Resources)
	for i := range o.Resources {
		if o.Resources[i].Resource != nil {
			o.matched = append(o.matched, i)
		}
	}
}

// A world is the resources that a query sees; nil ones it does not see.
type world []*resource.Resource

// A query is a search with what fhir/search leaves to its callers: chains,
// reverse chains and includes.
type query struct {
	typ      string
	plain    *search.Query
	chains   []chain
	reverse  []hasChain
	includes []include
	id       string // of a read
	person   string // whose compartment, "Patient/1"; "" is no limit
	all      bool   // of the compartment everything
}

// A chain is "subject:Patient.name=…".
type chain struct {
	param, target string // target "" is any type
	rest          search.Param
}

// A hasChain is "_has:Observation:patient:code=…".
type hasChain struct {
	typ, param string
	rest       search.Param
}

// An include is "_include=Encounter:diagnosis:Condition".
type include struct {
	reverse, iterate   bool
	typ, param, target string
}

// parseQuery reads "Type?parameters"; for a read "Type/id"; for a compartment
// "Patient/id/Type?parameters" or "Patient/id/$everything".
func parseQuery(s string) (*query, error) {
	path, raw, _ := strings.Cut(s, "?")
	path = strings.TrimSuffix(strings.TrimSuffix(path, "/_search"), "/")
	q := &query{typ: path}
	switch parts := strings.Split(path, "/"); {
	case len(parts) == 2:
		q.typ, q.id = parts[0], parts[1]
	case len(parts) == 3 && parts[0] == "Patient":
		q.typ, q.person = parts[2], "Patient/"+parts[1]
		if parts[2] == "$everything" {
			q.typ, q.all = "Patient", true
		}
	}
	params, err := search.ParseQuery(raw)
	if err != nil {
		return nil, err
	}
	var plain []search.Param
	for _, p := range params {
		if ok, err := q.special(p); err != nil {
			return nil, err
		} else if !ok {
			plain = append(plain, p)
		}
	}
	q.plain, err = search.Parse(q.typ, plain, search.Options{MaxCount: 1 << 20, DefaultCount: 1 << 20})
	return q, err
}

// special takes the parameters that reach into other resources.
func (q *query) special(p search.Param) (ok bool, err error) {
	name, modifier, _ := strings.Cut(p.Name, ":")
	switch {
	case name == "_include" || name == "_revinclude":
		parts := strings.SplitN(p.Value, ":", 3)
		if len(parts) < 2 && p.Value != "*" {
			return false, fmt.Errorf("%s=%s names no search parameter", p.Name, p.Value)
		}
		in := include{reverse: name == "_revinclude", iterate: modifier == "iterate", typ: parts[0]}
		if len(parts) > 1 {
			in.param = parts[1]
		}
		if len(parts) > 2 {
			in.target = parts[2]
		}
		q.includes = append(q.includes, in)
		return true, nil
	case name == "_has":
		parts := strings.SplitN(modifier, ":", 3)
		if len(parts) != 3 {
			return false, fmt.Errorf("%s is no reverse chain", p.Name)
		}
		q.reverse = append(q.reverse, hasChain{parts[0], parts[1], search.Param{Name: parts[2], Value: p.Value}})
		return true, nil
	}
	head, rest, ok := strings.Cut(p.Name, ".")
	if !ok {
		return false, nil
	}
	param, target, _ := strings.Cut(head, ":")
	q.chains = append(q.chains, chain{param, target, search.Param{Name: rest, Value: p.Value}})
	return true, nil
}

// find returns the positions of what the query finds, matches first.
func (q *query) find(w world) ([]int, error) {
	var out []int
	for i, r := range w {
		ok, err := q.matches(w, r)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, i)
		}
	}
	if q.all {
		return out, nil
	}
	slices.SortStableFunc(out, func(a, b int) int { return q.plain.Compare(q.plain.SortKey(w[a]), q.plain.SortKey(w[b])) })
	return q.include(w, out)
}

func (q *query) matches(w world, r *resource.Resource) (bool, error) {
	if r == nil || q.person != "" && !compartment.In(r, q.person) {
		return false, nil
	}
	if q.all {
		return true, nil
	}
	if r.Type() != q.typ || q.id != "" && r.ID() != q.id || !q.plain.Match(r) {
		return false, nil
	}
	for _, c := range q.chains {
		if ok, err := c.holds(w, r); !ok || err != nil {
			return false, err
		}
	}
	for _, h := range q.reverse {
		if ok, err := h.holds(w, r); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// one reads a query of one parameter.
func one(typ string, p search.Param) (*query, error) {
	q := &query{typ: typ}
	var plain []search.Param
	if ok, err := q.special(p); err != nil {
		return nil, err
	} else if !ok {
		plain = append(plain, p)
	}
	var err error
	q.plain, err = search.Parse(typ, plain, search.Options{})
	return q, err
}

// refers says whether r has a reference to target in a search parameter.
func refers(r *resource.Resource, param string, target *resource.Resource) (bool, error) {
	if search.Lookup(r.Type(), param) == nil {
		return false, fmt.Errorf("%s has no search parameter %q", r.Type(), param)
	}
	q, err := search.Parse(r.Type(), []search.Param{{Name: param, Value: target.Reference()}}, search.Options{})
	if err != nil {
		return false, nil // the parameter does not refer to resources of this type
	}
	return q.Match(r), nil
}

func (c chain) holds(w world, r *resource.Resource) (bool, error) {
	var unknown *search.Error
	known := false
	for _, t := range w {
		if t == nil || c.target != "" && t.Type() != c.target {
			continue
		}
		ok, err := refers(r, c.param, t)
		if err != nil {
			return false, err
		}
		if !ok {
			continue
		}
		inner, err := one(t.Type(), c.rest)
		if errors.As(err, &unknown) && c.target == "" {
			continue // of several target types only some have the parameter
		}
		if err != nil {
			return false, err
		}
		known = true
		if ok, err := inner.matches(w, t); ok || err != nil {
			return ok, err
		}
	}
	if !known && c.target != "" {
		_, err := one(c.target, c.rest) // a mistake shows even where nothing refers
		return false, err
	}
	return false, nil
}

func (h hasChain) holds(w world, r *resource.Resource) (bool, error) {
	inner, err := one(h.typ, h.rest)
	if err != nil {
		return false, err
	}
	for _, s := range w {
		if s == nil || s.Type() != h.typ {
			continue
		}
		if ok, err := inner.matches(w, s); err != nil {
			return false, err
		} else if !ok {
			continue
		}
		if ok, err := refers(s, h.param, r); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// include adds what the includes name, from what is there.
func (q *query) include(w world, found []int) ([]int, error) {
	matches := len(found)
	for from := 0; from < len(found); from++ {
		for _, in := range q.includes {
			if from >= matches && !in.iterate {
				continue
			}
			for i, r := range w {
				if r == nil || slices.Contains(found, i) {
					continue
				}
				ok, err := in.adds(w[found[from]], r)
				if err != nil {
					return nil, err
				}
				if ok {
					found = append(found, i)
				}
			}
		}
	}
	return found, nil
}

// adds says whether the include adds r for a resource that was found.
func (in include) adds(found, r *resource.Resource) (bool, error) {
	source, target := found, r
	if in.reverse {
		source, target = r, found
	}
	if in.typ == "*" && in.param == "" {
		return mentions(source, target), nil
	}
	if in.typ != source.Type() || in.target != "" && in.target != target.Type() {
		return false, nil
	}
	if in.param == "*" {
		return mentions(source, target), nil
	}
	return refers(source, in.param, target)
}

// mentions says whether any reference of r is to target.
func mentions(r, target *resource.Resource) bool {
	found := false
	r.Root().Descend(func(n resource.Node) bool {
		if _, typ, id, ok := resource.SplitReference(n.Get("reference").Text()); ok {
			found = found || typ+"/"+id == target.Reference()
		}
		return !found
	})
	return found
}
