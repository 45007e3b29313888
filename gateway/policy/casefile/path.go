package casefile

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
)

// evaluate runs the FHIRPath that decision cases use on a resource: names,
// indexes, where(path = 'text' and …), exists(), first(), extension('url'),
// ofType(T) and descendants(). Anything else is an error, so that no assertion
// passes because it was not understood.
func evaluate(r *resource.Resource, expr string) ([]resource.Node, error) {
	p := pathParser{in: expr}
	steps, err := p.steps()
	if err == nil && strings.TrimSpace(p.rest()) != "" {
		err = fmt.Errorf("unexpected %q", p.rest())
	}
	if err != nil {
		return nil, fmt.Errorf("FHIRPath %q: %w", expr, err)
	}
	if len(steps) > 0 && steps[0].name == r.Type() {
		steps = steps[1:]
	}
	return walk([]resource.Node{r.Root()}, steps), nil
}

// A pathStep is one step of a path.
type pathStep struct {
	name   string // an element, "" for a function or an index
	fn     string
	arg    string
	where  []condition
	index  int
	isIndx bool
}

// A condition is "path = 'text'", or "path" alone for something that exists.
type condition struct {
	path  []pathStep
	text  string
	equal bool
}

func walk(in []resource.Node, steps []pathStep) []resource.Node {
	for _, s := range steps {
		var out []resource.Node
		switch {
		case s.isIndx:
			if s.index < len(in) {
				out = in[s.index : s.index+1]
			}
		case s.fn == "":
			for _, n := range in {
				out = append(out, children(n, s.name)...)
			}
		default:
			out = s.call(in)
		}
		in = out
	}
	return in
}

// children returns the elements of that name, a choice element by its stem.
func children(n resource.Node, name string) []resource.Node {
	var out []resource.Node
	for m := range n.Members() {
		got := m.Name()
		choice := len(got) > len(name) && strings.HasPrefix(got, name) && got[len(name)] >= 'A' && got[len(name)] <= 'Z' && isChoice(name)
		if got == name || choice {
			for e := range m.Elements() {
				if e.Kind() != resource.Null {
					out = append(out, e)
				}
			}
		}
	}
	return out
}

func isChoice(stem string) bool {
	switch stem {
	case "value", "effective", "onset", "abatement", "performed", "occurrence", "deceased", "medication", "multipleBirth",
		"source", "scheduled", "product", "timing", "born", "age", "defaultValue", "content", "item", "subject", "topic", "serviced":
		return true
	}
	return false
}

func (s *pathStep) call(in []resource.Node) []resource.Node {
	var out []resource.Node
	switch s.fn {
	case "where":
		for _, n := range in {
			if s.holds(n) {
				out = append(out, n)
			}
		}
	case "first":
		if len(in) > 0 {
			out = in[:1]
		}
	case "exists":
		out = in
	case "extension":
		for _, n := range in {
			for e := range n.All("extension") {
				if e.Get("url").Is(s.arg) {
					out = append(out, e)
				}
			}
		}
	case "ofType":
		for _, n := range in {
			if t := n.Get("resourceType"); !t.Exists() || t.Is(s.arg) {
				out = append(out, n)
			}
		}
	case "descendants":
		for _, n := range in {
			n.Descend(func(d resource.Node) bool {
				if d != n && d.Kind() != resource.Array {
					out = append(out, d)
				}
				return true
			})
		}
	}
	return out
}

func (s *pathStep) holds(n resource.Node) bool {
	for _, c := range s.where {
		found := false
		for _, v := range walk([]resource.Node{n}, c.path) {
			found = found || !c.equal || v.Text() == c.text || v.Kind() != resource.String && string(v.Raw()) == c.text
		}
		if !found {
			return false
		}
	}
	return true
}

// A pathParser reads the subset.
type pathParser struct {
	in  string
	pos int
}

func (p *pathParser) rest() string { return p.in[p.pos:] }

func (p *pathParser) space() {
	for p.pos < len(p.in) && p.in[p.pos] == ' ' {
		p.pos++
	}
}

func (p *pathParser) take(s string) bool {
	p.space()
	if strings.HasPrefix(p.rest(), s) {
		p.pos += len(s)
		return true
	}
	return false
}

func (p *pathParser) word() string {
	p.space()
	start := p.pos
	for p.pos < len(p.in) {
		c := p.in[p.pos]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			break
		}
		p.pos++
	}
	return p.in[start:p.pos]
}

func (p *pathParser) steps() ([]pathStep, error) {
	var out []pathStep
	for {
		name := p.word()
		if name == "" {
			return nil, fmt.Errorf("a name is missing at %q", p.rest())
		}
		s := pathStep{name: name}
		if p.take("(") {
			s = pathStep{fn: name}
			if err := p.function(&s); err != nil {
				return nil, err
			}
		}
		out = append(out, s)
		for p.take("[") {
			digits := p.word()
			i, err := strconv.Atoi(digits)
			if err != nil || !p.take("]") {
				return nil, fmt.Errorf("%q is no index", digits)
			}
			out = append(out, pathStep{index: i, isIndx: true})
		}
		if !p.take(".") {
			return out, nil
		}
	}
}

func (p *pathParser) function(s *pathStep) (err error) {
	switch s.fn {
	case "where":
		err = p.conditions(s)
	case "extension":
		s.arg, err = p.literal()
	case "ofType":
		s.arg = p.word()
	case "exists", "first", "descendants":
	default:
		return fmt.Errorf("the function %s is not supported", s.fn)
	}
	if err == nil && !p.take(")") {
		err = fmt.Errorf("a bracket is missing at %q", p.rest())
	}
	return err
}

func (p *pathParser) conditions(s *pathStep) error {
	for {
		path, err := p.steps()
		if err != nil {
			return err
		}
		c := condition{path: path}
		if p.take("=") {
			c.equal = true
			if c.text, err = p.literal(); err != nil {
				return err
			}
		}
		s.where = append(s.where, c)
		if !p.take("and ") {
			return nil
		}
	}
}

func (p *pathParser) literal() (string, error) {
	p.space()
	if p.take("'") {
		text, _, ok := strings.Cut(p.rest(), "'")
		if !ok {
			return "", fmt.Errorf("a text does not end")
		}
		p.pos += len(text) + 1
		return text, nil
	}
	if w := p.word(); w != "" {
		return w, nil
	}
	return "", fmt.Errorf("a value is missing at %q", p.rest())
}
