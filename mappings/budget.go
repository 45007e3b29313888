package mappings

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
)

// ErrLimit says that a record would make more than the limits allow.
var ErrLimit = errors.New("mappings: the record makes more than is allowed")

// Limits on what one record may make and cost: a mapping or a record that goes
// beyond breaks off, nothing of it is used. They count work, not time, so that a
// record that is refused on one machine is refused on every one.
const (
	maxResources = 500
	maxSteps     = 100_000    // rows evaluated, items of loops
	maxBytes     = 2 << 20    // of all resources together
	maxTurns     = 20_000     // of loops inside expressions
	maxVisits    = 20_000_000 // nodes of the record looked at
	maxMade      = 64 << 20   // bytes of texts and lists that expressions give
	maxText      = 512 << 10  // bytes of one text
	maxCode      = 80         // of an unmapped code that is shown
)

// Limits on what a mapping may hold.
const (
	maxRows     = 20_000 // with those of rowsets and datatypes at each place of use
	maxElements = 5_000  // columns, elements
	maxLets     = 2_000
	maxChanges  = 2_000 // operations of overlays
)

// spend counts bytes that an expression made.
func (r *run) spend(bytes int) {
	if r.made += bytes; r.made > maxMade || bytes > maxText {
		panic(fmt.Errorf("%w: the texts and lists of its expressions are too large", ErrLimit))
	}
}

// afford refuses to go on once the record has cost too much.
func (r *run) afford() error {
	if r.visits > maxVisits {
		return fmt.Errorf("%w: over %d nodes looked at", ErrLimit, maxVisits)
	}
	return nil
}

// turn counts a turn of a loop in an expression: each predicate calls it first.
func (r *run) turn() bool {
	if r.turns++; r.turns > maxTurns {
		panic(fmt.Errorf("%w: over %d turns of loops in expressions", ErrLimit, maxTurns))
	}
	return true
}

// bounded are the operations of the expression language that can make much out
// of little, with a bound.
func (r *run) bounded(env map[string]any) {
	env["turn"] = r.turn
	env["join"] = func(list any, glue ...string) string {
		texts := textsOf(list)
		g := strings.Join(glue, "")
		n := len(g) * max(0, len(texts)-1)
		for _, s := range texts {
			n += len(s)
		}
		r.spend(n)
		return strings.Join(texts, g)
	}
	env["split"] = func(s, by string) []string {
		parts := strings.Split(s, by)
		r.spend(16 * len(parts))
		return parts
	}
	env["replace"] = func(s, old, now string) string {
		r.spend(len(s) + max(0, len(now)-len(old))*strings.Count(s, old))
		return strings.ReplaceAll(s, old, now)
	}
}

// size is roughly what a value takes.
func size(v any) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case nil, bool, int:
		return 0
	}
	if rv := reflect.ValueOf(v); rv.Kind() == reflect.Slice {
		return 16 * rv.Len()
	}
	return 0
}

// boundedSamples are the types of the bounded operations, for the compiler.
func boundedSamples(env map[string]any) {
	(&run{}).bounded(env)
}

// boundOptions put the bounded operations in the place of the language's own.
// What would bring in the clock, or makes much out of nothing, is not available.
func boundOptions() []expr.Option {
	var opts []expr.Option
	for _, name := range []string{"now", "date", "duration", "timezone", "repeat", "join", "replace", "split", "uniq", "groupBy"} {
		opts = append(opts, expr.DisableBuiltin(name))
	}
	return append(opts, expr.MaxNodes(500))
}

// bound makes each turn of a loop count, and refuses what has no bound.
func (v *expressionVisitor) bound(n ast.Node) {
	switch e := n.(type) {
	case *ast.PredicateNode:
		e.Node = &ast.SequenceNode{Nodes: []ast.Node{&ast.CallNode{Callee: &ast.IdentifierNode{Value: "turn"}}, e.Node}}
	case *ast.VariableDeclaratorNode:
		v.fail(n, "variables are not used in expressions: put a named value into the list let")
	case *ast.BinaryNode:
		switch e.Operator {
		case "..":
			v.fail(n, "ranges of numbers are not used in mappings")
		case "matches":
			if _, written := e.Right.(*ast.StringNode); !written {
				v.fail(n, "the pattern of matches must be written out")
			}
		}
	}
}
