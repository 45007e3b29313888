package flow

import (
	"testing"

	"github.com/handoff-health/handoff/mappings"
)

func TestAReportShowsCodesAndNoValuesOfPersons(t *testing.T) {
	for in, want := range map[string]string{"EMERGENCY_HOLD": "EMERGENCY_HOLD", "Welfare Check": "Welfare Check", "271737000": "271737000", "F20.9": "F20.9", "90-Z": "90-Z",
		"he said that he would jump": "(text)", "1980-03-14": "(text)", "3/14/80": "(text)", "19800314": "(text)", "198003141200": "(text)",
		"512-555-0199": "(text)", "(512) 555-0199": "(text)", "123-45-6789": "(text)", "jane@example.org": "(text)"} {
		if got := UnmappedKey(&mappings.Unmapped{Field: "F", Vocabulary: "v", Code: in}); got != "F="+want+" (v)" {
			t.Errorf("%q: %s", in, got)
		}
	}
}
