package mappings_test

import (
	"testing"

	"github.com/handoff-health/handoff/mappings"
)

// A code that a reusable datatype reads is told under the field that it stands in.
func TestUnmappedCodesOfDatatypesNameTheirField(t *testing.T) {
	m := load(t, adt)
	res := apply(t, m, message(t, "MSH|^~\\&|A|CLINIC|||20260101||ADT^A31|1|P|2.5.1\n"+
		"PID|1||77^^^CLINIC^MR||Berg^Ann^^^^^CURRENT||||||1 Main St^^^^^^HOUSE||555-0101^SHOP^PH|555-0102^DESK^PH"), mappings.Options{})
	want := map[string]string{"CURRENT": "PID-5", "HOUSE": "PID-11", "SHOP": "PID-13", "DESK": "PID-14"}
	for _, u := range res.Unmapped {
		if field, ok := want[u.Code]; ok {
			if u.Field != field {
				t.Errorf("%s is told under %s", u.Code, u.Field)
			}
			delete(want, u.Code)
		}
	}
	if len(want) > 0 {
		t.Errorf("not told: %v in %+v", want, res.Unmapped)
	}
}
