package plan

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/handoff-health/handoff/fhir/store"
)

func eq(param, value string) store.Expr {
	return store.Expr{Op: store.Equal, Param: param, Value: value}
}

func op(o store.Op, args ...store.Expr) store.Expr { return store.Expr{Op: o, Args: args} }

func leaf(param string, spans ...Span) *Node { return &Node{Kind: Leaf, Param: param, Spans: spans} }

func one(v string) Span { return Span{Low: v, Equal: true} }

func TestNormalize(t *testing.T) {
	all, none := store.Expr{Op: store.All}, store.Expr{}
	for _, tt := range []struct {
		name string
		in   store.Expr
		want *Node
	}{
		{"zero value", none, &Node{}},
		{"and of nothing", op(store.And), &Node{Kind: All}},
		{"or of nothing", op(store.Or), &Node{}},
		{"and of one", op(store.And, eq("a", "1"), all), leaf("a", one("1"))},
		{"and with never", op(store.And, eq("a", "1"), none), &Node{}},
		{"or with all", op(store.Or, eq("a", "1"), all), &Node{Kind: All}},
		{"or of one parameter", op(store.Or, eq("a", "1"), op(store.Or, eq("a", "2"), none)), leaf("a", one("1"), one("2"))},
		{"or of two", op(store.Or, eq("a", "1"), eq("b", "2"), eq("a", "3")), &Node{Kind: Or, Args: []*Node{leaf("a", one("1"), one("3")), leaf("b", one("2"))}}},
		{"and within and", op(store.And, eq("a", "1"), op(store.And, eq("a", "2"), eq("b", "3"))), &Node{Kind: And, Args: []*Node{leaf("a", one("1")), leaf("a", one("2")), leaf("b", one("3"))}}},
		{"not", op(store.Not, eq("a", "1")), &Node{Kind: Not, Args: []*Node{leaf("a", one("1"))}}},
		{"not all", op(store.Not, all), &Node{}},
		{"not never", op(store.Not, none), &Node{Kind: All}},
		{"a range turned round", store.Expr{Op: store.Range, Param: "a", Low: "2", High: "1"}, &Node{}},
		{"a range from", store.Expr{Op: store.Range, Param: "a", Low: "2"}, leaf("a", Span{Low: "2", Open: true})},
		{"exists", store.Expr{Op: store.Exists, Param: "a"}, leaf("a", Span{Open: true})},
		{"a reserved one always exists", store.Expr{Op: store.Exists, Param: store.ParamID}, &Node{Kind: All}},
		{"prefix", store.Expr{Op: store.Prefix, Param: "a", Value: "x"}, leaf("a", Span{Low: "x", High: "y"})},
		{"a parameter that nobody has", op(store.Or, eq("unknown", "1"), eq("a", "1")), leaf("a", one("1"))},
	} {
		got, err := Normalize(tt.in, func(param string) (int64, bool, error) { return 0, param != "unknown", nil })
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestWhatCannotBeSearchedForIsRefused(t *testing.T) {
	deep := store.Expr{Op: store.All}
	for range MaxDepth - 1 {
		deep = op(store.Not, deep)
	}
	wide, all := slices.Repeat([]store.Expr{eq("a", "1")}, MaxTerms-1), slices.Repeat([]store.Expr{eq("a", "1")}, MaxTogether)
	for name, e := range map[string]store.Expr{"as deep as may be": deep, "as many as may be": op(store.Or, wide...), "all of as many": op(store.And, all...)} {
		if _, err := Normalize(e, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	deep = op(store.Not, deep)
	for name, e := range map[string]store.Expr{
		"unknown operation": {Op: 99},
		"no parameter":      eq("", "x"),
		"not of nothing":    op(store.Not),
		"not of two":        op(store.Not, eq("a", "1"), eq("a", "1")),
		"too deep":          deep,
		"too many":          op(store.Or, append(wide, eq("a", "1"))...),
		"all of too many":   op(store.And, eq("b", "2"), op(store.And, all...)),
		"within":            op(store.And, eq("a", "1"), eq("", "x")),
	} {
		if n, err := Normalize(e, nil); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: got %v, %v", name, n, err)
		}
	}
}

func TestSpans(t *testing.T) {
	values := []string{"", "\x00", "a", "ab", "abc", "b", "\xc3\xa9", "\xfe", "\xff", "\xff\xff", "\xff\xffa"}
	for _, prefix := range values {
		s := Prefix(prefix)
		for _, v := range values {
			want := len(v) >= len(prefix) && v[:len(prefix)] == prefix
			if s.Contains(v) != want {
				t.Errorf("prefix %q contains %q: %v", prefix, v, !want)
			}
		}
	}
}

// A cursor that is read is the one that was written, and no other search takes it.
func FuzzCursor(f *testing.F) {
	p := store.Plan{Type: "Patient", Where: eq("a", "b"), Limit: 1}
	f.Add((&Cursor{Keys: []Value{{Bytes: []byte("v")}}, ID: "x"}).Encode(p))
	f.Add((&Cursor{Keys: []Value{{None: true}}, ID: "x"}).Encode(p))
	f.Add("")
	f.Fuzz(func(t *testing.T, after string) {
		q := p
		q.After = after
		c, err := ReadCursor(q)
		if err != nil || c == nil {
			if err != nil && !errors.Is(err, store.ErrCursor) {
				t.Errorf("%q: %v", after, err)
			}
			return
		}
		again := c.Encode(p)
		if again != after { // an over-long varint is another writing of the same place
			r, err := ReadCursor(store.Plan{Type: p.Type, Where: p.Where, Limit: 1, After: again})
			if err != nil || !cmp.Equal(r, c) {
				t.Errorf("%q is read as %+v", after, c)
			}
		}
		q.Type, q.After = "Practitioner", again
		if _, err := ReadCursor(q); !errors.Is(err, store.ErrCursor) {
			t.Errorf("another search takes it: %v", err)
		}
	})
}
