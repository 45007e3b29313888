package search

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store/plan"
)

// The largest query that is read is a plan that every store takes; one value more is
// refused as a query, not as a plan.
func TestTheLargestQueryIsAPlan(t *testing.T) {
	var params []Param
	for i := range MaxInAll / MaxValues {
		var values []string
		for j := range MaxValues {
			values = append(values, fmt.Sprint(1000+i*MaxValues+j))
		}
		params = append(params, Param{"date", strings.Join(values, ",")}) // a date is two conditions
	}
	o := Options{Location: time.FixedZone("", -6*3600)}
	q, err := Parse("Observation", params, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plan.Normalize(q.Plan().Where, nil); err != nil {
		t.Error(err)
	}
	var e *Error
	if _, err := Parse("Observation", append(params, Param{"code", "a"}), o); !errors.As(err, &e) || e.Problem != TooMany {
		t.Errorf("a value more: %v", err)
	}
}
