package gateway_test

import (
	"fmt"
	"net/http"
	"testing"
)

// The cost of the pipeline itself: a verified token, a memory trail, no socket
// towards the caller. make bench measures the whole over HTTP.
func BenchmarkPipeline(b *testing.B) {
	c := newCounty(b)
	c.populate()
	var many []string
	for i := range 20 {
		many = append(many, fmt.Sprintf(`{"resourceType":"Observation","id":"o%d","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"29463-7","display":"Body weight"}]},"subject":{"reference":"Patient/r1"},"effectiveDateTime":"2026-01-02","valueQuantity":{"value":61.%02d,"unit":"kg"},"note":[{"text":"%0700d"}]}`, i, i, i))
	}
	c.ehr.set(false, 0, append(many, remote)...)
	for _, bench := range []struct {
		name, who, path string
	}{
		{"own Patient read", "officer", "Patient/p1"},
		{"own search", "clinician", "Encounter?patient=Patient/p1&_lastUpdated=gt2000-01-01&status=finished&class=FLD&_count=50"},
		{"brokered search of 20", "clinician", "Observation?patient=Patient/p1"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if a := c.get(bench.who, bench.path); a.status != http.StatusOK {
					b.Fatal(a)
				}
			}
		})
	}
}
