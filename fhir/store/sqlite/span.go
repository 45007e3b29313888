package sqlite

import (
	"slices"
	"strings"
)

// A span is a set of values: one value, or those from low on and below high.
type span struct {
	low, high string
	equal     bool // only low
	open      bool // no upper bound
}

func (s span) everything() bool { return s.open && s.low == "" }

func (s span) empty() bool { return !s.equal && !s.open && s.low >= s.high }

// prefixSpan is the set of values that start with prefix.
func prefixSpan(prefix string) span {
	end := []byte(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return span{low: prefix, high: string(end[:i+1])}
		}
	}
	return span{low: prefix, open: true}
}

// condition says in SQL that a column of blobs is in the span.
func (s span) condition(column string) (string, []any) {
	return s.bind(column, func(v string) any { return blob(v) })
}

func (s span) bind(column string, value func(string) any) (string, []any) {
	switch {
	case s.equal:
		return column + " = ?", []any{value(s.low)}
	case s.open:
		return column + " >= ?", []any{value(s.low)}
	}
	return column + " >= ? AND " + column + " < ?", []any{value(s.low), value(s.high)}
}

// A clause is a piece of SQL with its arguments.
type clause struct {
	sql  string
	args []any
}

// alternatives turns spans into clauses: all single values into one, each
// stretch into one of its own.
func alternatives(spans []span, column string, value func(string) any) []clause {
	var (
		out    []clause
		equals clause
	)
	for _, s := range spans {
		if s.equal {
			equals.args = append(equals.args, value(s.low))
			continue
		}
		sql, args := s.bind(column, value)
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
