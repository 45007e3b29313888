package casefile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gofhir/fhirpath"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/validate"
	"github.com/handoff-health/handoff/mappings"
)

// A checker collects what does not hold.
type checker struct {
	*results
	failures []Failure
}

func (k *checker) fail(at, format string, args ...any) {
	k.failures = append(k.failures, Failure{at, fmt.Sprintf(format, args...)})
}

func check(c *mappings.Case, r *results) []Failure {
	k := &checker{results: r}
	k.valid(c)
	for _, e := range c.Expect {
		if got, ok := k.evaluate(e.Located); ok && !slices.Equal(got, e.Want) {
			k.fail(e.At, "%s is %s, not %s%s", e.Text, list(got), list(e.Want), k.origin(e.Text))
		}
	}
	for _, a := range c.Absent {
		k.absent(a)
	}
	for _, e := range c.Count {
		n := 0
		for _, x := range r.resources {
			if x.typ == e.Text {
				n++
			}
		}
		if got := fmt.Sprint(n); !slices.Equal(e.Want, []string{got}) {
			k.fail(e.At, "there are %s of %s, not %s", got, e.Text, list(e.Want))
		}
	}
	for _, e := range c.Refers {
		k.refers(e)
	}
	k.codes(c)
	return k.failures
}

// valid wants all that came out to be R4.
func (k *checker) valid(c *mappings.Case) {
	for _, x := range k.resources {
		for _, is := range x.faults {
			if is.Severity == outcome.Failure || is.Severity == outcome.Fatal {
				k.fail(c.At, "%s/%s is not valid R4: %s: %s", x.typ, x.id, is.Expression, is.Diagnostics)
			}
		}
	}
}

// evaluate gives the values of an expression over the resources of its type.
func (k *checker) evaluate(e mappings.Located) (out []string, ok bool) {
	program, err := fhirpath.Compile(e.Text)
	if err != nil {
		k.fail(e.At, "the expression %s cannot be read: %v", e.Text, err)
		return nil, false
	}
	typ, _, _ := strings.Cut(e.Text, ".")
	if !k.exists(typ, e) {
		return nil, false
	}
	for _, x := range k.resources {
		if x.typ != typ {
			continue
		}
		values, err := program.EvaluateWithOptions(x.raw, fhirpath.WithMaxCollectionSize(10_000))
		if err != nil {
			k.fail(e.At, "the expression %s failed: %v", e.Text, err)
			return nil, false
		}
		for _, v := range values {
			out = append(out, v.String())
		}
	}
	return out, true
}

// exists refuses a type or a first element that R4 does not have: an expression
// with a slip of the pen gives nothing, and absent would always hold.
func (k *checker) exists(typ string, e mappings.Located) bool {
	if !validate.Covers(typ) {
		k.fail(e.At, "%s: there is no resource type %s", e.Text, typ)
		return false
	}
	_, rest, _ := strings.Cut(e.Text, ".")
	first := rest[:len(rest)-len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"))]
	if first == "" || strings.HasPrefix(rest[len(first):], "(") { // a function
		return true
	}
	if !slices.Contains(validate.Elements(typ, false), first) && len(validate.Names(typ, first)) == 0 {
		k.fail(e.At, "%s: %s has no element %s", e.Text, typ, first)
		return false
	}
	return true
}

func (k *checker) absent(a mappings.Located) {
	if !strings.Contains(a.Text, ".") {
		n := 0
		for _, x := range k.resources {
			if x.typ == a.Text {
				n++
			}
		}
		if !validate.Covers(a.Text) {
			k.fail(a.At, "there is no resource type %s", a.Text)
		} else if n > 0 {
			k.fail(a.At, "there are %d of %s, and none is wanted", n, a.Text)
		}
		return
	}
	if got, ok := k.evaluate(a); ok && len(got) > 0 {
		k.fail(a.At, "%s is %s, and nothing is wanted%s", a.Text, list(got), k.origin(a.Text))
	}
}

// refers wants an expression to lead to one of the resources that came out.
func (k *checker) refers(e mappings.Expectation) {
	at := e.Located
	at.Text += ".reference"
	got, ok := k.evaluate(at)
	if !ok {
		return
	}
	if len(got) == 0 {
		k.fail(e.At, "%s is no reference", e.Text)
	}
	for _, ref := range got {
		typ, id, _ := strings.Cut(ref, "/")
		if !slices.Contains(e.Want, typ) {
			k.fail(e.At, "%s leads to %s, not to %s", e.Text, ref, list(e.Want))
		} else if !slices.ContainsFunc(k.resources, func(x made) bool { return x.typ == typ && x.id == id }) {
			k.fail(e.At, "%s leads to %s, which did not come out", e.Text, ref)
		}
	}
}

// codes compares rejects, findings and what was unmapped.
func (k *checker) codes(c *mappings.Case) {
	at, want := c.At, []string{}
	for _, r := range c.Rejects {
		at, want = c.Rejects[0].At, append(want, r.Text)
	}
	if !slices.Equal(k.rejects, want) && len(k.rejects)+len(want) > 0 {
		k.fail(at, "rejected with %s, not %s", list(k.rejects), list(want))
	}
	for _, is := range c.Issues {
		if !slices.Contains(k.issues, is.Text) {
			k.fail(is.At, "the finding %s is not among %s", is.Text, list(k.issues))
		}
	}
	for _, u := range c.Unmapped {
		if !slices.ContainsFunc(k.unmapped, func(x mappings.Unmapped) bool {
			return x.Vocabulary != "" && x.Vocabulary+":"+x.Code == u.Text || x.Vocabulary == "" && x.Field == u.Text
		}) {
			k.fail(u.At, "%s was not counted as unmapped", u.Text)
		}
	}
}

// origin tells which row made what a simple expression names.
func (k *checker) origin(expression string) string {
	typ, path, _ := strings.Cut(expression, ".")
	for _, t := range k.trace {
		if !strings.HasPrefix(t.Resource, typ+"/") || plainPath(t.Element) != path {
			continue
		}
		s := "; set by " + t.Row
		if len(t.Inputs) > 0 {
			s += " from " + t.Inputs[0].Path
		}
		return s
	}
	return ""
}

// plainPath is an element without indexes: "name.given".
func plainPath(element string) string {
	var b strings.Builder
	inside := false
	for _, r := range element {
		switch {
		case r == '[':
			inside = true
		case r == ']':
			inside = false
		case !inside:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// list shows values for people.
func list(values []string) string {
	if len(values) == 0 {
		return "nothing"
	}
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = fmt.Sprintf("%q", v)
	}
	return strings.Join(quoted, ", ")
}
