package enforce

import (
	"bytes"
	"os"
	"slices"
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/policy"
)

// A Point that is used again gives what Apply gives, and leaves the subject as
// it was.
func TestAPointGivesWhatApplyGives(t *testing.T) {
	var p Point
	decisions := []policy.Decision{
		{Effect: policy.Permit},
		{Effect: policy.Permit, Obligations: []policy.Obligation{policy.Audit, policy.NoRedisclosure}},
		{Effect: policy.Permit, Obligations: []policy.Obligation{policy.Part2Notice, policy.Audit, policy.Audit}},
		{Effect: policy.Deny},
	}
	for _, raw := range append(seeds(), spliced()...) {
		for _, d := range append(decisions, withhold(subject(t, raw))) {
			s := subject(t, raw)
			if d.Effect == policy.Redact {
				d = withhold(s)
			}
			want, wantErr := Apply(s, d, VisibleFunc(all))
			got, err := p.Apply(s, d, VisibleFunc(all))
			if (err == nil) != (wantErr == nil) || !bytes.Equal(got.Body, want.Body) || !slices.Equal(got.Security, want.Security) || !slices.Equal(got.Duties, want.Duties) || got.Why != want.Why {
				t.Fatalf("got  %s %v\nwant %s %v\nof %s", got.Body, err, want.Body, wantErr, raw)
			}
			if string(s.Resource.Raw()) != raw {
				t.Fatalf("the subject was written to: %s", s.Resource.Raw())
			}
			if got.Body != nil && (!bytes.Equal(got.Form.Raw(), got.Body) || got.Form.Reference() != s.Resource.Reference()) {
				t.Fatalf("the form is not the body: %s, %s", got.Form.Raw(), got.Body)
			}
		}
	}
}

// spliced are labelled resources with meta in every shape.
func spliced() []string {
	const body = `"resourceType":"Condition","id":"c","subject":{"reference":"Patient/p1"},"code":{"coding":[` + sud + `]}`
	return []string{
		`{` + body + `}`, `{ ` + body + `, "meta" : { } }`, `{"meta":{"versionId":"1" }, ` + body + ` }`,
		`{"meta":{"security" : [ ],"versionId":"1"},` + body + `}`, `{"meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"SUD","display":"own words"}]},` + body + `}`,
	}
}

func TestLabelsAreSplicedIn(t *testing.T) {
	want := string(marked(t, spliced()[0]).Path("meta", "security").Raw())
	for _, raw := range spliced() {
		root := marked(t, raw)
		if got := string(root.Path("meta", "security").Raw()); got != want || root.Get("code").Len() == 0 {
			t.Errorf("got %s of %s", root.Raw(), raw)
		}
		if v := subject(t, raw).Resource.Root().Path("meta", "versionId").Raw(); string(root.Path("meta", "versionId").Raw()) != string(v) {
			t.Errorf("meta lost something: %s", root.Raw())
		}
	}
}

func TestPermitsAndDeniesDoNotAllocate(t *testing.T) {
	raw, err := os.ReadFile("../../fhir/label/testdata/observation.json")
	if err != nil {
		t.Fatal(err)
	}
	var p Point
	plain, labelled, visible := subject(t, string(raw)), subject(t, spliced()[2]), VisibleFunc(all)
	bare := subject(t, `{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p1"},"encounter":{"reference":"Encounter/e"}}`)
	audited := []policy.Obligation{policy.Audit, policy.Account}
	for _, c := range []struct {
		name  string
		s     *policy.Subject
		d     policy.Decision
		same  bool // the bytes that came in go out
		apply func(*policy.Subject, policy.Decision, Visibility) (Result, error)
	}{
		{"permit", plain, policy.Decision{Effect: policy.Permit, Obligations: audited}, true, p.Apply},
		{"permit, by Apply, which makes the list of labels", bare, policy.Decision{Effect: policy.Permit, Obligations: audited}, true, Apply},
		{"deny", plain, policy.Decision{}, false, p.Apply},
		{"deny, by Apply", labelled, policy.Decision{}, false, Apply},
		{"permit with labels", labelled, policy.Decision{Effect: policy.Permit, Obligations: audited}, false, p.Apply},
	} {
		apply := func() {
			got, err := c.apply(c.s, c.d, visible)
			if err != nil || (got.Body == nil) != (c.d.Effect == policy.Deny) || c.same && &got.Body[0] != &c.s.Resource.Raw()[0] {
				t.Fatalf("%s: %v %s", c.name, err, got.Body)
			}
		}
		apply()
		if n := testing.AllocsPerRun(100, apply); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

// marked returns a permitted resource as it goes out.
func marked(t *testing.T, raw string) resource.Node {
	t.Helper()
	got, err := new(Point).Apply(subject(t, raw), policy.Decision{Effect: policy.Permit}, VisibleFunc(all))
	if err != nil || got.Body == nil {
		t.Fatalf("%v of %s", err, raw)
	}
	return got.Form.Root()
}
