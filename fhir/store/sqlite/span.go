package sqlite

import (
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/store/plan"
)

// condition says in SQL that a column of blobs is in the span.
func condition(s plan.Span, column string) (string, []any) {
	return bind(s, column, bytesOf)
}

func bind(s plan.Span, column string, value func(string) any) (string, []any) {
	switch {
	case s.Equal:
		return column + " = ?", []any{value(s.Low)}
	case s.Open:
		return column + " >= ?", []any{value(s.Low)}
	}
	return column + " >= ? AND " + column + " < ?", []any{value(s.Low), value(s.High)}
}

// A clause is a piece of SQL with its arguments.
type clause struct {
	sql  string
	args []any
}

// alternatives turns spans into clauses: all single values into one, each
// stretch into one of its own.
func alternatives(spans []plan.Span, column string, value func(string) any) []clause {
	var (
		out    []clause
		equals clause
	)
	for _, s := range spans {
		if s.Equal {
			equals.args = append(equals.args, value(s.Low))
			continue
		}
		sql, args := bind(s, column, value)
		out = append(out, clause{sql, args})
	}
	switch n := len(equals.args); n {
	case 0:
	case 1:
		equals.sql = column + " = ?"
		out = append(out, equals)
	default:
		equals.sql = column + " IN (" + strings.Repeat("?, ", n-1) + "?)"
		out = append(out, equals)
	}
	return out
}

// join combines clauses by an operator as a balanced tree, because SQLite bounds
// the depth of an expression, not its size.
func join(op string, cs []clause) clause {
	switch len(cs) {
	case 0:
		return clause{sql: "0"}
	case 1:
		return cs[0]
	}
	left, right := join(op, cs[:len(cs)/2]), join(op, cs[len(cs)/2:])
	return clause{
		sql:  "(" + left.sql + ") " + op + " (" + right.sql + ")",
		args: slices.Concat(left.args, right.args),
	}
}
