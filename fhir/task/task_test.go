package task

import (
	"encoding/json"
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/validate"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	var l List
	l.Add("urn:s", "flag", "valueBoolean", false)
	l.Text("urn:s", "name", "valueString", "x")
	l.Text("urn:s", "nothing", "valueString", "")
	l.Add("urn:s", "who", "valueReference", map[string]any{"reference": "Organization/o"})
	raw, err := json.Marshal(map[string]any{"resourceType": "Task", "status": "requested", "intent": "order", "input": l})
	if err != nil {
		t.Fatal(err)
	}
	r, err := resource.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if issues := validate.Resource(r); validate.Failed(issues) {
		t.Fatal(issues)
	}
	fs := Fields(r, "input")
	if len(fs) != 3 || fs[0].Member != "valueBoolean" || fs[1].Text() != "x" || fs[2].Text() != "Organization/o" || fs[2].System != "urn:s" {
		t.Errorf("read %+v", fs)
	}
	if b, ok := fs[0].Value.Bool(); b || !ok {
		t.Error("false was not read")
	}
}

func TestWhatHasNoTypeOrValueIsLeftOut(t *testing.T) {
	r, err := resource.Parse([]byte(`{"resourceType":"Task","input":[{"valueString":"x"},{"type":{"coding":[{"code":"a"}]}},{"type":{"text":"b"},"valueString":"y"},7]}`))
	if err != nil {
		t.Fatal(err)
	}
	if fs := Fields(r, "input"); len(fs) != 0 {
		t.Errorf("read %+v", fs)
	}
}
