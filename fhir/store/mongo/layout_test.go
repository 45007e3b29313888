package mongo

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// The state of a head stands in the head itself, where indexes and filters look.
func TestAHeadHasItsStateAtTheTop(t *testing.T) {
	in := headDoc{
		ID: "Patient/a", Type: "Patient", ResourceID: "a",
		State:  State{Version: 3, Nonce: "n", Updated: "2026-03-01T08:00:00.000Z", Index: []string{"Patient|f|x"}},
		Intent: &intent{Unit: "u", State: State{Version: 4, Nonce: "m", Deleted: true, Index: []string{}, Claims: []string{"c"}}},
	}
	raw, err := bson.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range [][]string{{"v"}, {"n"}, {"u"}, {"d"}, {"ix"}, {"x", "tx"}, {"x", "v"}, {"x", "d"}} {
		if _, err := bson.Raw(raw).LookupErr(path...); err != nil {
			t.Errorf("%v: %v in %s", path, err, bson.Raw(raw))
		}
	}
	var out headDoc
	if err := bson.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in, out); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
