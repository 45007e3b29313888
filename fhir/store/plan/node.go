package plan

import (
	"github.com/handoff-health/handoff/fhir/store"
)

// A Kind says how a [Node] judges.
type Kind uint8

// The kinds of a node. The zero value matches nothing. Never and All stand only at
// the root: anywhere else they are folded away.
const (
	Never Kind = iota
	All        // every live resource of the type
	And        // all Args, at least two; none is an And
	Or         // any of Args, at least two; none is an Or, each parameter has at most one Leaf
	Not        // not Args[0]
	Leaf       // some value of Param is in one of Spans
)

// A Node is a condition with constants folded and alternatives on one parameter
// gathered.
type Node struct {
	Kind   Kind
	Param  string
	Number int64  // what Lookup gave for Param; 0 for a reserved one
	Spans  []Span // any of them, none empty
	Args   []*Node
}

// A Lookup gives a store's number of a parameter, not 0, and whether any resource of
// the type has ever had an entry of it: a condition on one that none has had matches
// nothing. It is not asked for reserved parameters.
type Lookup func(param string) (number int64, known bool, err error)

// Normalize turns a condition into nodes. A nil lookup takes every parameter as
// known. What cannot be searched for gives [store.ErrInvalid].
func Normalize(e store.Expr, lookup Lookup) (*Node, error) {
	n := normalizer{lookup: lookup}
	return n.node(e, 0)
}

type normalizer struct {
	lookup Lookup
	terms  int
}

func (n *normalizer) node(e store.Expr, depth int) (*Node, error) {
	if n.terms++; n.terms > MaxTerms || depth >= MaxDepth {
		return nil, invalid("the plan has more than %d terms or %d levels", MaxTerms, MaxDepth)
	}
	switch e.Op {
	case store.Never:
		return &Node{Kind: Never}, nil
	case store.All:
		return &Node{Kind: All}, nil
	case store.And, store.Or, store.Not:
		return n.combine(e, depth)
	case store.Equal:
		return n.leaf(e.Param, Span{Low: e.Value, Equal: true})
	case store.Prefix:
		return n.leaf(e.Param, Prefix(e.Value))
	case store.Range:
		return n.leaf(e.Param, Span{Low: e.Low, High: e.High, Open: e.High == ""})
	case store.Exists:
		return n.leaf(e.Param, Span{Open: true})
	}
	return nil, invalid("unknown operation %d", e.Op)
}

// together counts the conditions that an And holds together, those of Ands within it
// included.
func together(e store.Expr) int {
	if e.Op != store.And {
		return 1
	}
	n := 0
	for _, a := range e.Args {
		n += together(a)
	}
	return n
}

func (n *normalizer) combine(e store.Expr, depth int) (*Node, error) {
	if t := together(e); t > MaxTogether {
		return nil, invalid("the plan has %d conditions that hold together, at most %d are possible", t, MaxTogether)
	}
	args := make([]*Node, len(e.Args))
	for i, a := range e.Args {
		arg, err := n.node(a, depth+1)
		if err != nil {
			return nil, err
		}
		args[i] = arg
	}
	switch e.Op {
	case store.And:
		return AllOf(args), nil
	case store.Or:
		return anyOf(args), nil
	}
	if len(args) != 1 {
		return nil, invalid("Not with %d arguments", len(args))
	}
	switch args[0].Kind {
	case Never:
		return &Node{Kind: All}, nil
	case All:
		return &Node{Kind: Never}, nil
	}
	return &Node{Kind: Not, Args: args}, nil
}

func (n *normalizer) leaf(param string, s Span) (*Node, error) {
	switch {
	case param == "":
		return nil, invalid("a condition without a parameter")
	case s.Empty():
		return &Node{Kind: Never}, nil
	case store.Reserved(param):
		if s.Everything() {
			return &Node{Kind: All}, nil
		}
		return &Node{Kind: Leaf, Param: param, Spans: []Span{s}}, nil
	case n.lookup == nil:
		return &Node{Kind: Leaf, Param: param, Spans: []Span{s}}, nil
	}
	number, known, err := n.lookup(param)
	if err != nil {
		return nil, err
	}
	if !known {
		return &Node{Kind: Never}, nil
	}
	return &Node{Kind: Leaf, Param: param, Number: number, Spans: []Span{s}}, nil
}

// AllOf is the conjunction of nodes, folded.
func AllOf(args []*Node) *Node {
	out := &Node{Kind: And}
	for _, a := range args {
		switch a.Kind {
		case Never:
			return a
		case All:
		case And:
			out.Args = append(out.Args, a.Args...)
		default:
			out.Args = append(out.Args, a)
		}
	}
	return out.fold(All)
}

// fold makes a node without arguments what it means, and takes the place of one
// argument.
func (n *Node) fold(empty Kind) *Node {
	switch len(n.Args) {
	case 0:
		return &Node{Kind: empty}
	case 1:
		return n.Args[0]
	}
	return n
}

func anyOf(args []*Node) *Node {
	out, at := &Node{Kind: Or}, map[string]*Node{}
	var add func([]*Node) (all bool)
	add = func(args []*Node) bool {
		for _, a := range args {
			switch a.Kind {
			case Never:
			case All:
				return true
			case Or:
				if add(a.Args) {
					return true
				}
			case Leaf:
				if n := at[a.Param]; n != nil {
					n.Spans = append(n.Spans, a.Spans...)
					continue
				}
				n := &Node{Kind: Leaf, Param: a.Param, Number: a.Number, Spans: append([]Span(nil), a.Spans...)}
				at[a.Param] = n
				out.Args = append(out.Args, n)
			default:
				out.Args = append(out.Args, a)
			}
		}
		return false
	}
	if add(args) {
		return &Node{Kind: All}
	}
	return out.fold(Never)
}
