package tree

import "testing"

func TestPartReadsALeafAsItsFirstPart(t *testing.T) {
	leaf := &Node{Name: "8", Text: "F"}
	deep := &Node{Name: "5", Children: []*Node{{Name: "1", Text: "Rivera"}, {Name: "2", Null: true}}}
	for _, c := range []struct {
		n    *Node
		want string
	}{{leaf.Part("1"), "F"}, {leaf.Part("2"), ""}, {deep.Part("1"), "Rivera"}, {deep.Part("1").Part("1"), "Rivera"}, {(*Node)(nil).Part("1"), ""}} {
		if got := c.n.Value(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestEmptyTellsNullFromNothing(t *testing.T) {
	for _, c := range []struct {
		n    *Node
		want bool
	}{{nil, true}, {&Node{}, true}, {&Node{Null: true}, false}, {&Node{Children: []*Node{{}}}, true}, {&Node{Children: []*Node{{Text: "x"}}}, false}} {
		if got := c.n.Empty(); got != c.want {
			t.Errorf("%+v: got %v", c.n, got)
		}
	}
}
