package search

import (
	"testing"

	"github.com/handoff-health/handoff/fhir/validate"
)

func TestProjection(t *testing.T) {
	const st = `{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}`
	const in = `{"resourceType":"Observation","id":"1","text":{"status":"generated","div":"<div/>"},"status":"final","code":{"text":"x"},"effectiveDateTime":"2024","_effectiveDateTime":{"id":"a"},"valueString":"v","note":[{"text":"n"}]}`
	for _, c := range []struct{ query, in, want string }{
		{"", in, in},
		{"_summary=false", in, in},
		{"_elements=effective", in, `{"resourceType":"Observation","id":"1","status":"final","code":{"text":"x"},"effectiveDateTime":"2024","_effectiveDateTime":{"id":"a"},"meta":{"tag":[` + st + `]}}`},
		{"_elements=value[x]", in, `{"resourceType":"Observation","id":"1","status":"final","code":{"text":"x"},"valueString":"v","meta":{"tag":[` + st + `]}}`},
		{"_summary=true", in, `{"resourceType":"Observation","id":"1","status":"final","code":{"text":"x"},"effectiveDateTime":"2024","_effectiveDateTime":{"id":"a"},"valueString":"v","meta":{"tag":[` + st + `]}}`},
		{"_summary=text", in, `{"resourceType":"Observation","id":"1","text":{"status":"generated","div":"<div/>"},"status":"final","code":{"text":"x"},"meta":{"tag":[` + st + `]}}`},
		{"_summary=data", in, `{"resourceType":"Observation","id":"1","status":"final","code":{"text":"x"},"effectiveDateTime":"2024","_effectiveDateTime":{"id":"a"},"valueString":"v","note":[{"text":"n"}],"meta":{"tag":[` + st + `]}}`},
		{"_elements=value", `{"resourceType":"Observation","meta":{"versionId":"1","tag":[{"code":"a"}]},"status":"final","code":{"text":"x"},"note":[{"text":"n"}]}`, `{"resourceType":"Observation","meta":{"versionId":"1","tag":[{"code":"a"},` + st + `]},"status":"final","code":{"text":"x"}}`},
		{"_elements=value", `{"resourceType":"Observation","meta":{"versionId":"1"},"status":"final","code":{"text":"x"},"note":[{"text":"n"}]}`, `{"resourceType":"Observation","meta":{"versionId":"1","tag":[` + st + `]},"status":"final","code":{"text":"x"}}`},
		{"_elements=status", `{"resourceType":"Observation","id":"1","status":"final","code":{"text":"x"}}`, `{"resourceType":"Observation","id":"1","status":"final","code":{"text":"x"}}`},
		{"_elements=status", `{"resourceType":"Patient","id":"1","birthDate":"1980"}`, `{"resourceType":"Patient","id":"1","birthDate":"1980"}`},
		{"_summary=text", `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"x","diagnostics":"d"}]}`, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"x","diagnostics":"d"}]}`},
	} {
		got := parse(t, "Observation", c.query).Project(read(t, c.in))
		if string(got) != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.query, got, c.want)
		}
		if c.in == in && validate.Failed(validate.Bytes(got)) {
			t.Errorf("%s: what is left is not R4: %v", c.query, validate.Bytes(got))
		}
	}
}
